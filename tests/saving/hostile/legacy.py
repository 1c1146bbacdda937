"""Legacy HDF5 files that no honest program writes: the configs of the other hostile files, and what only these have."""

from __future__ import annotations

import json
import struct
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np

from tests.saving.hostile import configs  # noqa: F401  its makers are taken over
from tests.saving.hostile.hdf5 import other_file
from tests.saving.hostile.makers import MAKERS, maker
from torchkeras import layers, models

WEIGHTS = "model_weights"
KERNEL = f"{WEIGHTS}/first/m/first/kernel"


def good_file(folder: Path, name: str = "good") -> Path:
    path = folder / f"{name}.h5"
    model = models.Sequential(
        [layers.Input((3,)), layers.Dense(4, name="first"), layers.Dense(2, name="second")], name="m"
    )
    model.compile("adam", "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


def spoiled(folder: Path, name: str, spoil, door: str = "load_model") -> tuple[str, str]:
    """A good file, without its checksum, in which `spoil(file)` has changed something."""
    path = good_file(folder, name)
    with h5py.File(path, "a") as file:
        del file.attrs["torchkeras_checksum"]
        spoil(file)
    path.write_bytes(path.read_bytes().replace(b"torchkeras-blocks", b"someother-comment"))
    return door, str(path)


# ---------------------------------------------------------------------------- the configs of the `.keras` files


def with_config_of(archive: str, folder: Path) -> tuple[str, str]:
    with zipfile.ZipFile(archive) as made:
        text = made.read("config.json")

    def spoil(file):
        file.attrs["model_config"] = text.decode("latin1")

    return spoiled(folder, "config", spoil)


CONFIGS = [
    name
    for name in MAKERS
    if name.startswith(("lambda_", "function_", "activation_", "class_", "layer_of_", "nested_", "config_is_"))
    or name in ("pickled_torch_module", "vocabulary_from_a_path", "huge_string_type")
]
for _name in CONFIGS:
    if _name.endswith("_in_json"):
        continue

    def _make(folder, make=MAKERS[_name][0]):
        return with_config_of(make(folder)[1], folder)

    MAKERS[f"h5_{_name}"] = (_make, tuple(word.replace("config.json", "model_config") for word in MAKERS[_name][1]))


# ---------------------------------------------------------------------------- the layout


def replaced_by(folder: Path, at: str, link) -> tuple[str, str]:
    def spoil(file):
        del file[at]
        file[at] = link

    return spoiled(folder, "links", spoil)


PLACES = {"dataset": KERNEL, "group": f"{WEIGHTS}/first", "root": WEIGHTS, "optimizer": "optimizer_weights"}
for _place, _at in PLACES.items():

    def _external(folder, at=_at):
        return replaced_by(folder, at, h5py.ExternalLink(other_file(folder), "layers"))

    def _soft(folder, at=_at):
        return replaced_by(folder, at, h5py.SoftLink("/elsewhere"))

    MAKERS[f"h5_external_link_at_the_{_place}"] = (_external, ("external link",))
    MAKERS[f"h5_soft_link_at_the_{_place}"] = (_soft, ("soft link",))


def dataset(folder: Path, **arguments) -> tuple[str, str]:
    def spoil(file):
        del file[KERNEL]
        file.create_dataset(KERNEL, **arguments)

    return spoiled(folder, "dataset", spoil)


@maker("another file")
def h5_external_storage(folder):
    (folder / "raw").write_bytes(bytes(48))
    return dataset(folder, shape=(3, 4), dtype="float32", external=[(str(folder / "raw"), 0, 48)])


@maker("other datasets")
def h5_virtual_dataset(folder):
    def spoil(file):
        del file[KERNEL]
        layout = h5py.VirtualLayout((3, 4), "float32")
        layout[:] = h5py.VirtualSource(other_file(folder), "layers/dense/vars/0", shape=(3, 4))
        file.create_virtual_dataset(KERNEL, layout)

    return spoiled(folder, "virtual", spoil)


@maker("bomb")
def h5_fill_value_of_a_terabyte(folder):
    return dataset(folder, shape=(1 << 40,), dtype="float32", chunks=(1 << 20,), compression="gzip", fillvalue=1.0)


@maker("stores")
def h5_kernel_of_a_gigabyte_that_is_not_there(folder):
    return dataset(folder, shape=(3, 1 << 27), dtype="float32")


@maker("numbers")
def h5_strings_for_weights(folder):
    return dataset(folder, data=np.array([b"a"] * 12, "S1000").reshape(3, 4))


# ---------------------------------------------------------------------------- attributes


def attribute(folder: Path, group: str, name: str, value, door: str = "load_model") -> tuple[str, str]:
    def spoil(file):
        del file[group].attrs[name]
        if value is not None:
            file[group].attrs[name] = value

    return spoiled(folder, "attribute", spoil, door)


@maker("No model config found")
def h5_no_config(folder):
    return attribute(folder, "/", "model_config", None)


@maker("model_config", "strings")
def h5_config_of_numbers(folder):
    return attribute(folder, "/", "model_config", np.arange(5))


@maker("model_config", "a string")
def h5_config_of_many_dimensions(folder):
    return attribute(folder, "/", "model_config", np.array([[b"{}", b"{}"]]))


@maker("model_config", "UTF-8")
def h5_config_that_is_no_text(folder):
    return attribute(folder, "/", "model_config", np.bytes_(b"\xff\xfe{}"))


@maker("model_config", "twice")
def h5_config_with_a_key_twice(folder):
    return attribute(folder, "/", "model_config", '{"class_name": "Sequential", "class_name": "Model", "config": []}')


@maker("training_config", "no JSON")
def h5_training_config_that_is_no_json(folder):
    return attribute(folder, "/", "training_config", "{")


@maker()
def h5_training_config_with_a_gadget(folder):
    loss = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    config = {"optimizer_config": {"class_name": "SGD", "config": {}}, "loss": loss, "loss_weights": None}
    return attribute(folder, "/", "training_config", json.dumps(config))


@maker("layer_names")
def h5_no_layer_names(folder):
    return attribute(folder, WEIGHTS, "layer_names", None)


@maker("layer_names", "twice")
def h5_layers_twice(folder):
    return attribute(folder, WEIGHTS, "layer_names", [b"first", b"second", b"first"])


@maker("no such group")
def h5_layer_that_is_not_there(folder):
    return attribute(folder, WEIGHTS, "layer_names", [b"first", b"third"])


@maker("no such group")
def h5_layer_that_is_a_dataset(folder):
    return attribute(folder, WEIGHTS, "layer_names", [b"first", b"second/m/second/kernel"])


@maker("Layer count mismatch")
def h5_no_weight_names(folder):
    return attribute(folder, f"{WEIGHTS}/first", "weight_names", None)


@maker("has none")
def h5_weight_that_is_not_there(folder):
    return attribute(folder, f"{WEIGHTS}/first", "weight_names", [b"m/first/kernel", b"m/first/gamma"])


@maker("Shape mismatch")
def h5_weight_of_another_shape(folder):
    return attribute(folder, f"{WEIGHTS}/first", "weight_names", [b"m/first/bias", b"m/first/kernel"], "load_weights")


@maker("bomb")
def h5_one_long_name_thousands_of_times(folder):
    """Four thousand references of 16 bytes to one string of a megabyte: four gigabytes for HDF5."""
    return "load_model", str(_with_references(folder, 4000, 1 << 20))


@maker("bomb")
def h5_parts_of_a_list_that_refer_to_one_name(folder):
    path = Path(_with_references(folder, 4000, 1 << 20, "layer_names0"))
    return "load_weights", str(path)


def _with_references(folder: Path, count: int, length: int, name: str = "layer_names") -> Path:
    """A file whose list of names refers to its first string again and again."""
    _, made = attribute(folder, WEIGHTS, "layer_names", None)
    with h5py.File(made, "a") as file:
        names = ["n" * length] + [f"x{i}" for i in range(count - 1)]
        file[WEIGHTS].attrs[name] = names
    path = Path(made)
    data = bytearray(path.read_bytes())
    first = struct.pack("<I", length)
    start = next(
        place
        for place in _places(data, first)
        if struct.unpack_from("<I", data, place + 16)[0] == 2 and struct.unpack_from("<I", data, place + 32)[0] == 2
    )
    reference = bytes(data[start : start + 16])
    data[start : start + 16 * count] = reference * count
    path.write_bytes(data)
    return path


def _places(data: bytearray, what: bytes):
    place = data.find(what)
    while place >= 0:
        yield place
        place = data.find(what, place + 1)


@maker()
def h5_thousands_of_parts_of_a_list(folder):
    def spoil(file):
        group = file[WEIGHTS]
        del group.attrs["layer_names"]
        for part in range(5_000):
            group.attrs[f"layer_names{part}"] = np.array([b"a"])

    return spoiled(folder, "parts", spoil)


@maker("longer than the file")
def h5_string_that_claims_four_gigabytes(folder):
    path = good_file(folder, "claims")
    with h5py.File(path, "a") as file:
        del file.attrs["torchkeras_checksum"]
        length = len(file.attrs["model_config"])
    data = bytearray(path.read_bytes().replace(b"torchkeras-blocks", b"someother-comment"))
    for place in _places(data, struct.pack("<I", length)):
        data[place : place + 4] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(data)
    return "load_model", str(path)
