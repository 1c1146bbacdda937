"""Images with bounding boxes, the true ones and those that a model predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from torchkeras.core import settings
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.types import ArrayLike
from torchkeras.layers.preprocessing.image.bounding_boxes.formats import BoxDict, convert_format
from torchkeras.visualization.gallery import import_pyplot, plot_image_gallery
from torchkeras.visualization.pixels import to_array, to_pixels

if TYPE_CHECKING:
    from matplotlib.patches import Patch

ClassNames = Mapping[int, str]
PADDING_LABEL = -1


def draw_bounding_boxes(
    images: ArrayLike,
    bounding_boxes: BoxDict,
    bounding_box_format: str,
    class_mapping: ClassNames | None = None,
    color: Sequence[int] = (128, 128, 128),
    line_thickness: int = 2,
    text_thickness: int | None = 1,
    font_scale: float = 1.0,
    data_format: str | None = None,
) -> np.ndarray:
    """Draw bounding boxes, and the names of their classes, on a batch of images.

    Args:
        images: batch of images, a tensor or array of rank 4. Floats are taken for 0 to 1 if none is above 1, else for
            0 to 255.
        bounding_boxes: dict of `"boxes"`, of shape `(batch_size, num_boxes, 4)`, of `"labels"`, of shape
            `(batch_size, num_boxes)`, and, if there are any, of `"confidences"`, of the shape of the labels. A box
            with the label -1 is padding and is not drawn.
        bounding_box_format: format of the boxes, see `keras.utils.bounding_boxes.convert_format`.
        class_mapping: names of the classes by label; a box whose label is not in it gets no text. Default: `None`.
        color: red, green and blue of lines and text, from 0 to 255. Default: `(128, 128, 128)`.
        line_thickness: thickness of the lines in pixels. Default: `2`.
        text_thickness: thickness of the text's strokes; `None` means `line_thickness`. Default: `1`.
        font_scale: size of the text; at 1 a capital letter is 20 pixels high. Default: `1.0`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.

    Returns:
        A uint8 array of the shape of `images`.

    Raises:
        ValueError: `images` is not of rank 4, or the dict has no `"boxes"` or no `"labels"`.
        TypeError: `bounding_boxes` is no dict.
        ImportError: there is text to draw, and pillow is not installed.

    Example:
        >>> images = np.zeros((1, 32, 32, 3), "uint8")
        >>> boxes = {"boxes": np.array([[[8, 8, 24, 24]]]), "labels": np.array([[0]])}
        >>> drawn = keras.visualization.draw_bounding_boxes(images, boxes, "xyxy", color=(255, 0, 0))
        >>> drawn[0, 8, 16].tolist(), drawn[0, 16, 16].tolist()
        ([255, 0, 0], [0, 0, 0])
    """
    array = to_array(images, data_format)
    if not isinstance(bounding_boxes, Mapping):
        raise TypeError(
            f"`bounding_boxes` should be a dict. Received: bounding_boxes={bounding_boxes} of type "
            f"{type(bounding_boxes)}"
        )
    if "boxes" not in bounding_boxes or "labels" not in bounding_boxes:
        raise ValueError(
            "`bounding_boxes` should be a dict containing 'boxes' and 'labels' keys. "
            f"Received: bounding_boxes={bounding_boxes}"
        )
    height, width = array.shape[1:3]
    boxes = convert_to_numpy(convert_format(bounding_boxes["boxes"], bounding_box_format, "xyxy", height, width))
    labels = convert_to_numpy(bounding_boxes["labels"]).astype("int64").reshape(boxes.shape[:2])
    confidences = bounding_boxes.get("confidences")
    scores = None if confidences is None else convert_to_numpy(confidences).reshape(labels.shape)
    is_unit = array.dtype.kind == "f" and array.size > 0 and array.max() <= 1.0
    drawn = np.array(to_pixels(array, (0, 1) if is_unit else (0, 255)))
    for index, image in enumerate(drawn):
        for number in np.nonzero(labels[index] != PADDING_LABEL)[0]:
            corners = [int(coordinate) for coordinate in boxes[index, number]]
            _draw_rectangle(image, corners, color, line_thickness)
            label = int(labels[index, number])
            if class_mapping and label in class_mapping:
                text = class_mapping[label]
                if scores is not None:
                    text = f"{text} | {scores[index, number]:.2f}"
                _draw_text(image, text, corners, color, font_scale, text_thickness or line_thickness)
    is_channels_first = settings.standardize_data_format(data_format) == "channels_first"
    return drawn.transpose(0, 3, 1, 2) if is_channels_first else drawn


def _draw_rectangle(image: np.ndarray, corners: list[int], color: Sequence[int], thickness: int) -> None:
    """Draw lines whose middles are the edges of the box."""
    left, top, right, bottom = corners
    radius = thickness // 2

    def fill(x1: int, y1: int, x2: int, y2: int) -> None:
        rows = slice(max(y1 - radius, 0), max(y2 + radius + 1, 0))
        columns = slice(max(x1 - radius, 0), max(x2 + radius + 1, 0))
        image[rows, columns] = color[: image.shape[-1]]

    fill(left, top, right, top)
    fill(left, bottom, right, bottom)
    fill(left, top, left, bottom)
    fill(right, top, right, bottom)


def _draw_text(
    image: np.ndarray, text: str, corners: list[int], color: Sequence[int], font_scale: float, thickness: int
) -> None:
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise ImportError(
            "The `draw_bounding_boxes` function requires the `pillow` package to draw the names of classes. "
            "Install it with: pip install 'torchkeras-native[pillow]'"
        ) from error
    height, width, channels = image.shape
    x, y = _text_location(corners, font_scale, thickness)
    stencil = Image.new("L", (width, height))
    font = ImageFont.load_default(size=28 * font_scale)
    ImageDraw.Draw(stencil).text((x, y), text, fill=255, font=font, anchor="ls", stroke_width=(thickness - 1) / 2)
    opacity = np.asarray(stencil, "float32")[..., None] / 255
    blended = image * (1 - opacity) + np.array(color[:channels], "float32") * opacity
    image[...] = blended.round().astype("uint8")


def _text_location(corners: list[int], font_scale: float, thickness: int) -> tuple[int, int]:
    """The left end of the text's base line: above the box if there is room, else inside it."""
    left, top = corners[:2]
    line_height = 2 * int(font_scale * 12)
    if top - 8 - line_height > 0:
        return left, top - 8
    return left + 3, top + line_height + thickness + 3


