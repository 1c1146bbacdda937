"""Devices by name: as tensors report them, whatever index the name leaves out or adds."""

import ast

import numpy as np
import pytest
import torch

import torchkeras as keras
from tests.package_imports import PACKAGE, source_files
from torchkeras.core.tensors import devices
from torchkeras.core.tensors.devices import canonical_device, current_device, parse_device
from torchkeras.training.data import PyDataset, make_source

# Torch drops the index of a CPU device where it makes a tensor, so these names and their tensors differ as "cuda" and
# "cuda:0" do.
STAND_INS = ["cpu:0", torch.device("cpu:0"), "CPU:0"]


@pytest.mark.parametrize("name", ["cpu", "meta", "meta:1", *STAND_INS])
def test_a_named_device_equals_that_of_its_tensors(name):
    found = parse_device(name)
    assert found == torch.empty(1, device=str(name).lower()).device
    with keras.device(name):
        assert current_device() == found


@pytest.fixture
def accelerator(monkeypatch):
    """A process with a CUDA device of number 1, of which only the name is real."""
    original = torch.empty

    class OnDevice:
        def __init__(self, device):
            self.device = device

    def empty(*size, device=None, **kwargs):
        if torch.device(device or "cpu").type == "cuda":
            return OnDevice(torch.device("cuda", 1))
        return original(*size, device=device, **kwargs)

    monkeypatch.setattr(torch, "empty", empty)
    monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: 1)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(devices, "_has_looked", False)
    monkeypatch.setattr(devices, "_accelerator", None)
    monkeypatch.setattr(devices, "has_accelerator", False)


@pytest.mark.parametrize("name", ["cuda", "gpu", "GPU", torch.device("cuda")])
def test_an_accelerator_without_an_index_is_the_current_one(name, accelerator):
    assert parse_device(name) == torch.device("cuda:1")
    assert parse_device("gpu:3") == torch.device("cuda:3")
    with keras.device(name):
        assert current_device() == torch.device("cuda:1")


def test_the_detected_accelerator_has_an_index_and_follows_torch(accelerator, monkeypatch):
    assert current_device() == torch.device("cuda:1")
    monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: 2)
    assert current_device() == torch.device("cuda:2")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device must be one that this process can't use")
def test_a_device_that_is_not_there_is_refused_by_torch_when_it_is_used():
    assert canonical_device(torch.device("cuda")) == torch.device("cuda")
    with keras.device("gpu"), pytest.raises((AssertionError, RuntimeError), match="CUDA|NVIDIA"):
        keras.ops.convert_to_tensor([1.0])


@pytest.mark.parametrize("wrong", [3, None, ["cpu"]])
def test_other_types_are_refused(wrong):
    with pytest.raises(ValueError, match="Received: device_name="):
        parse_device(wrong)


class Rows(PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return torch.full((2, 3), float(index)), torch.zeros(2, 1)


SOURCES = {
    "arrays": lambda: (torch.rand(6, 3), torch.rand(6, 1)),
    "PyDataset": lambda: (Rows(),),
    "DataLoader": lambda: (
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.rand(6, 3)), batch_size=2),
    ),
    "generator": lambda: (((torch.rand(2, 3), torch.rand(2, 1)) for _ in range(3)),),
}


@pytest.mark.parametrize("name", STAND_INS)
@pytest.mark.parametrize("kind", list(SOURCES))
def test_sources_compare_devices_as_tensors_report_them(kind, name, monkeypatch):
    """Tensors that lie on the device already are handed out without a copy."""
    moves = []
    original = torch.Tensor.to
    monkeypatch.setattr(
        torch.Tensor, "to", lambda self, *args, **kwargs: moves.append(args) or original(self, *args, **kwargs)
    )
    source = make_source(*SOURCES[kind](), device=name)
    assert all(source.device == part.device for data in source.epoch() for part in data)
    if kind != "arrays":
        assert moves == []


def test_a_model_that_is_built_late_trains_where_the_scope_says():
    with keras.device("cpu:0"):
        model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
        model.compile("sgd", "mse", metrics=["mae"])
        history = model.fit(np.ones((6, 2, 2)), np.ones((6, 2)), verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.cuda
def test_a_model_that_is_built_late_trains_on_cuda():
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae"])
    history = model.fit(np.ones((6, 2, 2)), np.ones((6, 2)), verbose=0)
    assert np.isfinite(history.history["loss"]).all() and model.layers[1].kernel.is_cuda


def test_devices_are_named_in_one_place():
    """Elsewhere `torch.device(...)` may only open a scope, ask for the type, or name device and index in full."""
    wrong = []
    for path in source_files():
        if path == PACKAGE / "core" / "tensors" / "devices.py":
            continue
        module = ast.parse(path.read_text())
        scopes = {
            id(item.context_expr) for node in ast.walk(module) if isinstance(node, ast.With) for item in node.items
        }
        types = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Attribute) and node.attr == "type"}
        for node in ast.walk(module):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) != "torch.device":
                continue
            named = len(node.args) == 2 or ast.unparse(node.args[0]) in ("'cpu'", "'meta'")
            if not named and id(node) not in scopes | types:
                wrong.append(f"{path}:{node.lineno}: {ast.unparse(node)}; use devices.parse_device")
    assert not wrong, "\n".join(wrong)


class Moved(torch.nn.Linear):
    """A module that notes where it was sent."""

    places: tuple = ()

    def to(self, device):
        self.places = (*self.places, torch.device(device))
        return self


@pytest.mark.parametrize(
    "hold", [keras.layers.TorchModuleWrapper, lambda module: setattr(keras.layers.Layer(), "m", module)]
)
def test_a_torch_module_joins_the_device_of_new_weights(hold, monkeypatch):
    monkeypatch.setattr(devices, "current_device", lambda: torch.device("cuda:1"))
    module = Moved(2, 3)
    hold(module)
    assert module.places == (torch.device("cuda:1"),)


@pytest.mark.parametrize("place", ["cpu", "meta"])
def test_a_torch_module_stays_where_it_is(place, monkeypatch):
    monkeypatch.setattr(devices, "current_device", lambda: torch.device("cuda:1" if place == "meta" else "cpu"))
    module = Moved(2, 3, device=place)
    keras.layers.TorchModuleWrapper(module)
    assert module.places == ()
