"""Image layers that spread the values of images over their range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.tensors.running_sums import running_sum
from torchkeras.core.types import ArrayLike
from torchkeras.layers.preprocessing.image.base import FormattedImageOptions, ImageOptions, Range, rescale
from torchkeras.layers.preprocessing.image.color_layer import BYTES, ColorLayer, check_value_range


def count(indices: Tensor, length: int) -> Tensor:
    """How often each integer below `length` stands in `indices`."""
    indices = indices.reshape(-1)
    if indices.device.type == "cpu" and not torch.compiler.is_compiling():
        return torch.bincount(indices, minlength=length)
    # `bincount` reads the largest index, for which the host would wait.
    zeros = torch.zeros(length, dtype=torch.int64, device=indices.device)
    return zeros.scatter_add_(0, indices.long(), torch.ones_like(indices, dtype=torch.int64))


class AutoContrast(ColorLayer):
    """Stretch each channel of each image so that it fills the value range, in training and in inference.

    `outputs = (inputs - min) / (max - min)`, scaled to `value_range`, with the smallest and largest value of the
    channel. A channel of one value stays as it is.

    Args:
        value_range: lowest and highest value of the images. Default: `(0, 255)`.
        **kwargs: `data_format`, `bounding_box_format`, and `name`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and, if there are any, `"labels"`, `"bounding_boxes"` and
            `"segmentation_masks"`, which stay as they are.
        training: makes no difference. Default: `True`.

    Input shape:
        `(height, width, channels)` or `(batch, height, width, channels)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `value_range` is no pair of numbers.

    Example:
        >>> keras.layers.AutoContrast()(torch.tensor([[[[100.0], [110.0], [120.0]]]])).flatten().tolist()
        [0.0, 127.5, 255.0]
    """

    _USE_BASE_FACTOR = False

    def __init__(self, value_range: Range = (0, 255), **kwargs: Unpack[FormattedImageOptions]) -> None:
        super().__init__(**kwargs)
        self.value_range = check_value_range(value_range)

    def transform_images(self, images: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        original = self._tk_cast(self._tk_tensor(images))
        dtype = original.dtype
        pixels = rescale(original, self.value_range, BYTES, dtype)
        height_axis, width_axis = self._tk_spatial_axes
        # One axis after the other: rows of channels are compared much faster than channels.
        low = pixels.amin(height_axis, keepdim=True).amin(width_axis, keepdim=True)
        high = pixels.amax(height_axis, keepdim=True).amax(width_axis, keepdim=True)
        scale = 255.0 / (high - low)
        stretched = (pixels * scale).sub_(low * scale).clamp_(0, 255)
        stretched = rescale(stretched, BYTES, self.value_range, dtype)
        return torch.where(stretched.isnan(), original, stretched)


class Equalization(ColorLayer):
    """Equalize the histogram of each channel during training, so that all values are about equally frequent.

    As in Keras, the histogram of a channel counts the values of the whole batch.

    Args:
        value_range: lowest and highest value of the images. Default: `(0, 255)`.
        bins: number of bins of the histogram. Default: `256`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `bounding_box_format`, and `name`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and, if there are any, `"labels"`, `"bounding_boxes"` and
            `"segmentation_masks"`, which stay as they are.
        training: whether to change the images. Default: `True`.

    Input shape:
        `(height, width, channels)` or `(batch, height, width, channels)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `value_range` is no pair of numbers.

    Example:
        >>> images = torch.tensor([[[[10.0], [11.0], [12.0], [12.0]]]])
        >>> keras.layers.Equalization()(images, training=True).flatten().tolist()
        [0.0, 85.0, 255.0, 255.0]
    """

    def __init__(
        self,
        value_range: Range = (0, 255),
        bins: int = 256,
        data_format: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.bins = bins
        self.value_range = check_value_range(value_range)

    def _tk_recolor(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        (low, high), channels = self.value_range, images.shape[self._tk_channel_axis]
        is_bytes = (low, high) == (0, 255)
        scale = 255 / (high - low)
        pixels = images if is_bytes else (images * scale).sub_(low * scale)
        shape = (channels,) if self._tk_channel_axis == -1 else (channels, 1, 1)
        # Each channel counts in bins of its own.
        first = torch.arange(channels, device=images.device).mul_(self.bins).view(shape)
        last = self.bins - 1
        counted = (pixels.float() * last).div_(255).clamp_(0, last).to(torch.int64).add_(first)
        histogram = count(counted, channels * self.bins).view(channels, self.bins)
        indices = (pixels / 255.0).mul_(last).clamp_(0, last).to(torch.int64).add_(first)
        equalized = self._lookup_table(histogram).view(-1).take(indices).to(pixels.dtype)
        is_plain = ((histogram > 0).sum(-1) <= 1).view(shape)
        outputs = torch.where(is_plain, pixels, equalized)
        return outputs if is_bytes else outputs.mul_((high - low) / 255).add_(low)

    def _lookup_table(self, histogram: Tensor) -> Tensor:
        """The new value of each bin, for each channel."""
        cumulative = running_sum(histogram, -1)
        total = cumulative[:, -1:]
        smallest = torch.where(cumulative > 0, cumulative, total).amin(-1, keepdim=True)
        spread = (total - smallest).clamp(min=1).float()
        return ((cumulative - smallest) * 255 / spread).round_().clamp_(0, 255)


class ContrastLimitedAdaptiveHistogramEqualization(ColorLayer):
    """Equalize the histograms of the tiles of each image (CLAHE), in training and in inference.

    Each image is cut into tiles. The histogram of each tile and channel is cut off at a limit and what is cut off is
    spread over all bins, so that noise is not amplified too much. The equalized values of a pixel's four nearest tiles
    are mixed by its distance to them (Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", 1994).

    Args:
        value_range: lowest and highest value of the images. Default: `(0, 255)`.
        clip_limit: limit of a bin in multiples of the mean count, rounded down; 0 sets no limit. Default: `4.0`.
        tile_grid_size: number of rows and columns of tiles. Default: `(8, 8)`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `bounding_box_format`, and `name`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and, if there are any, `"labels"`, `"bounding_boxes"` and
            `"segmentation_masks"`, which stay as they are. Images keep their type.
        training: makes no difference. Default: `True`.

    Input shape:
        `(height, width, channels)` or `(batch, height, width, channels)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Example:
        >>> layer = keras.layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))
        >>> layer(np.random.randint(0, 256, (1, 8, 8, 3)).astype("uint8")).dtype
        torch.uint8
    """

    def __init__(
        self,
        value_range: Range = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: Sequence[int] = (8, 8),
        data_format: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range = value_range
        self.clip_limit = clip_limit
        self.tile_grid_size = tile_grid_size

    def transform_images(self, images: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        images = self._tk_tensor(images)
        axis = self._tk_channel_axis
        planes = rescale(images, self.value_range, BYTES, torch.float32).movedim(axis, 1)
        equalized = self._equalize(planes.to(torch.float32)).movedim(1, axis)
        return rescale(equalized, BYTES, self.value_range, torch.float32).to(images.dtype)

    def _equalize(self, planes: Tensor) -> Tensor:
        """Values from 0 to 255 of planes `(batch, channels, height, width)`, equalized."""
        height, width = planes.shape[-2:]
        rows, columns = self.tile_grid_size
        tile_height, tile_width = -(-height // rows), -(-width // columns)
        below, right = tile_height * rows - height, tile_width * columns - width
        # Tiles beyond the border repeat its pixels, as Keras's padding does on torch.
        padded = F.pad(planes.clamp(0, 255), (0, right, 0, below), mode="replicate").to(torch.int32)
        pixels = padded[..., :height, :width]
        tables = self._tables(padded, tile_height, tile_width)
        # A border of tiles that repeat the outermost ones.
        tables = F.pad(tables.flatten(0, 1).permute(0, 3, 1, 2), (1, 1, 1, 1), mode="replicate")
        tables = tables.permute(0, 2, 3, 1).reshape(-1)  # (batch * channels, rows + 2, columns + 2, 256)
        y0, y1, y_share = _neighbours(height, tile_height, planes)
        x0, x1, x_share = _neighbours(width, tile_width, planes)
        number = planes.shape[0] * planes.shape[1]
        plane = torch.arange(number, device=planes.device).view(*planes.shape[:2], 1, 1) * (rows + 2)

        def value(y: Tensor, x: Tensor) -> Tensor:
            return tables[((plane + y[:, None]) * (columns + 2) + x) * 256 + pixels]

        upper = torch.lerp(value(y0, x0), value(y0, x1), x_share)
        lower = torch.lerp(value(y1, x0), value(y1, x1), x_share)
        return torch.lerp(upper, lower, y_share[:, None])

    def _tables(self, pixels: Tensor, tile_height: int, tile_width: int) -> Tensor:
        """The new value of each old one, of shape `(batch, channels, rows, columns, 256)`."""
        batch, channels, height, width = pixels.shape
        rows, columns = height // tile_height, width // tile_width
        tiles = pixels.view(batch, channels, rows, tile_height, columns, tile_width).transpose(3, 4)
        number, area = batch * channels * rows * columns, tile_height * tile_width
        first = torch.arange(number, device=pixels.device).view(batch, channels, rows, columns, 1, 1) * 256
        histograms = count(tiles + first, number * 256).view(batch, channels, rows, columns, 256).float()
        if self.clip_limit > 0:
            clipped = histograms.clamp(max=int(self.clip_limit * area / 256))
            histograms = clipped + (histograms - clipped).sum(-1, keepdim=True) / 256
        cumulative = running_sum(histograms, -1)
        smallest = cumulative.amin(-1, keepdim=True)
        spread = area - smallest
        spread = torch.where(spread == 0, 1.0, spread)
        return ((cumulative - smallest) * 255 / spread).clamp_(0, 255)


def _neighbours(size: int, tile: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each pixel of an axis: the tiles before and behind it, and its way from one to the other."""
    places = (torch.arange(size, device=like.device, dtype=torch.float32) - tile / 2.0) / tile + 1.0
    before = places.floor()
    return before.long(), before.long() + 1, places - before
