"""Private names of layers that other packages use, on our layers: what subclasses set, and the order of layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers
from torchkeras.layers.recurrent.dropout_cell import DropoutRNNCell


class Raw(layers.Layer):
    """As preprocessing layers of KerasHub are."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True

    def call(self, x):
        return x


def test_inputs_stay_as_they_are():
    layer, column = Raw(dtype="float16"), np.array([1.5])
    assert layer("text") == "text" and layer(column) is column and layer(b"bytes") == b"bytes"
    tensor = torch.ones(2)
    assert layer(tensor) is tensor
    layer._convert_input_args = True
    assert layer(tensor).dtype is torch.float16


class Copied(layers.MultiHeadAttention):
    """An attention that builds its projections itself and computes by Keras's private names."""

    def build(self, query_shape, value_shape, key_shape=None):
        options = self._get_common_kwargs_for_sublayer()
        for name in ("query", "key", "value"):
            sizes = (None, self._num_heads, self._key_dim)
            dense = layers.EinsumDense("abc,cde->abde", sizes, bias_axes="de", name=name, **options)
            dense.build(query_shape)
            setattr(self, f"_{name}_dense", dense)
        self._build_attention(4)
        self._output_dense = layers.EinsumDense("abcd,cde->abe", (None, query_shape[-1]), bias_axes="e", **options)
        self._output_dense.build((*query_shape[:-1], self._num_heads, self._value_dim))

    def _compute_attention(self, query, key, value, attention_mask=None, training=None, return_attention_scores=False):
        scores = keras.ops.einsum(self._dot_product_equation, key, query * self._inverse_sqrt_key_dim)
        scores = self._masked_softmax(scores, attention_mask)
        scores = self._dropout_layer(scores, training=training)
        return keras.ops.einsum(self._combine_equation, scores, value), scores


def test_a_subclass_of_attention_by_private_names(rng):
    x = torch.tensor(rng.normal(size=(2, 4, 6)), dtype=torch.float32)
    plain, copied = layers.MultiHeadAttention(2, 3), Copied(2, 3)
    wanted = plain(x, x, use_causal_mask=True)
    copied(x, x)
    copied.set_weights(plain.get_weights())
    torch.testing.assert_close(copied(x, x, use_causal_mask=True), wanted)
    assert not copied._dropout and copied._use_bias and copied.query_dense is copied._query_dense


class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second = layers.Dense(2, name="first"), layers.Dense(2, name="second")

    def call(self, x):
        return self.second(self.first(x))


def blocks():
    x = keras.Input((2,))
    outer = Block(name="outer")
    outer.second = Block(name="inner")
    return keras.Model(x, outer(x)), outer


def test_layers_are_numbered_as_keras_numbers_them():
    model, _ = blocks()
    names = [layer.name for layer in model._flatten_layers(include_self=False)]
    assert names[1:] == ["outer", "inner", "second", "first", "first"]


def test_a_layer_thawed_within_a_frozen_one_trains():
    model, outer = blocks()
    outer.trainable = False
    assert not model.trainable_weights
    outer.first.trainable = True
    assert [id(w) for w in model.trainable_weights] == [id(w) for w in outer.first.weights]
    assert not outer.trainable_weights, "the layer's own flag hides all"
    before = [w.clone() for w in model.weights]
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 2)), verbose=0)
    changed = {id(w) for w, old in zip(model.weights, before, strict=True) if not torch.equal(w, old)}
    assert changed == {id(outer.first.kernel), id(outer.first.bias)}
    outer.first._tracker.unlock()
    assert outer.first.add_weight(shape=(2,), name="late").path == "outer/first/late"


def test_a_property_takes_a_layer_that_is_assigned_to_it():
    class Holder(layers.Layer):
        @property
        def part(self):
            return self._part

        @part.setter
        def part(self, value):
            self._part = value

    holder, dense = Holder(), layers.Dense(2)
    holder.part = dense
    assert holder._part is holder.part is dense and list(holder._modules) == ["_part"]


def test_a_layer_made_in_a_frozen_one_is_frozen():
    layer = layers.MultiHeadAttention(2, 3, trainable=False)
    x = keras.Input((4, 6))
    assert not keras.Model(x, layer(x, x)).trainable_weights


def test_a_config_reaches_a_constructor_with_its_policy():
    class Asks(layers.Layer):
        def __init__(self, dtype=None, **kwargs):
            assert not isinstance(dtype, dict)
            super().__init__(dtype=dtype, **kwargs)

    layer = Asks(dtype="mixed_float16")
    assert Asks.from_config(layer.get_config()).dtype_policy.name == "mixed_float16"
    assert layer.quantization_mode is None


