"""Models made of ops, as functions of a Keras-like package, so that Keras and this package make the same ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def double(x: Any) -> Any:
    return x + x


def arithmetic(k: Any) -> Any:
    x, y = k.Input((3,), name="x"), k.Input((3,), name="y")
    return k.Model([x, y], [x + y, x - y, x * y, x / (y * y + 1), -x, abs(x), x @ k.ops.transpose(y)])


def with_numbers(k: Any) -> Any:
    x = k.Input((3,), name="x")
    return k.Model(x, [x + 1, 1 - x, 2 * x, x / 2.5, 2 / (x * x + 1), x**2, 2**x, x // 2, 7 // (x * x + 1), x % 2])


def comparisons(k: Any) -> Any:
    x, y = k.Input((3,), name="x"), k.Input((3,), name="y")
    return k.Model([x, y], [x != y, x < y, x <= y, x > y, x >= y, 1 > x, x < 0.5])


def logic(k: Any) -> Any:
    x, y = k.Input((3,), name="x"), k.Input((3,), name="y")
    p, q = x > 0, y > 0
    return k.Model([x, y], [p & q, p | q, p ^ q, ~p, True & p, False | q, k.ops.where(p & q, x, y)])


def logic_of_numbers(k: Any) -> Any:
    x, y = k.Input((3,), name="x"), k.Input((3,), dtype="int32", name="y")
    return k.Model([x, y], [x & y, x | y, x ^ y, ~x, ~y, 1 & y])


def rounding(k: Any) -> Any:
    x = k.Input((3,), name="x")
    return k.Model(x, [round(x), round(x, 2)])


def indices(k: Any) -> Any:
    x = k.Input((4, 6), name="x")
    return k.Model(x, [x[:, 0], x[:, -1, 2], x[:, 1:3], x[..., 1:5:2], x[:, None, ..., 0], x[0], x[:, :, None]])


def methods(k: Any) -> Any:
    x = k.Input((2, 6), batch_size=2, name="x")
    return k.Model(x, [x.reshape((4, 6)), k.ops.expand_dims(x, 1).squeeze(1)])


def mixed_types(k: Any) -> Any:
    x, y = k.Input((3,), dtype="int32", name="x"), k.Input((3,), dtype="bool", name="y")
    return k.Model([x, y], [x + 1.5, x * x, x + y, x / 2, y * 2, x - 1])


def constants(k: Any) -> Any:
    x = k.Input((3,), name="x")
    vector = [0.5, -1.0, 2.0]
    return k.Model(x, [x + np.array(vector, "float32"), torch.tensor(vector) * x, x - np.float32(2)])


def reductions(k: Any) -> Any:
    x = k.Input((4, 5), name="x")
    ops = k.ops
    return k.Model(
        x, [ops.sum(x, axis=1), ops.mean(x, axis=(1, 2), keepdims=True), ops.max(x, axis=-1), ops.argmax(x, axis=1)]
    )


def nested_arguments(k: Any) -> Any:
    x, y = k.Input((3,), name="x"), k.Input((3,), name="y")
    ops = k.ops
    return k.Model([x, y], [ops.concatenate([x, y, x], axis=1), ops.stack([x, y], axis=1)])


def several_outputs(k: Any) -> Any:
    x = k.Input((6,), name="x")
    first, second = k.ops.split(x, 2, axis=1)
    rest = k.ops.unstack(x, axis=1)
    return k.Model(x, {"product": first * second, "third": rest[2]})


def shapes(k: Any) -> Any:
    x = k.Input((4, 6), name="x")
    ops = k.ops
    return k.Model(
        x, [ops.reshape(x, (-1, 24)), ops.transpose(x, (0, 2, 1)), ops.repeat(x, 2, axis=1), ops.flip(x, axis=2)]
    )


def products(k: Any) -> Any:
    x, y = k.Input((4, 6), name="x"), k.Input((6, 2), name="y")
    return k.Model([x, y], [x @ y, k.ops.matmul(x, y), k.ops.einsum("bij,bjk->bik", x, y)])


def types(k: Any) -> Any:
    x = k.Input((3,), name="x")
    ops = k.ops
    outputs = [ops.cast(x, torch.float16), ops.cast(x, "int"), ops.saturate_cast(100 * x, "uint8")]
    return k.Model(x, [*outputs, ops.convert_to_tensor(x), ops.convert_to_tensor(x, dtype="float64")])


def gradients_stopped(k: Any) -> Any:
    x = k.Input((3,), name="x")
    return k.Model(x, x * k.ops.stop_gradient(k.layers.Dense(3)(x)))


def blocks(k: Any) -> Any:
    x = k.Input((4, 6), batch_size=2, name="x")
    ops = k.ops
    updated = ops.slice_update(x, [0, 1, 0], [[[5.0, 6.0]]])
    return k.Model(x, [ops.slice(x, (0, 1, 2), (2, 2, 3)), updated])


def scattered(k: Any) -> Any:
    x = k.Input((4,), batch_size=2, name="x")
    ops = k.ops
    added = ops.scatter_update(x, [[0, 1], [0, 1]], [5.0, 6.0], reduction="add")
    return k.Model(x, [ops.scatter([[0], [2]], x, (3, 4)), ops.scatter_update(x, [[0, 1]], [5.0]), added])


def rearranged(k: Any) -> Any:
    x = k.Input((4, 6), batch_size=2, name="x")
    return k.Model(x, [k.ops.rearrange(x, "b c h -> h (b c)"), k.ops.rearrange(x, "b (p q) h -> b q p h", p=2)])


def registered_functions(k: Any) -> Any:
    x = k.Input((3,), name="x")
    k.saving.register_keras_serializable("Tests")(double)
    return k.Model(x, [k.ops.vectorized_map(double, x), k.ops.map(double, x), k.ops.switch(0, [double, double], x)])


def activations(k: Any) -> Any:
    x = k.Input((6,), name="x")
    ops = k.ops
    return k.Model(x, [ops.relu(x), ops.softmax(x, axis=-1), ops.leaky_relu(x, negative_slope=0.3), ops.gelu(x)])


def among_layers(k: Any) -> Any:
    x = k.Input((5,), name="x")
    h = k.layers.Dense(4, name="first")(x)
    h = h * k.ops.sigmoid(k.layers.Dense(4, name="gate")(x)) + 0.5
    return k.Model(x, k.layers.Dense(2, name="last")(k.ops.concatenate([h, x[:, :2]], axis=-1)))


def shared(k: Any) -> Any:
    x, y = k.Input((3,), name="x"), k.Input((3,), name="y")
    half = x / 2
    return k.Model([x, y], [half + y, half * half, half])


def model_in_model(k: Any) -> Any:
    x = k.Input((3,), name="x")
    inner = k.Model(x, x * 2 + 1, name="inner")
    y = k.Input((3,), name="y")
    return k.Model(y, inner(y) + inner(y * 3))


def open_sizes(k: Any) -> Any:
    x = k.Input((None, 4), name="x")
    return k.Model(x, [k.ops.mean(x, axis=1), x - k.ops.max(x, axis=1, keepdims=True), x[:, -1]])


def scalars(k: Any) -> Any:
    x = k.Input((), name="x")
    return k.Model(x, k.ops.expand_dims(x, -1) * 3 + x[0])


CASES = [
    arithmetic, with_numbers, comparisons, logic, logic_of_numbers, rounding, indices, methods, mixed_types, constants,
    reductions, nested_arguments, several_outputs, shapes, products, types, gradients_stopped, blocks, scattered,
    rearranged, registered_functions, activations, among_layers, shared, model_in_model, open_sizes, scalars,
]  # fmt: skip
