"""RandomSharpness: images between blurred and sharpened."""

from __future__ import annotations

from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.types import ArrayLike
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.preprocessing.image.base import Data, Factor, ImageOptions, Range, Transformation, sample_count
from torchkeras.layers.preprocessing.image.color_layer import ColorLayer, check_value_range


class RandomSharpness(ColorLayer):
    """Blur or sharpen images during training, each by a random amount.

    `outputs = clip(inputs + (1 - 2 f) * (smooth - inputs), *value_range)`, with one `f` for each image, drawn uniformly
    from `factor`: 0 gives the smooth image, 0.5 the image itself, 1 a sharper one. `smooth` is a weighted mean of each
    pixel (weight 5) and its eight neighbours (weight 1); beyond the border there are zeros.

    Args:
        factor: ends of `f`, each in [0, 1]; one number `f` means `(0, f)`.
        value_range: lowest and highest value of the images. Default: `(0, 255)`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
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
        ValueError: `factor` is no number, or pair of numbers, in [0, 1], or `value_range` is no pair of numbers.

    Example:
        >>> layer = keras.layers.RandomSharpness((0.0, 0.0))
        >>> spot = torch.zeros(1, 3, 3, 1)
        >>> spot[0, 1, 1] = 130.0
        >>> layer(spot, training=True)[0, 1, :, 0].tolist()
        [10.0, 50.0, 10.0]
    """

    _USE_BASE_FACTOR = False
    _FACTOR_BOUNDS = (0, 1)

    def __init__(
        self,
        factor: Factor,
        value_range: Range = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_factor(factor)
        self.value_range = check_value_range(value_range)
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> Transformation:
        return {"factor": self._tk_draws(data, seed).uniform((sample_count(data),), *self.factor)}

    def transform_images(
        self, images: ArrayLike, transformation: Transformation | None = None, training: bool = True
    ) -> Tensor:
        # Keras gives floats in inference, too.
        return super().transform_images(self._tk_cast(self._tk_tensor(images)), transformation, training)

    def _tk_recolor(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        blur = (1 - 2 * parameters["factor"].to(images.dtype))[:, None, None, None]
        return torch.lerp(images, self._smooth(images), blur).clamp_(*self.value_range)

    def _smooth(self, images: Tensor) -> Tensor:
        is_last = self.data_format == "channels_last"
        planes = images.movedim(-1, 1) if is_last else images
        channels = planes.shape[1]
        kernel = planes.new_full((1, 1, 3, 3), 1 / 13)
        kernel[..., 1, 1] = 5 / 13
        smooth = F.conv2d(planes, kernel.expand(channels, 1, 3, 3), padding=1, groups=channels)
        return smooth.movedim(1, -1) if is_last else smooth
