"""`image_dataset_from_directory`: images in folders as a DataLoader of batches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from torchkeras import ops
from torchkeras.core import settings
from torchkeras.core.tensors.devices import device
from torchkeras.utils.images import load_img
from torchkeras.utils.loaders.indexing import Request
from torchkeras.utils.loaders.loader import BatchLoader, default_workers, load_files

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
COLOR_MODES = ("rgb", "rgba", "grayscale")
INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")
_ONLY_IN_TENSORFLOW = ("area", "gaussian", "mitchellcubic")


@dataclass
class ImageReader:
    """Reads image files as float32 tensors of one size.

    Args:
        size: `(height, width)`.
        color_mode: `"rgb"`, `"rgba"` or `"grayscale"`.
        interpolation: as in `keras.ops.image.resize`.
        crop: whether to cut images to the aspect ratio of the size, instead of distorting them.
        pad: whether to pad images to it.
        data_format: `"channels_last"` or `"channels_first"`.
    """

    size: tuple[int, int]
    color_mode: str
    interpolation: str
    crop: bool
    pad: bool
    data_format: str

    def read(self, path: str) -> torch.Tensor:
        """One image.

        Args:
            path: path of the file.

        Raises:
            ValueError: the file is no image that can be read; names it.
        """
        pixels = np.array(load_img(path, self.color_mode), dtype="float32")
        image = torch.from_numpy(pixels if pixels.ndim == 3 else pixels[:, :, None])
        with device("cpu"):
            resized = ops.image.resize(
                image.permute(2, 0, 1) if self.data_format == "channels_first" else image,
                size=self.size,
                interpolation=self.interpolation,
                crop_to_aspect_ratio=self.crop,
                pad_to_aspect_ratio=self.pad,
                data_format=self.data_format,
            )
        return resized.contiguous()

    def join(self, samples: list[torch.Tensor]) -> torch.Tensor:
        """Images as one batch."""
        return torch.stack(samples)


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: tuple[int, int] | int = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
    *,
    workers: int | None = None,
    skip_errors: bool = False,
) -> BatchLoader | list[BatchLoader]:
    """Make batches of the image files in a directory whose subdirectories are the classes.

    The result is a torch `DataLoader` that `fit`, `evaluate` and `predict` take. Threads read the files while the
    model works; `loader.workers` is their number. `loader.class_names` and `loader.file_paths` say what was found,
    `loader.scan()` reads every file once and raises one error for all broken ones, `loader.scan(skip_errors=True)`
    leaves them out and returns how many they were. `loader.dataset` is the torch `Dataset` of single samples, for a
    DataLoader with settings of your own:
    `DataLoader(loader.dataset, batch_size=64, num_workers=4, collate_fn=loader.dataset.collate)`.

    With one seed the files of each subset are the same as Keras's. The order within an epoch is torch's.

    Args:
        directory: the directory. With `labels="inferred"` it holds a subdirectory for each class; otherwise its files
            and those of all subdirectories are taken. Suffixes: `.bmp`, `.gif` (the first frame), `.jpeg`, `.jpg`,
            `.png`.
        labels: `"inferred"`: the subdirectory is the class; a list or tuple of integers, one for each file in
            alphanumeric order of the paths; or `None`, no labels. Default: `"inferred"`.
        label_mode: `"int"`: labels are int32, of shape `(batch,)`; `"binary"`: float32 zeros and ones, of shape
            `(batch, 1)`; `"categorical"`: one-hot float32, of shape `(batch, classes)`; `None`: no labels. Default:
            `"int"`.
        class_names: names of subdirectories in the order of their labels. Default: `None`, alphanumeric order.
        color_mode: `"rgb"` (3 channels), `"rgba"` (4) or `"grayscale"` (1). Default: `"rgb"`.
        batch_size: samples per batch; `None`: single samples without a batch axis. Default: `32`.
        image_size: `(height, width)` to which images are resized, or one number for both. Default: `(256, 256)`.
        shuffle: whether to shuffle; otherwise files come in alphanumeric order. Default: `True`.
        seed: seed of the shuffling. Default: `None`, drawn from NumPy's global generator.
        validation_split: share of the files, between 0 and 1, for validation. Default: `None`.
        subset: `"training"`, `"validation"` or `"both"`, if `validation_split` is set. Default: `None`.
        interpolation: `"bilinear"`, `"nearest"`, `"bicubic"`, `"lanczos3"` or `"lanczos5"`. Default: `"bilinear"`.
        follow_links: whether to enter directories that are symbolic links. Default: `False`.
        crop_to_aspect_ratio: whether to cut off what does not fit the aspect ratio of `image_size`, instead of
            distorting images. Default: `False`.
        pad_to_aspect_ratio: whether to pad images to that aspect ratio instead. Default: `False`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        format: `"tf"`: each pass has a new order; `"grain"`: each pass has the same order, as in Keras. Both give the
            same kind of object: neither TensorFlow nor Grain is needed. Default: `"tf"`.
        verbose: whether to print the number of files and classes. Default: `True`.
        workers: number of threads that read files ahead; 0: files are read when they are needed. Keras has no such
            argument. Default: `None`, one for each core, eight at most.
        skip_errors: whether to read every file once now and leave broken ones out, with a line that counts them. Keras
            has no such argument. Default: `False`.

    Returns:
        A `DataLoader` of batches `images`, or `(images, labels)` where there are labels; images are float32 from 0 to
        255 and of shape `(batch, height, width, channels)`. With `subset="both"`, a list of two, for training and
        validation.

    Raises:
        ValueError: an argument does not fit, or the directory holds no images. Later, while reading: a file is
            broken; the error names it.
        OSError: the directory can't be read.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> top = Path(tempfile.mkdtemp())
        >>> for number, name in enumerate(["cats", "dogs"] * 3):
        ...     (top / name).mkdir(exist_ok=True)
        ...     keras.utils.save_img(top / name / f"{number}.png", np.random.rand(8, 9, 3))
        >>> loader = keras.utils.image_dataset_from_directory(top, image_size=(4, 4), batch_size=2, verbose=False)
        >>> len(loader), loader.class_names
        (3, ['cats', 'dogs'])
        >>> images, labels = next(iter(loader))
        >>> images.shape, labels.dtype
        (torch.Size([2, 4, 4, 3]), torch.int32)
    """
    request = Request(
        directory, labels, label_mode, class_names, shuffle, seed, validation_split, subset, follow_links, format,
        verbose, "image files", "images", SUFFIXES,
    )  # fmt: skip
    if color_mode not in COLOR_MODES:
        raise ValueError(f'`color_mode` must be one of {{"rgb", "rgba", "grayscale"}}. Received: {color_mode=}')
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    if not isinstance(size, (list, tuple)) or len(size) != 2:
        raise ValueError(f"Invalid `image_size` value. Expected a tuple of 2 integers. Received: {image_size=}")
    interpolation = interpolation.lower()
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"Argument `interpolation` should be one of {INTERPOLATIONS}. Received: {interpolation=}")
    if interpolation in _ONLY_IN_TENSORFLOW:
        raise ValueError(
            f'interpolation="{interpolation}" exists in TensorFlow alone. Use "bilinear", "nearest", "bicubic", '
            '"lanczos3" or "lanczos5".'
        )
    if pad_to_aspect_ratio and crop_to_aspect_ratio:
        raise ValueError("Only one of `pad_to_aspect_ratio`, `crop_to_aspect_ratio` can be set to `True`.")
    reader = ImageReader(
        (int(size[0]), int(size[1])),
        color_mode,
        interpolation,
        crop_to_aspect_ratio,
        pad_to_aspect_ratio,
        settings.standardize_data_format(data_format),
    )
    return load_files(request, reader, batch_size, default_workers() if workers is None else workers, skip_errors)
