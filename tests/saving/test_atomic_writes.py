"""Saving never destroys what was there: killed, out of space, interrupted, or two at once."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
import warnings

import numpy as np
import pytest

from tests.saving.stress import stress_count
from torchkeras import layers, models, saving
from torchkeras.saving.formats import sharded
from torchkeras.saving.safety import atomic, folders

FORMATS = {
    "keras": ("m.keras", lambda model, path: model.save(path), lambda path: saving.load_model(path)),
    "legacy": ("m.h5", lambda model, path: _save_legacy(model, path), lambda path: saving.load_model(path)),
    "weights": ("m.weights.h5", lambda model, path: model.save_weights(path), lambda path: _load_weights(path)),
    "safetensors": (
        "m.safetensors",
        lambda model, path: model.save_weights(path),
        lambda path: _load_weights(path),
    ),
    "folder": ("m", lambda model, path: model.save(path, zipped=False), lambda path: saving.load_model(path)),
    "sharded": (
        "m.weights.json",
        lambda model, path: model.save_weights(path, max_shard_size=SHARD_BYTES / 2**30),
        lambda path: _load_weights(path),
    ),
}
# Two shards for the small models of these tests; the big one of `test_disk_full` needs one for itself.
SHARD_BYTES = 180
each_format = pytest.mark.parametrize("kind", FORMATS)


def make(value: float = 0.0):
    model = models.Sequential([layers.Input((4,)), layers.Dense(8), layers.Dense(2)])
    model.set_weights([np.full(w.shape, value, "float32") for w in model.get_weights()])
    return model


def _save_legacy(model, path):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are saving your model as an HDF5 file")
        model.save(path)


def _load_weights(path):
    model = make(-1.0)
    model.load_weights(path)
    return model


def files_in(folder) -> dict[str, bytes]:
    """All files below a folder, with their bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def names_of(kind, name: str) -> set[str]:
    """The files that a save to `name` makes."""
    if kind == "folder":
        return {f"{name}/{file}" for file in ("config.json", "metadata.json", "model.weights.h5")}
    if kind == "sharded":
        stem = name.removesuffix(".weights.json")
        return {name, f"{stem}_00000.weights.h5", f"{stem}_00001.weights.h5"}
    return {name}


def value_in(kind, path) -> float:
    """The one number that all weights in the file have."""
    values = {float(v) for w in FORMATS[kind][2](path).get_weights() for v in np.unique(w)}
    assert len(values) == 1
    return values.pop()


def save_for_ever(kind, path):
    """A child process that saves one model and another in turn, and does nothing else; it is at it already."""
    trained = [make(1.0), make(2.0)]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            while True:
                for model in trained:
                    FORMATS[kind][1](model, path)
                    os.write(writer, b".")
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 1) == b"."
    return child, reader


@each_format
def test_killed_while_saving(tmp_path, kind, rng):
    path = tmp_path / FORMATS[kind][0]
    FORMATS[kind][1](make(1.0), path)
    for _ in range(stress_count(8, 125)):  # with four formats, 500 under stress
        child, pipe = save_for_ever(kind, path)
        time.sleep(rng.uniform(0.0005, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(pipe)
        assert value_in(kind, path) in (1.0, 2.0)
    FORMATS[kind][1](make(3.0), path)
    assert value_in(kind, path) == 3.0
    assert set(files_in(tmp_path)) == names_of(kind, path.name), "leftovers must be swept by the next save"


def test_leftovers_of_the_dead_are_swept_and_those_of_the_living_are_not(tmp_path):
    target = tmp_path / "m.keras"
    dead = tmp_path / f".m.keras.{'a' * 12}.saving"
    dead.write_bytes(b"half")
    (tmp_path / ".m.keras.notes.saving").write_text("somebody's own")
    with atomic.replacing(target) as living:
        living.write(b"1")
        assert not dead.exists()
        assert len(list(tmp_path.iterdir())) == 2
        with atomic.replacing(target) as other:
            other.write(b"2")
        assert target.read_bytes() == b"2"
    assert target.read_bytes() == b"1"
    assert (tmp_path / ".m.keras.notes.saving").exists()


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "two renames"])
def test_a_folder_is_replaced_in_one_step_or_put_back(tmp_path, monkeypatch, exchange):
    """Without the kernel's exchange of names there is a moment without a model; a kill in it loses nothing."""
    if not exchange:
        monkeypatch.setattr(folders, "_exchanged", lambda one, other: False)
    path = tmp_path / "m"
    make(1.0).save(path, zipped=False)
    renamed = []
    real = os.rename

    def killed_at_the_second(old, new, **kwargs):
        renamed.append(os.fspath(new))
        if len(renamed) == 2:
            os._exit(9)
        real(old, new, **kwargs)

    child = os.fork()
    if child == 0:
        os.rename = killed_at_the_second
        try:
            make(2.0).save(path, zipped=False)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == (0 if exchange else 9)
    assert path.exists() == exchange
    assert value_in("folder", path) == (2.0 if exchange else 1.0)
    make(3.0).save(path, zipped=False)
    assert set(files_in(tmp_path)) == names_of("folder", "m")


