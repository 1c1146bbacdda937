"""Functions of small tensors, made functions of stacks of them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import torch

from torchkeras.core import registry
from torchkeras.core.tensors.promotion import tensor

_AXES = r"\((\w+(?:,\w+)*)?,?\)"
_SIGNATURE = re.compile(rf"{_AXES}(?:,{_AXES})*->{_AXES}(?:,{_AXES})*")


def vectorize(pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None) -> Callable[..., Any]:
    """Make a function of single values into one of tensors, which broadcast against each other.

    Args:
        pyfunc: the function.
        excluded: positions and names of arguments that are passed on as they are. Default: `None`.
        signature: axes that the function itself takes, as in `"(n),(n)->()"`; `None`: none. Default: `None`.

    Returns:
        A function of tensors.

    Raises:
        ValueError: `pyfunc` is not callable, or `signature` is malformed or does not fit its arguments.

    Example:
        >>> keras.ops.vectorize(lambda a, b: a + b)(np.array([1, 2]), np.array([10, 20]))
        tensor([11, 22])
    """
    if not callable(pyfunc):
        raise ValueError(f"Expected argument `pyfunc` to be a callable. Received: pyfunc={pyfunc!r}.")
    excluded = frozenset(excluded or ())
    ranks = None if signature is None else _ranks(signature)

    @functools.wraps(pyfunc)
    def vectorized(*args: Any, **kwargs: Any) -> Any:
        over = {i: tensor(x) for i, x in enumerate(args) if i not in excluded}
        if ranks is not None and len(ranks) != len(over):
            raise ValueError(f"{signature!r} is of {len(ranks)} arguments; received {len(over)}.")
        own = dict(zip(over, ranks if ranks is not None else [0] * len(over)))
        short = [i for i, x in over.items() if x.dim() < own[i]]
        if short:
            raise ValueError(
                f"{signature!r} takes more axes than argument {short[0]} has: {tuple(over[short[0]].shape)}."
            )
        split = {i: x.dim() - own[i] for i, x in over.items()}
        batch = torch.broadcast_shapes(*(x.shape[: split[i]] for i, x in over.items()))
        stacked = [x.expand(*batch, *x.shape[split[i] :]) for i, x in over.items()]

        def called(*values: Any) -> Any:
            given = dict(zip(over, values))
            return pyfunc(*(given.get(i, x) for i, x in enumerate(args)), **kwargs)

        for _ in batch:
            called = torch.func.vmap(called)
        return called(*stacked)

    return vectorized


def _ranks(signature: str) -> list[int]:
    """How many axes each argument of a signature has."""
    signature = signature.replace(" ", "")
    if not _SIGNATURE.fullmatch(signature):
        raise ValueError(f"signature must be as in '(m,n),(n)->(m)'; received {signature!r}.")
    arguments = signature.split("->")[0]
    return [len([name for name in axes.split(",") if name]) for axes in re.findall(r"\(([^)]*)\)", arguments)]


registry.register_public(vectorize, "keras.ops", "vectorize")
