"""The header of a `.safetensors` file: which tensor lies where, as JSON that is checked before anything is believed."""

from __future__ import annotations

import json
import math
import struct
from typing import IO, Any, NamedTuple

import torch

from torchkeras.saving.safety.budget import MIB, BadFileError, parse_json, readable

METADATA = "__metadata__"

DTYPES: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class TensorInfo(NamedTuple):
    """A tensor in a file.

    Attributes:
        dtype: its type.
        shape: its sizes.
        start, end: its bytes, counted from the end of the header.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    end: int


def composed(tensors: dict[str, TensorInfo], metadata: dict[str, str]) -> bytes:
    """The length and the header of a file, metadata first, padded so that the tensors start at a multiple of 8."""
    rows: dict[str, Any] = {METADATA: metadata}
    for key, info in tensors.items():
        rows[key] = {"dtype": NAMES[info.dtype], "shape": list(info.shape), "data_offsets": [info.start, info.end]}
    text = json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def parsed(file: IO[bytes], size: int, name: str) -> tuple[dict[str, TensorInfo], dict[str, str], int]:
    """The tensors, the metadata, and where the tensors start.

    Args:
        file: a binary file object.
        size: of the whole file.
        name: for messages.

    Raises:
        BadFileError: it is no safetensors file, truncated, or its header claims what the file does not hold.
    """
    file.seek(0)
    head = file.read(9)
    if len(head) < 9:
        raise BadFileError(f"{name} is truncated: only {size} bytes of it are left.")
    length = struct.unpack_from("<Q", head)[0]
    if head[8:9] != b"{" or length > 1 << 40:
        raise BadFileError(f"{name} is no safetensors file: it starts with {head!r}.")
    if length > 8 * MIB + size // 8:
        if 8 + length > size:
            raise BadFileError(f"{name} is truncated or no safetensors file: its header should have {length} bytes.")
        raise BadFileError(
            f"{name}: its header of {readable(length)} is larger than one that describes {readable(size)} can be."
        )
    if 8 + length > size:
        raise BadFileError(f"{name} is truncated: its header has {length} bytes, the file {size}.")
    file.seek(8)
    text = file.read(length)
    count = text.count(b'"data_offsets"')
    if count > 50_000 + size // 1024:
        raise BadFileError(f"{name}: its header names {count} tensors, more than a file of {readable(size)} has.")
    rows = parse_json(text, f"{name}: the header")
    if not isinstance(rows, dict):
        raise BadFileError(f"{name} is corrupt: its header is no JSON object.")
    metadata = rows.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise BadFileError(f"{name} is corrupt: its {METADATA} must have strings as values.")
    tensors = {key: _checked(key, row, name) for key, row in rows.items()}
    _check_places(tensors, size - 8 - length, name)
    return tensors, metadata, 8 + length


def _checked(key: str, row: object, name: str) -> TensorInfo:
    head = f"{name} is corrupt: the header's row of {key[:200]!r}"
    if not isinstance(row, dict) or set(row) != {"dtype", "shape", "data_offsets"}:
        raise BadFileError(f"{head} must have dtype, shape and data_offsets.")
    dtype = DTYPES.get(row["dtype"]) if isinstance(row["dtype"], str) else None
    if dtype is None:
        raise BadFileError(f"{head} has the dtype {row['dtype']!r}; known are {', '.join(DTYPES)}.")
    shape, offsets = row["shape"], row["data_offsets"]
    if not _are_sizes(shape) or len(shape) > 64 or not _are_sizes(offsets) or len(offsets) != 2:
        raise BadFileError(f"{head} has a shape or offsets that are no sizes.")
    start, end = offsets
    if end - start != math.prod(shape) * dtype.itemsize:
        raise BadFileError(
            f"{head} claims {readable(math.prod(shape) * dtype.itemsize)} (shape {tuple(shape)}) and stores "
            f"{readable(max(0, end - start))}."
        )
    return TensorInfo(dtype, tuple(shape), start, end)


def _are_sizes(values: object) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 63 for value in values)


def _check_places(tensors: dict[str, TensorInfo], available: int, name: str) -> None:
    """Each byte behind the header belongs to one tensor."""
    place = 0
    for key, info in sorted(tensors.items(), key=lambda row: (row[1].start, row[1].end)):
        if info.start != place:
            problem = "overlaps another tensor" if info.start < place else "leaves a gap before it"
            raise BadFileError(f"{name} is corrupt: {key[:200]!r} {problem}.")
        place = info.end
    if place > available:
        raise BadFileError(f"{name} is truncated: its tensors take {place} bytes, and {available} are left of them.")
    if place < available:
        raise BadFileError(f"{name} is corrupt: {available - place} bytes at its end belong to no tensor.")
