"""A model as a folder: the members of a `.keras` archive as files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from torchkeras.saving.formats.keras_zip import ASSETS, CONFIG, METADATA, WEIGHTS, assemble, assets_of, metadata
from torchkeras.saving.formats.weights_h5 import WeightsReader, WeightsWriter
from torchkeras.saving.json import to_json
from torchkeras.saving.safety.atomic import replacing
from torchkeras.saving.safety.budget import MIB, BadFileError, parse_json
from torchkeras.saving.state import save_state


def write_folder(model: Any, path: Path) -> None:
    """Write the model's files into a new folder, which then takes the place of the old one."""
    path = Path(os.path.realpath(path))
    if path.exists() and not (path.is_dir() and (not any(path.iterdir()) or (path / CONFIG).exists())):
        raise FileExistsError(errno.EEXIST, "The place to save to is taken, and not by a saved model", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.parent / f".{path.name}.{secrets.token_hex(6)}.saving"
    try:
        fresh.mkdir()
        _write_files(model, fresh)
        _exchange(fresh, path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _exchange(fresh: Path, path: Path) -> None:
    if not path.exists():
        fresh.rename(path)
        return
    old = fresh.with_suffix(".old")
    path.rename(old)
    try:
        fresh.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_files(model: Any, folder: Path) -> None:
    text = to_json(model).encode()
    with replacing(folder / CONFIG) as file:
        file.write(text)
    with replacing(folder / WEIGHTS) as file, WeightsWriter(file, sealed=True) as writer:
        save_state(model, writer)
    with assets_of(model) as assets:
        if any(path.is_file() for path in assets.rglob("*")):
            shutil.copytree(assets, folder / ASSETS)
    about = metadata() | {"config_sha256": hashlib.sha256(text).hexdigest()}
    with replacing(folder / METADATA) as file:
        file.write(json.dumps(about).encode())


def read_folder(path: Path, custom_objects: Any, compile: bool, safe_mode: bool | None) -> Any:
    """The model whose files lie in the folder."""
    for name in (CONFIG, WEIGHTS):
        if not (path / name).is_file():
            raise BadFileError(f"{path} is no saved model: the folder has no {name!r}.")
    text = _read(path / CONFIG, 512 * MIB)
    _check_config(path, text)
    config = parse_json(text, str(path / CONFIG))
    assets = path / ASSETS
    with open(_inside(path, WEIGHTS), "rb") as file, WeightsReader(file, str(path / WEIGHTS)) as reader:
        folder = assets if assets.is_dir() else None
        if folder is not None:
            for entry in (folder, *folder.rglob("*")):
                if entry.is_symlink():
                    raise BadFileError(
                        f"{path}: {entry.relative_to(path)} is a link; a model's files must lie in its folder."
                    )
        return assemble(config, reader, folder, str(path), custom_objects, compile, safe_mode)


def _inside(folder: Path, name: str) -> Path:
    if (folder / name).is_symlink():
        raise BadFileError(f"{folder}: {name} is a link; a model's files must lie in its folder.")
    return folder / name


def _read(path: Path, limit: int) -> bytes:
    _inside(path.parent, path.name)
    if path.stat().st_size > limit:
        raise BadFileError(f"{path} is larger than a model's can be.")
    return path.read_bytes()


def _check_config(path: Path, text: bytes) -> None:
    if not (path / METADATA).is_file():
        return
    about = parse_json(_read(path / METADATA, MIB), str(path / METADATA))
    wanted = about.get("config_sha256") if isinstance(about, dict) else None
    if wanted is not None and wanted != hashlib.sha256(text).hexdigest():
        raise BadFileError(f"{path / CONFIG} is corrupt: it does not match the checksum in {METADATA}.")
