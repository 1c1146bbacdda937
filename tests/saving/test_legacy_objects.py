"""`keras.utils.legacy`: single objects in the form of Keras 2, as Keras describes and reads them."""

from __future__ import annotations

import keras
import pytest

import torchkeras as ours

CASES = [
    lambda k: k.layers.Dense(2, activation="relu", kernel_regularizer="l2", name="d"),
    lambda k: k.optimizers.Adam(1e-3),
    lambda k: k.initializers.Constant(2.0),
    lambda k: k.losses.MeanSquaredError(),
    lambda k: k.activations.relu,
    lambda k: None,
]


def names_of(library):
    rooms = ("layers", "optimizers", "initializers", "losses", "activations", "regularizers")
    return {name: value for room in rooms for name, value in vars(getattr(library, room)).items()}


@pytest.mark.parametrize("case", CASES)
def test_objects_are_described_and_read_as_in_keras(case):
    keras.utils.clear_session(free_memory=False)  # so that both number their objects from the start
    described = ours.utils.legacy.serialize_keras_object(case(ours))
    assert described == keras.utils.legacy.serialize_keras_object(case(keras))
    read = ours.utils.legacy.deserialize_keras_object(described, names_of(ours))
    assert type(read) is type(case(ours))
    assert ours.utils.legacy.serialize_keras_object(read) == described


def test_custom_objects_names_and_errors():
    class Own(ours.layers.Layer):
        def __init__(self, size=1, how=None, **kwargs):
            super().__init__(**kwargs)
            self.size, self.how = size, how

    def trick(x):
        return x

    read = ours.legacy.saving.deserialize_keras_object
    config = {"class_name": "Own", "config": {"size": 3, "how": "trick", "name": "trick"}}
    layer = read(config, custom_objects={"Own": Own, "trick": trick})
    assert (layer.size, layer.how, layer.name) == (3, trick, "trick")
    assert isinstance(read("Own", custom_objects={"Own": Own}), Own)
    assert read(trick) is trick
    for bad, words in [
        ({"class_name": "Own", "config": {}}, "Unknown thing: 'Own'"),
        ({"class_name": "Own"}, "Improper config format"),
        (3, "Could not interpret serialized thing"),
        ("nobody", "Unknown thing"),
    ]:
        with pytest.raises(ValueError, match=words):
            read(bad, {}, printable_module_name="thing")
    with pytest.raises(ValueError, match="Cannot serialize"):
        ours.legacy.saving.serialize_keras_object(3)
