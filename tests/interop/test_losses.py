"""Losses against Keras: values, gradients, weights, masks, types, configs, names."""

import inspect

import keras
import numpy as np
import pytest
import torch

import torchkeras
import torchkeras.losses as ours
from tests.interop.loss_cases import BITS, CLASSES, LOSSES, NUMBERS, ONE_HOT, POSITIVE, SIGNS, make_batch
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.tensors.masks import set_mask

theirs = keras.losses
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None]
WEIGHTS = [None, "samples", "column", "all"]


def make_weight(rng, form, value_shape):
    if form is None or (form == "column" and len(value_shape) < 2) or not value_shape:
        return None
    shape = {"samples": value_shape[:1], "column": (value_shape[0], *(1,) * (len(value_shape) - 1)), "all": value_shape}
    if form == "samples" and len(value_shape) > 1:
        return None
    return rng.uniform(0.1, 2.0, size=shape[form]).astype("float32")


def evaluate(loss, true, pred, weight=None, mask=None, attach=None):
    """The loss and its gradient as arrays."""
    pred = torch.tensor(pred, requires_grad=True)
    x = pred * 1.0
    if mask is not None:
        attach(x, torch.tensor(mask))
    value = loss(true if isinstance(true, torch.Tensor) else torch.tensor(true), x, sample_weight=weight)
    (gradient,) = torch.autograd.grad(value.float().sum(), pred)
    return value.detach().float().numpy(), gradient.float().numpy()


def keras_attach(x, mask):
    x._keras_mask = mask


def assert_same(expected, found, rtol=2e-5, atol=2e-6):
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=rtol, atol=atol)


def make_both(row, **extra):
    name, (kind, arguments) = row.split()[0], LOSSES[row]
    return getattr(theirs, name)(**arguments, **extra), getattr(ours, name)(**arguments, **extra), kind, arguments


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("row", LOSSES)
def test_values_and_gradients(rng, row, reduction):
    keras_loss, loss, kind, arguments = make_both(row, reduction=reduction)
    for shape in [(6, 5), (4, 3, 5)]:
        if row == "Tversky axis" and shape != (6, 5):
            continue
        true, pred = make_batch(rng, kind, arguments, shape)
        values = keras_loss.call(torch.tensor(true, dtype=torch.float32), torch.tensor(pred))
        for form in WEIGHTS:
            weight = make_weight(rng, form, tuple(values.shape))
            masked = arguments.get("ignore_class") is not None and weight is not None
            full = np.broadcast_to(weight, values.shape).copy() if masked else weight
            assert_same(evaluate(keras_loss, true, pred, full), evaluate(loss, true, pred, weight))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "row", [row for row in LOSSES if not row.startswith(("Dice", "Tversky", "CosineSimilarity axis"))]
)
def test_masks(rng, row, reduction):
    keras_loss, loss, kind, arguments = make_both(row, reduction=reduction)
    true, pred = make_batch(rng, kind, arguments, (4, 3, 5))
    values = keras_loss.call(torch.tensor(true, dtype=torch.float32), torch.tensor(pred))
    assert tuple(values.shape) == (4, 3)
    for mask in (rng.integers(0, 2, size=(4, 3)).astype(bool), np.zeros((4, 3), bool)):
        for form in (None, "column", "all"):
            weight = make_weight(rng, form, (4, 3))
            # Keras can't multiply a column of weights by a mask in place; it is broadcast for it here.
            full = weight if weight is None else np.broadcast_to(weight, (4, 3)).copy()
            expected = evaluate(keras_loss, true, pred, full, mask, keras_attach)
            assert_same(expected, evaluate(loss, true, pred, weight, mask, set_mask))


@pytest.mark.parametrize(
    "row", [r for r, (kind, a) in LOSSES.items() if kind in (NUMBERS, POSITIVE, BITS) and "axis" not in a]
)
@pytest.mark.parametrize(
    "shapes", [((6,), (6, 1)), ((6, 1), (6,)), ((6, 1), (6, 1)), ((6,), (6,)), ((4, 3), (4, 3, 1))]
)
def test_last_axis_of_one(rng, row, shapes):
    keras_loss, loss, kind, arguments = make_both(row)
    true, pred = make_batch(rng, kind, arguments, (12,))
    true_shape, pred_shape = shapes
    true, pred = (
        true[: int(np.prod(true_shape))].reshape(true_shape),
        pred[: int(np.prod(pred_shape))].reshape(pred_shape),
    )
    assert_same(evaluate(keras_loss, true, pred), evaluate(loss, true, pred))


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("target_dtype", ["int32", "int64", "float32", "uint8"])
@pytest.mark.parametrize(
    "case",
    [
        ((6,), (6, 5), -1),
        ((6, 1), (6, 5), -1),
        ((4, 3), (4, 3, 5), 2),
        ((4, 3), (4, 5, 3), 1),
    ],
)
def test_class_numbers(rng, case, target_dtype, from_logits):
    true_shape, pred_shape, axis = case
    true = rng.integers(0, 5, size=true_shape).astype(target_dtype)
    pred = rng.uniform(0.05, 1.0, size=pred_shape).astype("float32")
    arguments = {"from_logits": from_logits, "axis": axis}
    for reduction in ("sum_over_batch_size", None):
        pair = [m.SparseCategoricalCrossentropy(**arguments, reduction=reduction) for m in (theirs, ours)]
        assert_same(*(evaluate(loss, true, pred) for loss in pair))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("row", LOSSES)
