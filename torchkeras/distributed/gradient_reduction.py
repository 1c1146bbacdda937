"""Reducing gradients over the ranks when an optimizer applies them, for training steps that users write."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch.compiler import is_dynamo_compiling

Gradients = list[Any]
Reduce = Callable[[Gradients, Sequence[Any]], Gradients]
"""From the gradients of this rank and their variables to the gradients of the global batch."""


class _Pending(threading.local):
    def __init__(self) -> None:  # in the instance, where torch.compile can guard it
        self.reduce: Reduce | None = None
        self.traced_apply: Callable[..., None] | None = None


_pending = _Pending()


@contextmanager
def reducing_in_apply(reduce: Reduce) -> Iterator[None]:
    """Inside, every optimizer hands the gradients that it is to apply to `reduce` first, once."""
    before, _pending.reduce = _pending.reduce, reduce
    try:
        yield
    finally:
        _pending.reduce = before


@contextmanager
def tracing_apply_as(function: Callable[..., None]) -> Iterator[None]:
    """Inside, `torch.compile` traces `function(optimizer, grads, variables)` in the place of `optimizer.apply`."""
    before, _pending.traced_apply = _pending.traced_apply, function
    try:
        yield
    finally:
        _pending.traced_apply = before


def pending_reduction() -> Reduce | None:
    """The function that an optimizer must hand its gradients to, `None` where they are whole already."""
    return _pending.reduce


class ReducesGradients:
    """Base of optimizers: `apply` has the gradients reduced first, where that is pending.

    Where one `apply` calls another (a wrapper's that of the wrapped optimizer), the outer one reduces.
    """

    _tk_apply_again: Callable[[Any, Gradients], bool] | None = None
    """What `apply` does with gradients that are known to fit; `None` where a class has its own `apply`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "apply" in cls.__dict__:
            if "_tk_apply_again" not in cls.__dict__:
                cls._tk_apply_again = None
            cls.apply = _reducing(cls.__dict__["apply"])  # type: ignore[attr-defined]


def _reducing(apply: Callable) -> Callable:
    @functools.wraps(apply)
    def reduced_apply(self: Any, grads: Sequence[Any], trainable_variables: Iterable[Any] | None = None) -> Any:
        if is_dynamo_compiling() and _pending.traced_apply is not None:
            return _pending.traced_apply(self, grads, trainable_variables)
        reduce = _pending.reduce
        if reduce is None:
            return apply(self, grads, trainable_variables)
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
        variables = self._trainable_variables if trainable_variables is None else trainable_variables
        whole = reduce(list(grads), variables)
        _pending.reduce = None
        try:
            return apply(self, whole, trainable_variables)
        finally:
            _pending.reduce = reduce

    return reduced_apply
