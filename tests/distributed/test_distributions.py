"""`keras.distribution` in one process: meshes, layouts and distributions answer as Keras's do."""

from __future__ import annotations

import keras as peer
import numpy as np
import pytest

import torchkeras as keras

DEVICES = [f"cpu:{i}" for i in range(8)]


def mesh(library, shape=(2, 4), names=("data", "model")):
    return library.distribution.DeviceMesh(shape, list(names), DEVICES)


def layout_map(library):
    found = library.distribution.LayoutMap(mesh(library))
    found["dense/kernel"] = (None, "model")
    found[".*attention.*(query|key|value).kernel"] = ("model", "data", None)
    found[".*bias"] = ("model",)
    found["block.*bias"] = (None,)
    return found


PATHS = [
    "dense/kernel",
    "a/dense/kernel",
    "block_1/attention/query/kernel",
    "block_1/attention/query/bias",
    "attention/key/kernel",
    "dense/bias",
    "dense/gamma",
]


def answer(function):
    """The axes of a layout, or the error."""
    try:
        found = function()
        return found if found is None else found.axes
    except ValueError as error:
        return type(error).__name__, str(error)


@pytest.mark.parametrize("path", PATHS)
def test_layout_maps_match_whole_paths_as_in_keras(path):
    assert answer(lambda: layout_map(keras)[path]) == answer(lambda: layout_map(peer)[path])


# Keys as KerasHub's models publish them, and paths of their weights.
PUBLISHED = {
    "token_embedding/embeddings": "token_embedding/embeddings",
    "decoder_block.*attention.*(query|key|value).kernel": "decoder_block_11/attention/value/kernel",
    "decoder_block.*attention_output.kernel": "decoder_block_0/attention/attention_output/kernel",
    "decoder_block.*ffw_gating.kernel": "decoder_block_3/ffw_gating/kernel",
    "transformer_layer.*self_attention.*(query|key|value).kernel": "transformer_layer_2/self_attention/key/kernel",
    "transformer_layer.*feedforward_output_dense.kernel": "transformer_layer_2/feedforward_output_dense/kernel",
}


@pytest.mark.parametrize("key", PUBLISHED)
def test_published_layout_maps(key):
    found = []
    for library in (keras, peer):
        published = library.distribution.LayoutMap(mesh(library))
        for other in PUBLISHED:
            published[other] = ("model", "data") if other == key else ("model",)
        found.append(published[PUBLISHED[key]].axes)
    assert found == [("model", "data")] * 2


@pytest.mark.parametrize("path", ["dense/kernel", "dense/gamma", "d/bias"])
def test_layouts_of_weights(path):
    class Weight:
        pass

    weight = Weight()
    weight.path, weight.shape = path, (3, 4)
    ours, theirs = (
        library.distribution.ModelParallel(layout_map=layout_map(library), batch_dim_name="data")
        for library in (keras, peer)
    )
    assert ours.get_variable_layout(weight).axes == theirs.get_variable_layout(weight).axes
    assert ours.get_data_layout((5, 3, 2)).axes == theirs.get_data_layout((5, 3, 2)).axes == ("data", None, None)
    weight._layout = keras.distribution.TensorLayout(["data"], mesh(keras))
    assert ours.get_variable_layout(weight) is weight._layout


def test_numbers_of_shares():
    parallel = keras.distribution.ModelParallel(layout_map=layout_map(keras), batch_dim_name="model")
    assert (parallel.num_model_replicas, parallel.num_processes, parallel.data_shard_id) == (4, 1, 0)
    assert keras.distribution.DataParallel(devices=DEVICES).num_model_replicas == 8
    assert keras.distribution.FullyShardedDataParallel(mesh(keras)).num_model_replicas == 8


def test_scope_is_nested():
    outer, inner = (keras.distribution.DataParallel(devices=DEVICES[:1]) for _ in range(2))
    with outer.scope():
        with inner.scope():
            assert keras.distribution.distribution() is inner
        assert keras.distribution.distribution() is outer
    assert keras.distribution.distribution() is None


def test_a_mesh_of_more_devices_than_processes_says_how_to_start():
    parallel = keras.distribution.ModelParallel(layout_map=layout_map(keras))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    model.compile("sgd", "mse")
    with parallel.scope(), pytest.raises(RuntimeError, match="torchrun --nproc-per-node=8"):
        model.fit(np.ones((2, 3)), np.ones((2, 4)), verbose=0)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({}, "needs all three arguments"),
        ({"job_addresses": "host"}, "host:port"),
    ],
)
def test_initialize_refuses_half_an_answer(arguments, words, monkeypatch):
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "2")
    monkeypatch.setenv("KERAS_DISTRIBUTION_PROCESS_ID", "1")
    with pytest.raises(ValueError, match=words):
        keras.distribution.initialize(**arguments)
