"""`get_file`: a file by its address, from the cache if it is there."""

from __future__ import annotations

import os
import tempfile
import urllib.parse
from collections.abc import Iterable
from pathlib import Path

from torchkeras.core.settings_file import keras_home
from torchkeras.core.user_warnings import warn_user
from torchkeras.downloads.archives import extract as extract_archive
from torchkeras.downloads.fetch import fetch, is_whole
from torchkeras.downloads.hashing import new_hash


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Iterable[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """Download a file unless it is in the cache already, and return its path.

    The file lies at `cache_dir/cache_subdir/fname`, by default `~/.keras/datasets/fname`. A download that breaks off is
    continued by the next call; the file appears under its name only when it is whole and its checksum is right. The
    proxies of the environment (`https_proxy`, ...) are used. Without a network, put the file there by hand.

    Args:
        fname: name of the file in the cache. `None`: the name in `origin`. With `extract`, a name without a dot is the
            name of the folder. Default: `None`.
        origin: address of the file: `https://`, `http://`, `ftp://` or `file://`. It must be given. Default: `None`.
        untar: the former name of `extract`. Default: `False`.
        md5_hash: the former name of `file_hash`, for MD5. Default: `None`.
        file_hash: checksum of the file in hexadecimal digits. A file in the cache that has another one is downloaded
            again. Default: `None`, no check.
        cache_subdir: folder in `cache_dir`, or an absolute path in the place of both. Default: `"datasets"`.
        hash_algorithm: `"md5"`, `"sha256"`, or `"auto"`, which goes by the length of `file_hash`. Default: `"auto"`.
        extract: whether to unpack the file, a tar or zip archive, and return the folder. Default: `False`.
        archive_format: `"tar"`, `"zip"`, `"auto"` for either, or `None` for none. Default: `"auto"`.
        cache_dir: folder of the cache; `None` means `$KERAS_HOME` if it is set, else `~/.keras`. Default: `None`.
        force_download: whether to download even if the file is in the cache. Default: `False`.

    Returns:
        The path of the file, or of the folder it was unpacked to, as a string.

    Raises:
        ValueError: `origin` is missing or of another kind; `fname` is a path; the checksum is wrong (nothing is kept);
            a member of the archive would land outside of the folder.
        OSError: the file could not be fetched. The error names the place where the file can be put by hand.

    Example:
        >>> import pathlib, tempfile
        >>> cache = pathlib.Path(tempfile.mkdtemp())
        >>> (cache / "datasets").mkdir()
        >>> (cache / "datasets" / "a.txt").write_text("hello")  # put there by hand: no network is needed
        5
        >>> path = keras.utils.get_file("a.txt", origin="https://example.com/a.txt", cache_dir=cache)
        >>> open(path).read()
        'hello'
    """
    if origin is None:
        raise ValueError('Please specify the "origin" argument (URL of the file to download).')
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    if file_hash is not None:
        new_hash(file_hash, hash_algorithm)  # a wrong name is said before anything is fetched
    folder = _folder(cache_dir, cache_subdir)
    extract = extract or untar
    name, unpacked = _names(fname, origin, extract)
    target = folder / name
    fetched = force_download or not is_whole(target, file_hash, hash_algorithm)
    if fetched:
        fetch(origin, target, file_hash, hash_algorithm)
    if unpacked is None:
        return str(target)
    if (fetched or not (folder / unpacked).is_dir()) and not extract_archive(target, folder / unpacked, archive_format):
        warn_user(f"Could not extract archive: {target} is of no format in {archive_format!r}.")
    return str(folder / unpacked)


def _folder(cache_dir: str | os.PathLike[str] | None, cache_subdir: str) -> Path:
    base = Path(os.path.expanduser(keras_home() if cache_dir is None else cache_dir))
    first = next(folder for folder in (base, *base.parents) if folder.exists())
    if not os.access(first, os.W_OK):
        base = Path(tempfile.gettempdir()) / ".keras"
    folder = base / cache_subdir
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _names(fname: str | os.PathLike[str] | None, origin: str, extract: bool) -> tuple[str, str | None]:
    """The names of the file and of the folder it is unpacked to (`None` without `extract`), as Keras gives them."""
    if fname:
        name = os.fspath(fname)
        if "/" in name or os.sep in name:
            raise ValueError(
                "Paths are no longer accepted as the `fname` argument. To specify the file's parent directory, use the "
                f"`cache_dir` argument. Received: fname={name}"
            )
    else:
        name = os.path.basename(urllib.parse.unquote(urllib.parse.urlsplit(origin).path))
        if not name:
            raise ValueError(
                f"Can't parse the file name from the origin provided: '{origin}'. Please specify the `fname` argument."
            )
    if name in (".", "..") or "\0" in name:
        raise ValueError(f"`fname` must be the name of a file. Received: fname={name!r}")
    if not extract:
        return name, None
    if fname and "." in name:
        return name, f"{name[: name.find('.')]}_extracted"
    return f"{name}_archive", name
