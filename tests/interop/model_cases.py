"""Models as functions of a Keras-like package, so that Keras and this package make the same ones."""

from __future__ import annotations

from typing import Any


def chain(k: Any) -> Any:
    x = k.Input((3,))
    return k.Model(x, k.layers.Dense(2)(k.layers.Dense(4, activation="relu")(x)))


def named_chain(k: Any) -> Any:
    x = k.Input((3,), name="entry")
    return k.Model(x, k.layers.Dense(2, name="exit")(k.layers.Dense(4, name="middle")(x)), name="named")


def two_in_two_out(k: Any) -> Any:
    a, b = k.Input((3,), name="a"), k.Input((4,), name="b")
    left, right = k.layers.Dense(5)(a), k.layers.Dense(5)(b)
    both = k.layers.Concatenate()([left, right])
    return k.Model([a, b], [k.layers.Dense(1, name="one")(both), k.layers.Dense(2, name="two")(right)])


def dicts(k: Any) -> Any:
    data = {"zeta": k.Input((3,), name="zeta"), "alpha": k.Input((4,), name="alpha")}
    both = k.layers.Concatenate()([data["zeta"], data["alpha"]])
    return k.Model(data, {"y": k.layers.Dense(1)(both), "x": k.layers.Dense(2)(data["alpha"])})


def nests(k: Any) -> Any:
    a, b, c = (k.Input((3,), name=name) for name in "abc")
    ab = k.layers.Add()([a, b])
    return k.Model([a, [b, c]], {"sum": ab, "rest": [k.layers.Dense(2)(c), (k.layers.Dense(1)(ab),)]})


def tuples(k: Any) -> Any:
    a, b = k.Input((3,), name="a"), k.Input((3,), name="b")
    return k.Model((a, b), (k.layers.Subtract()([a, b]), k.layers.Dense(2)(b)))


def list_of_one(k: Any) -> Any:
    x = k.Input((3,), name="x")
    return k.Model([x], [k.layers.Dense(2)(x)])


def unused_input(k: Any) -> Any:
    a, b = k.Input((3,), name="a"), k.Input((2,), name="b")
    return k.Model([a, b], k.layers.Dense(2)(a))


def one_tensor_twice(k: Any) -> Any:
    x = k.Input((3,))
    y = k.layers.Dense(2)(x)
    return k.Model(x, {"p": y, "q": y})


def input_as_output(k: Any) -> Any:
    x = k.Input((3,))
    return k.Model(x, [x, k.layers.Dense(2)(x)])


def shared_layer(k: Any) -> Any:
    a, b = k.Input((3,), name="a"), k.Input((3,), name="b")
    dense = k.layers.Dense(4)
    return k.Model([a, b], k.layers.Add()([dense(a), dense(b)]))


def shared_at_depths(k: Any) -> Any:
    x = k.Input((3,))
    first, second = k.layers.Dense(3), k.layers.Dense(3)
    return k.Model(x, first(second(first(second(x)))))


def diamond(k: Any) -> Any:
    x = k.Input((4,))
    top = k.layers.Dense(4)(x)
    left = k.layers.Dense(4)(k.layers.ReLU()(top))
    right = k.layers.Dense(4)(top)
    return k.Model(x, k.layers.Dense(1)(k.layers.Add()([k.layers.Add()([left, right]), top])))


def nested_functional(k: Any) -> Any:
    inner = two_in_two_out(k)
    a, b = k.Input((3,), name="p"), k.Input((4,), name="q")
    one, two = inner([a, b])
    return k.Model([a, b], k.layers.Dense(2)(k.layers.Concatenate()([one, two])))


def nested_twice(k: Any) -> Any:
    inner = chain(k)
    a, b = k.Input((3,)), k.Input((3,))
    return k.Model([a, b], k.layers.Add()([inner(a), inner(b)]))


def nested_output_is_output(k: Any) -> Any:
    x = k.Input((3,))
    return k.Model(x, chain(k)(k.layers.Dense(3)(x)))


def nested_sequential(k: Any) -> Any:
    inner = k.Sequential([k.layers.Dense(3), k.layers.ReLU()])
    x = k.Input((3,))
    return k.Model(x, k.layers.Dense(1)(inner(x)))


def nested_dicts(k: Any) -> Any:
    inner = dicts(k)
    a, b = k.Input((4,), name="one"), k.Input((3,), name="two")
    found = inner({"alpha": a, "zeta": b})
    return k.Model({"one": a, "two": b}, k.layers.Concatenate()([found["x"], found["y"]]))


def from_the_middle(k: Any) -> Any:
    x = k.Input((3,))
    middle = k.layers.Dense(4, name="middle")(x)
    return k.Model(middle, k.layers.Dense(2, name="exit")(middle))


