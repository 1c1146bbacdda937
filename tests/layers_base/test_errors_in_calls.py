"""An error inside of a call names the layer and its arguments, once, and shows the user's own frames."""

from __future__ import annotations

import traceback

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers


class Broken(layers.Layer):
    def __init__(self, error, **kwargs):
        super().__init__(**kwargs)
        self.error = error

    def call(self, x, scale=None):
        raise self.error


class Outer(keras.Model):
    def __init__(self, inner):
        super().__init__(name="outer")
        self.inner = inner

    def call(self, x):
        return self.inner(x, scale=[x, None])


def caught(function, *args, **kwargs):
    with pytest.raises(Exception) as info:
        function(*args, **kwargs)
    return info.value


def test_the_innermost_layer_is_named_with_its_arguments_once():
    model = Outer(Broken(ValueError("boom"), name="inner"))
    error = caught(model, torch.ones(2, 3))
    assert type(error) is ValueError
    text = str(error)
    assert text.count("Exception encountered when calling") == 1
    assert "Broken.call() of 'outer/inner'" in text and "boom" in text
    assert "x=torch.Tensor(shape=(2, 3), dtype=float32)" in text
    assert "scale=[torch.Tensor(shape=(2, 3), dtype=float32), None]" in text


def test_a_nested_model_built_from_symbols_names_the_path():
    inputs = keras.Input((4,))
    model = keras.Sequential([layers.Dense(3, name="first"), layers.Dense(2, name="second")], name="row")
    model = keras.Model(inputs, model(inputs), name="whole")
    error = caught(lambda: model.get_layer("row").layers[1].call(torch.ones(2, 5)))
    assert "Exception encountered" not in str(error)  # `call` itself is the user's
    error = caught(model.get_layer("row").layers[1], torch.ones(2, 5, dtype=torch.float32))
    assert "incompatible with the layer" in str(error) and "Exception encountered" not in str(error)


def test_an_index_out_of_range_shows_the_values():
    error = caught(layers.Embedding(10, 4, name="words"), np.array([[1, 12]]))
    assert isinstance(error, IndexError)
    assert "Embedding.call() of 'words'" in str(error) and "values from 1 to 12" in str(error)


class Slotted(Exception):
    __slots__ = ()


class TwoArguments(Exception):
    def __init__(self, code, reason):
        super().__init__(code, reason)


def test_errors_of_any_kind_stay_the_same_object():
    for error in (KeyError("boom"), TwoArguments(3, "boom"), Slotted("boom"), StopIteration(), AttributeError("boom")):
        found = caught(Broken(error), torch.ones(2))
        assert found is error
        text = "".join(traceback.format_exception(found))
        assert text.count("Exception encountered when calling Broken.call()") == 1, text
        assert "shape=(2,)" in text


def test_symbolic_calls_are_explained_too():
    error = caught(Broken(ValueError("boom"), name="inner"), keras.Input((3,)))
    assert "Broken.call() of 'inner'" in str(error) and "KerasTensor(shape=(None, 3), dtype=float32)" in str(error)


def own_frames(error):
    return [frame for frame in traceback.extract_tb(error.__traceback__) if "/torchkeras/" in frame.filename]


def test_frames_of_the_package_are_left_out_but_for_the_entry():
    model = Outer(Broken(ValueError("boom")))
    error = caught(model, torch.ones(2, 3))
    frames = traceback.extract_tb(error.__traceback__)
    assert len(own_frames(error)) <= 1
    assert not any("nn/modules/module.py" in frame.filename for frame in frames)
    # The user's own lines are all there.
    assert [frame.name for frame in frames if frame.filename == __file__][-2:] == ["call", "call"]


def test_filtering_can_be_switched_off():
    keras.config.disable_traceback_filtering()
    try:
        assert not keras.config.is_traceback_filtering_enabled()
        error = caught(Outer(Broken(ValueError("boom"))), torch.ones(2, 3))
    finally:
        keras.config.enable_traceback_filtering()
    assert str(error) == "boom" and len(own_frames(error)) > 3
    assert keras.config.is_traceback_filtering_enabled()


def test_calls_within_try_compile_in_one_graph():
    class Careful(layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, x):
            return self.dense(x) * 2

    layer = Careful()
    x = torch.randn(4, 5)
    expected = layer(x)
    torch.testing.assert_close(torch.compile(layer, fullgraph=True, backend="eager")(x), expected)


def test_unknown_arguments_name_the_nearest():
    with pytest.raises(ValueError, match="Unrecognized keyword arguments passed to Dense.*'activation'"):
        layers.Dense(2, activaton="relu")
    with pytest.raises(ValueError, match="Unrecognized keyword arguments passed to Dropout.*It takes"):
        layers.Dropout(0.5, zzz=1)
