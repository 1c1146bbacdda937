"""A function along an axis: one element after the other, in pairs, or all at once."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.core import tree
from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.promotion import tensor
from torchkeras.ops.callables import check_callable


def _element(x: Any) -> KerasTensor:
    return KerasTensor(x.shape[1:], x.dtype)


def _repeated(structure: Any, size: int | None) -> Any:
    return tree.map_structure(lambda y: None if y is None else KerasTensor((size, *y.shape), y.dtype), structure)


def _tensors(structure: Any) -> Any:
    if isinstance(structure, Tensor):
        return structure
    return tree.map_structure(lambda x: x if x is None or isinstance(x, KerasTensor) else tensor(x), structure)


# ---------------------------------------------------------------------------- one after the other


def _scan_spec(
    f: Callable, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False, unroll: int | bool = 1
) -> Any:
    _check_scan(f, xs, length, unroll)
    xs = _tensors(xs)
    carry, y = infer(f, (_tensors(init), None if xs is None else tree.map_structure(_element, xs)), {})
    return carry, _repeated(y, length if xs is None or length is not None else tree.flatten(xs)[0].shape[0])


@op(call=("f", "init", "xs"), spec=_scan_spec, file_module="keras.src.ops.core")
def scan(
    f: Callable[..., Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> Any:
    """Call `carry, y = f(carry, x)` for each slice `x` along the first axis.

    Args:
        f: the function.
        init: first carry.
        xs: tensor, or nest of tensors; `None`: `f` gets `None`, `length` times. Default: `None`.
        length: number of calls; `None`: the size of the first axis. Default: `None`.
        reverse: whether to begin with the last slice. Default: `False`.
        unroll: checked, and without effect. Default: `1`.

    Returns:
        The last carry, and all `y`, stacked.

    Raises:
        TypeError: `f` is not callable.
        ValueError: neither `xs` nor `length` is given, or `unroll` is neither a boolean nor positive.

    Example:
        >>> keras.ops.scan(lambda total, x: (total + x, total + x), np.float32(0.0), np.array([1.0, 2.0], "float32"))[1]
        tensor([1., 3.])
    """
    _check_scan(f, xs, length, unroll)
    return _scanned(f, _tensors(init), _tensors(xs), length, reverse)


def _check_scan(f: Any, xs: Any, length: Any, unroll: int | bool) -> None:
    check_callable("scan", "f", f)
    if not isinstance(unroll, bool) and not (isinstance(unroll, int) and unroll > 0):
        raise ValueError(f"scan(): `unroll` must be an positive integer or boolean. Received: {unroll!r}.")
    if xs is None and length is None:
        raise ValueError("scan() needs `xs` to scan over and, if there is none, the `length`; received neither.")


def _scanned(f: Callable, carry: Any, xs: Any, length: int | None, reverse: bool) -> tuple[Any, Any]:
    rows = [None] * (length or 0) if xs is None else _rows(xs)
    if length is not None:
        rows = rows[:length]
    if not rows:
        return carry, _empty(f(carry, _zeros(xs))[1])
    outputs = []
    for row in reversed(rows) if reverse else rows:
        carry, y = f(carry, row)
        outputs.append(y)
    return carry, _stacked(outputs[::-1] if reverse else outputs)


def _rows(xs: Any) -> Sequence:
    if isinstance(xs, Tensor):
        return xs.unbind()
    columns = [x.unbind() for x in tree.flatten(xs)]
    return [tree.pack_sequence_as(xs, row) for row in zip(*columns)]


def _zeros(xs: Any) -> Any:
    """An element, on which the form of a function's outputs is found where there is none."""
    return None if xs is None else tree.map_structure(lambda x: x.new_zeros(x.shape[1:]), xs)


def _empty(structure: Any) -> Any:
    return tree.map_structure(lambda y: None if y is None else (y := tensor(y)).new_empty((0, *y.shape)), structure)


def _stacked(outputs: list) -> Any:
    if isinstance(outputs[0], Tensor):
        return torch.stack([y if isinstance(y, Tensor) else tensor(y) for y in outputs])
    return tree.map_structure(lambda *ys: None if ys[0] is None else torch.stack([*builtins.map(tensor, ys)]), *outputs)


def _map_spec(f: Callable, xs: Any) -> Any:
    xs = _tensors(xs)
    return _repeated(infer(f, (tree.map_structure(_element, xs),), {}), tree.flatten(xs)[0].shape[0])


