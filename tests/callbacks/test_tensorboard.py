"""TensorBoard and RemoteMonitor: everything that is written or sent, read back."""

from __future__ import annotations

import json
import os
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util.tensor_util import make_ndarray

import torchkeras as keras
from tests.faq.test_faq_24_tensorboard import read, trained

L = keras.layers


def graph_of(folder) -> dict[str, tuple[str, list[str]]]:
    run = EventAccumulator(str(folder))
    run.Reload()
    return {node.name: (node.op, list(node.input)) for node in run.Graph().node}


def test_values_by_batch(tmp_path):
    model, _ = trained(tmp_path, epochs=2, update_freq=2, write_steps_per_second=True)
    train, validation = (read(tmp_path / "logs")[part] for part in ("train", "validation"))
    for name in ("batch_loss", "batch_mae", "batch_steps_per_second"):
        assert [step for step, _ in train[name]] == [2, 4, 6, 8, 10, 12]
    assert all(value > 0 for _, value in train["epoch_steps_per_second"])
    assert [step for step, _ in validation["evaluation_loss_vs_iterations"]] == [6, 12]


def test_without_points_by_batch_there_is_no_work_by_batch(tmp_path):
    board = keras.callbacks.TensorBoard(tmp_path)
    assert keras.callbacks.TensorBoard.on_train_batch_end in board.idle_hooks
    trained(tmp_path)
    assert not [tag for tag in read(tmp_path / "logs")["train"] if tag.startswith("batch_")]


def test_evaluate_alone(tmp_path):
    model, _ = trained(tmp_path / "other")
    board = keras.callbacks.TensorBoard(tmp_path / "logs")
    loss = model.evaluate(np.ones((4, 4)), np.ones((4, 1)), callbacks=[board], verbose=0)[0]
    runs = read(tmp_path / "logs")
    assert set(runs) == {"validation"}
    assert [(step, float(v)) for step, v in runs["validation"]["evaluation_loss_vs_iterations"]] == [
        (18, pytest.approx(loss))
    ]


def test_histograms_and_images_of_weights(tmp_path):
    model, _ = trained(tmp_path, epochs=3, histogram_freq=2, write_images=True)
    events = EventAccumulator(str(tmp_path / "logs" / "train"), size_guidance={"histograms": 0, "images": 0})
    events.Reload()
    tags = {f"{weight.path}/histogram" for weight in model.weights}
    hidden, out = (model.get_layer(name).kernel.path for name in ("hidden", "out"))
    assert set(events.Tags()["histograms"]) == tags
    assert [e.step for e in events.Histograms(f"{hidden}/histogram")] == [0, 2]
    last = events.Histograms(f"{out}/histogram")[-1].histogram_value
    assert last.num == 3
    assert last.sum == pytest.approx(float(model.get_layer("out").kernel.sum()), rel=1e-4)
    assert set(events.Tags()["images"]) == {tag.replace("histogram", "image") for tag in tags}
    image = events.Images(f"{hidden}/image")[0]
    assert (image.height, image.width) == (3, 4)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 5), (5, 2), (2, 3, 4), (1, 1, 3, 4), (2, 2, 2, 2), (3, 3)])
def test_any_weight_is_an_image_or_none(shape, rng):
    import torch

    from torchkeras.callbacks.tensorboard import _as_image

    image = _as_image(torch.from_numpy(rng.standard_normal(shape)))
    if len([size for size in shape if size > 1]) > 3:
        assert image is None
        return
    assert image.ndim == 3 and image.shape[2] == 1
    assert image.numel() == np.prod(shape)
    assert 0 <= image.min() and image.max() <= 1


def test_the_graph(tmp_path):
    inputs = keras.Input((4,), name="in")
    inner_inputs = keras.Input((3,), name="inner_in")
    inner = keras.Model(inner_inputs, L.Dense(3, name="deep")(inner_inputs), name="inner")
    shared = L.Dense(3, name="shared")
    h = shared(inputs)
    h = L.Add(name="add")([inner(h), keras.ops.relu(h)])
    model = keras.Model(inputs, L.Dense(1, name="out")(h))
    model.compile("sgd", "mse")
    board = keras.callbacks.TensorBoard(tmp_path / "logs")
    model.fit(np.ones((4, 4)), np.ones((4, 1)), callbacks=[board], verbose=0)
    graph = graph_of(tmp_path / "logs" / "train")
    relu = next(name for name, (kind, _) in graph.items() if kind == "Relu")
    assert graph == {
        "in": ("InputLayer", []),
        "shared": ("Dense", ["in"]),
        "inner": ("Functional", ["shared"]),
        "inner/deep": ("Dense", ["inner"]),
        relu: ("Relu", ["shared"]),
        "add": ("Add", ["inner", relu]),
        "out": ("Dense", ["add"]),
    }


