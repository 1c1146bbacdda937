"""The bases of layers that move pixels."""

from __future__ import annotations

from typing import Any, Unpack

from torch import Tensor

from torchkeras.core.types import ArrayLike, Shape
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.preprocessing.image.base import BaseImagePreprocessingLayer, Data, ImageOptions, images_of
from torchkeras.layers.preprocessing.image.factors import Factor
from torchkeras.ops.image.warp import affine_transform

FILL_MODES = ("reflect", "wrap", "constant", "nearest")
INTERPOLATIONS = ("nearest", "bilinear")


def require_one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise `NotImplementedError`, as Keras does, unless the argument has one of the known values."""
    if value not in known:
        raise NotImplementedError(f"Unknown `{name}` {value}. Expected of one {known}.")


def per_image(flags: Tensor, images: Tensor) -> Tensor:
    """Flags `(batch_size,)` in a shape that broadcasts to a batch, or one flag to a single image."""
    return flags.reshape(-1, *(1,) * (images.ndim - 1))


def with_size(shape: Shape, axes: tuple[int, int], height: int, width: int) -> tuple[int | None, ...]:
    """The shape of images with another height and width.

    Raises:
        ValueError: it is the shape of neither one image nor a batch of them.
    """
    sizes = list(shape) if isinstance(shape, (tuple, list)) else []
    if len(sizes) not in (3, 4) or any(isinstance(size, (tuple, list)) for size in sizes):
        raise ValueError(
            "`input_shape` must be a non-nested tuple or list of rank-1 with size 3 (unbatched) or 4 (batched). "
            f"Received: input_shape={shape}"
        )
    sizes[axes[0]], sizes[axes[1]] = height, width
    return tuple(sizes)


class GeometricLayer(BaseImagePreprocessingLayer):
    """An image layer that moves pixels: labels stay as they are, boxes and masks move with their images."""

    keras_module = None
    _USE_BASE_FACTOR = False

    def transform_labels(self, labels: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        return self._tk_tensor(labels)

    def _tk_size_of(self, data: Data) -> tuple[int, int]:
        """Height and width of the images among the inputs."""
        shape = images_of(data).shape
        if len(shape) not in (3, 4):
            raise ValueError(
                "Expected image tensor to have rank 3 (single image) or 4 (batch of images). "
                f"Received: data.shape={tuple(shape)}"
            )
        height_axis, width_axis = self._tk_spatial_axes
        return shape[height_axis], shape[width_axis]

    def _tk_shape_size(self, shape: Shape) -> tuple[int, int]:
        """Height and width in the shape of images."""
        height_axis, width_axis = self._tk_spatial_axes
        return shape[height_axis], shape[width_axis]  # type: ignore[return-value]


class AffineLayer(GeometricLayer):
    """An image layer that takes each pixel from where a matrix says; a subclass gives the matrices in `_tk_matrices`.

    Args:
        fill_mode: how images go on beyond their borders.
        interpolation: how values between pixels are found.
        seed: first seed of the layer's draws.
        fill_value: value beyond the borders if `fill_mode` is `"constant"`.
        data_format: where the channels are.
        factor: strength, where the subclass has one number or range for it.
    """

    keras_module = None

    def __init__(
        self,
        *,
        fill_mode: str,
        interpolation: str,
        seed: int | None,
        fill_value: float,
        data_format: str | None,
        factor: Factor | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(factor=factor, data_format=data_format, **kwargs)
        require_one_of("fill_mode", fill_mode, FILL_MODES)
        require_one_of("interpolation", interpolation, INTERPOLATIONS)
        self.fill_mode = fill_mode
        self.interpolation = interpolation
        self.fill_value = fill_value
        self.seed = seed
        self.generator = SeedGenerator(seed)

    def _tk_matrices(self, transformation: Any, images: Tensor) -> Tensor:
        raise NotImplementedError

    def _transform_images(self, images: ArrayLike, transformation: Any, interpolation: str) -> Tensor:
        pixels = self._tk_tensor(images)
        if transformation is None:
            return pixels
        return affine_transform(
            pixels,
            self._tk_matrices(transformation, pixels),
            interpolation=interpolation,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            data_format=self.data_format,
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