def test_a_symbolic_call_builds_the_layers_within_where_a_rule_gives_the_shape():
    class Normalized(layers.Layer):
        def __init__(self):
            super().__init__()
            self.table = self.add_weight(shape=(3, 2), name="table")
            self.norm = layers.LayerNormalization()

        def call(self, x):
            return x + self.norm(self.table)[0]

        def compute_output_shape(self, input_shape):
            return input_shape

    x = keras.Input((2,))
    assert len(keras.Model(x, Normalized()(x)).weights) == 3


def test_masks_are_an_argument_by_keras_name():
    embedding = layers.Embedding(4, 2, mask_zero=True)
    assert embedding.compute_mask(torch.tensor([0, 1]), mask=None).tolist() == [False, True]
    masks = [torch.tensor([[True, False]]), torch.tensor([[False, False]])]
    assert layers.Add().compute_mask([torch.ones(1, 2, 3)] * 2, mask=masks).tolist() == [[True, False]]


class Passing(layers.Layer):
    """A user's base class, of which a subclass fixes an argument and passes the rest on."""

    def __init__(self, aggregate="mean", depth=1, **kwargs):
        super().__init__(**kwargs)
        self.aggregate, self.depth = aggregate, depth


class Fixed(Passing):
    def __init__(self, units, improved=False, **kwargs):
        super().__init__(aggregate="add", **kwargs)
        self.units, self.improved = units, improved


def test_a_config_leaves_out_what_a_subclass_passes_itself():
    """As Keras's does: `from_config` would give the base class its argument twice."""
    config = Fixed(3, depth=2).get_config()
    assert {name: config.get(name) for name in ("units", "improved", "aggregate", "depth")} == {
        "units": 3,
        "improved": False,
        "aggregate": None,
        "depth": 2,
    }
    again = Fixed.from_config(config)
    assert (again.units, again.aggregate, again.depth) == (3, "add", 2)
    assert "depth" not in Fixed(3).get_config()


class Counted(layers.Dense):
    """Keeps a value of its own in files, beside the weights that the base class keeps."""

    def save_own_variables(self, store):
        super().save_own_variables(store)
        store["steps"] = np.array(7)

    def load_own_variables(self, store):
        super().load_own_variables(store)
        self.steps = int(np.array(store["steps"]))


def test_names_in_a_store_belong_to_the_subclass_that_wrote_them(tmp_path):
    for prepare in (lambda model: None, lambda model: model.layers[0].enable_lora(1), lambda m: m.quantize("int8")):
        model = keras.Sequential([layers.Input((4,)), Counted(2)])
        prepare(model)
        model.save_weights(tmp_path / "a.weights.h5")
        again = keras.Sequential([layers.Input((4,)), Counted(2)])
        prepare(again)
        again.load_weights(tmp_path / "a.weights.h5")
        assert again.layers[0].steps == 7
        np.testing.assert_allclose(again.predict(np.eye(4), verbose=0), model.predict(np.eye(4), verbose=0), rtol=1e-6)


class Dropped(layers.Layer, DropoutRNNCell):
    """A cell of a user's own by Keras's private base class."""

    def __init__(self, units, count=None, **kwargs):
        super().__init__(**kwargs)
        self.state_size = self.units = units
        self.dropout, self.recurrent_dropout = 0.5, 0.0
        self.seed_generator = keras.random.SeedGenerator(3)
        if count:
            self.dropout_mask_count = count
        self.seen = []

    def call(self, inputs, states, training=False):
        mask = self.get_dropout_mask(inputs)
        assert self.get_recurrent_dropout_mask(states[0]) is None
        self.seen.append(mask[1] if isinstance(mask, list) else mask)
        assert isinstance(mask, list) == bool(self.dropout_mask_count)
        output = states[0] + inputs * self.seen[-1]
        return output, [output]


@pytest.mark.parametrize("count", [None, 2])
def test_a_cell_of_keras_private_base_class_draws_once_for_a_sequence(count):
    rnn = layers.RNN(Dropped(64, count))
    first, second = rnn(torch.ones(2, 3, 64), training=True), rnn(torch.ones(2, 3, 64), training=True)
    assert set(first.unique().tolist()) <= {0.0, 6.0} and not torch.equal(first, second)
    seen = rnn.cell.seen
    assert len(seen) == 6 and seen[0] is seen[2] and seen[2] is not seen[3]
