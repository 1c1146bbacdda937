"""The table of file formats, and which row a path belongs to."""

from __future__ import annotations

import os
from dataclasses import replace

from torchkeras.saving.formats import (
    checkpoint,
    folder,
    keras_zip,
    legacy_h5,
    safetensors,
    safetensors_shards,
    sharded,
    weights_h5,
)
from torchkeras.saving.formats.base import Format as Format
from torchkeras.saving.formats.base import Place, opened

# One row per format. Where the content fits several rows, a name's ending decides between them, then the order.
FORMATS: tuple[Format, ...] = (
    keras_zip.FORMAT,
    # One signature, two layouts: what is in the file decides which, whatever its name says.
    replace(weights_h5.FORMAT, model_reader=legacy_h5.read_model, weights_reader=legacy_h5.read_weights),  # type: ignore[arg-type]
    sharded.FORMAT,
    legacy_h5.FORMAT,
    replace(safetensors.FORMAT, sharded_writer=safetensors_shards.write_sharded),
    safetensors_shards.FORMAT,
)
FOLDER = folder.FORMAT
CHECKPOINT = checkpoint.FORMAT
LEGACY = legacy_h5.FORMAT


def by_suffix(path: str) -> Format | None:
    """The format that a file's name stands for; the longest ending counts."""
    found = [(len(suffix), row) for row in FORMATS for suffix in row.suffixes if path.endswith(suffix)]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def by_content(place: Place) -> Format | None:
    """The format of what is there: a folder, or a file whose first bytes are known; else what its name stands for."""
    path = os.fspath(place) if isinstance(place, (str, os.PathLike)) else ""
    if path and os.path.isdir(path):
        return CHECKPOINT if checkpoint.is_checkpoint(path) else FOLDER
    with opened(place) as file:
        file.seek(0)
        head = file.read(16)
        file.seek(0)
    rows = [row for row in FORMATS if row.may_start_with(head)]
    named = by_suffix(path)
    return named if named in rows or not rows else rows[0]


def suffixes(kind: str) -> list[str]:
    """The endings of the formats that can do `kind`: `"model_writer"`, `"model_reader"`, `"weights_writer"`, ..."""
    return [suffix for row in FORMATS if getattr(row, kind) is not None for suffix in row.suffixes]