def test_the_graph_of_a_layer_used_twice_and_of_none(tmp_path):
    shared = L.Dense(4, name="shared")
    inputs = keras.Input((4,), name="in")
    model = keras.Model(inputs, shared(shared(inputs)))
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 4)), np.ones((4, 4)), callbacks=[keras.callbacks.TensorBoard(tmp_path / "a")], verbose=0)
    assert graph_of(tmp_path / "a" / "train")["shared_1"] == ("Dense", ["shared"])

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(4)

        def call(self, x):
            return self.dense(x)

    own = Own()
    own.compile("sgd", "mse")
    own.fit(np.ones((4, 4)), np.ones((4, 4)), callbacks=[keras.callbacks.TensorBoard(tmp_path / "b")], verbose=0)
    assert "epoch_loss" in read(tmp_path / "b")["train"]


def test_a_profile(tmp_path):
    trained(tmp_path, epochs=1, profile_batch="2,3")
    (trace,) = (name for name in os.listdir(tmp_path / "logs" / "train") if name.endswith(".pt.trace.json"))
    names = {
        event.get("name") for event in json.loads((tmp_path / "logs" / "train" / trace).read_text())["traceEvents"]
    }
    assert any("addmm" in str(name) or "mm" in str(name) for name in names)


def test_embeddings(tmp_path):
    (tmp_path / "words.tsv").write_text("zero\none\ntwo\n")
    model = keras.Sequential(
        [keras.Input((2,), dtype="int32"), L.Embedding(3, 2, name="words"), L.Flatten(), L.Dense(1)]
    )
    model.compile("sgd", "mse")
    board = keras.callbacks.TensorBoard(
        tmp_path / "logs", embeddings_freq=1, embeddings_metadata={"words": str(tmp_path / "words.tsv")}
    )
    model.fit(np.ones((4, 2), "int32"), np.ones((4, 1)), callbacks=[board], verbose=0)
    (folder,) = (path.parent for path in (tmp_path / "logs").rglob("tensors.tsv"))
    table = np.loadtxt(folder / "tensors.tsv")
    np.testing.assert_allclose(table, model.get_layer("words").embeddings.detach().numpy(), rtol=1e-5)
    assert (folder / "metadata.tsv").read_text().split() == ["zero", "one", "two"]
    with pytest.raises(ValueError, match=r"Unrecognized `Embedding` layer names.*\['none'\]"):
        board = keras.callbacks.TensorBoard(tmp_path, embeddings_metadata={"none": "x"})
        model.fit(np.ones((4, 2), "int32"), np.ones((4, 1)), callbacks=[board], verbose=0)


@pytest.mark.parametrize("profile_batch", [-1, (3, 2), (1, 2, 3), "a", "1,b", None, 1.5])
def test_a_wrong_profile_batch(profile_batch):
    with pytest.raises(ValueError, match="profile_batch must be a non-negative integer"):
        keras.callbacks.TensorBoard(profile_batch=profile_batch)


@pytest.mark.parametrize("update_freq", ["sometimes", 0, -2, 1.5])
def test_a_wrong_update_freq(update_freq):
    with pytest.raises(ValueError, match="`update_freq` must be"):
        keras.callbacks.TensorBoard(update_freq=update_freq)


def test_scalars_are_those_of_the_scalars_plugin(tmp_path):
    trained(tmp_path)
    folder = tmp_path / "logs" / "train"
    events = EventFileLoader(str(folder / os.listdir(folder)[0])).Load()
    values = [value for event in events for value in event.summary.value if value.tag == "epoch_loss"]
    assert len(values) == 3
    assert all(value.metadata.plugin_data.plugin_name in ("scalars", "") for value in values)
    assert values[0].metadata.plugin_data.plugin_name == "scalars"
    assert make_ndarray(values[0].tensor).dtype == np.float32


# ---------------------------------------------------------------------------- RemoteMonitor


@pytest.fixture
def monitor():
    """A server that keeps what it was sent."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append((self.path, dict(self.headers), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()


@pytest.mark.parametrize("send_as_json", [True, False])
def test_a_monitor_is_sent_the_logs(send_as_json, monitor):
    root, received = monitor
    callback = keras.callbacks.RemoteMonitor(
        root=root, path="/here", field="f", headers={"X-Key": "1"}, send_as_json=send_as_json
    )
    model = keras.Sequential([keras.Input((2,)), L.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, callbacks=[callback], verbose=0).history
    assert [path for path, _, _ in received] == ["/here", "/here"]
    assert all(headers["X-Key"] == "1" for _, headers, _ in received)
    bodies = [body if send_as_json else urllib.parse.parse_qs(body)["f"][0] for _, _, body in received]
    assert [json.loads(body) for body in bodies] == [
        {"epoch": epoch, "loss": pytest.approx(loss)} for epoch, loss in enumerate(history["loss"])
    ]


def test_a_monitor_that_is_not_there_is_warned_of():
    callback = keras.callbacks.RemoteMonitor(root="http://127.0.0.1:9")
    with pytest.warns(UserWarning, match="Could not reach RemoteMonitor root server at http://127.0.0.1:9"):
        callback.on_epoch_end(0, {"loss": np.float32(1.0), "counts": np.arange(2)})
