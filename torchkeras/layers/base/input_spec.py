"""The shapes and dtypes that a layer's inputs must have, checked before each call."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core import tree
from torchkeras.core.config.keywords import ChecksKeywords
from torchkeras.core.operations.tracebacks import complete
from torchkeras.core.tensors.dtypes import standardize_dtype


class InputSpec(ChecksKeywords):
    """Describe the rank, dtype and sizes that an input of a layer must have; a layer takes it as `input_spec`.

    Args:
        dtype: dtype, or its name. Default: `None`, any.
        shape: sizes of the axes; `None` for any size. Default: `None`, any shape.
        ndim: exact number of axes. Default: `None`, any.
        max_ndim: greatest number of axes. Default: `None`, any.
        min_ndim: least number of axes. Default: `None`, any.
        axes: dict from numbers of axes to sizes. Default: `None`, any sizes.
        allow_last_axis_squeeze: whether a last axis of size 1 may be missing or added. Default: `False`.
        name: name of the input, for messages. Default: `None`.
        optional: whether the input may be `None`. Default: `False`.

    Raises:
        TypeError: a key of `axes` is no integer.
        ValueError: `axes` names an axis beyond the number of axes.

    Example:
        >>> layer = keras.layers.Dense(2)
        >>> layer.input_spec = keras.InputSpec(ndim=2, axes={-1: 3})
        >>> layer(np.ones((4, 3))).shape
        torch.Size([4, 2])
        >>> layer(np.ones((4, 5)))
        Traceback (most recent call last):
        ValueError: ...expected axis -1 to have size 3; received shape (4, 5).
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else standardize_dtype(dtype)
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        try:
            self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        except (TypeError, ValueError) as error:
            raise TypeError(f"The keys of axes must be integers; received {axes!r}.") from error
        if self.axes and (self.ndim is not None or max_ndim is not None):
            largest = max(self.axes)
            limit = (self.ndim if self.ndim is not None else max_ndim) - 1
            if largest > limit:
                raise ValueError(f"axes names axis {largest}; with this rank the last is {limit}.")
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name = name
        self.optional = optional
        self.known: Any = None

    def fits(self, shape: Any) -> bool:
        """Return whether a shape is allowed; `None` sizes fit everything.

        Args:
            shape: the shape.
        """
        rank = len(shape)
        if self.ndim is not None and rank != self.ndim and not self.allow_last_axis_squeeze:
            return False
        if self.min_ndim is not None and rank < self.min_ndim:
            return False
        if self.max_ndim is not None and rank > self.max_ndim:
            return False
        for axis, size in self.axes.items():
            if size is not None and -rank <= axis < rank and shape[axis] is not None and shape[axis] != size:
                return False
        return self.shape is None or self._fits_shape(shape)

    def _fits_shape(self, shape: Any) -> bool:
        wanted, found = tuple(self.shape), tuple(shape)  # type: ignore[arg-type]
        if self.allow_last_axis_squeeze:
            wanted, found = _squeezed(wanted), _squeezed(found)
        return len(wanted) == len(found) and all(w is None or f is None or w == f for w, f in zip(wanted, found))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "dtype": self.dtype,
            "shape": self.shape,
            "ndim": self.ndim,
            "max_ndim": self.max_ndim,
            "min_ndim": self.min_ndim,
            "axes": self.axes,
            "optional": self.optional,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        """Make a specification from its config.

        Args:
            config: result of `get_config`.

        Returns:
            The specification.
        """
        return cls(**config)

    def __repr__(self) -> str:
        facts = {name: value for name, value in self.get_config().items() if value not in (None, {}, False)}
        return f"InputSpec({', '.join(f'{name}={value}' for name, value in facts.items())})"


def _squeezed(shape: tuple) -> tuple:
    return shape[:-1] if shape and shape[-1] == 1 else shape


def input_spec_knows(spec: Any, shape: torch.Size) -> bool:
    """Whether a lone spec was found to fit this very shape the last time: most calls repeat it.

    Under `torch.compile` and `torch.export` nothing is remembered: sizes compared there would become fixed ones.
    """
    if torch.compiler.is_compiling() or not isinstance(spec, InputSpec) or spec.dtype is not None:
        return False
    if spec.known == shape:
        return True
    if spec.fits(shape):
        spec.known = shape
        return True
    return False


def check_inputs(spec: Any, inputs: Any, layer_name: str) -> None:
    """Raise `ValueError` where inputs are not as the layer's `input_spec` demands."""
    if isinstance(spec, InputSpec):
        shape = getattr(inputs, "shape", None)
        if shape is not None and spec.fits(shape) and spec.dtype is None:
            return
    specs = tree.flatten(spec)
    if isinstance(spec, dict) and isinstance(inputs, dict):
        missing = [key for key in spec if key not in inputs]
        if missing:
            raise complete(
                ValueError(f"Layer {layer_name!r} needs inputs named {list(spec)}; received {list(inputs)}.")
            )
        values = [inputs[key] for key in sorted(spec)]
        specs = [spec[key] for key in sorted(spec)]
    else:
        values = tree.flatten(inputs)
    if len(values) != len(specs):
        raise complete(
            ValueError(f"Layer {layer_name!r} expects {len(specs)} input(s), but it received {len(values)}.")
        )
    for i, (value, one) in enumerate(zip(values, specs)):
        if one is not None and not (value is None and one.optional):
            _check_one(one, value, i, layer_name)


def _check_one(spec: InputSpec, value: Any, index: int, layer_name: str) -> None:
    shape = getattr(value, "shape", None)
    if shape is None:
        raise complete(
            ValueError(f"Inputs of layer {layer_name!r} must be tensors; received {value!r} as input {index}.")
        )
    shape = tuple(shape)
    head = f"Input {index} of layer {layer_name!r} is incompatible with the layer: "
    if not spec.fits(shape):
        raise complete(ValueError(head + f"expected {_wanted(spec, shape)}; received shape {shape}."))
    if spec.dtype is not None and standardize_dtype(value.dtype) != spec.dtype:
        raise complete(ValueError(head + f"expected dtype={spec.dtype}, found dtype={standardize_dtype(value.dtype)}."))


def _wanted(spec: InputSpec, shape: tuple) -> str:
    if spec.shape is not None:
        return f"shape={spec.shape}, found shape={shape}"
    if spec.ndim is not None and len(shape) != spec.ndim:
        return f"ndim={spec.ndim}, found ndim={len(shape)}"
    if spec.min_ndim is not None and len(shape) < spec.min_ndim:
        return f"min_ndim={spec.min_ndim}, found ndim={len(shape)}"
    if spec.max_ndim is not None and len(shape) > spec.max_ndim:
        return f"max_ndim={spec.max_ndim}, found ndim={len(shape)}"
    return ", ".join(f"axis {axis} to have size {size}" for axis, size in spec.axes.items() if size is not None)
