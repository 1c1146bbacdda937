"""`get_file`: what is fetched, continued, checked and refused, from a server of the test's own."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

import torchkeras as keras

get_file = keras.utils.get_file


@pytest.fixture
def server(rng):
    """A server of one file that counts requests, knows ranges, and breaks off where `breaks` says."""
    state = SimpleNamespace(data=rng.bytes(1_000_003), etag='"one"', breaks=[], ranges=[], requests=0, status=200)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            state.requests += 1
            state.ranges.append(self.headers.get("Range"))
            if state.status != 200:
                self.send_error(state.status)
                return
            start = 0
            if self.headers.get("Range") and self.headers.get("If-Range") == state.etag:
                start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start else 200)
            self.send_header("ETag", state.etag)
            self.send_header("Content-Length", str(len(state.data) - start))
            self.end_headers()
            end = state.breaks.pop(0) if state.breaks else len(state.data)
            self.wfile.write(state.data[start:end])

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        state.url = f"http://127.0.0.1:{running.server_port}/folder/file.bin?x=1"
        yield state
        running.shutdown()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_is_fetched_once(server, tmp_path):
    path = get_file(origin=server.url, cache_dir=tmp_path)
    assert path == str(tmp_path / "datasets" / "file.bin")
    assert Path(path).read_bytes() == server.data
    assert get_file(origin=server.url, cache_dir=tmp_path) == path
    assert server.requests == 1
    get_file(origin=server.url, cache_dir=tmp_path, force_download=True)
    assert server.requests == 2
    assert files_in(tmp_path) == ["datasets/file.bin"]


def test_name_and_folder(server, tmp_path, monkeypatch):
    assert get_file("other", server.url, cache_subdir="models", cache_dir=str(tmp_path)) == str(
        tmp_path / "models" / "other"
    )
    assert get_file("third", server.url, cache_subdir=str(tmp_path / "here")) == str(tmp_path / "here" / "third")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    assert get_file(origin=server.url) == str(tmp_path / "home" / "datasets" / "file.bin")


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_checksums(server, tmp_path, algorithm):
    right = hashlib.new(algorithm, server.data).hexdigest()
    for name, kwargs in [("a", {"file_hash": right}), ("b", {"file_hash": right.upper(), "hash_algorithm": algorithm})]:
        assert Path(get_file(name, server.url, cache_dir=tmp_path, **kwargs)).read_bytes() == server.data
    if algorithm == "md5":
        get_file("c", server.url, cache_dir=tmp_path, md5_hash=right)
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    with pytest.raises(ValueError, match="Incomplete or corrupted file detected"):
        get_file("d", server.url, cache_dir=tmp_path, file_hash=wrong)
    assert "datasets/d" not in files_in(tmp_path)
    assert not [name for name in files_in(tmp_path) if ".d" in name]


def test_a_wrong_file_in_the_cache_is_fetched_again(server, tmp_path, capsys):
    place = tmp_path / "datasets" / "file.bin"
    place.parent.mkdir()
    place.write_bytes(server.data[:-1])
    get_file(origin=server.url, cache_dir=tmp_path, file_hash=sha256(server.data))
    assert place.read_bytes() == server.data
    assert "incomplete or outdated" in capsys.readouterr().out


def test_a_wrong_checksum_keeps_the_file_that_was_there(server, tmp_path):
    place = tmp_path / "datasets" / "file.bin"
    place.parent.mkdir()
    place.write_bytes(b"old")
    with pytest.raises(ValueError, match="nothing was kept"):
        get_file(origin=server.url, cache_dir=tmp_path, file_hash="0" * 64)
    assert place.read_bytes() == b"old"


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path, rng):
    stop = int(rng.integers(1, len(server.data)))
    server.breaks = [stop]
    path = get_file(origin=server.url, cache_dir=tmp_path, file_hash=sha256(server.data))
    assert Path(path).read_bytes() == server.data
    assert server.ranges == [None, f"bytes={stop}-"]


def test_a_later_call_goes_on_where_an_earlier_one_stopped(server, tmp_path):
    server.breaks = [10, 20, 30]
    with pytest.raises(OSError, match="URL fetch failure on .*broken off.*put the file at") as caught:
        get_file(origin=server.url, cache_dir=tmp_path)
    assert str(tmp_path / "datasets" / "file.bin") in str(caught.value)
    assert not (tmp_path / "datasets" / "file.bin").exists()
    get_file(origin=server.url, cache_dir=tmp_path, file_hash=sha256(server.data))
    assert server.ranges[-1] == "bytes=30-"
    assert files_in(tmp_path) == ["datasets/file.bin"]


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(server, tmp_path):
    server.breaks = [10, 20, 30]
    with pytest.raises(OSError):
        get_file(origin=server.url, cache_dir=tmp_path)
    server.etag, server.data = '"two"', server.data[::-1]
    assert Path(get_file(origin=server.url, cache_dir=tmp_path)).read_bytes() == server.data


def test_errors_of_the_server_say_where_the_file_can_be_put(server, tmp_path):
    server.status = 404
    with pytest.raises(OSError, match=r"URL fetch failure on http.*: 404 -- .*put the file at .*file\.bin"):
        get_file(origin=server.url, cache_dir=tmp_path)
    assert files_in(tmp_path) == []


def test_no_network_says_where_the_file_can_be_put(tmp_path):
    with pytest.raises(OSError, match=r"no answer.*'weights\.h5' in the folder .*models"):
        get_file("weights.h5", "http://127.0.0.1:9/weights.h5", cache_dir=tmp_path, cache_subdir="models")


def test_several_at_once_make_one_whole_file(server, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: get_file(origin=server.url, cache_dir=tmp_path), range(4)))
    assert len(set(paths)) == 1
    assert Path(paths[0]).read_bytes() == server.data
    assert files_in(tmp_path) == ["datasets/file.bin"]


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({}, 'specify the "origin"'),
        ({"origin": "gopher://x/y"}, "must be an address of the kind"),
        ({"origin": "http://127.0.0.1:9/"}, "Can't parse the file name"),
        ({"origin": "http://127.0.0.1:9/a", "fname": "a/b"}, "Paths are no longer accepted"),
        ({"origin": "http://127.0.0.1:9/a", "fname": ".."}, "must be the name of a file"),
        ({"origin": "file:///nowhere", "file_hash": "0", "hash_algorithm": "crc"}, "`hash_algorithm` must be one of"),
    ],
)
def test_wrong_arguments(kwargs, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        get_file(cache_dir=tmp_path, **kwargs)


# ---------------------------------------------------------------------------- archives


def tar_of(members: list[tuple[str, object]], compression: str = "gz") -> bytes:
    """A tar file; a member is a name with bytes, or with the fields of a `TarInfo`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                for field, value in content.items():
                    setattr(info, field, value)
                tar.addfile(info)
    return buffer.getvalue()


