"""Mixed precision: the weights that a call reads in another type are cast by a few kernels for all of them together.

While `state.casts` is set, `read_weight` asks it for the casts. `TrainingCasts` notes which weights a training step
reads in which type; the steps after it cast all of them at their begin, and the backward pass casts all gradients
back at its end. `InferenceCasts` keeps a cast until its weight changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from torchkeras.core.state import state
from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.torch_internals import foreach_copy_, unflatten, version_of

Key = tuple[int, torch.dtype]


class _Made(NamedTuple):
    weight: Tensor
    version: object
    cast: Tensor


def casts_weights(model: nn.Module) -> bool:
    """Whether layers of the model cast weights when they read them, and no weight is sharded."""
    if not any(getattr(module, "_tk_autocast_type", None) is not None for module in model.modules()):
        return False
    return not any(is_sharded(weight) for weight in model.parameters())


class InferenceCasts:
    """The casts of weights in passes without gradients, each made when it is read first and again after a change."""

    def __init__(self) -> None:
        self._made: dict[Key, _Made] = {}

    def read(self, weight: Tensor, dtype: torch.dtype, order: tuple[int, ...] | None = None) -> Tensor:
        """The weight in the type `dtype`; the arguments are those of `TrainingCasts.read`."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return weight.to(dtype)
        made, version = self._made.get((id(weight), dtype)), (version_of(weight), weight.data_ptr())
        if made is None or made.version != version:
            cast = weight.to(dtype)
            if order is not None:
                cast = cast.permute(order).contiguous().permute(_inverse(order))
            made = self._made[id(weight), dtype] = _Made(weight, version, cast)
        return made.cast

    def __enter__(self) -> None:
        self._outer, state.casts = state.casts, self

    def __exit__(self, *error: Any) -> None:
        state.casts = self._outer
        self._made.clear()


@contextmanager
def without_kept_casts() -> Iterator[None]:
    """Inside, a weight is cast each time it is read: for kernels that will be repeated after the weight has changed."""
    outer, state.casts = state.casts, None
    try:
        yield
    finally:
        state.casts = outer


class TrainingCasts:
    """The casts of weights in the forward pass of a training step: inside of `with`, reading a weight finds them.

    A cast is handed out once, so that each further use of a weight has a gradient of its own in the weight's type.
    """

    def __init__(self) -> None:
        self._noted: dict[Key, tuple[Tensor, tuple[int, ...] | None]] = {}
        self._groups: list[_Group] | None = None
        self._made: dict[Key, _Made] = {}

    def read(self, weight: Tensor, dtype: torch.dtype, order: tuple[int, ...] | None = None) -> Tensor:
        """The weight in the type `dtype`.

        Args:
            weight: a parameter.
            dtype: the type.
            order: the dimensions in the order in which the cast shall lie in memory. Default: the weight's.
        """
        key = id(weight), dtype
        made = self._made.pop(key, None)
        if made is not None and made.version == version_of(weight):
            return made.cast
        if key not in self._noted:
            self._noted[key] = weight, order
            self._groups = None
        return weight.to(dtype)

    def __enter__(self) -> None:
        self._outer, state.casts = state.casts, self
        if self._groups is None or not all(group.is_current() for group in self._groups):
            self._groups = _grouped(self._noted)
        for group in self._groups:
            casts = _Cast.apply(group, *group.weights)
            for key, weight, cast in zip(group.keys, group.weights, casts, strict=True):
                self._made[key] = _Made(weight, version_of(weight), cast)

    def __exit__(self, *error: Any) -> None:
        state.casts = self._outer
        self._made.clear()


class _Group:
    """Weights of one type and place that are cast to one type."""

    def __init__(self, keys: list[Key], weights: list[Tensor], orders: list[tuple[int, ...] | None]) -> None:
        # Where sizes are multiples of 64 elements, the casts before leave the next one at a multiple of 128 bytes.
        index = sorted(range(len(keys)), key=lambda i: weights[i].numel() % 64 != 0)
        self.keys = [keys[i] for i in index]
        self.weights = [weights[i] for i in index]
        self.dtype = self.keys[0][1]
        self.places = [(w.data_ptr(), w.dtype) for w in self.weights]
        self.shapes = [w.detach() for w in self.weights]
        self.back: list[tuple[int, ...] | None] = []
        """For each weight how its cast, which lies in memory in an order of its own, is permuted."""
        self.laid_out = []
        for shape, i in zip(self.shapes, index, strict=True):
            order = orders[i]
            self.laid_out.append(shape if order is None else shape.permute(order))
            self.back.append(None if order is None else _inverse(order))

    def is_current(self) -> bool:
        """Whether the weights still are where, and of the type that, they were."""
        return all((w.data_ptr(), w.dtype) == place for w, place in zip(self.weights, self.places, strict=True))

    def cast(self, weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The weights in the other type, in one stretch of memory."""
        parts = _parts(self.laid_out, self.dtype)
        casts = [part if back is None else part.permute(back) for part, back in zip(parts, self.back, strict=True)]
        _copy(casts, weights)
        return tuple(casts)

    def cast_back(self, grads: Sequence[Tensor | None]) -> list[Tensor | None]:
        """The gradients of the casts in the weights' type."""
        dtype = self.weights[0].dtype
        if torch.is_grad_enabled():  # somebody will take the gradients' gradients
            return [None if grad is None else grad.to(dtype) for grad in grads]
        given = [i for i, grad in enumerate(grads) if grad is not None]
        results: list[Tensor | None] = [None] * len(grads)
        if given:
            parts = _parts([self.shapes[i] for i in given], dtype)
            _copy(parts, [grads[i] for i in given])  # type: ignore[misc]
            for i, part in zip(given, parts, strict=True):
                results[i] = part
        return results


class _Cast(torch.autograd.Function):
    """The casts of many weights, as one node of the graph."""

    @staticmethod
    def forward(ctx: Any, group: _Group, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.group = group
        ctx.set_materialize_grads(False)
        return group.cast(weights)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        return None, *ctx.group.cast_back(grads)


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(order.index(axis) for axis in range(len(order)))


def _grouped(noted: dict[Key, tuple[Tensor, tuple[int, ...] | None]]) -> list[_Group]:
    rows: dict[Any, list[Key]] = {}
    for key, (weight, _) in noted.items():
        rows.setdefault((weight.dtype, weight.device, weight.requires_grad, key[1]), []).append(key)
    return [_Group(keys, [noted[k][0] for k in keys], [noted[k][1] for k in keys]) for keys in rows.values()]


def _parts(like: Sequence[Tensor], dtype: torch.dtype) -> Sequence[Tensor]:
    """Tensors of the shapes of others, without values, in one stretch of memory."""
    count = sum(tensor.numel() for tensor in like)
    return unflatten(torch.empty(count, dtype=dtype, device=like[0].device), like)


def _copy(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy all, those of one memory order by one kernel: another order among them would make it a kernel for each."""
    same = [a.stride() == b.stride() for a, b in zip(targets, sources, strict=True)]
    for flag in (True, False):
        chosen = [i for i, is_same in enumerate(same) if is_same is flag]
        if chosen:
            foreach_copy_([targets[i] for i in chosen], [sources[i] for i in chosen])
