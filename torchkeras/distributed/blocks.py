"""The parts of a model that are gathered together when its weights are divided among all ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from torchkeras.core.library_code import is_library_class

_LEAST = 1 / 256
"""A block has at least this share of the model's weights: smaller ones would cost a message and save little."""


def find_blocks(model: nn.Module, wrap: Any = None) -> list[nn.Module]:
    """Return the layers whose weights are gathered one layer at a time, inner ones first; the rest with the model.

    By default these are the largest layers that hold less than half of the weights of what they are in: the repeated
    blocks of a deep model, found without their names. Models within the model are looked into.

    Args:
        model: the model, built.
        wrap: a class or a tuple of classes, names of layers, or a function from a layer to a bool.

    Raises:
        ValueError: no layer is as `wrap` says.
    """
    if wrap is None:
        found = list(_large_parts(model, _LEAST * _size(model)))
    else:
        wanted = _condition(wrap)
        found = [part for part in model.modules() if part is not model and _size(part) and wanted(part)]
        if not found:
            names = [getattr(part, "name", type(part).__name__) for part in model.children()]
            raise ValueError(f"wrap={wrap!r} must choose at least one layer with weights; the model has {names[:20]}.")
    return _without_shared(model, found)[::-1]


def _condition(wrap: Any) -> Callable[[nn.Module], bool]:
    if isinstance(wrap, (type, tuple)) and all(
        isinstance(one, type) for one in (wrap if type(wrap) is tuple else (wrap,))
    ):
        return lambda part: isinstance(part, wrap)
    if callable(wrap):
        return wrap  # type: ignore[no-any-return]
    names = {wrap} if isinstance(wrap, str) else set(wrap)
    return lambda part: getattr(part, "name", None) in names


def _large_parts(module: nn.Module, least: float) -> Iterator[nn.Module]:
    whole = _size(module)
    for child in module.children():
        size = _size(child)
        if size < least:
            continue
        is_container = hasattr(type(child), "fit") or not _is_called(child)
        is_large = size > whole / 2 and not is_library_class(type(child))  # ours may read the weights of those within
        if _has_children_with_weights(child) and (is_container or is_large):
            yield from _large_parts(child, least)
        else:
            yield child


def _is_called(module: nn.Module) -> bool:
    """Whether a module computes; torch's containers, and this library's lists and dicts, only hold others."""
    return type(module).forward is not nn.Module.forward and not isinstance(module, (nn.ModuleList, nn.ModuleDict))


def _has_children_with_weights(module: nn.Module) -> bool:
    return any(_size(child) for child in module.children())


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _without_shared(model: nn.Module, blocks: list[nn.Module]) -> list[nn.Module]:
    """The blocks that share no weight with another layer outside: such weights are gathered with the whole model."""
    owners: Counter[int] = Counter()
    for module in model.modules():
        owners.update({id(p) for p in module._parameters.values() if p is not None})

    def is_alone(block: nn.Module) -> bool:
        inside: Counter[int] = Counter()
        for module in block.modules():
            inside.update({id(p) for p in module._parameters.values() if p is not None})
        return all(owners[key] == count for key, count in inside.items())

    return [block for block in dict.fromkeys(blocks) if is_alone(block)]
