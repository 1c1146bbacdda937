"""A grid of images in one figure of matplotlib."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.types import ArrayLike
from torchkeras.visualization.pixels import to_array, to_pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch


def import_pyplot(function: str) -> Any:
    """The module `matplotlib.pyplot`.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as pyplot
    except ImportError as error:
        raise ImportError(
            f"The `{function}` function requires the `matplotlib` package. "
            "Install it with: pip install 'torchkeras-native[plot]'"
        ) from error
    return pyplot


def plot_image_gallery(
    images: ArrayLike,
    y_true: ArrayLike | None = None,
    y_pred: ArrayLike | None = None,
    label_map: Mapping[int, str] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    value_range: Sequence[float] = (0, 255),
    scale: float = 2,
    path: str | os.PathLike[str] | None = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: int = 60,
    legend_handles: Sequence[Patch] | None = None,
    data_format: str | None = None,
) -> None:
    """Show a batch of images as a grid, or save the grid as a picture.

    Args:
        images: batch of images, a tensor or array of rank 4.
        y_true: class of each image, shown above it; needs `label_map`. Default: `None`.
        y_pred: predicted class of each image, likewise. Default: `None`.
        label_map: names of the classes. Default: `None`.
        rows: number of rows; `None` means enough for all images. Default: `None`.
        cols: number of columns; `None` means enough for all images. Default: `None`.
        value_range: lowest and highest value of the images. Default: `(0, 255)`.
        scale: width of an image in inches. Default: `2`.
        path: file to save the figure to; `None` shows it. Default: `None`.
        show: whether to show the figure; `None` means yes if there is no `path`. With `False` and no path the figure
            stays matplotlib's current one. Default: `None`.
        transparent: whether the background of a saved figure is transparent. Default: `True`.
        dpi: dots per inch of a saved figure. Default: `60`.
        legend_handles: patches of matplotlib for a legend below the images. Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.

    Raises:
        ValueError: `path` is given and `show` is true; labels come without `label_map`; `images` is not of rank 4.
        ImportError: matplotlib is not installed.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "gallery.png")
        >>> images = np.random.uniform(size=(4, 8, 8, 3))
        >>> keras.visualization.plot_image_gallery(images, value_range=(0, 1), path=path)
        >>> os.path.exists(path)
        True
    """
    pyplot = import_pyplot("plot_image_gallery")
    if path is not None and show:
        raise ValueError("plot_gallery() expects either `path` to be set, or `show` to be true.")
    if (y_true is not None or y_pred is not None) and label_map is None:
        raise ValueError("If `y_true` or `y_pred` are provided, a `label_map` must also be provided.")
    if len(np.shape(images)) != 4:  # type: ignore[arg-type]  # tensors have a shape, too
        raise ValueError("`plot_images_gallery()` requires you to batch your `np.array` samples together.")
    pixels = to_pixels(to_array(images, data_format), value_range)
    rows, cols = _grid(len(pixels), rows, cols)
    titles = _titles(len(pixels), y_true, y_pred, label_map or {})
    figure, axes = _axes(pyplot, rows, cols, scale, pixels.shape[1] / pixels.shape[2], any(titles))
    for index, axis in enumerate(axes.flat):
        axis.axis("off")
        if index < len(pixels):
            _draw(axis, pixels[index], titles[index])
    if legend_handles is not None:
        figure.legend(handles=legend_handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=len(legend_handles))
    if path is not None:
        figure.savefig(path, pad_inches=0.02, bbox_inches="tight", transparent=transparent, dpi=dpi)
    elif show is None or show:
        pyplot.show()
    else:
        return
    pyplot.close(figure)


def _grid(number: int, rows: int | None, cols: int | None) -> tuple[int, int]:
    if rows is None:
        rows = math.ceil(number / cols) if cols else math.ceil(math.sqrt(number))
    return rows, cols or math.ceil(number / rows)


def _axes(
    pyplot: Any, rows: int, cols: int, scale: float, aspect: float, has_titles: bool
) -> tuple[Figure, np.ndarray]:
    """A figure whose cells have the shape of the images, with room for a line of text above each."""
    image_height, gap = scale * aspect, 0.02 * scale
    title_height = 0.2 if has_titles else 0.0
    height = rows * (image_height + title_height) + (rows - 1) * gap
    width = cols * scale + (cols - 1) * gap
    figure, axes = pyplot.subplots(rows, cols, figsize=(width, height), frameon=False, squeeze=False)
    hspace = (gap + title_height) / image_height
    figure.subplots_adjust(0, 0, 1, 1 - title_height / height, wspace=gap / scale, hspace=hspace)
    return figure, axes


def _titles(number: int, y_true: ArrayLike | None, y_pred: ArrayLike | None, label_map: Mapping[int, str]) -> list[str]:
    parts: list[list[str]] = [[] for _ in range(number)]
    for word, labels in (("Label", y_true), ("Pred", y_pred)):
        if labels is not None:
            for title, label in zip(parts, convert_to_numpy(labels)):
                title.append(f"{word}: {label_map.get(int(label), 'Unknown')}")
    return ["  ".join(title) for title in parts]


def _draw(axis: Axes, image: np.ndarray, title: str) -> None:
    axis.imshow(image, cmap="gray", vmin=0, vmax=255)
    axis.margins(x=0, y=0)
    if title:
        axis.set_title(title, fontsize=8, pad=2)
