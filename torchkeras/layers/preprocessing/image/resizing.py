"""Resizing: images of one size."""

from __future__ import annotations

from typing import Any, Unpack

from torch import Tensor

from torchkeras.core.tensors.convert import constant_like
from torchkeras.core.types import ArrayLike
from torchkeras.layers.preprocessing.image.base import Data, ImageOptions
from torchkeras.layers.preprocessing.image.bounding_boxes.formats import convert_format
from torchkeras.layers.preprocessing.image.bounding_boxes.geometry import clip_to_image_size
from torchkeras.layers.preprocessing.image.geometric_layer import GeometricLayer, with_size
from torchkeras.ops.image.resize import resize

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


class Resizing(GeometricLayer):
    """Resize images to `height` by `width`, in training and in inference.

    The images keep their dtype; integers are rounded. Segmentation masks are resized by the nearest pixel, and
    bounding boxes are scaled with their images.

    Args:
        height: height of the outputs in pixels.
        width: width of the outputs in pixels.
        interpolation: `"nearest"`, `"bilinear"`, `"bicubic"`, `"lanczos3"` or `"lanczos5"`. Default: `"bilinear"`.
        crop_to_aspect_ratio: whether to cut the largest centered part of the outputs' aspect ratio out of the images
            first, so that nothing is distorted. Default: `False`.
        pad_to_aspect_ratio: whether to pad the images to the outputs' aspect ratio first, so that nothing is distorted
            and all of the image stays. Default: `False`.
        fill_mode: how images are padded; only `"constant"`. Default: `"constant"`.
        fill_value: value of the padding. Default: `0.0`.
        antialias: whether to smooth images that shrink; for `"bilinear"`, `"bicubic"` and the Lanczos kernels.
            Default: `False`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `bounding_box_format`, `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and any of `"labels"`, `"bounding_boxes"`, `"segmentation_masks"`.

    Input shape:
        `(batch, height, width, channels)` or `(height, width, channels)`; channels before height if `data_format` is
        `"channels_first"`.

    Output shape:
        The input shape with the new height and width.

    Raises:
        ValueError: there is no such interpolation or fill mode, or both aspect ratio flags are set.

    Example:
        >>> keras.layers.Resizing(2, 3)(torch.zeros(1, 4, 4, 1, dtype=torch.uint8)).shape
        torch.Size([1, 2, 3, 1])
        >>> layer = keras.layers.Resizing(2, 2, bounding_box_format="xyxy")
        >>> boxes = {"boxes": np.array([[[0.0, 0.0, 4.0, 2.0]]]), "labels": np.array([[1]])}
        >>> layer({"images": np.ones((1, 4, 4, 3)), "bounding_boxes": boxes})["bounding_boxes"]["boxes"].tolist()
        [[[0.0, 0.0, 2.0, 1.0]]]
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if interpolation not in INTERPOLATIONS:
            raise ValueError(
                "Invalid value for argument `interpolation`. Expected of one "
                f"{INTERPOLATIONS}. Received: interpolation={interpolation}"
            )
        if fill_mode != "constant":
            raise ValueError(
                "Invalid value for argument `fill_mode`. Only `'constant'` is supported. "
                f"Received: fill_mode={fill_mode}"
            )
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError("Only one of `pad_to_aspect_ratio` & `crop_to_aspect_ratio` can be `True`.")
        self.height = height
        self.width = width
        self.interpolation = interpolation
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.fill_mode = fill_mode
        self.fill_value = fill_value
        self.antialias = bool(antialias)

    def get_random_transformation(self, data: Data, training: bool = True, seed: Any = None) -> tuple[int, int]:
        """Return height and width of the images; nothing is random."""
        return self._tk_size_of(data)

    def transform_images(self, images: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        return self._transform_images(images, transformation, self.interpolation)

    def transform_segmentation_masks(
        self, segmentation_masks: ArrayLike, transformation: Any = None, training: bool = True
    ) -> Tensor:
        return self._transform_images(segmentation_masks, transformation, "nearest")

    def _transform_images(self, images: ArrayLike, transformation: Any, interpolation: str) -> Tensor:
        return resize(
            self._tk_tensor(images),
            (self.height, self.width),
            interpolation=interpolation,
            antialias=self.antialias,
            crop_to_aspect_ratio=self.crop_to_aspect_ratio,
            pad_to_aspect_ratio=self.pad_to_aspect_ratio,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            data_format=self.data_format,
        )

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        height, width = transformation
        given = self._tk_tensor(bounding_boxes["boxes"])
        is_filler = ((given == -1).all(-1) | (given == 0).all(-1)).unsqueeze(-1)
        boxes = convert_format(bounding_boxes, self.bounding_box_format, "xyxy", height=height, width=width)
        (scale_x, left), (scale_y, top) = self._tk_box_scales(height, width)
        scales, shifts = (constant_like(boxes["boxes"], pair * 2) for pair in ([scale_x, scale_y], [left, top]))
        moved = boxes["boxes"] * scales + shifts
        clipped = clip_to_image_size({**boxes, "boxes": moved}, height=self.height, width=self.width)
        boxes = {**clipped, "boxes": self._tk_tensor(clipped["boxes"]).masked_fill(is_filler, 0.0)}
        return convert_format(boxes, "xyxy", self.bounding_box_format, height=self.height, width=self.width)

    def _tk_box_scales(self, height: int, width: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """The factor and the offset of x, then of y."""
        across, down = self.width / width, self.height / height
        if self.pad_to_aspect_ratio:
            scale = min(across, down)
            return (scale, (self.width - width * scale) // 2), (scale, (self.height - height * scale) // 2)
        if self.crop_to_aspect_ratio:
            scale = max(across, down)
            return (scale, -((width * scale - self.width) // 2)), (scale, -((height * scale - self.height) // 2))
        return (across, 0.0), (down, 0.0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return with_size(input_shape, self._tk_spatial_axes, self.height, self.width)
