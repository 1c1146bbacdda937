"""HDF5 files with data elsewhere, of other sizes, or no numbers."""

from __future__ import annotations

import pickle
import zlib
from pathlib import Path

import h5py
import numpy as np

from tests.saving.hostile.makers import MAKERS, maker
from torchkeras import layers, models


def weights(folder: Path, name: str, spoil) -> tuple[str, str]:
    """A good weights file in which `spoil(file)` has changed something."""
    path = folder / f"{name}.weights.h5"
    models.Sequential([layers.Input((3,)), layers.Dense(4), layers.Dense(2)]).save_weights(path)
    with h5py.File(path, "a") as file:
        del file.attrs["torchkeras_checksum"]
        spoil(file)
    data = path.read_bytes().replace(b"torchkeras-blocks", b"someother-comment")
    path.write_bytes(data)
    return "load_weights", str(path)


KERNEL = "layers/dense/vars/0"
OTHER = "other.h5"


def other_file(folder: Path) -> str:
    path = folder / OTHER
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.zeros((3, 4), "float32")
        file["layers/dense/vars/1"] = np.zeros(4, "float32")
    return str(path)


def replaced_by(folder: Path, name: str, at: str, link) -> tuple[str, str]:
    def spoil(file):
        del file[at]
        file[at] = link

    return weights(folder, name, spoil)


for _place, _at in {"dataset": KERNEL, "group": "layers/dense/vars", "parent": "layers/dense"}.items():

    def _external(folder, at=_at):
        return replaced_by(folder, "external", at, h5py.ExternalLink(other_file(folder), at))

    def _soft(folder, at=_at):
        return replaced_by(folder, "soft", at, h5py.SoftLink(f"/{at.replace('dense', 'dense_1')}"))

    MAKERS[f"external_link_at_the_{_place}"] = (_external, ("external link",))
    MAKERS[f"soft_link_at_the_{_place}"] = (_soft, ("soft link",))


@maker("holds no numbers")
def longer_floats_than_torch_has(folder):
    def spoil(file):
        del file[KERNEL]
        file[KERNEL] = np.ones((3, 4), np.longdouble)

    return weights(folder, "longer_floats", spoil)


@maker("another file")
def external_storage(folder):
    raw = folder / "raw"
    raw.write_bytes(bytes(48))

    def spoil(file):
        del file[KERNEL]
        file.create_dataset(KERNEL, (3, 4), "float32", external=[(str(raw), 0, 48)])

    return weights(folder, "storage", spoil)


@maker("other datasets")
def virtual_dataset(folder):
    def spoil(file):
        del file[KERNEL]
        layout = h5py.VirtualLayout((3, 4), "float32")
        layout[:] = h5py.VirtualSource(other_file(folder), KERNEL, shape=(3, 4))
        file.create_virtual_dataset(KERNEL, layout)

    return weights(folder, "virtual", spoil)


def dataset(folder: Path, name: str, **arguments) -> tuple[str, str]:
    def spoil(file):
        del file[KERNEL]
        file.create_dataset(KERNEL, **arguments)

    return weights(folder, name, spoil)


@maker("bomb")
def fill_value_of_a_terabyte(folder):
    return dataset(
        folder, "fill", shape=(1 << 40,), dtype="float32", chunks=(1 << 20,), compression="gzip", fillvalue=1.0
    )


@maker("stores")
def kernel_of_a_gigabyte_that_is_not_there(folder):
    return dataset(folder, "kernel", shape=(3, 1 << 27), dtype="float32")


@maker("layers/dense/vars/0")
def chunk_that_unpacks_to_130_megabytes(folder):
    def spoil(file):
        del file[KERNEL]
        made = file.create_dataset(KERNEL, (3, 4), "float32", chunks=(3, 4), compression="gzip")
        packer = zlib.compressobj()
        packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(130)) + packer.flush()
        made.id.write_direct_chunk((0, 0), packed)

    return weights(folder, "chunk", spoil)


@maker("numbers")
def strings_for_weights(folder):
    return dataset(folder, "strings", data=np.array([b"a"] * 12, "S1000").reshape(3, 4))


@maker("numbers")
def objects_for_weights(folder):
    return dataset(folder, "objects", shape=(3, 4), dtype=h5py.string_dtype())


@maker("filters")
def unknown_filter(folder):
    return dataset(folder, "filter", data=np.zeros((3, 4), "float32"), chunks=(3, 4), compression="lzf")


@maker("no HDF5 file")
def weights_are_a_pickle(folder):
    class Payload:
        def __reduce__(self):
            return open, (str(folder / "sentinel"), "w")

    path = folder / "pickle.weights.h5"
    path.write_bytes(pickle.dumps(Payload()) + bytes(64))
    return "load_weights", str(path)
