"""`text_dataset_from_directory`: texts in folders as a DataLoader of batches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from torchkeras.utils.loaders.indexing import Request
from torchkeras.utils.loaders.loader import BatchLoader, load_files


@dataclass
class TextReader:
    """Reads text files in UTF-8.

    Args:
        max_length: characters that are kept; `None`: all.
    """

    max_length: int | None

    def read(self, path: str) -> str:
        """One text.

        Args:
            path: path of the file.

        Raises:
            ValueError: the file is not in UTF-8; names it.
        """
        try:
            with open(path, encoding="utf-8") as file:
                return file.read(self.max_length)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is no text in UTF-8: {error}") from error

    def join(self, samples: list[str]) -> list[str]:
        """Texts as one batch."""
        return samples


def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
    *,
    workers: int | None = None,
    skip_errors: bool = False,
) -> BatchLoader | list[BatchLoader]:
    """Make batches of the text files (`.txt`, UTF-8) in a directory whose subdirectories are the classes.

    The result is a torch `DataLoader` of lists of strings. `loader.class_names` and `loader.file_paths` say what was
    found; `loader.scan(skip_errors=True)` leaves broken files out and returns how many they were; `loader.dataset` is
    the torch `Dataset` of single samples, for a DataLoader of your own with `collate_fn=loader.dataset.collate`.
    With one seed the files of each subset are the same as Keras's.

    Args:
        directory: the directory. With `labels="inferred"` it holds a subdirectory for each class; otherwise its files
            and those of all subdirectories are taken.
        labels: `"inferred"`: the subdirectory is the class; a list or tuple of integers, one for each file in
            alphanumeric order of the paths; or `None`, no labels. Default: `"inferred"`.
        label_mode: `"int"`: labels are int32, of shape `(batch,)`; `"binary"`: float32 zeros and ones, of shape
            `(batch, 1)`; `"categorical"`: one-hot float32, of shape `(batch, classes)`; `None`: no labels. Default:
            `"int"`.
        class_names: names of subdirectories in the order of their labels. Default: `None`, alphanumeric order.
        batch_size: samples per batch; `None`: single texts. Default: `32`.
        max_length: characters of a text that are kept. Default: `None`, all.
        shuffle: whether to shuffle; otherwise files come in alphanumeric order. Default: `True`.
        seed: seed of the shuffling. Default: `None`, drawn from NumPy's global generator.
        validation_split: share of the files, between 0 and 1, for validation. Default: `None`.
        subset: `"training"`, `"validation"` or `"both"`, if `validation_split` is set. Default: `None`.
        follow_links: whether to enter directories that are symbolic links. Default: `False`.
        format: `"tf"`: each pass has a new order; `"grain"`: each pass has the same order, as in Keras. Both give the
            same kind of object. Default: `"tf"`.
        verbose: whether to print the number of files and classes. Default: `True`.
        workers: number of threads that read files ahead; 0: files are read when they are needed. Keras has no such
            argument. Default: `None`, 0: files are read when they are needed.
        skip_errors: whether to read every file once now and leave broken ones out, with a line that counts them. Keras
            has no such argument. Default: `False`.

    Returns:
        A `DataLoader` of batches `texts`, or `(texts, labels)` where there are labels; `texts` is a list of `str`. With
        `subset="both"`, a list of two, for training and validation.

    Raises:
        ValueError: an argument does not fit, or the directory holds no texts. Later, while reading: a file is not in
            UTF-8; the error names it.
        OSError: the directory can't be read.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> top = Path(tempfile.mkdtemp())
        >>> for name, text in {"calm": "a lake", "loud": "a storm"}.items():
        ...     (top / name).mkdir()
        ...     _ = (top / name / "one.txt").write_text(text)
        >>> loader = keras.utils.text_dataset_from_directory(top, shuffle=False, verbose=False)
        >>> next(iter(loader))
        (['a lake', 'a storm'], tensor([0, 1], dtype=torch.int32))
    """
    request = Request(
        directory, labels, label_mode, class_names, shuffle, seed, validation_split, subset, follow_links, format,
        verbose, "text files", "text files", (".txt",),
    )  # fmt: skip
    return load_files(request, TextReader(max_length), batch_size, 0 if workers is None else workers, skip_errors)