@op(call=("f", "xs"), spec=_map_spec, file_module="keras.src.ops.core")
def map(f: Callable[..., Any], xs: Any) -> Any:
    """Call a function for each slice along the first axis, and stack the results.

    Args:
        f: the function.
        xs: tensor, or nest of tensors.

    Returns:
        A tensor, or nest of tensors.

    Example:
        >>> keras.ops.map(lambda x: x * 2, np.array([1.0, 2.0]))
        tensor([2., 4.], dtype=torch.float64)
    """
    check_callable("map", "f", f)
    xs = _tensors(xs)
    if any(x.ndim == 0 for x in tree.flatten(xs)):
        raise IndexError(f"map(): `xs` must have an axis to go along; received a tensor without axes: {xs}.")
    rows = _rows(xs)
    return _stacked([f(row) for row in rows]) if rows else _empty(f(_zeros(xs)))


# ---------------------------------------------------------------------------- all at once


def _vectorized_map_spec(elements: Any, function: Callable) -> Any:
    return _map_spec(function, elements)


@op(call=("elements",), spec=_vectorized_map_spec, file_module="keras.src.ops.core")
def vectorized_map(function: Callable[..., Any], elements: Any) -> Any:
    """Call a function for all slices along the first axis at once, as a batch.

    Args:
        function: the function of one slice.
        elements: tensor, or nest of tensors.

    Returns:
        A tensor, or nest of tensors.

    Example:
        >>> keras.ops.vectorized_map(lambda x: x * 2, torch.tensor([1.0, 2.0]))
        tensor([2., 4.])
    """
    check_callable("vectorized_map", "function", function)
    return torch.vmap(function, randomness="different")(_tensors(elements))


# ---------------------------------------------------------------------------- in pairs


def _associative_scan_spec(f: Callable, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    _check_sizes(tree.flatten(elems), axis)
    return tree.map_structure(lambda x: KerasTensor(x.shape, x.dtype), _tensors(elems))


@op(call=("f", "elems"), spec=_associative_scan_spec, file_module="keras.src.ops.core")
def associative_scan(f: Callable[..., Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """Compute all running results of an associative function, in about `2 log2(n)` calls on batches.

    Args:
        f: function of two values, `f(a, b)`.
        elems: tensor, or nest of tensors.
        reverse: whether to begin at the end. Default: `False`.
        axis: the axis. Default: `0`.

    Returns:
        A tensor, or nest of tensors, of the shape of `elems`.

    Raises:
        TypeError: `f` is not callable.
        ValueError: the tensors of `elems` differ in size along the axis.

    Example:
        >>> keras.ops.associative_scan(lambda a, b: a + b, np.array([1, 2, 3]))
        tensor([1, 3, 6])
    """
    check_callable("associative_scan", "f", f)
    leaves = [tensor(x) for x in tree.flatten(elems)]
    _check_sizes(leaves, axis)
    rank = leaves[0].ndim
    axis = axis % rank if -rank <= axis < rank else axis

    def combine(a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
        return tree.flatten(f(tree.pack_sequence_as(elems, a), tree.pack_sequence_as(elems, b)))

    if reverse:
        leaves = [torch.flip(x, (axis,)) for x in leaves]
    results = _running(combine, leaves, axis)
    if reverse:
        results = [torch.flip(x, (axis,)) for x in results]
    return tree.pack_sequence_as(elems, results)


def _check_sizes(leaves: list, axis: int) -> None:
    if len(leaves) > 1 and len({x.shape[axis] for x in leaves} - {None}) > 1:
        raise ValueError(
            f"associative_scan(): all tensors must have the same size along axis {axis}, the first dimension of the "
            f"scan; received shapes {[tuple(x.shape) for x in leaves]}."
        )


def _running(combine: Callable, leaves: list[Tensor], axis: int) -> list[Tensor]:
    """Results for pairs of neighbours give every second result; one more call gives those between."""
    size = leaves[0].shape[axis]
    if size < 2:
        return leaves

    def every_second(xs: list[Tensor], start: int, stop: int | None = None) -> list[Tensor]:
        index = (*[slice(None)] * axis, slice(start, stop, 2))
        return [x[index] for x in xs]

    odd = _running(combine, combine(every_second(leaves, 0, size - 1), every_second(leaves, 1)), axis)
    between = odd if size % 2 else [x.narrow(axis, 0, size // 2 - 1) for x in odd]
    even = every_second(leaves, 0, 1)
    if size > 2:
        even = [torch.cat(x, axis) for x in zip(even, combine(between, every_second(leaves, 2)))]
    return [_interleaved(a, b, axis) for a, b in zip(even, odd)]


def _interleaved(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    pairs = odd.shape[axis]
    both = torch.stack([even.narrow(axis, 0, pairs), odd], axis + 1).flatten(axis, axis + 1)
    return both if even.shape[axis] == pairs else torch.cat([both, even.narrow(axis, pairs, 1)], axis)