def test_temporary_folders_of_killed_processes_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
    dead, living, fresh = (tmp_path / f"torchkeras-files-{name}" for name in ("dead", "living", "fresh"))
    for one in (dead, living, fresh):
        one.mkdir()
    for one in (dead, living):
        os.utime(one, (0, 0))
    release = atomic.hold_lock(living)
    with folders.temporary_folder():
        assert not dead.exists() and living.exists() and fresh.exists()
    release()


@each_format
def test_disk_full(tmp_path, kind, monkeypatch):
    path = tmp_path / FORMATS[kind][0]
    FORMATS[kind][1](make(1.0), path)
    before = files_in(tmp_path)
    big = models.Sequential([layers.Input((100,)), layers.Dense(5000)])
    monkeypatch.setitem(globals(), "SHARD_BYTES", 3_000_000)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 1000, 100_000, 1_900_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
        try:
            with pytest.raises(OSError) as caught:
                FORMATS[kind][1](big, path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        assert str(path) in str(caught.value)
        assert files_in(tmp_path) == before


class _Broken(layers.Layer):
    def call(self, x):
        return x

    def save_own_variables(self, store):
        raise RuntimeError("this layer can't be saved")

    broken = False

    @property
    def non_trainable_weights(self):
        """Asked for by the legacy format, which knows no hooks of layers."""
        if self.broken:
            raise RuntimeError("this layer can't be saved")
        return super().non_trainable_weights


@each_format
def test_exception_while_saving(tmp_path, kind):
    path = tmp_path / FORMATS[kind][0]
    FORMATS[kind][1](make(1.0), path)
    before = files_in(tmp_path)
    model = models.Sequential([layers.Input((4,)), layers.Dense(8), _Broken()])
    model.layers[-1].broken = True
    with pytest.raises(RuntimeError, match="can't be saved"):
        FORMATS[kind][1](model, path)
    assert files_in(tmp_path) == before


@each_format
def test_places_that_can_not_be_written(tmp_path, kind):
    name, save, _ = FORMATS[kind]
    if kind == "folder":  # which makes the folders above it
        (tmp_path / name).write_text("somebody's own")
        with pytest.raises(FileExistsError, match="not by a saved model"):
            save(make(), tmp_path / name)
        return
    if kind != "legacy":  # for which Keras makes the folders
        with pytest.raises(FileNotFoundError, match="nowhere"):
            save(make(), tmp_path / "nowhere" / name)
    (tmp_path / name).mkdir()
    with pytest.raises(IsADirectoryError, match=name.replace(".", r"\.")):
        save(make(), tmp_path / name)


@each_format
def test_a_link_stays_a_link_and_the_mode_stays(tmp_path, kind):
    name, save, _ = FORMATS[kind]
    real = tmp_path / "real"
    real.mkdir()
    save(make(1.0), real / name)
    mode = 0o750 if kind == "folder" else 0o640
    (real / name).chmod(mode)
    (tmp_path / name).symlink_to(real / name)
    save(make(2.0), tmp_path / name)
    assert (tmp_path / name).is_symlink()
    assert value_in(kind, real / name) == 2.0
    assert (real / name).stat().st_mode & 0o777 == mode


ODD_NAMES = ["ünï", "with space", "a'b\"c", "{x}", "%s%d", "-dash", "a;b", "*", "a\nb", ".hidden", "x" * 200, "日本"]


@each_format
@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(tmp_path, kind, name):
    path = tmp_path / (name + FORMATS[kind][0])
    FORMATS[kind][1](make(1.0), path)
    assert value_in(kind, path) == 1.0
    assert set(files_in(tmp_path)) == names_of(kind, path.name)


@each_format
def test_relative_names(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FORMATS[kind][1](make(1.0), FORMATS[kind][0])
    assert value_in(kind, FORMATS[kind][0]) == 1.0


@each_format
def test_several_writers_of_one_name(tmp_path, kind):
    path = tmp_path / FORMATS[kind][0]
    trained = [make(float(i)) for i in range(4)]
    failures = []

    def write(model):
        try:
            for _ in range(5):
                FORMATS[kind][1](model, path)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(model,)) for model in trained]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            assert value_in(kind, path) in (0.0, 1.0, 2.0, 3.0)
    assert not failures
    assert set(files_in(tmp_path)) == names_of(kind, path.name)


def test_a_reader_notices_two_writers_who_leave_the_index_that_it_read(tmp_path, monkeypatch):
    path, first, second = tmp_path / "m.weights.json", make(1.0), make(2.0)
    save, open_shard, calls = FORMATS["sharded"][1], sharded.ShardedSource._open_shard, []
    save(first, path)

    def open_meanwhile(self, *args):
        calls.append(args)
        if len(calls) > 1:
            return open_shard(self, *args)
        save(second, path)
        try:
            return open_shard(self, *args)
        finally:
            save(first, path)

    monkeypatch.setattr(sharded.ShardedSource, "_open_shard", open_meanwhile)
    assert value_in("sharded", path) == 1.0 and len(calls) > 2


def test_overwrite_asks(tmp_path, monkeypatch):
    path = tmp_path / "m.keras"
    make(1.0).save(path)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    make(2.0).save(path, overwrite=False)
    assert value_in("keras", path) == 1.0
    monkeypatch.setattr("builtins.input", lambda _: "y")
    make(2.0).save(path, overwrite=False)
    assert value_in("keras", path) == 2.0
