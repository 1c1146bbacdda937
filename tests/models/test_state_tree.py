"""`get_state_tree`, `set_state_tree`, and the switch `run_eagerly`."""

import keras as real
import numpy as np
import pytest
import torch

import torchkeras as keras


def compiled(lib, **arguments):
    model = lib.Sequential(
        [lib.Input((2,)), lib.layers.Dense(3, name="scores"), lib.layers.BatchNormalization(name="norm")], name="model"
    )
    model.compile(lib.optimizers.Adam(name="adam"), "mse", metrics=["mae"], **arguments)
    model.fit(np.ones((4, 2)), np.ones((4, 3)), verbose=0)
    return model


def shapes(tree):
    return {key: shapes(v) if isinstance(v, dict) else tuple(v.shape) for key, v in tree.items()}


@pytest.mark.parametrize("value_format", ["backend_tensor", "numpy_array"])
def test_the_tree_is_keras(value_format):
    mine, theirs = (compiled(lib).get_state_tree(value_format) for lib in (keras, real))
    assert shapes(mine) == shapes(theirs)


def test_values_go_back():
    model = compiled(keras)
    tree = model.get_state_tree(value_format="numpy_array")
    before = [w.copy() for w in model.get_weights()]
    model.fit(np.ones((4, 2)), np.zeros((4, 3)), verbose=0)
    model.set_state_tree(tree)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert int(model.optimizer.iterations) == 1
    model.set_state_tree({"trainable_variables": {"model": {"scores": {"bias": np.full(3, 7.0)}}}})
    assert model.layers[0].bias.tolist() == [7.0] * 3
    for one, other in zip(model.get_weights()[:1], before[:1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_errors():
    model = compiled(keras)
    with pytest.raises(ValueError, match="Invalid `value_format` argument"):
        model.get_state_tree(value_format="list")
    with pytest.raises(ValueError, match="received \\['weights'\\]"):
        model.set_state_tree({"weights": {}})
    model.layers[1].gamma.info.path = model.layers[0].kernel.path
    with pytest.raises(ValueError, match="variable path is found twice in the model: 'model/scores/kernel'"):
        model.get_state_tree()


def test_parameters_of_torch_modules_are_there():
    model = keras.Sequential([keras.Input((2,)), torch.nn.Linear(2, 2)], name="model")
    model.compile("sgd", "mse")
    tree = model.get_state_tree(value_format="numpy_array")
    model.get_weights()
    assert sum(a.size for a in tree["trainable_variables"]["torch_module_wrapper"]["module"].values()) == 6


def test_run_eagerly_can_be_set():
    model = compiled(keras, jit_compile=True)
    assert (model.run_eagerly, model.jit_compile) == (False, True)
    model.run_eagerly = True
    assert (model.run_eagerly, model.jit_compile) == (True, False)
    assert model.get_compile_config()["run_eagerly"] is True
    model.run_eagerly = False
    assert (model.run_eagerly, model.jit_compile) == (False, True)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.run_eagerly = True  # holds until compile() says otherwise
    assert model.run_eagerly


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Provide either a layer name or layer index"),
        ({"name": "a", "index": 1}, "Provide only a layer name or a layer index. Received: index=1, name=a"),
        ({"index": 9}, "Was asked to retrieve layer at index 9 but model .*only has 2 layers"),
        ({"name": "a"}, "No such layer: a. Existing layers.* are: .'scores', 'norm'."),
    ],
)
def test_layers_that_are_not_there_in_keras_words(arguments, message):
    for lib in (keras, real):
        with pytest.raises(ValueError, match=message):
            compiled(lib).get_layer(**arguments)
