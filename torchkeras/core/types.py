"""The vocabulary of annotations: names for the kinds of values that Keras's functions take."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
import torch

T = TypeVar("T")

# Sizes of axes; `None` stands for a size that is not known yet.
Shape: TypeAlias = Sequence[int | None]

# Whatever `ops.convert_to_tensor` takes.
ArrayLike: TypeAlias = torch.Tensor | np.ndarray[Any, Any] | Sequence[Any] | float | int | bool

# A value of one kind, or lists, tuples and dicts of them, however deep.
Nest: TypeAlias = T | Sequence["Nest[T]"] | Mapping[str, "Nest[T]"]

# A number, or a tensor without dimensions where reading its value would wait for a device.
Number: TypeAlias = float | torch.Tensor

# One axis, or several.
Axes: TypeAlias = int | tuple[int, ...] | list[int]

# One size for all axes, or one for each.
Sizes: TypeAlias = int | tuple[int, ...] | list[int]

# A name such as "float32", or one of torch's types.
DTypeLike: TypeAlias = str | torch.dtype

# A name such as "cuda:0", or one of torch's devices.
DeviceLike: TypeAlias = str | torch.device

# The JSON-ready description of an object, as `get_config()` gives it.
Config: TypeAlias = dict[str, object]

# Arguments of `regularizers.get`, `activations.get` and the like: a name, a config, or the object itself.
Identifier: TypeAlias = str | Config | Callable[..., Any]


class Store(Protocol):
    """A place of arrays by key, from which and to which an object's own values are read and written."""

    def __getitem__(self, key: str) -> Any: ...

    def __setitem__(self, key: str, value: Any) -> None: ...

    def __contains__(self, key: object) -> bool: ...

    def __len__(self) -> int: ...

    def keys(self) -> Collection[str]: ...
