"""The arguments that every layer takes beside its own, as types of `**kwargs`."""

from __future__ import annotations

from typing import TypedDict

from torchkeras.core.types import Config, DTypeLike, Identifier, Shape
from torchkeras.dtype_policies.policy import DTypePolicy


class CommonOptions(TypedDict, total=False):
    """Arguments of `Layer` that a layer's `**kwargs` may have; those below `autocast` are of Keras 2."""

    name: str | None
    trainable: bool
    dtype: DTypeLike | DTypePolicy | Config | None
    autocast: bool
    input_shape: Shape | int
    batch_input_shape: Shape
    batch_shape: Shape
    batch_size: int | None
    input_dim: int
    input_length: int


class LayerOptions(CommonOptions, total=False):
    """The common arguments, and the penalty on the outputs, which some layers name in their signature."""

    activity_regularizer: Identifier | None
