"""Text in HDF5 attributes, read without HDF5 where HDF5 can be led astray.

HDF5 keeps strings of variable length in heaps and refers to each by 16 bytes: an attribute with thousands of references
to one long string unpacks to gigabytes, and in a damaged heap HDF5 runs in circles. So the references and the strings
are read here, by the HDF5 file format specification (object headers of versions 1 and 2, global heaps of version 1).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

import h5py
import numpy as np

from torchkeras.saving.safety.budget import BadFileError, Budget

_ATTRIBUTE, _CONTINUATION = 0x0C, 0x10
_REFERENCE = 16  # a length of 4 bytes, an address of 8, an index of 4


def strings(file: IO[bytes], group: h5py.Group, name: str, budget: Budget, file_name: str) -> list[str] | None:
    """The strings that an attribute holds, one or an array of them; `None` if there is no such attribute.

    Args:
        file: the file that the group is in.
        group: where the attribute is.
        name: of the attribute.
        budget: bytes that the strings may take.
        file_name: for messages.

    Raises:
        BadFileError: the attribute holds something else, or more than the budget.
    """
    if name not in group.attrs:
        return None
    where = f"{file_name}: attribute {name!r} of {group.name!r}"
    attribute = group.attrs.get_id(name)
    kind, shape = attribute.get_type(), attribute.shape
    if shape is None or len(shape) > 1:
        raise BadFileError(f"{where} is corrupt: it must be a string or a list of strings.")
    count = int(np.prod(shape, dtype=np.int64))
    if count == 0:
        return []
    if not isinstance(kind, h5py.h5t.TypeStringID):
        raise BadFileError(f"{where} is corrupt: it must hold strings; it holds {attribute.dtype}.")
    if kind.is_variable_str():
        values = _referenced(file, group, name, count, budget, where)
    else:
        budget.spend(attribute.get_storage_size() + 64 * count, f"attribute {name!r} of {group.name!r}")
        values = np.ravel(group.attrs[name]) if shape else [group.attrs[name]]
    try:
        return [_text(item) for item in values]
    except UnicodeDecodeError as error:
        raise BadFileError(f"{where} is corrupt: it is no UTF-8 text ({error}).") from error


def _text(value: str | bytes) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _referenced(file: IO[bytes], group: h5py.Group, name: str, count: int, budget: Budget, where: str) -> list[bytes]:
    """The strings that an attribute refers to."""
    size = file.seek(0, 2)
    headers = _attributes(file, h5py.h5o.get_info(group.id).addr, size)
    data = next((data for found, data in headers if found == name.encode()), None)
    if data is None:  # HDF5 keeps attributes elsewhere only in files that were asked to be of its latest version
        raise BadFileError(f"{where} is not kept in the group's header; strings elsewhere are not read.")
    if len(data) < count * _REFERENCE:
        raise BadFileError(f"{where} is corrupt: it is cut off.")
    references = [struct.unpack_from("<IQI", data, i * _REFERENCE) for i in range(count)]
    longest = max(length for length, _, _ in references)
    if longest > size:
        raise BadFileError(f"{where} is corrupt: a string of it is longer than the file.")
    budget.spend(sum(length for length, _, _ in references) + 64 * count, f"attribute {name!r} of {group.name!r}")
    heaps: dict[int, dict[int, tuple[int, int]]] = {}
    found = []
    for length, address, index in references:
        if length == 0:
            found.append(b"")
            continue
        if address not in heaps:
            heaps[address] = _heap(file, address, size)
        start, stored = heaps[address].get(index, (0, -1))
        if stored < length:
            raise BadFileError(f"{where} is corrupt: a string of it is not where it says.")
        file.seek(start)
        found.append(file.read(length).rstrip(b"\0"))
    return found


def _heap(file: IO[bytes], address: int, size: int) -> dict[int, tuple[int, int]]:
    """Place and size of each object in a global heap, by its index; empty if there is none at the address."""
    if address + 16 > size:
        return {}
    file.seek(address)
    head = file.read(16)
    if head[:5] != b"GCOL\x01":
        return {}
    end = min(address + struct.unpack_from("<Q", head, 8)[0], size)
    block = file.read(end - address - 16) if end > address + 16 else b""
    found = {}
    place = 0
    while place + 16 <= len(block):
        index, _, stored = struct.unpack_from("<HH4xQ", block, place)
        if index == 0:  # the rest is free
            break
        found[index] = (address + 32 + place, stored)
        place += 16 + (stored + 7) // 8 * 8
    return found


def _attributes(file: IO[bytes], address: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """The names and data of the attributes in an object header."""
    seen: set[int] = set()
    file.seek(address)
    head = file.read(22)
    old = not head.startswith(b"OHDR")
    if old:
        if len(head) < 12:
            return
        blocks = [(address + 16, struct.unpack_from("<I", head, 8)[0])]
    else:
        flags = head[5]
        place = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        file.seek(address + place)
        width = 1 << (flags & 3)
        blocks = [(address + place + width, int.from_bytes(file.read(width), "little"))]
    order = 0 if old else 2 * bool(head[5] & 4)
    while blocks:
        start, length = blocks.pop(0)
        if start in seen or length > size:
            return
        seen.add(start)
        file.seek(start)
        for kind, data in _messages(file.read(length), old, order):
            if kind == _CONTINUATION and len(data) >= 16:
                next_start, next_length = struct.unpack_from("<QQ", data)
                skipped = 0 if old else 4  # the block's signature, and its checksum at the end
                blocks.append((next_start + skipped, max(next_length - 2 * skipped, 0)))
            elif kind == _ATTRIBUTE:
                attribute = _attribute(data)
                if attribute is not None:
                    yield attribute


def _messages(block: bytes, old: bool, order: int) -> Iterator[tuple[int, bytes]]:
    """The header messages in a block: type and data."""
    place, head = 0, 8 if old else 4 + order
    while place + head <= len(block):
        if old:
            kind, length = struct.unpack_from("<HH", block, place)
        else:
            kind, length = struct.unpack_from("<BH", block, place)
        yield kind, block[place + head : place + head + length]
        place += head + length


def _attribute(data: bytes) -> tuple[bytes, bytes] | None:
    """The name and the data of an attribute message."""
    if len(data) < 8:
        return None
    version = data[0]
    sizes = struct.unpack_from("<HHH", data, 2)
    place = 9 if version == 3 else 8
    if version == 1:  # padded to 8 bytes
        sizes = tuple((size + 7) // 8 * 8 for size in sizes)
    name = data[place : place + sizes[0]].rstrip(b"\0")
    return name, data[place + sum(sizes) :]
