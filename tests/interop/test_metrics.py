"""Metrics against Keras: state and result over several updates, weights, masks, types, configs, names."""

import inspect
import re

import keras
import numpy as np
import pytest
import torch

import torchkeras.metrics as ours
from tests.interop.metric_cases import BITS, CLASSES, METRICS, NUMBERS, ONE_HOT, POSITIVE, SEGMENTS, make_batch
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.tensors.masks import set_mask

theirs = keras.metrics


def make_both(row, **extra):
    name, (kind, arguments) = row.split()[0], METRICS[row]
    return getattr(theirs, name)(**arguments, **extra), getattr(ours, name)(**arguments, **extra), kind, arguments


def assert_same_state(keras_metric, metric, rtol=2e-5, atol=1e-4, rows=1):
    """Sums are rounded by their size on the way, also where they cancel to zero, and once for each of the rows."""
    assert [v.name for v in metric.variables] == [v.name for v in keras_metric.variables]
    for expected, found in zip(keras_metric.variables, metric.variables, strict=True):
        assert keras.backend.standardize_dtype(found.dtype) == expected.dtype
        values = keras.ops.convert_to_numpy(expected)
        near = atol * rows**0.5 + rtol * np.abs(values).max(initial=0)
        np.testing.assert_allclose(found.numpy(), values, rtol=0, atol=near)
    expected, found = keras_metric.result(), metric.result()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("row", METRICS)
def test_state(rng, row, weighted):
    keras_metric, metric, kind, arguments = make_both(row)
    if not row.startswith(("R2Score", "AUC labels")):
        assert_same_state(keras_metric, metric) if metric.variables else None
    for rows in (7, 1, 30):
        if rows == 1 and "axis" in arguments:
            continue
        batch = [torch.tensor(x) for x in make_batch(rng, kind, arguments, rows)]
        weight = None
        if weighted:
            shape = (5,) if arguments.get("axis") == 0 and "Correlation" in row else (rows,)
            shape = (rows, 5) if kind == SEGMENTS or row.startswith("BinaryIoU") else shape
            weight = rng.uniform(0.1, 2.0, size=shape).astype("float32")
            if "IoU" in row and "float" not in row:
                weight = np.ceil(weight).astype("int32")
        keras_metric.update_state(*batch, sample_weight=weight)
        metric.update_state(*batch, sample_weight=weight)
        assert_same_state(keras_metric, metric)
    for m in (keras_metric, metric):
        m.reset_state()
    assert all((v == 0).all() for v in metric.variables)


# Values (rows, 4, 3), and weights by the axes that they have.
@pytest.mark.parametrize("values", [(), (6,), (6, 1), (6, 4), (6, 4, 3)])
@pytest.mark.parametrize(
    "weight", ["number", "scalar", (6,), (6, 1), (6, 4), (6, 1, 1), (6, 4, 1), (1, 4, 3), (6, 4, 3), (1,)]
)
@pytest.mark.parametrize("name", ["Mean", "Sum"])
def test_shapes_of_weights(rng, name, values, weight):
    x = np.asarray(rng.normal(size=values), "float32")
    w = 3 if weight == "number" else np.asarray(rng.uniform(0.1, 2.0, () if weight == "scalar" else weight), "float32")
    keras_metric, metric = getattr(theirs, name)(), getattr(ours, name)()
    try:
        keras_metric.update_state(torch.tensor(x), w)
        keras_metric.update_state(torch.tensor(x))
    except (ValueError, RuntimeError):  # Keras's own error, or torch's of a broadcast
        with pytest.raises(ValueError, match="shape"):
            metric.update_state(torch.tensor(x), w)
        return
    metric.update_state(torch.tensor(x), w)
    metric.update_state(torch.tensor(x))
    assert_same_state(keras_metric, metric)


@pytest.mark.parametrize("weight", [None, (4, 1), (4, 3)])
@pytest.mark.parametrize(
    "row",
    [
        r
        for r in METRICS
        if issubclass(getattr(ours, r.split()[0]), ours.MeanMetricWrapper)
        and METRICS[r][0] in (NUMBERS, POSITIVE, ONE_HOT, CLASSES)
        and not r.endswith("axis")
    ],
)
def test_masks(rng, row, weight):
    keras_metric, metric, kind, arguments = make_both(row)
    for _ in range(2):
        true, pred = make_batch(rng, kind, arguments, 12)
        true, pred = true.reshape(4, 3, *true.shape[1:]), pred.reshape(4, 3, 5)
        mask = torch.tensor(rng.integers(0, 2, size=(4, 3)).astype(bool))
        w = None if weight is None else rng.uniform(0.1, 2.0, size=weight).astype("float32")
        keras_pred, pred = torch.tensor(pred), torch.tensor(pred)
        keras_pred._keras_mask = mask
        set_mask(pred, mask)
        # Keras can't multiply a column of weights by a mask in place; it is broadcast for it here.
        full = None if w is None else np.broadcast_to(w, (4, 3)).copy()
        keras_metric.update_state(torch.tensor(true), keras_pred, full)
        metric.update_state(torch.tensor(true), pred, w)
        assert_same_state(keras_metric, metric)


