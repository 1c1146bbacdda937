"""Tests whether code is this library's or torch's, and not the user's."""

from __future__ import annotations

from torch import nn

from torchkeras.core import registry


def is_library_class(cls: type) -> bool:
    """True for a class of this library and for a layer of `torch.nn`.

    A class that derives from one of them is the user's: it may override anything.
    """
    return registry.is_own(cls) or getattr(nn, cls.__name__, None) is cls


def runs_library_code_only(module: nn.Module) -> bool:
    """True if no code of the user's runs in the module or in what it holds.

    A class whose instances call a function of the user's (such as `Lambda`) has `_tk_runs_user_code = True`.
    """
    return all(
        is_library_class(type(part)) and not getattr(type(part), "_tk_runs_user_code", False)
        for part in module.modules()
    )
