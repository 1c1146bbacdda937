"""Saving and loading by path: which format a name stands for."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torchkeras.saving.formats import folder
from torchkeras.saving.formats import keras_zip as archive
from torchkeras.saving.formats.weights_h5 import WeightsReader, WeightsWriter
from torchkeras.saving.safety.atomic import OutputFile, replacing
from torchkeras.saving.safety.budget import BadFileError
from torchkeras.saving.state import load_state, load_state_by_name, save_state

_LEGACY = (".h5", ".hdf5")


class MissingFileError(FileNotFoundError, ValueError):
    """There is no such file. (Keras raises a `ValueError`.)"""


def save_model(model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
    """Write a whole model: architecture, weights, compile configuration, optimizer state.

    The file that was there stays until the new one is complete.

    Args:
        filepath: ends in `.keras`; or a folder with `zipped=False`; or a binary file object.
        overwrite: replace a file without asking.
        zipped: one file, or a folder.

    Raises:
        ValueError: the name has another ending.
        OSError: the file can't be written.
    """
    kwargs.pop("include_optimizer", None), kwargs.pop("save_format", None)
    if kwargs:
        raise ValueError(f"Unknown arguments of save_model(): {sorted(kwargs)}.")
    if not getattr(model, "built", True):
        warnings.warn(
            "The model to save is not built and may have no weights yet: call it on some data first.", stacklevel=2
        )
    if hasattr(filepath, "write"):
        _write_to_object(model, filepath)
        return
    path = os.fspath(filepath)
    zipped = True if zipped is None else zipped
    if zipped and not path.endswith(".keras"):
        raise ValueError(f"A model is saved to a name that ends in `.keras`; received filepath={path!r}.{_hint(path)}")
    if not zipped and path.endswith(".keras"):
        raise ValueError(f"With zipped=False, filepath is a folder and must not end in `.keras`; received {path!r}.")
    if not (overwrite or _may_replace(path)):
        return
    if not zipped:
        folder.write_folder(model, Path(path))
        return
    with replacing(path) as file:
        archive.write_archive(model, file, scratch_folder=Path(os.path.realpath(path)).parent)


def _hint(path: str) -> str:
    if path.endswith(_LEGACY):
        return " The legacy HDF5 format of whole models is not written here."
    return " Use model.export() for other formats."


def _write_to_object(model: Any, target: Any) -> None:
    with tempfile.TemporaryFile(buffering=0) as raw:
        file = OutputFile(raw, "a temporary file")
        archive.write_archive(model, file)
        file.check()
        raw.seek(0)
        shutil.copyfileobj(raw, target)


def _may_replace(path: str) -> bool:
    if not os.path.exists(path):
        return True
    while True:
        try:
            answer = input(f"{path} exists already. Replace it? [y/n] ").strip().lower()
        except EOFError:
            raise FileExistsError(
                f"{path} exists already, and nobody is there to be asked; pass overwrite=True."
            ) from None
        if answer in ("y", "n"):
            return answer == "y"


def load_model(
    filepath: Any, custom_objects: dict[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """The model that was saved, compiled as it was, with its optimizer's state.

    Args:
        filepath: a `.keras` file, a folder written with `zipped=False`, or a binary file object.
        custom_objects: `{"name": class or function}`: yours that the file names.
        compile: also restore the compile configuration and the optimizer.
        safe_mode: refuse what would run code from the file.

    Raises:
        TypeError: the file names a class or function that is neither Keras's nor given.
        ValueError: the file is missing (`FileNotFoundError` too), no model, truncated, corrupt, or not allowed.
    """
    if hasattr(filepath, "read"):
        return archive.read_archive(filepath, "The file", custom_objects, compile, safe_mode)
    path = os.fspath(filepath)
    _check_is_there(path)
    if os.path.isdir(path):
        return folder.read_folder(Path(path), custom_objects, compile, safe_mode)
    if path.endswith(".weights.h5"):
        raise BadFileError(f"{path} holds weights only: make the model in code, then model.load_weights({path!r}).")
    if path.endswith(_LEGACY):
        raise BadFileError(f"{path}: whole models in the legacy HDF5 format are not read here.")
    with open(path, "rb") as file:
        return archive.read_archive(file, path, custom_objects, compile, safe_mode)


def _check_is_there(path: str) -> None:
    if not os.path.exists(path):
        raise MissingFileError(2, "There is no such file", path)


# ---------------------------------------------------------------------------- weights alone


def save_weights(
    model: Any,
    filepath: Any,
    overwrite: bool = True,
    max_shard_size: float | None = None,
    objects_to_skip: Iterable[Any] = (),
) -> None:
    """Write the weights, and a compiled model's optimizer state, to a `.weights.h5` file.

    Raises:
        ValueError: the name has another ending, or the model is not built.
        OSError: the file can't be written.
    """
    path = os.fspath(filepath)
    if max_shard_size is not None:
        raise NotImplementedError("Weights in several files (max_shard_size) are not written yet.")
    if not path.endswith(".weights.h5"):
        raise ValueError(f"Weights are saved to a name that ends in `.weights.h5`; received filepath={path!r}.")
    _check_built(model, "saved")
    if not (overwrite or _may_replace(path)):
        return
    with replacing(path) as file, WeightsWriter(file, sealed=True) as writer:
        save_state(model, writer, skip=objects_to_skip or ())


def _check_built(model: Any, verb: str) -> None:
    if not getattr(model, "built", True):
        raise ValueError(
            f"Weights of model {model.name!r} can't be {verb}: it is not built. Call it on some data first."
        )


def load_weights(
    model: Any,
    filepath: Any,
    skip_mismatch: bool = False,
    by_name: bool = False,
    objects_to_skip: Iterable[Any] | None = None,
) -> None:
    """Read weights from a `.weights.h5` or `.keras` file; all, or on an error none.

    Args:
        skip_mismatch: leave out layers whose shapes differ, with a warning.
        by_name: only the model's direct layers whose names the file has, whatever their order.
        objects_to_skip: layers, or others, to leave alone.

    Raises:
        ValueError: shapes or numbers of weights differ, the model is not built, or the file is missing
            (`FileNotFoundError` too), truncated, corrupt, or not allowed.
    """
    path = os.fspath(filepath)
    if not path.endswith((".weights.h5", ".keras", *_LEGACY)):
        raise ValueError(f"Weights are read from `.weights.h5` or `.keras` files; received filepath={path!r}.")
    _check_is_there(path)
    _check_built(model, "loaded")
    with open(path, "rb") as file, _weights_in(file, path) as reader:
        if by_name:
            load_state_by_name(model, reader, skip_mismatch)
        else:
            load_state(model, reader, skip_mismatch, skip=objects_to_skip or ())


@contextmanager
def _weights_in(file: Any, path: str) -> Any:
    if path.endswith(".keras"):
        opened = archive.Archive(file, path)
        opened.check_metadata()
        with opened.weights() as reader:
            yield reader
        return
    with WeightsReader(file, path) as reader:
        if not path.endswith(".weights.h5") and not (reader.has("vars") or reader.has("layers")):
            raise BadFileError(f"{path}: weights in the legacy HDF5 format are not read here.")
        yield reader