def plot_bounding_box_gallery(
    images: ArrayLike,
    bounding_box_format: str,
    y_true: BoxDict | None = None,
    y_pred: BoxDict | None = None,
    value_range: Sequence[float] = (0, 255),
    true_color: Sequence[int] = (0, 188, 212),
    pred_color: Sequence[int] = (255, 235, 59),
    line_thickness: int = 2,
    font_scale: float = 1.0,
    text_thickness: int | None = None,
    class_mapping: ClassNames | None = None,
    ground_truth_mapping: ClassNames | None = None,
    prediction_mapping: ClassNames | None = None,
    legend: bool = False,
    legend_handles: Sequence[Patch] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """Show a grid of images with true and predicted bounding boxes.

    Args:
        images: batch of images, a tensor or array of rank 4.
        bounding_box_format: format of the boxes, see `keras.utils.bounding_boxes.convert_format`.
        y_true: the true boxes, a dict as `keras.visualization.draw_bounding_boxes` takes it. Default: `None`.
        y_pred: the predicted boxes, likewise. Default: `None`.
        value_range: lowest and highest value of the images. Default: `(0, 255)`.
        true_color: red, green and blue of the true boxes. Default: `(0, 188, 212)`.
        pred_color: red, green and blue of the predicted boxes. Default: `(255, 235, 59)`.
        line_thickness: thickness of the lines in pixels. Default: `2`.
        font_scale: size of the text. Default: `1.0`.
        text_thickness: thickness of the text's strokes; `None` means `line_thickness`. Default: `None`.
        class_mapping: names of the classes by label. Default: `None`.
        ground_truth_mapping: names for the true boxes; `None` means `class_mapping`. Default: `None`.
        prediction_mapping: names for the predicted boxes; `None` means `class_mapping`. Default: `None`.
        legend: whether to show a legend of the two colors. Default: `False`.
        legend_handles: patches of matplotlib for a legend of your own. Default: `None`.
        rows: number of rows of the grid; `None` means enough for all images. Default: `None`.
        cols: number of columns; `None` means enough for all images. Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: further arguments of `keras.visualization.plot_image_gallery`, such as `path`.

    Raises:
        ValueError: `images` is not of rank 4, or `legend` and `legend_handles` are both given.
        ImportError: matplotlib is not installed.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "gallery.png")
        >>> images = np.random.uniform(size=(2, 32, 32, 3))
        >>> boxes = {"boxes": np.array([[[8, 8, 24, 24]]] * 2), "labels": np.array([[0]] * 2)}
        >>> keras.visualization.plot_bounding_box_gallery(images, "xyxy", boxes, value_range=(0, 1), path=path)
        >>> os.path.exists(path)
        True
    """
    import_pyplot("plot_bounding_box_gallery")
    if legend and legend_handles:
        raise ValueError("Only pass `legend` OR `legend_handles` to `keras.visualization.plot_bounding_box_gallery()`.")
    pixels = to_pixels(to_array(images, data_format), value_range)
    drawings = (
        (y_true, true_color, ground_truth_mapping or class_mapping),
        (y_pred, pred_color, prediction_mapping or class_mapping),
    )
    for boxes, color, names in drawings:
        if boxes is not None:
            pixels = draw_bounding_boxes(
                pixels,
                boxes,
                bounding_box_format,
                names,
                color,
                line_thickness,
                text_thickness,
                font_scale,
                data_format="channels_last",
            )
    if legend:
        legend_handles = _legend({"Ground Truth": true_color, "Prediction": pred_color})
    plot_image_gallery(
        pixels, rows=rows, cols=cols, legend_handles=legend_handles, data_format="channels_last", **kwargs
    )


def _legend(colors: Mapping[str, Sequence[int]]) -> list[Patch]:
    from matplotlib.patches import Patch

    shares = {label: (color[0] / 255, color[1] / 255, color[2] / 255) for label, color in colors.items()}
    return [Patch(color=share, label=label) for label, share in shares.items()]
