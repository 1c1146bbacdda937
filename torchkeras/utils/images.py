"""Images in files, as pictures of pillow and as arrays."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch

from torchkeras import ops
from torchkeras.core import settings
from torchkeras.core.tensors import dtypes
from torchkeras.core.types import ArrayLike, DTypeLike
from torchkeras.core.user_warnings import warn_user

if TYPE_CHECKING:
    from PIL.Image import Image

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "Could not import PIL.Image: images in files need the package pillow. "
            "Install it with: pip install 'torchkeras-native[pillow]'"
        ) from error
    return Image


def array_to_img(
    x: ArrayLike, data_format: str | None = None, scale: bool = True, dtype: DTypeLike | None = None
) -> Image:
    """Make a picture of pillow of an array.

    Args:
        x: array of one image with 1 (gray), 3 (RGB) or 4 (RGBA) channels.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        scale: whether to stretch the values so that they go from 0 to 255; otherwise they must lie there. Default:
            `True`.
        dtype: dtype in which to compute; `None` means `keras.config.floatx()`. Default: `None`.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        ValueError: the array is no single image, or has another number of channels.
        ImportError: pillow is not installed.

    Example:
        >>> keras.utils.array_to_img(np.zeros((4, 6, 3))).size  # width, height
        (6, 4)
    """
    pillow = _pillow()
    image = _to_numpy(x).astype(_numpy_dtype(dtype))
    if image.ndim != 3:
        raise ValueError(
            f"Expected image array to have rank 3 (single image). Got array with shape: {tuple(image.shape)}"
        )
    if settings.standardize_data_format(data_format) == "channels_first":
        image = image.transpose(1, 2, 0)
    if scale:
        image = image - image.min()
        highest = image.max()
        image = (image / highest if highest else image) * 255
    channels = image.shape[2]
    if channels == 1:
        image = image[:, :, 0]
        return pillow.fromarray(image.astype("int32" if image.max() > 255 else "uint8"))
    if channels not in (3, 4):
        raise ValueError(f"Unsupported channel number: {channels}. An image has 1, 3 or 4 channels.")
    return pillow.fromarray(image.astype("uint8"))


def img_to_array(img: Image | ArrayLike, data_format: str | None = None, dtype: DTypeLike | None = None) -> np.ndarray:
    """Make an array of a picture of pillow.

    Args:
        img: a `PIL.Image.Image`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        dtype: dtype of the result; `None` means `keras.config.floatx()`. Default: `None`.

    Returns:
        A NumPy array with three axes, with the values of the picture, such as 0 to 255.

    Raises:
        ValueError: the picture has neither two nor three axes.

    Example:
        >>> picture = keras.utils.array_to_img(np.zeros((4, 6, 3)))
        >>> keras.utils.img_to_array(picture).shape
        (4, 6, 3)
    """
    channels_first = settings.standardize_data_format(data_format) == "channels_first"
    array = np.asarray(img, dtype=_numpy_dtype(dtype))
    if array.ndim == 2:
        return array[None] if channels_first else array[:, :, None]
    if array.ndim != 3:
        raise ValueError(f"Unsupported image shape: {array.shape}")
    return array.transpose(2, 0, 1) if channels_first else array


def save_img(
    path: str | os.PathLike[str] | BinaryIO,
    x: ArrayLike,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Save an array as an image file.

    Args:
        path: path, or a file open for writing.
        x: array of one image, as for `array_to_img`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        file_format: format, such as `"png"`. Default: `None`, the suffix of `path`.
        scale: whether to stretch the values so that they go from 0 to 255. Default: `True`.
        **kwargs: further arguments of pillow's `Image.save`.

    Raises:
        ValueError: the array is no single image, or the format is unknown.
        ImportError: pillow is not installed.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> keras.utils.save_img(file, np.zeros((4, 6, 3)), file_format="png")
        >>> keras.utils.load_img(file).size
        (6, 4)
    """
    if file_format is None and isinstance(path, (str, os.PathLike)):
        file_format = Path(path).suffix[1:].lower()
    if file_format and file_format.lower() == "jpg":
        file_format = "jpeg"
    image = array_to_img(x, data_format, scale)
    if image.mode == "RGBA" and file_format == "jpeg":
        warn_user("The JPEG format does not support RGBA images, converting to RGB.")
        image = image.convert("RGB")
    image.save(path, format=file_format, **kwargs)


