"""The metadata of a variable: its name, path, initializer, regularizer, constraint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

if TYPE_CHECKING:
    _Tensor = torch.Tensor
else:
    _Tensor = object


class VariableInfo:
    """Metadata of a variable; the layer keeps it, because torch may replace the tensor object."""

    __slots__ = (
        "name",
        "path",
        "trainable",
        "autocast",
        "aggregation",
        "initializer",
        "regularizer",
        "constraint",
        "overwrite_with_gradient",
        "memory_order",
    )

    regularizers_set: ClassVar[int] = 0
    """How often a variable of this process was given a regularizer; this only grows."""

    def __init__(
        self,
        name: str,
        path: str,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str = "none",
        initializer: Callable[..., Any] | None = None,
    ) -> None:
        self.name = name
        self.path = path
        self.trainable = trainable
        self.autocast = autocast
        self.aggregation = aggregation
        self.initializer = initializer
        self.regularizer: Any = None
        self.constraint: Any = None
        self.overwrite_with_gradient = False
        self.memory_order: tuple[int, ...] | None = None  # the dimensions in the order in which kernels want a cast

    def __getstate__(self) -> dict:
        return {name: getattr(self, name) for name in self.__slots__}

    def __setstate__(self, values: dict) -> None:
        self.memory_order = None
        for name, value in values.items():
            setattr(self, name, value)


class Described(_Tensor):
    """A tensor that answers questions about its metadata, which it keeps in one object."""

    _info: VariableInfo

    @property
    def info(self) -> VariableInfo:
        """The metadata of the variable."""
        info = self.__dict__.get("_info")
        if info is None:
            info = self._info = VariableInfo(name="variable", path="variable", trainable=self.requires_grad)
        return info

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name, without those of layers."""
        return self.info.name

    @name.setter
    def name(self, value: str) -> None:
        self.info.name = value

    @property
    def path(self) -> str:
        """The name behind the names of the layers that hold the variable, joined by slashes."""
        return self.info.path

    @property
    def trainable(self) -> bool:
        """Whether training changes the variable. Setting it sets `requires_grad`."""
        return self.info.trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.info.trainable = bool(value)
        if self.is_floating_point() or self.is_complex():
            self.requires_grad_(bool(value) and isinstance(self, nn.Parameter))

    @property
    def autocast(self) -> bool:
        """Whether layers with a mixed dtype policy may cast the variable when they read it."""
        return self.info.autocast

    @property
    def aggregation(self) -> str:
        """How the values of several processes are combined."""
        return self.info.aggregation

    @property
    def initializer(self) -> Any:
        """The callable that made the first value; `None` if the value was given."""
        return self.info.initializer

    @property
    def regularizer(self) -> Any:
        """The penalty of the variable, which is added to the loss; `None` for none."""
        return self.info.regularizer

    @regularizer.setter
    def regularizer(self, value: Any) -> None:
        _check_callable("regularizer", value)
        self.info.regularizer = value
        if value is not None:
            VariableInfo.regularizers_set += 1

    @property
    def constraint(self) -> Any:
        """The function that maps the variable to an allowed value after each update; `None` for none."""
        return self.info.constraint

    @constraint.setter
    def constraint(self, value: Any) -> None:
        _check_callable("constraint", value)
        self.info.constraint = value

    @property
    def overwrite_with_gradient(self) -> bool:
        """Whether an update sets the variable to its gradient, as scales of float8 training need."""
        return self.info.overwrite_with_gradient

    @overwrite_with_gradient.setter
    def overwrite_with_gradient(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"`overwrite_with_gradient` must be a boolean. Received: {value}")
        self.info.overwrite_with_gradient = value


def _check_callable(name: str, value: object) -> None:
    if value is not None and not callable(value):
        raise ValueError(
            f"Invalid value for attribute `{name}`. Expected a callable or `None`. Received: {name}={value}"
        )