@pytest.mark.parametrize(
    "shapes", [((6,), (6, 1)), ((6, 1), (6,)), ((6, 1), (6, 1)), ((6,), (6,)), ((4, 3), (4, 3, 1))]
)
@pytest.mark.parametrize(
    "row",
    [
        r
        for r, (kind, arguments) in METRICS.items()
        if kind in (NUMBERS, POSITIVE, BITS) and not r.startswith(("R2Score", "Pearson", "Concordance"))
    ],
)
def test_last_axis_of_one(rng, row, shapes):
    keras_metric, metric, kind, arguments = make_both(row)
    true, pred = make_batch(rng, kind, arguments, 12, 1)
    true_shape, pred_shape = shapes
    true = torch.tensor(true.reshape(-1)[: np.prod(true_shape)].reshape(true_shape))
    pred = torch.tensor(pred.reshape(-1)[: np.prod(pred_shape)].reshape(pred_shape))
    try:
        keras_metric.update_state(true, pred)
    except (ValueError, RuntimeError):  # its crossentropies want equal shapes; torch can't broadcast for the others
        pytest.skip("not taken by Keras")
    metric.update_state(true, pred)
    assert_same_state(keras_metric, metric)


@pytest.mark.parametrize("true_dtype", ["int32", "int64", "float32", "uint8"])
@pytest.mark.parametrize("shapes", [((6,), (6, 5)), ((6, 1), (6, 5)), ((2, 3), (2, 3, 5)), ((2, 3, 1), (2, 3, 5))])
@pytest.mark.parametrize("row", [r for r, (kind, _) in METRICS.items() if kind == CLASSES])
def test_class_numbers(rng, row, shapes, true_dtype):
    keras_metric, metric, *_ = make_both(row)
    true = rng.integers(0, 5, size=shapes[0]).astype(true_dtype)
    pred = rng.uniform(0.05, 1.0, size=shapes[1]).astype("float32")
    for _ in range(2):
        keras_metric.update_state(torch.tensor(true), torch.tensor(pred))
        metric.update_state(torch.tensor(true), torch.tensor(pred))
    assert_same_state(keras_metric, metric)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("row", [r for r in METRICS if not METRICS[r][0] == SEGMENTS])
def test_half_predictions(rng, row, dtype):
    keras_metric, metric, kind, arguments = make_both(row)
    for _ in range(2):
        batch = [torch.tensor(x) for x in make_batch(rng, kind, arguments, 8)]
        batch[-1] = batch[-1].to(getattr(torch, dtype))
        keras_metric.update_state(*batch)
        metric.update_state(*batch)
    assert_same_state(keras_metric, metric, rtol=3e-2, atol=3e-2, rows=16)


def test_sorted_ids(rng):
    keras_metric, metric = (m.SparseTopKCategoricalAccuracy(k=2, from_sorted_ids=True) for m in (theirs, ours))
    for _ in range(3):
        ids = np.stack([rng.permutation(6) for _ in range(8)])[:, :4]
        true = rng.integers(0, 6, size=8)
        keras_metric.update_state(torch.tensor(true), torch.tensor(ids))
        metric.update_state(torch.tensor(true), torch.tensor(ids))
    assert_same_state(keras_metric, metric)


def test_scores_on_thresholds():
    """Scores that lie on a threshold fall where Keras has them fall."""
    scores = torch.tensor([i / 199 for i in range(200)] + [0.0, 1.0, 0.5, -0.3, 1.2])
    labels = torch.arange(205) % 2
    for name, arguments in {
        "AUC": {},
        "SensitivityAtSpecificity": {"specificity": 0.5},
        "TruePositives": {"thresholds": [0.0, 0.5, 1.0]},
        "FalsePositives": {"thresholds": [0.5, 0.3, 0.5]},
    }.items():
        keras_metric, metric = (getattr(m, name)(**arguments) for m in (theirs, ours))
        keras_metric.update_state(labels, scores)
        metric.update_state(labels, scores)
        assert_same_state(keras_metric, metric)


# ---------------------------------------------------------------------------- functions, names, configs

