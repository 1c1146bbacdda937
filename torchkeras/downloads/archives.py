"""Unpacking tar and zip files so that nothing lands outside of the target folder."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

FORMATS = ("tar", "zip")


def extract(archive: Path, folder: Path, archive_format: str | Iterable[str] | None = "auto") -> bool:
    """Unpack an archive as `folder`, which appears when it is complete and takes the place of an older one.

    Args:
        archive: tar file (plain or compressed) or zip file.
        folder: folder to make.
        archive_format: `"auto"`, `"tar"`, `"zip"`, or several of them; `None`: none.

    Returns:
        Whether the file is an archive of these formats; if not, nothing happens.

    Raises:
        ValueError: a member would land outside of the folder, or is a device; names the member.
    """
    formats = _formats(archive_format)
    kind = next((name for name in formats if _IS[name](archive)), None)
    if kind is None:
        return False
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        (_untar if kind == "tar" else _unzip)(archive, temporary)
        os.chmod(temporary, 0o755)
        if folder.exists():
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
        os.replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return True


def _formats(archive_format: str | Iterable[str] | None) -> tuple[str, ...]:
    if archive_format is None:
        return ()
    if archive_format == "auto":
        return FORMATS
    formats = (archive_format,) if isinstance(archive_format, str) else tuple(archive_format)
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ValueError(f'`archive_format` must be "auto", "tar", "zip" or None. Received: {archive_format!r}')
    return formats


_IS = {"tar": tarfile.is_tarfile, "zip": zipfile.is_zipfile}


def _untar(archive: Path, root: Path) -> None:
    links: list[tarfile.TarInfo] = []
    with tarfile.open(archive) as tar:
        for member in tar:
            place = _place(root, member.name)
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
            elif member.isfile():
                source = tar.extractfile(member)
                assert source is not None  # a regular file has contents
                _write(place, source, member.mode)
            elif member.issym() or member.islnk():
                links.append(member)
            else:
                raise ValueError(f"The archive member {member.name!r} is a device or a pipe; {archive} is refused.")
    for member in links:  # last, so that no file is written through one
        place = _place(root, member.name)
        base = PurePosixPath(member.name).parent if member.issym() else PurePosixPath()
        pointed = _place(root, str(base / member.linkname), inner=member.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if member.islnk():
            shutil.copyfile(pointed, place)
        else:
            os.symlink(os.path.relpath(pointed, place.parent), place)


def _unzip(archive: Path, root: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            place = _place(root, member.filename)
            if member.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            else:
                with file.open(member) as source:
                    _write(place, source, member.external_attr >> 16)


def _place(root: Path, name: str, inner: str | None = None) -> Path:
    """Where a member goes.

    Raises:
        ValueError: that is outside of the root.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    depth = 0
    for part in parts:
        depth += {"..": -1, ".": 0}.get(part, 1)
        if depth < 0 or part.startswith("/") or ":" in part[:3] and part[1:2] == ":":
            what = f"The archive member {inner!r} points to {name!r}" if inner else f"The archive member {name!r} lies"
            raise ValueError(f"{what}, outside of the folder to extract to; the archive is refused.")
    return Path(os.path.normpath(root.joinpath(*parts)))


def _write(place: Path, source: IO[bytes], mode: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place, "wb") as file:
        shutil.copyfileobj(source, file)
    if mode & 0o100:
        os.chmod(place, 0o755)
