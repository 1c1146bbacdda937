"""`.safetensors.index.json`: weights in several `.safetensors` files, with an index as Hugging Face writes it."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from torchkeras.saving.formats.base import Format, Place
from torchkeras.saving.formats.safetensors import (
    CHECKSUM,
    SafetensorsSource,
    SafetensorsTarget,
    TensorFile,
)
from torchkeras.saving.safety import checksum
from torchkeras.saving.safety.atomic import OutputFile, only_writer, replacing
from torchkeras.saving.safety.budget import MIB, BadFileError, parse_json
from torchkeras.saving.safety.regular import open_to_read

SUFFIX, INDEX = ".safetensors", ".safetensors.index.json"


def index_path(path: str) -> str:
    """The name of the index for a `.safetensors` name."""
    return path.removesuffix(SUFFIX) + INDEX if path.endswith(SUFFIX) else path


# ---------------------------------------------------------------------------- writing


@contextmanager
def write_sharded(place: Place, max_bytes: int) -> Iterator[SafetensorsTarget]:
    """A target for weights, written as files of at most `max_bytes` (a larger tensor has one for itself), and an index.

    Files that an old index names stay until the new index has taken its place, so that whoever looks finds all of the
    old weights or all of the new ones.
    """
    index = Path(os.path.realpath(index_path(os.fspath(place))))  # type: ignore[arg-type]
    with only_writer(index.parent):
        written: list[Path] = []
        try:
            with replacing(index) as file:
                target = SafetensorsTarget(index.parent)
                try:
                    yield target
                    _write_all(target, file, index, max_bytes, written)
                finally:
                    target.close()
        except BaseException:
            _remove(written)
            raise
        single = index.with_name(index.name.removesuffix(INDEX) + SUFFIX)
        _remove([single, *(path for path in _shards_beside(index, True) if path not in written)])


def _write_all(target: SafetensorsTarget, file: OutputFile, index: Path, max_bytes: int, written: list[Path]) -> None:
    """Write the files, each noted in `written` at first, and the index."""
    shards = _divided(target, max_bytes)
    for names, shard in zip(shards, _shard_paths(index, len(shards))):
        written.append(shard)
        with replacing(shard) as out:
            target.write(out, names)
    file.write(_index_text(target, shards, written))
    checksum.seal(file)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()


def _divided(target: SafetensorsTarget, max_bytes: int) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    size = 0
    for name in target.tensors:
        more = target.size(name)
        if shards[-1] and size + more > max_bytes:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += more
    return shards


def _shard_paths(index: Path, count: int) -> list[Path]:
    """Hugging Face's names; with a mark between, where files of these names are there."""
    stem = index.name.removesuffix(INDEX)
    mark = f"-{secrets.token_hex(4)}" if _shards_beside(index) else ""
    return [index.parent / f"{stem}{mark}-{i + 1:05}-of-{count:05}{SUFFIX}" for i in range(count)]


def _shards_beside(index: Path, unfinished: bool = False) -> list[Path]:
    """The files of this and of earlier saves; also those that killed writers left `unfinished`."""
    shard = rf"{re.escape(index.name.removesuffix(INDEX))}(-[0-9a-f]{{8}})?-\d{{5}}-of-\d{{5}}{re.escape(SUFFIX)}"
    pattern = re.compile(rf"{shard}|\.{shard}\.[0-9a-f]{{12}}\.saving" if unfinished else shard)
    return [path for path in index.parent.iterdir() if pattern.fullmatch(path.name)]


def _index_text(target: SafetensorsTarget, shards: list[list[str]], paths: list[Path]) -> bytes:
    sizes = sum(target.size(name) for name in target.tensors)
    sums = {}
    for path in paths:
        with open_to_read(path) as file:
            sums[path.name] = checksum.value(file)
    about = {CHECKSUM: checksum.PLACEHOLDER.decode(), "total_size": sizes, "torchkeras_shards": sums}
    places = {name: path.name for names, path in zip(shards, paths) for name in sorted(names)}
    return json.dumps({"metadata": about, "weight_map": places}, indent=2).encode()


# ---------------------------------------------------------------------------- reading


@contextmanager
def read(place: Place, name: str) -> Iterator[SafetensorsSource]:
    """The weights in the files that the index at `place` names; all of them lie beside it."""
    path = Path(place)  # type: ignore[arg-type]
    with ExitStack() as stack:
        yield _source(path, name, stack)


def _source(path: Path, name: str, stack: ExitStack) -> SafetensorsSource:
    """All files, open; looked for again where a writer replaced them between the index and the first of them."""
    for attempt in range(3):
        places, sums = _index(path, name)
        missing = [shard for shard in dict.fromkeys(places.values()) if not (path.parent / shard).is_file()]
        if not missing:
            break
        if attempt == 2:
            raise BadFileError(f"{name} is incomplete: it names {missing[0]!r}, which is not there.")
    files = []
    for shard in dict.fromkeys(places.values()):
        place = path.parent / shard
        file = TensorFile(stack.enter_context(open_to_read(place)), str(place))
        files.append(file)
        _check_shard(file, {key for key, value in places.items() if value == shard}, name)
        if sums is not None and checksum.value(file.file) != sums.get(shard):
            raise BadFileError(f"{name} and {shard!r} are of two different saves.")
    return SafetensorsSource(files, name)


def _index(path: Path, name: str) -> tuple[dict[str, str], dict[str, str] | None]:
    """The file of each tensor, and the checksums of the files, if they are known."""
    with open_to_read(path) as file:
        size = file.seek(0, 2)
        if size > 16 * MIB:
            raise BadFileError(f"{name} is larger than an index can be ({size} bytes).")
        sealed = checksum.check(file, name)
        file.seek(0)
        text = file.read()
    if not text.rstrip().endswith(b"}"):
        raise BadFileError(f"{name} is truncated: it ends before its JSON does.")
    index = parse_json(text, name)
    about, places = (index.get("metadata"), index.get("weight_map")) if isinstance(index, dict) else (None, None)
    if not _are_strings(places) or not isinstance(about, (dict, type(None))):
        raise BadFileError(f"{name} is no index of safetensors files: it needs a 'weight_map' of names.")
    if not sealed and any(str(key).startswith("torchkeras") for key in about or ()):
        raise BadFileError(f"{name} is corrupt: its checksum is unreadable.")
    for shard in set(places.values()):
        if shard in (".", "..") or "/" in shard or "\\" in shard or "\0" in shard or not shard.endswith(SUFFIX):
            raise BadFileError(f"{name} names {shard!r}: its files must lie beside it and end in `{SUFFIX}`.")
        if (path.parent / shard).is_symlink() and sealed:
            raise BadFileError(f"{name}: {shard!r} is a link; the files of saved weights must lie beside the index.")
    sums = (about or {}).get("torchkeras_shards")
    return places, sums if _are_strings(sums) else None


def _are_strings(values: object) -> bool:
    return isinstance(values, dict) and all(isinstance(value, str) for value in values.values())


def _check_shard(file: TensorFile, wanted: set[str], name: str) -> None:
    if set(file.tensors) != wanted:
        lacks, adds = sorted(wanted - set(file.tensors))[:5], sorted(set(file.tensors) - wanted)[:5]
        raise BadFileError(f"{name} does not fit {file.name}: the file lacks {lacks} and adds {adds}.")


def recognise(head: bytes) -> bool:
    """Whether a file may start like this."""
    return head.lstrip().startswith(b"{")


FORMAT = Format(
    name="an index of safetensors files",
    suffixes=(INDEX,),
    signature=b"",
    weights_reader=read,
    recognise=recognise,
)
