"""Arguments that contradict each other or come in the wrong place, and masks that a call is given."""

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers
from torchkeras.core.tensors.masks import get_mask


class OwnWeight(layers.Layer):
    def __init__(self, *args, **kwargs):
        super().__init__(name="own")
        self.w = self.add_weight(*args, **kwargs)


class Strange(layers.Layer):
    def build(self, foo_shape, baz_shape):
        pass

    def call(self, foo, bar):
        return foo


class Unnamed(layers.Layer):
    def build(self, foo_shape, bar):
        pass

    def call(self, foo, bar):
        return foo


class Holder(layers.Layer):
    """Forgets to make its layer again."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return self.inner(x)

    def get_config(self):
        return {**super().get_config(), "inner": self.inner}


TENSOR = keras.KerasTensor((2, 3))
ONES = torch.ones(2, 3)
# (what is done, the error, its words)
CASES = [
    (lambda: layers.Dense(2, trainable=1), ValueError, "to be a boolean"),
    (lambda: OwnWeight("w"), ValueError, "`name` must be passed as a keyword argument"),
    (lambda: OwnWeight("w", shape=(3,)), ValueError, "`name` must be passed as a keyword argument"),
    (lambda: OwnWeight((3,), shape=(3,)), ValueError, "`shape` was passed both positionally and as a keyword"),
    (lambda: Strange()(ONES, ONES), ValueError, r"`baz_shape`, but `call\(\)` does not have argument `baz`"),
    (lambda: Unnamed()(ONES, ONES), ValueError, "argument `bar`, which does not end in `_shape`"),
    (lambda: layers.Layer().compute_output_shape((2, 3)), NotImplementedError, "not have a `compute_output_shape`"),
    (lambda: layers.InputLayer(), ValueError, "pass a `shape` argument"),
    (lambda: layers.InputLayer(input_tensor=3), ValueError, "Argument `input_tensor` must be a KerasTensor"),
    (lambda: layers.InputLayer(shape=(4,), input_tensor=TENSOR), ValueError, "incompatible `shape`"),
    (lambda: layers.InputLayer(batch_shape=(2, 4), input_tensor=TENSOR), ValueError, "incompatible `batch_shape`"),
    (lambda: layers.InputLayer(batch_size=5, input_tensor=TENSOR), ValueError, "incompatible `batch_size`"),
    (lambda: layers.InputLayer(dtype="float16", input_tensor=TENSOR), ValueError, "incompatible `dtype`"),
]


@pytest.mark.parametrize(("act", "kind", "words"), CASES)
def test_errors(act, kind, words):
    with pytest.raises(kind, match=words):
        act()


def test_a_tensor_with_arguments_that_agree_is_taken():
    layer = layers.InputLayer(shape=(3,), batch_size=2, dtype="float32", input_tensor=TENSOR)
    assert layer.output is TENSOR and layer.batch_shape == (2, 3)
    with pytest.warns(UserWarning, match="Argument `input_shape` is deprecated. Use `shape` instead."):
        assert layers.InputLayer(input_shape=(3,)).batch_shape == (None, 3)


def test_a_layer_that_is_not_made_again_from_its_config(tmp_path):
    inputs = keras.Input((3,))
    keras.Model(inputs, Holder(layers.Dense(2))(inputs)).save(tmp_path / "m.keras")
    with pytest.raises(TypeError, match=r"\['inner'\] of layer 'holder.*explicitly deserialized"):
        keras.saving.load_model(tmp_path / "m.keras", custom_objects={"Holder": Holder})


def test_a_mask_that_the_call_is_given_goes_on_to_the_outputs(rng):
    x, mask = torch.from_numpy(rng.random((2, 3, 4))).float(), torch.from_numpy(rng.random((2, 3)) < 0.5)
    for layer, wanted in [
        (layers.LSTM(2, return_sequences=True), mask),
        (layers.LSTM(2), None),
        (layers.BatchNormalization(), mask),
        (layers.Bidirectional(layers.LSTM(2, return_sequences=True)), mask),
    ]:
        found = get_mask(layer(x, mask=mask))
        assert found is None if wanted is None else torch.equal(found, wanted)


@pytest.mark.parametrize("merge", [layers.Add, layers.Maximum, layers.Concatenate])
def test_masks_of_merged_arrays(merge, rng):
    inputs, masks = [rng.random((2, 3, 4)) for _ in range(2)], [rng.random((2, 3)) < 0.5 for _ in range(2)]
    np.testing.assert_array_equal(merge().compute_mask(inputs, masks), np.logical_or(*masks))


def test_a_weight_that_is_made_late_has_the_path_of_the_others():
    class Outer(keras.Model):
        def __init__(self):
            super().__init__(name="outer")
            self.inner = layers.Dense(4, name="inner")

        def build(self, shape):
            self.inner.build(shape)

    model = Outer()
    model.build((None, 3))
    model.inner.enable_lora(2)
    assert [w.path for w in (model.inner._kernel, model.inner.lora_kernel_a)] == [
        "outer/inner/kernel",
        "outer/inner/lora_kernel_a",
    ]


def test_given_statistics_have_an_axis_for_each_of_the_inputs():
    layer = layers.Normalization(axis=(1, 2), mean=np.zeros((5, 6)), variance=np.full((5, 6), 4.0))
    with pytest.raises(AttributeError, match="no statistics yet"):
        _ = layer.mean
    layer.build((None, 5, 6, 3))
    assert layer.mean.shape == (1, 5, 6, 1) and bool((layer.variance == 4).all())
    layer = layers.Normalization(mean=5.0, variance=1.0)
    layer.build((3, 7))
    assert layer.mean.tolist() == [[5.0] * 7]


def test_masks_of_concatenated_inputs_of_unknown_size(rng):
    """Masks of the inputs' own rank need no sizes."""
    inputs, masks = [keras.Input((3, 4)) for _ in range(2)], [rng.random((2, 3, 4)) < 0.5 for _ in range(2)]
    found = layers.Concatenate().compute_mask(inputs, masks)
    np.testing.assert_array_equal(found, np.concatenate(masks, -1).any(-1))
