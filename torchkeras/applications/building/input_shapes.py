"""The shape of the images that a network takes, checked, and the input of its graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from torchkeras.core import settings
from torchkeras.core.symbolic.keras_tensor import KerasTensor, is_keras_tensor
from torchkeras.core.symbolic.node import get_source_inputs
from torchkeras.core.types import Shape
from torchkeras.core.user_warnings import warn_user
from torchkeras.layers import Input

ImageShape = tuple[int | None, ...]


def obtain_input_shape(
    input_shape: Shape | None,
    default_size: int,
    min_size: int,
    data_format: str,
    require_flatten: bool,
    weights: str | None = None,
) -> ImageShape:
    """Return the shape of one image for a network, after checking the shape that the user asks for.

    Args:
        input_shape: sizes of an image, three integers or `None`, or `None` for the default.
        default_size: height and width that the network was made for.
        min_size: smallest height and width that the network can reduce.
        data_format: `"channels_last"` or `"channels_first"`.
        require_flatten: whether the height and width must be known, as a classifier on top needs.
        weights: `"imagenet"` or the path of a file if weights are loaded, else `None`. Default: `None`.

    Returns:
        A tuple of three, in the order of `data_format`; a size that may vary is `None`.

    Raises:
        ValueError: the shape has not three sizes, is too small, has other than three channels where the weights of
            ImageNet are loaded, or has no fixed size though `require_flatten` needs one.

    Example:
        >>> keras.applications.imagenet_utils.obtain_input_shape(None, 224, 32, "channels_last", require_flatten=True)
        (224, 224, 3)
        >>> keras.applications.imagenet_utils.obtain_input_shape(None, 224, 32, "channels_last", require_flatten=False)
        (None, None, 3)
    """
    channels_first = data_format == "channels_first"
    given: ImageShape | None = None if input_shape is None else tuple(input_shape)
    default = _ordered(default_size, 3, channels_first)
    if weights != "imagenet" and given is not None and len(given) == 3:
        channels = given[0 if channels_first else -1]
        if channels not in (1, 3):
            warn_user(
                "This model usually expects 1 or 3 input channels. However, it was passed an input_shape with "
                f"{channels} input channels."
            )
        default = _ordered(default_size, channels, channels_first)
    if weights == "imagenet" and require_flatten:
        if given is not None and given != default:
            raise ValueError(
                "When setting `include_top=True` and loading `imagenet` weights, `input_shape` should be "
                f"{default}.  Received: input_shape={given}"
            )
        return default
    if given is None:
        given = default if require_flatten else _ordered(None, 3, channels_first)
    else:
        _check(given, min_size, channels_first, weights)
    if require_flatten and None in given:
        raise ValueError(
            f"If `include_top` is True, you should specify a static `input_shape`. Received: input_shape={given}"
        )
    return given


def _ordered(size: int | None, channels: int | None, channels_first: bool) -> ImageShape:
    return (channels, size, size) if channels_first else (size, size, channels)


def _check(shape: ImageShape, min_size: int, channels_first: bool, weights: str | None) -> None:
    if len(shape) != 3:
        raise ValueError(f"`input_shape` must be a tuple of three integers. Received: input_shape={shape}")
    channels, sizes = (shape[0], shape[1:]) if channels_first else (shape[-1], shape[:-1])
    if channels != 3 and weights == "imagenet":
        raise ValueError(f"The input must have 3 channels; Received `input_shape={shape}`")
    if any(size is not None and size < min_size for size in sizes):
        raise ValueError(f"Input size must be at least {min_size}x{min_size}; Received: input_shape={shape}")


def image_input(shape: Sequence[int | None], tensor: KerasTensor | torch.Tensor | None) -> KerasTensor:
    """The symbolic images: a new input, or the tensor that the user gives."""
    if tensor is None:
        return Input(shape=tuple(shape))
    if is_keras_tensor(tensor):
        return tensor  # type: ignore[return-value]
    raise ValueError(
        "`input_tensor` must be a symbolic tensor, the output of `keras.Input` or of a layer called on one. Received "
        f"{type(tensor).__name__}; call the model on tensors with values."
    )


def sources(image: KerasTensor) -> KerasTensor | list[KerasTensor]:
    """The inputs of the graph that a symbolic tensor comes from."""
    found = get_source_inputs(image)
    return found[0] if len(found) == 1 else found


def rows(shape: Sequence[int | None] | None) -> int | None:
    """Height of the images of a shape; `None` if it varies."""
    if shape is None or len(shape) != 3:
        return None
    return shape[1 if settings.image_data_format() == "channels_first" else 0]


def square_size(shape: Sequence[int | None] | None, sizes: Sequence[int]) -> int | None:
    """Height and width of images if they are equal and one of `sizes`, else `None`."""
    if shape is None or len(shape) != 3:
        return None
    height, width = shape[1:] if settings.image_data_format() == "channels_first" else shape[:2]
    return height if height == width and height in sizes else None