FUNCTIONS = {
    "binary_accuracy": BITS,
    "categorical_accuracy": ONE_HOT,
    "sparse_categorical_accuracy": CLASSES,
    "top_k_categorical_accuracy": ONE_HOT,
    "sparse_top_k_categorical_accuracy": CLASSES,
    "pearson_correlation": NUMBERS,
    "concordance_correlation": NUMBERS,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(rng, name):
    true, pred = make_batch(rng, FUNCTIONS[name], {}, 12, 6)
    for shape in ((12,), (3, 4)):
        true, pred = (
            true.reshape(*shape, *true.shape[true.ndim - (FUNCTIONS[name] != CLASSES) :]),
            pred.reshape(*shape, 6),
        )
        expected, found = (getattr(m, name)(torch.tensor(true), torch.tensor(pred)) for m in (theirs, ours))
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, value in vars(theirs).items() if callable(value)])
def test_signatures(name):
    expected, found = (inspect.signature(getattr(module, name)) for module in (theirs, ours))
    expected, found = ([(p.name, p.default) for p in s.parameters.values()] for s in (expected, found))
    if name in ("deserialize", "serialize"):
        expected, found = [p[1:] for p in expected], [p[1:] for p in found]
    later = [("label_smoothing", 0.0)] if name == "sparse_categorical_crossentropy" else []
    assert found == expected + later  # an argument of Keras 3.16, behind all others


@pytest.mark.parametrize("row", METRICS)
def test_configs(rng, row):
    keras_metric, metric, kind, arguments = make_both(row, name="mine")
    config, known = metric.get_config(), keras_metric.get_config()
    if known.get("label_weights") is not None:
        np.testing.assert_allclose(config["label_weights"], known.pop("label_weights"))
        config.pop("label_weights")
    assert config == known
    batch = [torch.tensor(x) for x in make_batch(rng, kind, arguments)]
    expected = metric(*batch)
    data = serialize_keras_object(metric)
    for again in (deserialize_keras_object(data), keras.saving.deserialize_keras_object(data)):
        np.testing.assert_allclose(again(*batch), expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("row", [row for row in METRICS if " " not in row])
def test_default_names(row):
    keras_metric, metric, *_ = make_both(row)
    assert re.sub(r"_\d+$", "", metric.name) == re.sub(r"_\d+$", "", keras_metric.name)
    assert metric._direction == getattr(keras_metric, "_direction", None)


STRINGS = ["mse", "MSE", "mae", "MAE", "mape", "MAPE", "msle", "MSLE", "bce", "BCE"]


@pytest.mark.parametrize("name", STRINGS + sorted(keras.src.metrics.ALL_OBJECTS_DICT))
def test_get(name):
    try:
        expected = theirs.get(name)
    except TypeError:  # a class that needs arguments
        with pytest.raises(TypeError):
            ours.get(name)
        return
    found = ours.get(name)
    assert type(found).__name__ == type(expected).__name__
    assert {**found.get_config(), "name": ""} == {**expected.get_config(), "name": ""}
    assert re.sub(r"_\d+$", "", found.name) == re.sub(r"_\d+$", "", expected.name)


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_functions_travel(name):
    function = getattr(ours, name)
    assert ours.serialize(function) == theirs.serialize(getattr(theirs, name))
    assert ours.deserialize(ours.serialize(function)) is function
    wrapped = ours.MeanMetricWrapper(function, name="wrapped")
    expected = theirs.MeanMetricWrapper(getattr(theirs, name), name="wrapped")
    assert wrapped.get_config() == expected.get_config()
    assert ours.serialize(wrapped) == theirs.serialize(expected)
    assert ours.deserialize(theirs.serialize(expected))._fn is function


ONE_HOT = [("CategoricalAccuracy", {}), ("OneHotIoU", {"num_classes": 3, "target_class_ids": [0, 2]}),
           ("OneHotMeanIoU", {"num_classes": 3}), ("TopKCategoricalAccuracy", {"k": 2})]  # fmt: skip


@pytest.mark.parametrize("name, arguments", ONE_HOT, ids=str)
def test_one_hot_booleans(rng, name, arguments):
    labels = np.eye(3, dtype=bool)[rng.integers(0, 3, 8)]
    scores = rng.random((8, 3)).astype("float32")
    got, wanted = (getattr(library, name)(**arguments) for library in (ours, theirs))
    for metric in (got, wanted):
        metric.update_state(torch.tensor(labels), torch.tensor(scores))
    np.testing.assert_allclose(float(got.result()), float(wanted.result()), rtol=1e-6)


def test_scores_that_are_not_numbers_count_as_the_lowest(rng):
    labels, scores = rng.integers(0, 2, 20), rng.random(20).astype("float32")
    lowest = np.where(np.arange(20) < 5, 0.0, scores)
    scores[:5] = np.nan
    results = [ours.AUC()(labels, one) for one in (scores, lowest)]
    torch.testing.assert_close(*results)
