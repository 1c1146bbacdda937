"""One process on four devices of torch_xla: the CPU's curves, batches and weights split as the distribution says."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import torchkeras as keras
from tests.xla import networks
from tests.xla.networks import L, dense_network
from tests.xla.trials import Trial, check_alike, train

D = keras.distribution
internals = importlib.import_module("_XLAC")


def layouts(mesh) -> D.LayoutMap:
    """Rules for the networks here: columns of kernels, heads of attention, channels of convolutions."""
    found = D.LayoutMap(mesh)
    found[".*dense/kernel"] = (None, "model")
    found[".*dense_1/kernel"] = ("model", None)
    found[".*(query|key|value)/kernel"] = (None, "model", None)
    found[".*attention_output/kernel"] = ("model", None, None)
    found[".*embedding.*embeddings"] = (None, "model")
    found[".*conv2d/kernel"] = (None, None, None, "model")
    return found


def model_parallel() -> D.ModelParallel:
    """Two shares of rows, and weights in two parts."""
    return D.ModelParallel(layout_map=layouts(D.DeviceMesh((2, 2), ["batch", "model"])), batch_dim_name="batch")


DISTRIBUTIONS = {
    "data parallel": lambda: D.DataParallel(),
    "fully sharded": lambda: D.FullyShardedDataParallel(),
    "hybrid": lambda: D.FullyShardedDataParallel(D.DeviceMesh((2, 2), ["copies", "parts"])),
    "model parallel": model_parallel,
}
MSE = {"loss": "mse", "metrics": ["mae"]}
# 36 and 70 rows in batches of 16: the last ones, of 4 and 6 rows, can and can't be split evenly.
NETWORKS = {
    "dense": (
        dense_network(lambda: L.Dense(8, activation="relu"), units=1),
        networks.numbers,
        {"optimizer": "adam", **MSE},
    ),
    "convolutions": (networks.convolutional_network, networks.images, networks.classes(networks.descent)),
    "transformer": (networks.transformer, networks.sentences, networks.classes()),
}


def sharding(tensor) -> str:
    """How a tensor lies on the devices, in XLA's words."""
    return internals._get_xla_sharding_spec(tensor)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", DISTRIBUTIONS)
@pytest.mark.filterwarnings("ignore:No weight has a path", "ignore:Replicating tensors")
def test_curves(kind, network, rng, tmp_path):
    make, data, compile = NETWORKS[network]
    work = make, data(rng), compile
    on_cpu = train("cpu", *work)
    with DISTRIBUTIONS[kind]().scope():
        on_xla = train("xla", *work)
        check_alike(on_cpu, on_xla)
        assert on_xla.epochs[-1].compiles == 0
        _check_files(on_xla, work[1], tmp_path)


def _check_files(trial: Trial, data, folder) -> None:
    """Weights are whole in files and arrays, and take values from both."""
    trial.model.save(folder / "m.keras")
    loaded = keras.models.load_model(folder / "m.keras")
    for mine, theirs in zip(trial.model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    changed = [2 * weight for weight in trial.weights]
    trial.model.set_weights(changed)
    for given, found in zip(changed, trial.model.get_weights(), strict=True):
        np.testing.assert_array_equal(given, found)
    trial.model.fit(*data, verbose=0)


def test_weights_and_state_are_split(rng):
    data = networks.numbers(rng)
    make = dense_network()
    with D.FullyShardedDataParallel().scope():
        model = train("xla", make, data, {"optimizer": "adam", **MSE}, epochs=2).model
    kernel = model.layers[0].kernel
    assert "devices=[4,1]" in sharding(kernel)
    slots = [slot for slot in model.optimizer.variables if slot.shape == kernel.shape]
    assert len(slots) == 2 and {sharding(slot) for slot in slots} == {sharding(kernel)}
    with model_parallel().scope():
        model = train("xla", make, data, {"optimizer": "adam", **MSE}, epochs=2).model
    assert "devices=[1,2,2]" in sharding(model.layers[0].kernel)
    assert "devices" not in sharding(model.layers[0].bias)


def test_batches_are_split(rng):
    rows = []

    class Watching(L.Layer):
        def call(self, x):
            rows.append(sharding(x))
            return x

    model = keras.Sequential([keras.Input((8,)), Watching(), L.Dense(1)])
    with D.DataParallel().scope():
        train("xla", lambda: model, networks.numbers(rng, 32), {"optimizer": "sgd", **MSE}, epochs=1)
    assert any("devices=[4,1]" in one for one in rows), rows


def test_what_can_not_be_done_is_refused(rng):
    refused = D.FullyShardedDataParallel(param_dtype="bfloat16", cpu_offload=True)
    work = dense_network(), networks.numbers(rng), {"optimizer": "sgd", **MSE}
    with refused.scope(), pytest.raises(ValueError, match="has no param_dtype, cpu_offload"):
        train("xla", *work, epochs=1)
    few = D.DataParallel(devices=["xla:0", "xla:1"])
    with few.scope(), pytest.raises(RuntimeError, match="must have all devices of torch_xla"):
        train("xla", *work, epochs=1)


def test_devices_are_listed():
    assert D.list_devices() == [f"xla:{i}" for i in range(4)] and D.get_device_count() == 4
