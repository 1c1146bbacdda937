"""Backups on disk: whole generations, each in a folder that appears at once or not at all."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torchkeras.saving.formats.checkpoint import INDEX, checksum_of
from torchkeras.saving.safety.atomic import sync_folder

WEIGHTS, STATE, ARRAYS = "model.weights.h5", "state.json", "arrays.npz"
PARTS = "weights"  # a folder in the place of the file, where each rank wrote its own
_GENERATION = re.compile(r"generation-(\d{8})$")
_WRITING = ".writing-"
_OF_A_PACKAGE = 2  # NumPy's number for types that another package brought


class CorruptBackup(OSError):
    """A generation on disk is not what was written."""


class BackupStore:
    """Generations of weights and state under a folder. The state is JSON, its arrays are in an `.npz`; no pickle.

    Args:
        folder: made when the first generation is written.
        keep: generations kept.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = 2) -> None:
        self.folder = Path(folder)
        self.keep = keep

    def generations(self) -> list[Path]:
        """The folders of all generations, the newest first."""
        if not self.folder.is_dir():
            return []
        return sorted((path for path in self.folder.iterdir() if _GENERATION.match(path.name)), reverse=True)

    def write(self, save_weights: Callable[[str], None], state: dict[str, Any]) -> Path:
        """Add a generation; `save_weights` writes to the path that it is given."""
        temporary = self.begin()
        try:
            save_weights(str(temporary / WEIGHTS))
            return self.finish(temporary, Prepared(state))
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def begin(self) -> Path:
        """A folder to write a generation to. Leftovers of others are removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        temporary = self.folder / f"{_WRITING}{secrets.token_hex(6)}"
        temporary.mkdir()
        return temporary

    def finish(self, temporary: Path, state: Prepared) -> Path:
        """Add the state to a folder that has the weights, and make it the newest generation."""
        last = self.generations()
        number = int(_GENERATION.match(last[0].name).group(1)) + 1 if last else 0  # type: ignore[union-attr]
        with open(temporary / ARRAYS, "wb") as file:
            np.savez(file, **state.arrays)  # type: ignore[arg-type]
            _to_disk(file)
        files = [path for path in sorted(temporary.rglob("*")) if path.is_file()]
        sums = {path.relative_to(temporary).as_posix(): checksum_of(path) for path in files}
        with open(temporary / STATE, "w") as file:
            json.dump({"checksum": _checksum_of(state.plain), "files": sums, "state": state.plain}, file)
            _to_disk(file)
        place = self.folder / f"generation-{number:08d}"
        os.rename(temporary, place)
        sync_folder(self.folder)
        for old in self.generations()[self.keep :]:
            shutil.rmtree(old, ignore_errors=True)
        return place

    def read(self, generation: Path) -> tuple[str, dict[str, Any]]:
        """The path of a generation's weights, and its state.

        Raises:
            CorruptBackup: a file is missing, cut or changed.
        """
        try:
            document = json.loads((generation / STATE).read_text())
            state, sums = document["state"], document["files"]
            if document["checksum"] != _checksum_of(state):
                raise ValueError("its checksum is not that of its contents")
            weights = PARTS if (generation / PARTS).is_dir() else WEIGHTS
            for name in {WEIGHTS if weights == WEIGHTS else f"{PARTS}/{INDEX}", ARRAYS, *sums}:
                if sums[name] != checksum_of(generation / name):
                    raise ValueError(f"{name} is not the file that was written with it")
            with np.load(generation / ARRAYS, allow_pickle=False) as arrays:
                state = _with_arrays(state, dict(arrays))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptBackup(f"The backup {generation} is corrupt: {error}") from error
        return str(generation / weights), state

    def remove(self) -> None:
        """Remove all generations, and the folder if nothing else is in it."""
        for generation in self.generations():
            shutil.rmtree(generation, ignore_errors=True)
        if self.folder.is_dir():
            self._sweep()
            with suppress(OSError):
                self.folder.rmdir()

    def _sweep(self) -> None:
        for leftover in self.folder.glob(f"{_WRITING}*"):
            shutil.rmtree(leftover, ignore_errors=True)


class Prepared:
    """A state in the form in which it is written; what happens to the original later does not change it.

    Args:
        state: numbers, strings, lists, tuples, dicts, arrays, tensors.

    Raises:
        TypeError: it holds something else.
    """

    def __init__(self, state: dict[str, Any]) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.plain = _without_arrays(state, self.arrays)
        self.arrays = {name: array.copy() for name, array in self.arrays.items()}


def _checksum_of(value: object) -> int:
    return zlib.crc32(json.dumps(value, sort_keys=True).encode())


def _to_disk(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _without_arrays(value: object, arrays: dict[str, np.ndarray]) -> Any:
    """The value with its arrays taken out, each replaced by its name."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        name = f"array_{len(arrays)}"
        # Types of ml_dtypes' lose their names in an .npz; as float32 the values are the same.
        arrays[name] = value.astype("float32") if value.dtype.isbuiltin == _OF_A_PACKAGE else value
        return {"array": name}
    if isinstance(value, torch.Tensor):
        return {"tensor": _without_arrays(value.detach().cpu().numpy(), arrays)}
    if isinstance(value, bytes):
        return {"bytes": _without_arrays(np.frombuffer(value, dtype="uint8"), arrays)}
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        return {"pairs": [_without_arrays(pair, arrays) for pair in value.items()]}
    if isinstance(value, dict):
        return {"dict": {key: _without_arrays(item, arrays) for key, item in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [_without_arrays(item, arrays) for item in value]}
    if isinstance(value, list):
        return [_without_arrays(item, arrays) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(
        f"A callback's state must be numbers, strings, lists, tuples, dicts, arrays and tensors; received a "
        f"{type(value).__name__}."
    )


def _listed(pair: Any) -> list[Any]:
    """The two parts of an entry of a dict whose keys are not all strings."""
    return list(pair["tuple"])


def _with_arrays(value: object, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        if "array" in value:
            return arrays[value["array"]]
        if "tensor" in value:
            return torch.from_numpy(_with_arrays(value["tensor"], arrays))
        if "bytes" in value:
            return _with_arrays(value["bytes"], arrays).tobytes()
        if "pairs" in value:
            return {_with_arrays(key, arrays): _with_arrays(item, arrays) for key, item in map(_listed, value["pairs"])}
        if "tuple" in value:
            return tuple(_with_arrays(value["tuple"], arrays))
        return {key: _with_arrays(item, arrays) for key, item in value["dict"].items()}
    return [_with_arrays(item, arrays) for item in value] if isinstance(value, list) else value
