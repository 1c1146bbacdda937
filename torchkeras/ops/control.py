"""Branches and loops that depend on values.

Eager code reads a condition and goes on in Python. Under `torch.compile`, where a tensor has no value to read, torch's
own control flow takes its place; on `meta`, where shapes are all that counts, one branch or one turn stands for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.core import tree
from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.promotion import tensor
from torchkeras.core.torch_internals import while_loop as compiled_while_loop
from torchkeras.core.types import ArrayLike
from torchkeras.ops.callables import check_callable


def _no_value(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_meta


def _in_graph(x: Any) -> bool:
    return isinstance(x, Tensor) and torch.compiler.is_compiling()


# ---------------------------------------------------------------------------- branches


def _cond_spec(pred: Tensor | bool, true_fn: Callable, false_fn: Callable) -> Any:
    first, second = infer(true_fn, (), {}), infer(false_fn, (), {})
    if _form(first) != _form(second):
        raise ValueError(
            f"cond(): `true_fn` and `false_fn` should return outputs of the same kind (structure, dtype and shape); "
            f"received {first} and {second}."
        )
    if any(hasattr(x, "_keras_history") for x in tree.flatten((first, second))):
        raise ValueError(
            "cond(): with a symbolic condition the branches can't use symbolic tensors from outside. Use "
            "torchkeras.ops.where, or put the branches into the call() of a layer of your own."
        )
    return first


def _form(structure: Any) -> Any:
    paths = tree.flatten_with_path(structure)
    return [(path, getattr(x, "shape", None), getattr(x, "dtype", None)) for path, x in paths]


@op(call=("pred", "true_fn", "false_fn"), spec=_cond_spec, file_module="keras.src.ops.core")
def cond(pred: Tensor | bool, true_fn: Callable[..., Any], false_fn: Callable[..., Any]) -> Any:
    """Return `true_fn()` if a predicate holds, otherwise `false_fn()`.

    Args:
        pred: boolean, or boolean tensor without axes.
        true_fn: function without arguments.
        false_fn: function without arguments, whose result has the same structure.

    Returns:
        The result of the function that ran.

    Example:
        >>> keras.ops.cond(True, lambda: np.float32(1.0), lambda: np.float32(2.0))
        np.float32(1.0)
    """
    check_callable("cond", "true_fn", true_fn)
    check_callable("cond", "false_fn", false_fn)
    if _no_value(pred):
        return true_fn()
    if isinstance(pred, Tensor) and _in_graph(pred):
        return torch.cond(pred.bool(), true_fn, false_fn, ())
    return true_fn() if pred else false_fn()


def _switch_spec(index: ArrayLike, branches: Sequence[Callable], *operands: Any) -> Any:
    return infer(branches[0], operands, {})


@op(call=("index", "branches", "operands"), spec=_switch_spec, file_module="keras.src.ops.core")
def switch(index: ArrayLike, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Return `branches[index](*operands)`.

    Args:
        index: integer, or integer tensor without axes; outside the range, the first or the last branch runs.
        branches: functions.
        *operands: their arguments.

    Returns:
        The result of the branch that ran.

    Example:
        >>> keras.ops.switch(1, [lambda x: x, lambda x: -x], np.float32(3.0))
        tensor(-3.)
    """
    if not isinstance(branches, Sequence):
        raise TypeError(f"switch(): `branches` should be a list of callables. Received: branches={branches!r}.")
    for branch in branches:
        check_callable("switch", "branches", branch)
    operands = _as_tensors(operands)
    if isinstance(index, Tensor):
        if index.is_meta:
            return branches[0](*operands)
        if torch.compiler.is_compiling():
            return _chosen(index, branches, operands)
    place, last = int(index), len(branches) - 1  # type: ignore[arg-type]
    return branches[0 if place < 0 else last if place > last else place](*operands)


def _chosen(index: Tensor, branches: Sequence[Callable], operands: tuple) -> Any:
    if len(branches) == 1:
        return branches[0](*operands)
    return torch.cond(index <= 0, branches[0], lambda *args: _chosen(index - 1, branches[1:], args), operands)


