"""What metrics promise beyond Keras's numbers: cheap updates, state that merges and moves, one graph, plain objects."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.interop.metric_cases import METRICS, VALUES, make_batch
from torchkeras import losses, metrics
from torchkeras.core.variables.variable import Variable


def make(row):
    kind, arguments = METRICS[row]
    return getattr(metrics, row.split()[0])(**arguments)


def draw(rng, row, rows=7):
    return [torch.tensor(x) for x in make_batch(rng, *METRICS[row], rows)]


def assert_close(found, expected, msg=None):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True, msg=msg)


class Ops(TorchDispatchMode):
    """Note the names of the operations that run."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func._schema.name.removeprefix("aten::"))
        return func(*args, **(kwargs or {}))


VIEWS = {
    "detach",
    "view",
    "_unsafe_view",
    "unsqueeze",
    "squeeze",
    "expand",
    "slice",
    "select",
    "alias",
    "t",
    "transpose",
}
SYNCS = {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select", "bincount", "unique"}
KERNELS = {
    "Mean": 3,
    "Sum": 2,
    "MeanSquaredError": 3,
    "MeanAbsoluteError": 5,
    "RootMeanSquaredError": 3,
    "BinaryCrossentropy": 4,
    "BinaryAccuracy": 5,
    "SparseCategoricalAccuracy": 5,
    "CategoricalAccuracy": 6,
    "Precision": 8,
    "Recall": 8,
}


@pytest.mark.parametrize("row", METRICS)
def test_updates_wait_for_nothing(rng, row):
    """No update reads a value back; the common ones are few kernels."""
    metric = make(row)
    batch = draw(rng, row)
    metric.update_state(*batch)
    with Ops() as ops:
        metric.update_state(*batch)
    assert not SYNCS & set(ops.names)
    kernels = [name for name in ops.names if name not in VIEWS]
    assert len(kernels) <= KERNELS.get(row, 40), kernels


IN_GRAPHS = [row for row in METRICS if " " not in row] + ["AUC few", "AUC labels", "AUC thresholds"]


@pytest.mark.parametrize("first", range(0, len(IN_GRAPHS), 12))
def test_one_graph(rng, first):
    """The updates of twelve metrics are one graph."""
    rows = IN_GRAPHS[first : first + 12]
    metrics, plain = [make(row) for row in rows], [make(row) for row in rows]
    for row, one, other in zip(rows, metrics, plain, strict=True):
        batch = draw(np.random.default_rng(1), row)
        one.update_state(*batch)
        other.update_state(*batch)

    def update(batches):
        for metric, batch in zip(metrics, batches, strict=True):
            metric.update_state(*batch)

    torch._dynamo.reset()
    compiled = torch.compile(update, fullgraph=True, backend="eager")
    for size in (7, 9, 4):
        batches = [draw(rng, row, size) for row in rows]
        compiled(batches)
        for metric, batch in zip(plain, batches, strict=True):
            metric.update_state(*batch)
    for row, one, other in zip(rows, metrics, plain, strict=True):
        assert_close(one.result(), other.result(), msg=lambda text, row=row: f"{row}: {text}")


@pytest.mark.parametrize("row", METRICS)
def test_processes_merge(rng, row):
    """All state is sums over samples: added up, it gives the result of all batches together."""
    whole, parts = make(row), [make(row) for _ in range(3)]
    for part in parts:
        batch = draw(rng, row)
        part.update_state(*batch)
        whole.update_state(*batch)
    assert {variable.aggregation for variable in whole.variables} == {"sum"}
    summed = [
        sum(v.detach().clone() for v in column) for column in zip(*(part.variables for part in parts), strict=True)
    ]
    before = [v.numpy().copy() for v in parts[0].variables]
    assert_close(parts[0].stateless_result(summed), whole.result())
    for was, variable in zip(before, parts[0].variables, strict=True):
        np.testing.assert_array_equal(was, variable.numpy())


@pytest.mark.parametrize("row", METRICS)
def test_stateless(rng, row):
    """The stateless methods compute what the others do, and leave the state alone."""
    metric, other = make(row), make(row)
    first, second = draw(rng, row), draw(rng, row)
    metric.update_state(*first)
    other.update_state(*first)
    before = [v.numpy().copy() for v in metric.variables]
    values = metric.stateless_update_state(metric.variables, *second)
    other.update_state(*second)
    for value, variable, was, own in zip(values, other.variables, before, metric.variables, strict=True):
        assert_close(value, variable.detach().as_subclass(torch.Tensor))
        np.testing.assert_array_equal(own.numpy(), was)
        assert value.untyped_storage().data_ptr() != own.untyped_storage().data_ptr()
    assert_close(metric.stateless_result(values), other.result())
    assert all((value == 0).all() for value in metric.stateless_reset_state())
    with pytest.raises(ValueError, match=f"{len(values)}.*{len(values) + 1}"):
        metric.stateless_update_state([*values, values[0]], *second)
    with pytest.raises(ValueError, match=str(len(values))):
        metric.stateless_result(values[1:])


@pytest.mark.parametrize("row", METRICS)
def test_no_graph_is_kept(rng, row):
    """Predictions of a training step leave no gradient in the state, and are not held."""
    metric = make(row)
    batch = draw(rng, row)
    if batch[-1].is_floating_point():
        batch[-1].requires_grad_()
    metric.update_state(*(x * 1 if x.requires_grad else x for x in batch))
    assert not any(v.requires_grad or v.grad_fn for v in metric.variables)
    result = metric.result()
    assert not result.requires_grad
    # The result is a value, not a view of the state.
    kept = result.clone()
    metric.reset_state()
    assert_close(result, kept)


@pytest.mark.parametrize("row", ["Mean", "F1Score", "AUC labels", "R2Score", "MeanIoU", "Precision"])
def test_state_made_while_predicting(rng, row):
    """State that is first made in inference mode takes updates outside of it."""
    with torch.inference_mode():
        metric = make(row)
        metric.update_state(*draw(rng, row))
    metric.update_state(*draw(rng, row))
    metric.reset_state()
    assert all((v == 0).all() for v in metric.variables)


@pytest.mark.parametrize("row", METRICS)
def test_values_without_data_are_passed_over(rng, row):
    """While shapes are inferred on the meta device, nothing is counted and the state stays where it is."""
    metric = make(row)
    metric.update_state(*draw(rng, row))
    before = [v.numpy().copy() for v in metric.variables]
    metric.update_state(*(x.to("meta") for x in draw(rng, row)))
    for was, variable in zip(before, metric.variables, strict=True):
        np.testing.assert_array_equal(was, variable.numpy())


@pytest.mark.cuda
@pytest.mark.parametrize("row", METRICS)
def test_state_follows_the_data(rng, row):
    metric, expected = make(row), make(row)
    metric.to("cpu")
    variables = metric.variables
    for m, device in ((metric, "cuda"), (expected, "cpu")):
        for rows in (7, 9):
            m.update_state(*(x.to(device) for x in draw(np.random.default_rng(rows), row, rows)))
    assert all(v.device.type == "cuda" for v in metric.variables)
    assert all(a is b for a, b in zip(variables, metric.variables, strict=True))
    assert_close(metric.result().cpu(), expected.result())
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = [x.to("cuda", non_blocking=True) for x in draw(rng, row)]
        metric.update_state(*batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("row", METRICS)
@pytest.mark.parametrize("travel", [copy.deepcopy, lambda metric: pickle.loads(pickle.dumps(metric))])
def test_copies_are_apart(rng, row, travel):
    metric = make(row)
    metric.update_state(*draw(rng, row))
    again = travel(metric)
    assert_close(again.result(), metric.result())
    before = metric.result().clone()
    batch = draw(rng, row)
    again.update_state(*batch)
    assert_close(metric.result(), before)
    metric.update_state(*batch)
    assert_close(again.result(), metric.result())


def test_results_before_any_batch():
    """They are 0, never NaN."""
    for name in ("Mean", "Sum", "Precision", "Recall", "AUC", "BinaryAccuracy", "RootMeanSquaredError"):
        assert getattr(metrics, name)().result() == 0.0
    assert metrics.AUC(multi_label=True).result() == 0.0


# ---------------------------------------------------------------------------- metrics of one's own


class Largest(metrics.Metric):
    """A metric written with Keras's methods alone."""

    def __init__(self, name="largest", **kwargs):
        super().__init__(name=name, **kwargs)
        self.largest = self.add_weight(name="largest", initializer="zeros")
        self.seen = self.add_variable((), "zeros", dtype="int32", aggregation="none", name="seen")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.largest.assign(torch.maximum(self.largest, torch.as_tensor(y_pred).max()))
        self.seen.assign_add(1)

    def result(self):
        return {"largest": self.largest, "seen": self.seen}


def test_own_metric():
    metric = Largest()
    assert [v.path for v in metric.variables] == ["largest/largest", "largest/seen"]
    assert [v.aggregation for v in metric.variables] == ["sum", "none"]
    found = metric(torch.zeros(3), torch.tensor([1.0, 5.0, 2.0]))
    assert (found["largest"], found["seen"]) == (5.0, 1)
    values = metric.stateless_update_state([torch.tensor(7.0), 3], None, torch.tensor([6.0]))
    assert [float(v) for v in values] == [7.0, 4.0]
    held = metric.stateless_result(values)
    metric.reset_state()
    assert (held["largest"], held["seen"]) == (7.0, 4)
    assert metric.result()["largest"] == 0.0
    assert metric.get_config() == {"name": "largest", "dtype": "float32"}
    assert Largest.from_config(metric.get_config()).name == "largest"


def test_held_state_is_found():
    class Holder(metrics.Metric):
        def __init__(self, inner):
            super().__init__(name="holder")
            self.inner = inner
            self.more = {"a": [Variable(0.0, trainable=False)], "b": metrics.Sum()}
            self.alone = Variable(1.0, trainable=False)
            self.again = self.alone

    holder = Holder(metrics.Mean())
    assert len(holder.variables) == 1 + 1 + 2 + 1
    assert len(holder.non_trainable_variables) == 5
    holder.reset_state()
    assert holder.alone == 0.0


def test_own_constructors_are_checked():
    class Forgetful(metrics.Metric):
        def __init__(self):
            self.total = self.add_weight(name="total")

    with pytest.raises(RuntimeError, match=r"super\(\).__init__\(\)"):
        Forgetful()
    with pytest.raises(NotImplementedError, match="Metric"):
        metrics.Metric().update_state(1)
    with pytest.raises(NotImplementedError, match="Metric"):
        metrics.Metric().result()


def test_functions_and_losses_as_metrics(rng):
    true, pred = torch.rand(2, 6, 4)
    for function in (lambda t, p: (t - p).abs().sum(-1), losses.MeanSquaredError(reduction=None)):
        metric = metrics.MeanMetricWrapper(function, name="own")
        for _ in range(2):
            metric.update_state(true, pred)
        assert_close(metric.result(), function(true, pred).mean())
    learned = torch.ones(4, requires_grad=True)
    metric = metrics.MeanMetricWrapper(lambda t, p: (p * learned).sum(-1))
    metric.update_state(true, pred)
    assert not metric.total.requires_grad


# ---------------------------------------------------------------------------- errors

TWO = [row for row in METRICS if METRICS[row][0] != VALUES]


@pytest.mark.parametrize("row", TWO)
def test_wrong_shapes_are_told(rng, row):
    metric = make(row)
    true, pred = draw(rng, row)
    with pytest.raises(ValueError) as error:
        metric.update_state(true, pred[:4].reshape(2, 2, 5)[:, :, :3])
    if "IoU" not in row:  # those count entries, and say how many there are
        assert "(2, 2, 3)" in str(error.value) or "(2, 2)" in str(error.value) or "12" in str(error.value)


ARGUMENTS = [
    (metrics.AUC, {"curve": "ABC"}, "ABC.*ROC"),
    (metrics.AUC, {"summation_method": "guess"}, "guess.*interpolation"),
    (metrics.AUC, {"num_thresholds": 1}, "num_thresholds.*1"),
    (metrics.AUC, {"num_labels": 3}, "multi_label"),
    (metrics.Precision, {"thresholds": [0.5, 1.5]}, "1.5"),
    (metrics.Recall, {"thresholds": -0.5}, "-0.5"),
    (metrics.SensitivityAtSpecificity, {"specificity": 1.5}, "specificity.*1.5"),
    (metrics.SpecificityAtSensitivity, {"sensitivity": -1}, "sensitivity.*-1"),
    (metrics.PrecisionAtRecall, {"recall": 2}, "recall.*2"),
    (metrics.RecallAtPrecision, {"precision": 0.5, "num_thresholds": 0}, "num_thresholds.*0"),
    (metrics.FBetaScore, {"average": "some"}, "some"),
    (metrics.FBetaScore, {"beta": 1}, "beta=1"),
    (metrics.FBetaScore, {"beta": -1.0}, "beta=-1.0"),
    (metrics.F1Score, {"threshold": 1}, "threshold=1"),
    (metrics.F1Score, {"threshold": 1.5}, "threshold=1.5"),
    (metrics.R2Score, {"class_aggregation": "some"}, "some"),
    (metrics.R2Score, {"num_regressors": -1}, "-1"),
    (metrics.IoU, {"num_classes": 2, "target_class_ids": [2]}, "num_classes=2.*2"),
]


@pytest.mark.parametrize(("cls", "arguments", "match"), ARGUMENTS)
def test_wrong_arguments_are_told(cls, arguments, match):
    with pytest.raises(ValueError, match=match):
        cls(**arguments)


def test_other_errors():
    with pytest.raises(ValueError, match=r"2D.*\(5,\)"):
        metrics.Precision(class_id=1).update_state(torch.ones(5), torch.ones(5))
    with pytest.raises(ValueError, match=r"\(5,\)"):
        metrics.AUC(multi_label=True).update_state(torch.ones(5), torch.ones(5))
    with pytest.raises(ValueError, match=r"F1Score|FBetaScore"):
        metrics.F1Score().update_state(torch.ones(2, 3, 4), torch.ones(2, 3, 4))
    with pytest.raises(ValueError, match="mean_squared_error|MeanSquaredError"):
        metrics.get("mean_squared_eror")
    with pytest.warns(UserWarning, match="float.*int"):
        metrics.MeanIoU(2)([0, 1], [0, 1], sample_weight=np.array([0.5, 0.5]))
    with pytest.warns(UserWarning, match="num_regressors"):
        metrics.R2Score(num_regressors=9)(torch.rand(3, 1), torch.rand(3, 1))


def test_get():
    assert metrics.get("accuracy").name == "accuracy"
    assert metrics.get("rmse").name == "root_mean_squared_error"
    assert metrics.get({"class_name": "AUC", "config": {"curve": "PR"}}).curve == "PR"
    assert metrics.get(metrics.Mean).name.startswith("mean")
    assert metrics.get(None) is None