def feature_extractor(k: Any) -> Any:
    model = chain(k)
    return k.Model(model.inputs, [layer.output for layer in model.layers])


def operators(k: Any) -> Any:
    x = k.Input((4,))
    y = k.layers.Dense(4)(x)
    return k.Model(x, -((x + y) * 2.0 - y / 3.0) + 1.0 - 0.5 * x)


def slices(k: Any) -> Any:
    x = k.Input((5, 4))
    return k.Model(x, [x[:, 0], x[:, 1:3], x[..., -1]])


def called_ops(k: Any) -> Any:
    x = k.Input((5, 4))
    y = k.ops.relu(k.layers.Dense(3)(x))
    mean = k.ops.mean(y, axis=1)
    both = k.ops.concatenate([mean, k.ops.max(x, axis=1)], axis=-1)
    return k.Model(x, k.ops.softmax(k.ops.reshape(both, (-1, 7))))


def masked(k: Any) -> Any:
    x = k.Input((6,), dtype="int32")
    y = k.layers.Embedding(9, 4, mask_zero=True)(x)
    return k.Model(x, k.layers.Dense(2)(k.layers.LSTM(3)(y)))


def wrapped_recurrent(k: Any) -> Any:
    x = k.Input((None, 3))
    y = k.layers.Bidirectional(k.layers.GRU(2, return_sequences=True))(x)
    return k.Model(x, k.layers.TimeDistributed(k.layers.Dense(2))(y))


def images(k: Any) -> Any:
    x = k.Input((8, 8, 3))
    y = k.layers.Conv2D(4, 3, activation="relu")(x)
    y = k.layers.BatchNormalization()(y)
    y = k.layers.MaxPooling2D()(y)
    y = k.layers.Dropout(0.3)(k.layers.Flatten()(y))
    return k.Model(x, k.layers.Dense(2, kernel_regularizer="l2")(y))


def fixed_batch(k: Any) -> Any:
    x = k.Input(batch_shape=(2, 3))
    return k.Model(x, k.layers.Dense(2)(x))


def frozen_layer(k: Any) -> Any:
    x = k.Input((3,))
    return k.Model(x, k.layers.Dense(2)(k.layers.Dense(4, trainable=False)(x)))


def half_policy(k: Any) -> Any:
    x = k.Input((3,))
    return k.Model(x, k.layers.Dense(2, dtype="float32")(k.layers.Dense(4, dtype="mixed_bfloat16")(x)))


def row(k: Any) -> Any:
    return k.Sequential([k.Input((3,)), k.layers.Dense(4, activation="tanh"), k.layers.Dense(2)])


def row_named(k: Any) -> Any:
    return k.Sequential([k.Input((3,), name="x"), k.layers.Dense(4, name="a"), k.layers.Dense(2, name="b")], name="row")


def row_added(k: Any) -> Any:
    model = k.Sequential()
    model.add(k.Input((4,)))
    model.add(k.layers.Dense(3))
    model.add(k.layers.Dense(5))
    model.pop()
    model.add(k.layers.Dense(2))
    return model


def row_built_late(k: Any) -> Any:
    model = k.Sequential([k.layers.Dense(4), k.layers.ReLU(), k.layers.Dense(2)])
    model.build((None, 3))
    return model


def row_legacy_shape(k: Any) -> Any:
    return k.Sequential([k.layers.Dense(4, input_shape=(3,)), k.layers.Dense(2)])


def row_legacy_dim(k: Any) -> Any:
    return k.Sequential([k.layers.Dense(4, input_dim=3), k.layers.Dense(2)])


def row_of_models(k: Any) -> Any:
    return k.Sequential([k.Input((3,)), chain(k), k.Sequential([k.layers.Dense(3)])])


def row_first_model(k: Any) -> Any:
    return k.Sequential([chain(k), k.layers.Dense(2)])


def row_images(k: Any) -> Any:
    return k.Sequential(
        [k.Input((6, 6, 2)), k.layers.Conv2D(3, 3), k.layers.BatchNormalization(), k.layers.GlobalAveragePooling2D()]
    )


FUNCTIONAL = [
    chain, named_chain, two_in_two_out, dicts, nests, tuples, list_of_one, unused_input, one_tensor_twice,
    input_as_output, shared_layer, shared_at_depths, diamond, nested_functional, nested_twice, nested_output_is_output,
    nested_sequential, nested_dicts, from_the_middle, feature_extractor, operators, slices, called_ops, masked,
    wrapped_recurrent, images, fixed_batch, frozen_layer, half_policy,
]  # fmt: skip
SEQUENTIAL = [
    row, row_named, row_added, row_built_late, row_legacy_shape, row_legacy_dim, row_of_models, row_first_model,
    row_images,
]  # fmt: skip
ALL = FUNCTIONAL + SEQUENTIAL
