"""The files of a folder and their labels, in Keras's order and with its split by seed."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from torchkeras.core.variables.session import is_interactive_logging_enabled
from torchkeras.distributed import broadcast_object, process

Labels = np.ndarray | list[int] | tuple[int, ...] | None
LABEL_MODES = ("int", "categorical", "binary", None)
FORMATS = ("tf", "grain")


def seed_or_draw(seed: int | None) -> int:
    """The seed, or one from NumPy's global generator, as Keras draws it: the same on all ranks, which must all ask."""
    if seed is not None:
        return int(seed)
    drawn = np.random.randint(1_000_000)
    if process.launched_world_size() > 1:
        process.join()
        drawn = broadcast_object(drawn)
    return drawn


@dataclass
class Request:
    """The arguments that all functions of this folder share; named and meant as in Keras.

    Args:
        directory: the folder.
        labels: `"inferred"`, `None`, or a label for each file in alphanumeric order of the paths.
        label_mode: `"int"`, `"categorical"`, `"binary"` or `None`.
        class_names: names of the subfolders, in the order of their labels.
        shuffle: whether the files are shuffled.
        seed: seed of the shuffling.
        validation_split: share of the files that are for validation.
        subset: `"training"`, `"validation"`, `"both"` or `None`.
        follow_links: whether to enter folders that are symbolic links.
        format: `"tf"` or `"grain"`.
        verbose: whether to print how many files and classes there are.
        kind: the noun for the files in messages, such as `"image files"`.
        found: the noun for the files where none are found, such as `"images"`.
        suffixes: suffixes of the files, in lower case.

    Raises:
        ValueError: an argument has a value that it can't have.
        OSError: there is no such directory.
    """

    directory: str | os.PathLike[str]
    labels: str | Sequence[int] | None
    label_mode: str | None
    class_names: Sequence[str] | None
    shuffle: bool
    seed: int | None
    validation_split: float | None
    subset: str | None
    follow_links: bool
    format: str
    verbose: bool
    kind: str
    found: str
    suffixes: tuple[str, ...]

    def __post_init__(self) -> None:
        self._check_directory()
        self._check_labels()
        check_format(self.format)
        self._check_split()
        if self.labels is None or self.label_mode is None:
            self.labels = self.label_mode = None
        self.seed = seed_or_draw(self.seed)

    def _check_directory(self) -> None:
        """Raise an `OSError` of Python's kinds if there is no such directory."""
        place = os.path.abspath(os.fspath(self.directory))
        if not os.path.exists(place):
            above = place
            while not os.path.isdir(above):
                above = os.path.dirname(above)
            raise FileNotFoundError(
                errno.ENOENT,
                f"There is no such directory to read {self.kind} from (the nearest that exists is {above!r}, with "
                f"{sorted(os.listdir(above))[:5]})",
                os.fspath(self.directory),
            )
        if not os.path.isdir(place):
            raise NotADirectoryError(
                errno.ENOTDIR,
                f"The {self.kind} are read from a directory with a subdirectory for each class; this is a file",
                os.fspath(self.directory),
            )

    def _check_labels(self) -> None:
        if self.labels not in ("inferred", None):
            if not isinstance(self.labels, (list, tuple)):
                raise ValueError(
                    f"`labels` argument should be a list/tuple of integer labels, one for each of the {self.kind} in "
                    'the directory; "inferred", to take the names of the subdirectories as the classes; or None, for '
                    f"no labels. Received: labels={self.labels}"
                )
            if self.class_names:
                raise ValueError(
                    'You can only pass `class_names` if `labels="inferred"`. Received: '
                    f"labels={self.labels}, and class_names={self.class_names}"
                )
        if self.label_mode not in LABEL_MODES:
            raise ValueError(
                '`label_mode` argument must be one of "int", "categorical", "binary", or None. '
                f"Received: label_mode={self.label_mode}"
            )

    def _check_split(self) -> None:
        if self.validation_split and not 0 < self.validation_split < 1:
            raise ValueError(f"`validation_split` must be between 0 and 1, received: {self.validation_split}")
        if bool(self.validation_split) != bool(self.subset):
            raise ValueError("If `subset` is set, `validation_split` must be set, and inversely.")
        if self.subset not in ("training", "validation", "both", None):
            raise ValueError(f'`subset` must be either "training", "validation" or "both", received: {self.subset}')
        if self.validation_split and self.shuffle and self.seed is None:
            raise ValueError(
                "If using `validation_split` and shuffling the data, you must provide a `seed` argument, to make sure "
                "that there is no overlap between the training and validation subset."
            )


def check_format(format: str) -> None:
    """Raise `ValueError` if `format` is none of Keras's."""
    if format not in FORMATS:
        raise ValueError(f'`format` should be either "tf" or "grain". Received: format={format}')


