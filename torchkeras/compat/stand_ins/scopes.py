"""The scope in which weights are read in another type."""

from __future__ import annotations

from torchkeras.core.state import state
from torchkeras.core.tensors.convert import cast
from torchkeras.core.tensors.dtypes import is_float, standardize_dtype, torch_dtype
from torchkeras.core.types import ArrayLike, DTypeLike


class AutocastScope:
    """Inside, layers read their trainable weights in the given type of floats; `None` reads them as they are."""

    def __init__(self, dtype: DTypeLike | None) -> None:
        self.dtype = None if dtype is None else standardize_dtype(dtype)
        if self.dtype is not None and not is_float(self.dtype):
            raise ValueError(f"`AutocastScope` can only be used with a floating-point dtype; received {dtype!r}.")
        self._outer: AutocastScope | None = None

    def maybe_cast(self, value: ArrayLike) -> ArrayLike:
        """The value in the scope's type, if both are floats."""
        if self.dtype is not None and is_float(getattr(value, "dtype", "")):
            return cast(value, self.dtype)
        return value

    def __enter__(self) -> AutocastScope:
        self._before = state.set("autocast", None if self.dtype is None else torch_dtype(self.dtype))
        return self

    def __exit__(self, *error: object) -> None:
        state.set("autocast", self._before)


def get_autocast_scope() -> AutocastScope | None:
    """A scope of the type in which weights are read now, else `None`."""
    return None if state.autocast is None else AutocastScope(state.autocast)
