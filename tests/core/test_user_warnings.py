"""A warning shows the user's own line, however deep in the library it arises."""

import numpy as np
import pytest

import torchkeras as keras


class Plain(keras.layers.Layer):
    """A layer that no file can name."""

    def call(self, inputs):
        return inputs


def _model():
    return keras.Sequential([keras.Input((3,)), Plain(), keras.layers.Dense(2)])


def save_an_unregistered_layer(folder):
    _model().save(folder / "m.keras")


def load_other_shapes(folder):
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)]).save_weights(folder / "m.weights.h5")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).load_weights(
        folder / "m.weights.h5", skip_mismatch=True
    )


def freeze_after_compile(_):
    model = _model()
    model.compile("sgd", "mse")
    model.layers[-1].trainable = False
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)


def softmax_over_one(_):
    keras.ops.softmax(np.ones((2, 1)))


def misspelled_mode(_):
    keras.callbacks.EarlyStopping(mode="least")


@pytest.mark.parametrize(
    "action", [save_an_unregistered_layer, load_other_shapes, freeze_after_compile, softmax_over_one, misspelled_mode]
)
def test_a_warning_shows_the_users_line(action, tmp_path):
    with pytest.warns(UserWarning) as caught:
        action(tmp_path)
    assert {warning.filename for warning in caught} == {__file__}
