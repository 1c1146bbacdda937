"""Saving, under the names of Keras's private modules."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

import h5py

from torchkeras.core.config.configurable import Configurable as KerasSaveable
from torchkeras.core.state import state
from torchkeras.core.tensors.convert import convert_to_numpy

__all__ = ["H5IOStore", "KerasSaveable", "in_safe_mode", "save_model_to_hdf5"]


class H5IOStore:
    """Arrays by path and name in an HDF5 file: the group `<path>/vars` of each path, as in `.weights.h5`.

    Args:
        path_or_io: the file.
        mode: `"w"` to write a new file, `"r"` to read. Default: `"r"`.
    """

    def __init__(self, path_or_io: str | os.PathLike[str], mode: str = "r", **kwargs: Any) -> None:
        self.path, self.mode = path_or_io, mode
        self._open = ExitStack()
        self.h5_file = self._open.enter_context(h5py.File(path_or_io, mode))

    def make(self, path: str, metadata: dict[str, Any] | None = None) -> _Entry:
        """A new place for arrays, with attributes `metadata`."""
        group = self.h5_file.create_group(f"{path}/vars" if path else "vars")
        for key, value in (metadata or {}).items():
            group.attrs[key] = value
        return _Entry(group)

    def get(self, path: str) -> _Entry:
        """The arrays of a path; none if the file lacks it.

        Raises:
            ValueError: the file keeps an array elsewhere than in itself.
        """
        found = self.h5_file.get(f"{path}/vars" if path else "vars")
        return _Entry(found if isinstance(found, h5py.Group) else None)

    def close(self) -> None:
        """Close the file."""
        self._open.close()

    def __enter__(self) -> H5IOStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Entry:
    """The arrays of one path."""

    def __init__(self, group: h5py.Group | None) -> None:
        self.group = group

    def __getitem__(self, name: str) -> Any:
        if self.group is None or name not in self.group:
            raise KeyError(name)
        link = self.group.get(name, getlink=True)
        found = self.group[name] if isinstance(link, h5py.HardLink) else None
        if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
            raise ValueError(f"{self.group.name}/{name} must be an array in the file itself.")
        return found

    def __setitem__(self, name: str, value: Any) -> None:
        if self.group is None:
            raise ValueError("The file is open for reading.")
        self.group[name] = convert_to_numpy(value)

    def __contains__(self, name: object) -> bool:
        return self.group is not None and name in self.group

    def __len__(self) -> int:
        return 0 if self.group is None else len(self.group)

    def keys(self) -> list[str]:
        """The names of the arrays."""
        return [] if self.group is None else list(self.group)


def in_safe_mode() -> bool | None:
    """Whether a load in progress refuses what could run code or read other files; `None` outside of loads."""
    return state.safe_mode


def save_model_to_hdf5(model: Any, filepath: str | os.PathLike[str], overwrite: bool = True, **options: Any) -> None:
    """Save a model in Keras's older format, `.h5`."""
    model.save(filepath, overwrite=overwrite)
