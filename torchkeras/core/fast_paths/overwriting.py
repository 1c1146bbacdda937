"""Activations computed over their own inputs, where nobody else needs these: no second tensor is made."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

import torch
from torch import Tensor

from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.torch_internals import tracing_state


class Overwriting(NamedTuple):
    """An activation that writes its values over its inputs.

    Attributes:
        function: writes over the tensor that it gets, and returns it.
        by_result: whether torch computes the gradient from the values alone. Any other one keeps a copy of its inputs
            for the gradient, so that writing over them saves nothing.
        onednn: the name under which oneDNN applies it to the results of a convolution or product; `None` if it has
            none.
        scalars: oneDNN's constants.
    """

    function: Callable[[Tensor], Tensor]
    by_result: bool
    onednn: str | None = None
    scalars: tuple[float, ...] = ()


_found: dict[Hashable, Overwriting] = {}


def overwrites(activation: Callable, form: Overwriting) -> None:
    """Say that `form` computes what the function `activation` does, given one argument."""
    _found[activation] = form


def find_overwriting(activation: object) -> Overwriting | None:
    """How to compute `activation` over its input, if that is known."""
    try:
        return _found.get(activation)  # type: ignore[call-overload]
    except TypeError:  # an unhashable callable of the user's
        return None


def may_overwrite(form: Overwriting) -> bool:
    """Whether a result that nobody else has may be written over now: it pays, and nothing records the operations."""
    return (
        (form.by_result or not torch.is_grad_enabled())
        and not torch.compiler.is_compiling()
        and tracing_state() is None
        and fast_paths_enabled()
    )


def _relu6(x: Tensor) -> Tensor:
    return torch.nn.functional.hardtanh_(x, 0.0, 6.0)


def _hard_sigmoid(x: Tensor) -> Tensor:
    if x.dtype is torch.float64:  # torch's kernel (2.14) divides by 6 as exactly as a float32
        return _relu6(x.add_(3.0)).div_(6.0)
    return torch.nn.functional.hardsigmoid(x, inplace=True)


RELU = Overwriting(torch.relu_, True, "relu")
RELU6 = Overwriting(_relu6, False, "hardtanh", (0.0, 6.0))
SIGMOID = Overwriting(torch.sigmoid_, True, "sigmoid")
TANH = Overwriting(torch.tanh_, True, "tanh")
SILU = Overwriting(lambda x: torch.nn.functional.silu(x, inplace=True), False, "swish")
HARD_SIGMOID = Overwriting(_hard_sigmoid, False)
HARD_SILU = Overwriting(lambda x: torch.nn.functional.hardswish(x, inplace=True), False, "hardswish")