# ---------------------------------------------------------------------------- loops


def _while_spec(
    loop_vars: Any, cond: Callable | None = None, body: Callable | None = None, maximum_iterations: int | None = None
) -> Any:
    return tree.map_structure(_like, loop_vars)


def _like(x: Any) -> KerasTensor:
    x = x if isinstance(x, KerasTensor) else tensor(x)
    return KerasTensor(x.shape, x.dtype)


@op(call=("loop_vars",), spec=_while_spec, file_module="keras.src.ops.core")
def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """Repeat `loop_vars = body(*loop_vars)` while `cond(*loop_vars)` holds.

    Under `torch.compile`, a condition on tensors requires that they keep their shapes and dtypes, and no gradient flows
    through the loop.

    Args:
        cond: function that returns a boolean.
        body: function that returns the next values.
        loop_vars: list or tuple of arguments, or one argument.
        maximum_iterations: largest number of repetitions; `None` for no limit. Default: `None`.

    Returns:
        The last values, in the structure of `loop_vars`.

    Example:
        >>> keras.ops.while_loop(lambda i: i < 5, lambda i: (i + 2,), (0,))
        (tensor(6, dtype=torch.int32),)
    """
    check_callable("while_loop", "cond", cond)
    check_callable("while_loop", "body", body)
    many = isinstance(loop_vars, (list, tuple))
    values = _as_tensors(loop_vars if many else (loop_vars,))
    compiling = torch.compiler.is_compiling()
    turns = 0
    while maximum_iterations is None or turns < maximum_iterations:
        goes_on = cond(*values)
        if isinstance(goes_on, Tensor):
            if goes_on.is_meta:
                break
            if compiling:
                values = _while_in_graph(cond, body, values, maximum_iterations)
                break
        if not goes_on:
            break
        values = _as_tuple(body(*values)) if many else (body(*values),)
        turns += 1
    return values if many else values[0]


def _as_tensors(values: Sequence[Any]) -> tuple:
    return tuple([x if isinstance(x, Tensor) else tree.map_structure(tensor, x) for x in values])


def _as_tuple(values: Any) -> tuple:
    return tuple(values) if isinstance(values, (list, tuple)) else (values,)


def _while_in_graph(cond: Callable, body: Callable, values: tuple, most: int | None) -> tuple:
    def goes_on(turn: Tensor, *values: Any) -> Tensor:
        return cond(*values).bool() if most is None else torch.logical_and(turn < most, cond(*values))

    def turned(turn: Tensor, *values: Any) -> tuple:
        return (turn + 1, *_as_tuple(body(*values)))

    return tuple(compiled_while_loop(goes_on, turned, (torch.zeros((), dtype=torch.int64), *values))[1:])


def _fori_spec(
    init_val: Any, lower: ArrayLike = None, upper: ArrayLike = None, body_fun: Callable | None = None
) -> Any:
    return tree.map_structure(_like, init_val)


@op(call=("init_val",), spec=_fori_spec, file_module="keras.src.ops.core")
def fori_loop(lower: ArrayLike, upper: ArrayLike, body_fun: Callable[..., Any], init_val: Any) -> Any:
    """Repeat `value = body_fun(i, value)` for `i` from `lower` up to, but not including, `upper`.

    Args:
        lower: first index.
        upper: end of the indices.
        body_fun: function of the index and the value.
        init_val: first value.

    Returns:
        The last value.

    Example:
        >>> keras.ops.fori_loop(0, 4, lambda i, total: total + i, 0)
        6
    """
    check_callable("fori_loop", "body_fun", body_fun)
    if isinstance(lower, Tensor) or isinstance(upper, Tensor):
        if _no_value(lower) or _no_value(upper):
            return body_fun(lower, init_val)
        if torch.compiler.is_compiling():
            state = (tensor(lower), tree.map_structure(tensor, init_val))
            return compiled_while_loop(lambda i, _: i < upper, lambda i, value: (i + 1, body_fun(i, value)), state)[1]
    value = init_val
    for i in range(int(lower), int(upper)):  # type: ignore[arg-type]
        value = body_fun(i, value)
    return value