def load_img(
    path: str | bytes | os.PathLike[str] | io.BytesIO,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Image:
    """Load an image file as a picture of pillow.

    Args:
        path: path of the file, or a `BytesIO` with its contents.
        color_mode: `"rgb"`, `"rgba"` or `"grayscale"`. Default: `"rgb"`.
        target_size: `(height, width)` to resize to. Default: `None`, the size of the image.
        interpolation: `"nearest"`, `"bilinear"`, `"bicubic"`, `"hamming"`, `"box"` or `"lanczos"`. Default:
            `"nearest"`.
        keep_aspect_ratio: whether to cut the middle of the image, in the shape of `target_size`, before resizing, so
            that nothing is distorted. Default: `False`.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        TypeError: `path` is of another type.
        ValueError: an argument is unknown, or the file is no image that pillow reads; names the file.
        ImportError: pillow is not installed.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> keras.utils.save_img(file, np.zeros((4, 6, 3)), file_format="png")
        >>> keras.utils.load_img(file, color_mode="grayscale", target_size=(2, 3)).size  # width, height
        (3, 2)
    """
    if color_mode not in ("grayscale", "rgb", "rgba"):
        raise ValueError(f'color_mode must be "grayscale", "rgb", or "rgba". Received: color_mode={color_mode!r}')
    if interpolation not in INTERPOLATIONS and target_size is not None:
        raise ValueError(
            f"Invalid interpolation method {interpolation} specified. Supported methods are {', '.join(INTERPOLATIONS)}"
        )
    image = _open(path)
    wanted = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}[color_mode]
    if image.mode != wanted and not (color_mode == "grayscale" and image.mode in ("I;16", "I")):
        image = image.convert(wanted)
    if target_size is None or image.size == (target_size[1], target_size[0]):
        return image
    box = _middle(image.size, (target_size[1], target_size[0])) if keep_aspect_ratio else None
    return image.resize((target_size[1], target_size[0]), _pillow().Resampling[interpolation.upper()], box=box)


def _open(path: str | bytes | os.PathLike[str] | io.BytesIO) -> Image:
    pillow = _pillow()
    if not isinstance(path, (str, bytes, os.PathLike, io.BytesIO)):
        raise TypeError(f"path should be path-like or io.BytesIO, not {type(path)}")
    name = "the given bytes" if isinstance(path, io.BytesIO) else os.fsdecode(path)
    data = path if isinstance(path, io.BytesIO) else io.BytesIO(Path(os.fsdecode(path)).read_bytes())
    try:
        image = pillow.open(data)
        image.load()
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        raise ValueError(f"{name} is no image that can be read: {error}") from error
    return image


def _middle(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest box in the middle of an image, `(width, height)`, that has the shape of the wanted size."""
    width, height = size
    box_height = min(height, width * wanted[1] // wanted[0])
    box_width = min(width, height * wanted[0] // wanted[1])
    left, top = (width - box_width) // 2, (height - box_height) // 2
    return left, top, left + box_width, top + box_height


def smart_resize(
    x: ArrayLike,
    size: tuple[int, int],
    interpolation: str = "bilinear",
    data_format: str = "channels_last",
    **kwargs: Any,
) -> Any:
    """Resize images without distorting them: what does not fit in the new shape is cut off on both sides.

    Args:
        x: image or batch of images, tensor or array.
        size: `(height, width)` of the result.
        interpolation: as in `keras.ops.image.resize`. Default: `"bilinear"`.
        data_format: `"channels_last"` or `"channels_first"`. Default: `"channels_last"`.
        **kwargs: `backend_module`, which does nothing here.

    Returns:
        The images, a NumPy array if `x` is one, otherwise a tensor.

    Raises:
        ValueError: `size` has not two elements, or `x` is no image.
        TypeError: an argument is unknown.

    Example:
        >>> keras.preprocessing.image.smart_resize(np.zeros((340, 500, 3)), (200, 200)).shape
        (200, 200, 3)
    """
    kwargs.pop("backend_module", None)
    if kwargs:
        raise TypeError(f"smart_resize() got unexpected keyword arguments: {list(kwargs)}")
    if len(size) != 2:
        raise ValueError(f"Expected `size` to be a tuple of 2 integers, but got: {size}.")
    images = ops.convert_to_tensor(x)
    if images.ndim not in (3, 4):
        raise ValueError(
            "Expected an image array with shape `(height, width, channels)`, or `(batch_size, height, width, "
            f"channels)`, but got input with incorrect rank, of shape {tuple(images.shape)}."
        )
    first = images.ndim - (3 if data_format == "channels_last" else 2)
    height, width = images.shape[first : first + 2]
    kept = (int(width * size[0] / size[1]), int(height * size[1] / size[0]))
    for axis, (whole, part) in enumerate(zip((height, width), kept, strict=True), first):
        part = max(min(whole, part), 1)
        images = images.narrow(axis, (whole - part) // 2, part)
    resized = ops.image.resize(images, size=tuple(size), interpolation=interpolation, data_format=data_format)
    return resized.cpu().numpy() if isinstance(x, np.ndarray) else resized


def _to_numpy(x: ArrayLike) -> np.ndarray:
    return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def _numpy_dtype(dtype: DTypeLike | None) -> str:
    return dtypes.standardize_dtype(dtype or settings.floatx())
