"""Batch normalization in graphs that are compiled for a CPU, by torch's own kernels for large images.

Torch's compiler takes it apart into sums over all places, whose loops are slow where the channels lie side by side in
memory: with the activations around them they took three times as long as torch's kernels in a small ResNet on one core
(torch 2.13).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.torch_internals import functional_batch_norm, signature_of

_LEAST_SIZE = 1 << 16  # values; below, a loop that is joined with its neighbours is the quicker one
_BACKWARD = torch.ops.aten.native_batch_norm_backward.default
_library = torch.library.Library("torchkeras", "FRAGMENT")


def _same_signature(name: str, operator: Any) -> Any:
    """An operator of this library that the compiler does not take apart, with a signature and kernels of torch's."""
    _library.define(name + signature_of(operator))
    _library.impl(name, operator, "CPU")
    torch.library.register_fake(f"torchkeras::{name}", operator, lib=_library)
    return getattr(torch.ops.torchkeras, name).default


_OPERATORS = {_BACKWARD: _same_signature("batch_norm_backward", _BACKWARD)}
if functional_batch_norm is not None:
    _OPERATORS[functional_batch_norm] = _same_signature("batch_norm", functional_batch_norm)


def with_large_batch_norms(table: dict[Any, Callable[..., Any]]) -> dict[Any, Callable[..., Any]]:
    """The compiler's table of operators that it takes apart, in which batch normalizations of large images stay whole.

    Args:
        table: functions by operator; each computes the operator by others.
    """
    if not fast_paths_enabled():
        return table
    large = {kind: _unless_large(operator, table[kind]) for kind, operator in _OPERATORS.items() if kind in table}
    return {**table, **large}


def _unless_large(operator: Any, parts: Callable[..., Any]) -> Callable[..., Any]:
    def decomposed(*args: Any, **kwargs: Any) -> Any:
        x, mask = args[0], args[-1]
        is_known = x.dim() > 2 and x.device.type == "cpu" and all(isinstance(size, int) for size in x.shape)
        wants_all = all(mask) if isinstance(mask, (list, tuple)) else True  # the gradients of inputs and both weights
        if is_known and wants_all and not kwargs and x.numel() >= _LEAST_SIZE:
            return operator(*args)
        return parts(*args, **kwargs)

    return decomposed