def zip_of(members: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members:
            file.writestr(name, content)
    return buffer.getvalue()


def as_origin(data: bytes, tmp_path: Path, name: str = "archive.tgz") -> str:
    source = tmp_path / "source" / name
    source.parent.mkdir(exist_ok=True)
    source.write_bytes(data)
    return source.as_uri()


MEMBERS = [("top/a.txt", b"a"), ("top/inner/b.txt", b"b"), ("c.txt", b"c")]


@pytest.mark.parametrize("make", [tar_of, lambda m: tar_of(m, "bz2"), lambda m: tar_of(m, ""), zip_of])
@pytest.mark.parametrize("fname", [None, "here", "here.tar"])
def test_archives_are_unpacked_where_keras_does(make, fname, tmp_path):
    folder = Path(get_file(fname, as_origin(make(MEMBERS), tmp_path), cache_dir=tmp_path / "cache", extract=True))
    assert folder.name == {None: "archive.tgz", "here": "here", "here.tar": "here_extracted"}[fname]
    assert {name: (folder / name).read_bytes() for name in files_in(folder)} == dict(MEMBERS)


def test_an_archive_is_unpacked_once(tmp_path):
    origin = as_origin(tar_of(MEMBERS), tmp_path)
    folder = Path(get_file("here", origin, cache_dir=tmp_path, extract=True))
    (folder / "c.txt").write_bytes(b"mine")
    get_file("here", origin, cache_dir=tmp_path, extract=True)
    assert (folder / "c.txt").read_bytes() == b"mine"
    get_file("here", origin, cache_dir=tmp_path, untar=True, force_download=True)
    assert (folder / "c.txt").read_bytes() == b"c"


def test_links_inside_of_the_archive_stay_links(tmp_path):
    data = tar_of(
        [
            ("d/a", b"a"),
            ("d/soft", {"type": tarfile.SYMTYPE, "linkname": "a"}),
            ("hard", {"type": tarfile.LNKTYPE, "linkname": "d/a"}),
        ]
    )
    folder = Path(get_file("here", as_origin(data, tmp_path), cache_dir=tmp_path, extract=True))
    assert (folder / "d" / "soft").read_bytes() == (folder / "hard").read_bytes() == b"a"


@pytest.mark.parametrize(
    "data",
    [
        tar_of([("../out", b"x")]),
        tar_of([("/abs/out", b"x")]),
        tar_of([("a/../../out", b"x")]),
        tar_of([("link", {"type": tarfile.SYMTYPE, "linkname": "../.."}), ("link/out", b"x")]),
        tar_of([("link", {"type": tarfile.SYMTYPE, "linkname": "/tmp"}), ("link/out", b"x")]),
        tar_of([("hard", {"type": tarfile.LNKTYPE, "linkname": "../../out"})]),
        tar_of([("pipe", {"type": tarfile.FIFOTYPE})]),
        zip_of([("../out", b"x")]),
        zip_of([("/abs/out", b"x")]),
        zip_of([("..\\out", b"x")]),
        zip_of([("C:\\out", b"x")]),
    ],
    ids=lambda data: "tar" if data[:1] == b"\x1f" else "zip",
)
def test_members_outside_of_the_folder_are_refused(data, tmp_path):
    cache = tmp_path / "deep" / "cache"
    cache.mkdir(parents=True)
    with pytest.raises(ValueError, match="archive"):
        get_file("here", as_origin(data, tmp_path), cache_dir=cache, extract=True)
    assert files_in(tmp_path) == ["deep/cache/datasets/here_archive", "source/archive.tgz"]
    assert not (cache / "datasets" / "here").exists()


def test_a_file_that_is_no_archive_is_said(tmp_path):
    origin = as_origin(b"no archive", tmp_path)
    with pytest.warns(UserWarning, match="Could not extract archive"):
        get_file("here", origin, cache_dir=tmp_path, extract=True)
    with pytest.raises(ValueError, match="`archive_format` must be"):
        get_file("here", origin, cache_dir=tmp_path, extract=True, archive_format="rar")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root can write everywhere")
def test_a_cache_that_cannot_be_written_gives_way_to_the_temporary_folder(server, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    assert ".keras" in get_file(origin=server.url, cache_dir=tmp_path / "closed", cache_subdir=f"t{os.getpid()}")