def test_types(rng, row, dtype):
    """Half predictions are computed in the loss's own type; a loss of another type gives that type."""
    keras_loss, loss, kind, arguments = make_both(row)
    true, pred = make_batch(rng, kind, arguments)
    true, pred = torch.tensor(true), torch.tensor(pred).to(getattr(torch, dtype))
    expected, found = keras_loss(true, pred), loss(true, pred)
    assert found.dtype == expected.dtype == torch.float32
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
    keras_loss, loss, *_ = make_both(row, dtype=dtype)
    assert loss.dtype == keras_loss.dtype == dtype
    expected, found = keras_loss(true, pred), loss(true, pred)
    assert found.dtype == getattr(torch, dtype)  # Keras divides in float32 where the loss is float64
    rtol = {"float16": 2e-2, "bfloat16": 6e-2, "float64": 1e-6}[dtype]
    expected, found = expected.double(), found.double()
    if expected.isfinite():  # Keras's sums overflow in float16 where ours do not
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)


def test_circle(rng):
    labels = rng.integers(0, 3, size=8)
    vectors = rng.normal(size=(8, 4)).astype("float32")
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    for arguments in ({}, {"gamma": 20.0, "margin": 0.25, "remove_diagonal": False}):
        for reduction in REDUCTIONS:
            pair = [m.Circle(**arguments, reduction=reduction) for m in (theirs, ours)]
            found = [evaluate(loss, labels, vectors) for loss in pair]
            np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-4, atol=1e-5)


def test_ctc(rng):
    true = np.array([[1, 2, 2, 0], [3, 1, 0, 0], [4, 4, 1, 2]])
    pred = rng.normal(size=(3, 9, 5)).astype("float32")
    for reduction in REDUCTIONS:
        pair = [m.CTC(reduction=reduction) for m in (theirs, ours)]
        assert_same(*(evaluate(loss, true, pred) for loss in pair), rtol=1e-4, atol=1e-5)


