"""Rows of the tables over the ops: an op, what it is called with, and what is not asked of it, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

# Ops of Keras 3.16.
COMING = {"column_stack", "copysign", "cov", "float_power", "gammainc", "image.reconstruct_patches", "lgamma",
          "matrix_power"}  # fmt: skip

Draw = Callable[[np.random.Generator], np.ndarray]


def floats(*shape: int, low: float = -2.0, high: float = 2.0, dtype: str = "float32") -> Draw:
    """Uniform floats."""
    return lambda rng: rng.uniform(low, high, shape).astype(dtype)


def positive(*shape: int) -> Draw:
    """Floats in [0.5, 1.5)."""
    return floats(*shape, low=0.5, high=1.5)


def spread(*shape: int) -> Draw:
    """Floats that lie at least 0.1 from each other, from zero and from halves, in random order: no ties, no kinks."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        size = int(np.prod(shape))
        values = 0.2 * (np.arange(size) - size // 2) + 0.1 + rng.uniform(-0.04, 0.04, size)
        return rng.permutation(values).reshape(shape).astype("float32")

    return draw


def ints(*shape: int, low: int = -5, high: int = 6, dtype: str = "int32") -> Draw:
    """Integers in [low, high)."""
    return lambda rng: rng.integers(low, high, shape).astype(dtype)


def bools(*shape: int) -> Draw:
    """Booleans."""
    return lambda rng: rng.integers(0, 2, shape).astype(bool)


def complexes(*shape: int) -> Draw:
    """Complex numbers."""
    return lambda rng: (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype("complex64")


def positive_definite(*shape: int) -> Draw:
    """Symmetric positive definite matrices `(..., n, n)`."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        x = rng.normal(size=shape)
        return (x @ np.swapaxes(x, -1, -2) + shape[-1] * np.eye(shape[-1])).astype("float32")

    return draw


@dataclass(frozen=True)
class Row:
    """One call.

    Args:
        op: the op's name in `keras.ops`.
        inputs: for each positional argument a draw of an array (or a list of draws), else the value itself.
        config: keyword arguments.
        dtypes: types to which all drawn floats are cast in turn, beside the drawn one, to compare the result's type.
        gradient: whether the gradient is held against finite differences; a reason if not.
        symbolic: whether it is called on KerasTensors; a reason if not.
        unknown: whether their first size may be unknown; a reason if not.
        compiled: whether `torch.compile(fullgraph=True)` must take it; a reason if not.
        keras: whether Keras on torch computes the same; a reason and, in `reference`, what does instead, if not.
        reads: whether Keras can run our graph of the op; a reason if not.
        rtol, atol: for the comparison with Keras.
    """

    op: str
    inputs: tuple = (floats(2, 3),)
    config: dict[str, Any] = field(default_factory=dict)
    dtypes: tuple[str, ...] = ()
    gradient: bool | str = True
    symbolic: bool | str = True
    unknown: bool | str = True
    compiled: bool | str = True
    keras: bool | str = True
    reference: Callable[..., Any] | None = None
    reads: bool | str = True
    rtol: float = 1e-5
    atol: float = 1e-5

    def __str__(self) -> str:
        config = ",".join(f"{k}={v}" for k, v in self.config.items())
        return f"{self.op}({config})"[:60]

    def arrays(self, rng: np.random.Generator) -> list:
        """The positional arguments, arrays drawn."""
        return [_drawn(value, rng) for value in self.inputs]

    def __lt__(self, other: Row) -> bool:
        return self.op < other.op


def _drawn(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, list):
        return [_drawn(item, rng) for item in value]
    return value(rng) if callable(value) else value


def tensors(values: list, dtype: str | None = None) -> list:
    """The arguments with arrays as tensors (floats in another type, if given)."""

    def convert(value: Any) -> Any:
        if isinstance(value, list):
            return [convert(item) for item in value]
        if not isinstance(value, np.ndarray):
            return value
        made = torch.from_numpy(np.array(value))
        return made.to(getattr(torch, dtype)) if dtype is not None and made.dtype == torch.float32 else made

    return [convert(value) for value in values]