@dataclass
class Subset:
    """The files of one subset.

    Args:
        paths: the paths.
        labels: label of each file, or `None`.
        class_names: names of the classes, or `None`.
        is_held_out: whether these are the files for validation of a call that gives both subsets: they come in a fixed
            order.
    """

    paths: list[str]
    labels: Labels
    class_names: list[str] | None
    is_held_out: bool = False


def find_files(request: Request) -> Subset:
    """All files of the folder, shuffled by the seed if the request says so.

    Raises:
        ValueError: `class_names` or `labels` do not fit the folder, or two classes are needed and there are others.
        OSError: the folder can't be read.
    """
    directory = os.fspath(request.directory)
    names = _class_folders(directory, request)
    with ThreadPoolExecutor() as pool:
        folders = list(pool.map(lambda name: list(_walk(directory, name, request)), names))
    paths = [os.path.join(directory, path) for folder in folders for path in folder]
    labels: Labels = None
    classes: list[str] | None = None
    if request.labels == "inferred":
        labels, classes = np.repeat(np.arange(len(names), dtype="int32"), [len(folder) for folder in folders]), names
    elif request.labels is not None:
        labels = list(request.labels)  # type: ignore[arg-type]
        if len(labels) != len(paths):
            raise ValueError(
                "Expected the lengths of `labels` to match the number of files in the target directory. len(labels) "
                f"is {len(labels)} while we found {len(paths)} files in directory {directory}."
            )
        classes = [str(label) for label in sorted(set(labels))]
    if request.verbose:
        say(f"Found {len(paths)} files" + (f" belonging to {len(classes)} classes." if classes is not None else "."))
    if request.label_mode == "binary" and len(classes or ()) != 2:
        raise ValueError(
            f'When passing `label_mode="binary"`, there must be exactly 2 class_names. Received: class_names={classes}'
        )
    if request.shuffle:
        np.random.RandomState(request.seed).shuffle(paths)
        if labels is not None:
            np.random.RandomState(request.seed).shuffle(labels)
    return Subset(paths, labels, classes)


def _class_folders(directory: str, request: Request) -> list[str]:
    """Names of the folders to look into, in the order of their labels; "" is the folder itself."""
    if request.labels != "inferred":
        if request.class_names is not None:
            raise ValueError(
                'When `labels` is not "inferred", argument `class_names` cannot be specified. '
                f"Received: class_names={request.class_names}"
            )
        return [""]
    there = sorted(
        name
        for name in os.listdir(directory)
        if os.path.isdir(os.path.join(directory, name)) and not name.startswith(".")
    )
    if request.class_names is None:
        return there
    if not set(request.class_names) <= set(there):
        raise ValueError(
            "The `class_names` passed did not match the names of the subdirectories of the target directory. "
            f"Expected: {there} (or a subset of it), but received: class_names={request.class_names}"
        )
    return list(request.class_names)


def _walk(directory: str, name: str, request: Request) -> Iterator[str]:
    """The paths below one folder, relative to the whole, folder by folder in alphanumeric order."""
    top = os.path.join(directory, name)
    for root, _, files in sorted(os.walk(top, followlinks=request.follow_links), key=lambda found: found[0]):
        for file in sorted(files):
            if file.lower().endswith(request.suffixes):
                yield os.path.join(name, os.path.relpath(os.path.join(root, file), top))


def split_files(files: Subset, request: Request, subset: str | None) -> Subset:
    """The files of one subset: the last ones are for validation.

    Raises:
        ValueError: the subset has no files.
    """
    paths, labels = files.paths, files.labels
    if request.validation_split:
        held_out = int(request.validation_split * len(paths))
        training = len(paths) - held_out
        part = slice(None, training) if subset == "training" else slice(training, None)
        if request.verbose:
            say(f"Using {training if subset == 'training' else held_out} files for {subset}.")
        paths = paths[part]
        labels = None if labels is None else labels[part]
    if not paths:
        which = f"{subset} " if request.subset == "both" else ""
        raise ValueError(
            f"No {which}{request.found} found in directory {os.fspath(request.directory)}. "
            f"Allowed formats: {request.suffixes}{_other_files(request)}"
        )
    return Subset(paths, labels, files.class_names, (request.subset, subset) == ("both", "validation"))


def _other_files(request: Request) -> str:
    """A sentence on the files that were not taken, for the message that none was."""
    suffixes = Counter(
        path.suffix.lower() or "(no suffix)" for path in Path(request.directory).rglob("*") if path.is_file()
    )
    if not suffixes:
        return ". The directory holds no files."
    listed = ", ".join(f"{count} of {suffix}" for suffix, count in suffixes.most_common(5))
    return f". The directory holds other files or files outside the classes' folders: {listed}."


def say(message: str) -> None:
    """Print a line unless interactive logging is off."""
    if is_interactive_logging_enabled():
        print(message, flush=True)