FUNCTIONS = {
    "mean_squared_error": NUMBERS,
    "mean_absolute_error": NUMBERS,
    "mean_absolute_percentage_error": NUMBERS,
    "mean_squared_logarithmic_error": POSITIVE,
    "huber": NUMBERS,
    "log_cosh": NUMBERS,
    "cosine_similarity": NUMBERS,
    "hinge": SIGNS,
    "squared_hinge": BITS,
    "categorical_hinge": ONE_HOT,
    "kl_divergence": POSITIVE,
    "poisson": POSITIVE,
    "binary_crossentropy": BITS,
    "binary_focal_crossentropy": BITS,
    "categorical_crossentropy": ONE_HOT,
    "categorical_focal_crossentropy": ONE_HOT,
    "sparse_categorical_crossentropy": CLASSES,
    "dice": BITS,
    "tversky": BITS,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(rng, name):
    for shape in [(6, 5), (2, 3, 4, 5)]:
        true, pred = make_batch(rng, FUNCTIONS[name], {}, shape)
        for convert in (np.asarray, torch.tensor):
            expected = getattr(theirs, name)(convert(true), convert(pred))
            found = getattr(ours, name)(convert(true), convert(pred))
            assert found.dtype == expected.dtype and found.shape == expected.shape
            np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


# ---------------------------------------------------------------------------- names, signatures, configs

CLASS_NAMES = [name for name, value in vars(theirs).items() if inspect.isclass(value) and name != "Loss"]


@pytest.mark.parametrize("name", [name for name, value in vars(theirs).items() if callable(value)])
def test_signatures(name):
    expected, found = (inspect.signature(getattr(module, name)) for module in (theirs, ours))
    expected, found = ([(p.name, p.default) for p in s.parameters.values()] for s in (expected, found))
    if name in ("deserialize", "serialize"):
        expected, found = [p[1:] for p in expected], [p[1:] for p in found]
    later = [("label_smoothing", 0.0)] if name.lower().replace("_", "") == "sparsecategoricalcrossentropy" else []
    assert found == expected + later  # an argument of Keras 3.16, behind all others


@pytest.mark.parametrize("from_logits", [True, False])
def test_smoothed_class_numbers_are_smoothed_one_hot_labels(from_logits, rng):
    classes, x = rng.integers(0, 5, size=(3, 4)), rng.uniform(0.1, 1, size=(3, 4, 5)).astype("float32")
    mask = classes != 1
    expected = theirs.categorical_crossentropy(np.eye(5)[classes], torch.tensor(x), from_logits, label_smoothing=0.2)
    found = ours.sparse_categorical_crossentropy(classes, x, from_logits, label_smoothing=0.2)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    loss = ours.SparseCategoricalCrossentropy(from_logits, ignore_class=1, label_smoothing=0.2)
    np.testing.assert_allclose(loss(classes, x), (expected.numpy() * mask).sum() / mask.sum(), rtol=1e-5)
    assert ours.deserialize(ours.serialize(loss)).label_smoothing == 0.2


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_default_configs(name):
    keras_loss, loss = getattr(theirs, name)(), getattr(ours, name)()
    assert loss.get_config() == keras_loss.get_config()
    assert serialize_keras_object(loss) == keras.saving.serialize_keras_object(keras_loss)


@pytest.mark.parametrize("row", LOSSES)
def test_configs(rng, row):
    keras_loss, loss, kind, arguments = make_both(row, reduction="sum", name="mine")
    config = loss.get_config()
    known = keras_loss.get_config()
    assert {key: config[key] for key in known} == known
    # What Keras forgets (delta, axis) must still be an argument of its constructor.
    assert set(config) - set(known) <= set(inspect.signature(type(keras_loss)).parameters)
    true, pred = make_batch(rng, kind, arguments)
    data = serialize_keras_object(loss)
    expected = evaluate(loss, true, pred)
    assert_same(expected, evaluate(deserialize_keras_object(data), true, pred))
    assert_same(expected, evaluate(keras.saving.deserialize_keras_object(data), true, pred))
    again = deserialize_keras_object(keras.saving.serialize_keras_object(keras_loss))
    assert again.get_config().items() >= known.items()


def test_wrapped_function_travels(rng):
    true, pred = rng.normal(size=(2, 4, 3)).astype("float32")
    loss = ours.LossFunctionWrapper(ours.huber, name="wrapped", delta=0.4)
    expected = keras.src.losses.losses.LossFunctionWrapper(theirs.huber, name="wrapped", delta=0.4)
    assert loss.get_config() == expected.get_config()
    data = serialize_keras_object(loss)
    for again in (deserialize_keras_object(data), keras.saving.deserialize_keras_object(data)):
        assert_same(evaluate(expected, true, pred), evaluate(again, true, pred))


STRINGS = ["mse", "MSE", "mae", "MAE", "mape", "MAPE", "msle", "MSLE", "bce", "BCE", "kld", "KLD"]


@pytest.mark.parametrize(
    "name",
    STRINGS
    + [n for n in vars(theirs) if n not in ("Loss", "get", "serialize", "deserialize") and not n.startswith("_")],
)
def test_get(name):
    try:
        expected = theirs.get(name)
    except ValueError:  # Keras forgot one
        expected = getattr(theirs, name)
        expected = expected() if inspect.isclass(expected) else expected
    found = ours.get(name)
    if inspect.isfunction(expected):
        assert found.__name__ == expected.__name__
        assert ours.serialize(found) == theirs.serialize(expected)
        assert ours.deserialize(ours.serialize(found)) is found
    else:
        assert type(found).__name__ == type(expected).__name__
        assert found.get_config() == expected.get_config()


@pytest.mark.parametrize("identifier", ["crossentropy", "ce", "CrossEntropy"])
@pytest.mark.parametrize("kind", ["binary", "sparse", "one-hot"])
def test_crossentropy_goes_by_the_shapes(kind, identifier, rng):
    """What `compile` takes beside the names of losses."""
    units = 1 if kind == "binary" else 4
    x, weights = rng.normal(size=(10, 3)).astype("float32"), [rng.normal(size=(3, units)), rng.normal(size=units)]
    labels = rng.integers(0, max(units, 2), size=10)
    y = {"binary": labels[:, None], "sparse": labels, "one-hot": np.eye(4)[labels % 4]}[kind]
    found = []
    for lib in (keras, torchkeras):
        model = lib.Sequential([lib.Input((3,)), lib.layers.Dense(units, "sigmoid" if units == 1 else "softmax")])
        model.set_weights(weights)
        model.compile("sgd", identifier)
        found.append(model.evaluate(x, y, verbose=0, return_dict=True))
    assert list(found[1]) == list(found[0])
    np.testing.assert_allclose(list(found[1].values()), list(found[0].values()), rtol=1e-5)


@pytest.mark.parametrize("identifier", [{"a": 1}, {}], ids=str)
@pytest.mark.parametrize("kind", ["losses", "metrics", "initializers", "regularizers", "constraints", "activations",
                                  "dtype_policies"])  # fmt: skip
def test_dicts_of_something_else_are_refused(kind, identifier):
    for library in (keras, torchkeras):
        for read in ("get", "deserialize"):
            with pytest.raises(ValueError):
                getattr(getattr(library, kind), read)(identifier)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_logarithms_of_half_precision_are_taken_in_float32(dtype, rng):
    y = [torch.from_numpy(rng.random((4, 3))).to(getattr(torch, dtype)) for _ in range(2)]
    got, wanted = (library.losses.mean_squared_logarithmic_error(*y) for library in (torchkeras, keras))
    assert got.dtype == wanted.dtype == torch.float32
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-7)
