"""Batches copied beside the computation: a stand-in for a GPU's streams says what would happen there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras.core.tensors import copy_stream


class Recorded:
    """Streams of the CPU that note what they are asked."""

    def __init__(self):
        self.events = []

    def pinned(self, tensor, copied):
        self.events.append("pin")
        return tensor.clone()

    def beside(self, make, device):
        self.events.append("copy")
        return make()


@pytest.fixture
def streams(monkeypatch):
    recorded = Recorded()
    monkeypatch.setitem(copy_stream.STREAMS, "cpu", recorded)
    keras.config.enable_copy_stream()
    yield recorded
    keras.config.disable_copy_stream()


def model():
    keras.utils.set_random_seed(1)
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.x[4 * index : 4 * index + 4], self.y[4 * index : 4 * index + 4]


SOURCES = {
    "loader": lambda x, y: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*map(torch.tensor, (x, y))), 4),
    "generator": lambda x, y: (batch for batch in [(x[:4], y[:4]), (x[4:], y[4:])]),
    "dataset": Batches,
}


@pytest.mark.parametrize("name", SOURCES)
def test_each_batch_is_copied_beside_the_computation(name, streams, rng):
    x, y = rng.normal(size=(8, 3)).astype("float32"), rng.normal(size=(8, 1)).astype("float32")
    found = model().fit(SOURCES[name](x, y), verbose=0, shuffle=False).history["loss"]
    copies = streams.events.count("copy")
    assert copies in (2, 3)  # the first batch of a PyDataset is looked at before
    keras.config.disable_copy_stream()
    assert model().fit(SOURCES[name](x, y), verbose=0, shuffle=False).history["loss"] == found
    assert streams.events.count("copy") == copies


class FakeStream:
    """A CUDA stream that notes what it is asked, in the order for all streams."""

    def __init__(self, log, name):
        self.log, self.name = log, name

    def record_event(self):
        self.log.append(f"{self.name} records")
        return self.name

    def wait_event(self, event):
        self.log.append(f"{self.name} waits for {event}")

    def __enter__(self):
        self.log.append(f"{self.name} begins")

    def __exit__(self, *error):
        self.log.append(f"{self.name} ends")


class OnCuda(torch.Tensor):
    is_cuda = True

    def record_stream(self, stream):
        stream.log.append(f"kept for {stream.name}")


def test_the_order_of_streams(monkeypatch):
    log = []
    computing, device = FakeStream(log, "compute"), torch.device("cuda:0")
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: FakeStream(log, "copy"))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: computing)
    streams = copy_stream.CudaStreams()

    def make():
        log.append("made")
        return {"x": torch.ones(2).as_subclass(OnCuda), "name": "a", "none": None, "host": np.ones(2)}

    for _ in range(2):
        assert set(streams.beside(make, device)) == {"x", "name", "none", "host"}
    once = ["copy begins", "made", "copy records", "copy ends", "compute waits for copy", "kept for compute"]
    assert log == once * 2


def test_host_tensors_are_pinned_once(streams):
    x = torch.ones(3)
    assert copy_stream.pinned(x, torch.device("cpu")) is not x and streams.events == ["pin"]
    assert copy_stream.pinned(x.to("meta"), torch.device("cpu")).is_meta and streams.events == ["pin"]
    keras.config.disable_copy_stream()
    assert copy_stream.pinned(x, torch.device("cpu")) is x
    assert copy_stream.pinned(torch.ones(20_000), torch.device("cpu")).sum() == 20_000 and streams.events == ["pin"] * 2
