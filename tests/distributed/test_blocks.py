"""The layers that `FullyShardedDataParallel` gathers one at a time."""

from __future__ import annotations

import pytest

import torchkeras as keras
from torchkeras import layers
from torchkeras.distributed.blocks import find_blocks


class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(2, 4)
        self.dense = layers.Dense(8)

    def build(self, shape):
        self.attention.build(shape, shape)
        self.dense.build(shape)

    def call(self, x):
        return self.dense(self.attention(x, x))


class Deep(keras.Model):
    def __init__(self):
        super().__init__()
        self.embedding = layers.Embedding(30, 8)
        self.blocks = [Block(name=f"block_{i}") for i in range(3)]
        self.head = keras.Sequential([layers.Dense(16, name="first"), layers.Dense(4, name="second")])

    def call(self, x):
        x = self.embedding(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def deep():
    model = Deep()
    model(keras.ops.zeros((2, 5), "int32"))
    return model


def names(blocks):
    return sorted(block.name for block in blocks)


def test_blocks_are_found_without_names():
    model = deep()
    found = names(find_blocks(model))
    assert found == sorted([model.embedding.name, "block_0", "block_1", "block_2", "first", "second"])


@pytest.mark.parametrize(
    "wrap, expected",
    [
        (Block, ["block_0", "block_1", "block_2"]),
        ((Block, layers.Dense), ["block_0", "block_1", "block_2", "dense", "dense_1", "dense_2", "first", "second"]),
        (["block_1", "first"], ["block_1", "first"]),
        (lambda layer: getattr(layer, "name", "") == "second", ["second"]),
    ],
)
def test_blocks_that_the_user_names(wrap, expected):
    keras.utils.clear_session()
    assert names(find_blocks(deep(), wrap)) == expected


def test_inner_blocks_come_first():
    model = deep()
    found = find_blocks(model, (Block, layers.Dense))
    assert all(found.index(block.dense) < found.index(block) for block in model.blocks)


def test_names_of_no_layer_are_refused():
    with pytest.raises(ValueError, match="at least one layer"):
        find_blocks(deep(), ["blocks"])


def test_a_layer_that_holds_most_of_the_weights_is_looked_into():
    model = keras.Sequential([keras.Input((5, 8)), Block(name="block"), layers.Dense(1, name="head")])
    keras.utils.clear_session()
    assert names(find_blocks(model)) == sorted([model.layers[0].attention.name, model.layers[0].dense.name, "head"])


def test_weights_of_two_layers_stay_with_the_model():
    model = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8, name="a"), layers.Dense(8, name="b"), layers.Dense(8, name="c")]
    )
    model.layers[1].kernel = model.layers[0].kernel
    assert names(find_blocks(model)) == ["c"]
