"""What losses promise beyond Keras's numbers: one graph, clear errors, exact short cuts, plain objects."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.interop.loss_cases import BITS, LOSSES, ONE_HOT, make_batch
from torchkeras import losses
from torchkeras.core.fast_paths.batch_means import find_batch_mean
from torchkeras.core.tensors.masks import set_mask


def make(row, **extra):
    kind, arguments = LOSSES[row]
    return getattr(losses, row.split()[0])(**arguments, **extra), kind, arguments


def draw(rng, row, shape=(6, 5)):
    kind, arguments = LOSSES[row]
    return [torch.tensor(x) for x in make_batch(rng, kind, arguments, shape)]


@pytest.mark.parametrize("first", range(0, len(LOSSES), 12))
def test_one_graph(rng, first):
    """Weighted or not, twelve losses are one graph, and the ragged last batch makes no third one."""
    rows = list(LOSSES)[first : first + 12]
    made = [make(row)[0] for row in rows]
    compiles = []

    def count(module, inputs):
        compiles.append(module)
        return module.forward

    def values(batches):
        return [loss(*batch) for loss, batch in zip(made, batches, strict=True)]

    torch._dynamo.reset()
    compiled = torch.compile(values, fullgraph=True, backend=count)
    for size in (6, 8, 5, 3):
        batches = [draw(rng, row, (size, 5)) for row in rows]
        for row, a, b in zip(rows, compiled(batches), values(batches), strict=True):
            torch.testing.assert_close(a, b, msg=lambda text, row=row: f"{row}: {text}")
    assert len(compiles) <= 2
    for row, batch in zip(rows, batches, strict=True):
        batch.append(torch.rand(make(row, reduction=None)[0](*batch).shape))
    torch.testing.assert_close(compiled(batches), values(batches))


@pytest.mark.parametrize("row", [r for r in LOSSES if find_batch_mean(make(r)[0].fn) and "ignore" not in r])
def test_short_cuts_are_the_mean(rng, row):
    """The kernel for a whole batch gives the mean of the values, and their gradient."""
    loss, *_ = make(row)
    values = make(row, reduction=None)[0]
    for shape in [(6, 5), (1, 5), (5,), (4, 3, 5)]:
        true, pred = draw(rng, row, shape)
        pred.requires_grad_()
        found, expected = loss(true, pred), values(true, pred).mean()
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(*(torch.autograd.grad(x, pred)[0] for x in (found, expected)))


@pytest.mark.parametrize("row", LOSSES)
def test_wrong_shapes_are_told(rng, row):
    loss, kind, _ = make(row)
    true, pred = draw(rng, row)
    for wrong in (torch.zeros(4, 3), pred[:, :3] if kind != "classes" else pred[:4]):
        with pytest.raises(ValueError) as error:
            loss(true, wrong)
        assert str(tuple(true.shape)) in str(error.value)
        assert str(tuple(wrong.shape)) in str(error.value)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", None])
def test_wrong_weights_are_told(rng, reduction):
    true, pred = torch.rand(2, 6, 5)
    with pytest.raises(ValueError, match=r"\(6,\).*\(4,\)"):
        losses.MeanSquaredError(reduction=reduction)(true, pred, torch.ones(4))
    with pytest.raises(ValueError, match=r"\(2, 6\).*\(2,\)"):
        losses.MeanSquaredError(reduction=reduction)(torch.rand(2, 6, 5), torch.rand(2, 6, 5), torch.ones(2))


def test_unknown_names_are_told():
    with pytest.raises(ValueError, match="median.*sum_over_batch_size"):
        losses.MeanSquaredError(reduction="median")
    with pytest.raises(ValueError, match="MeanSquaredError"):
        losses.get("mean_squared_eror")
    with pytest.raises(ValueError, match="1.5"):
        losses.CategoricalGeneralizedCrossEntropy(q=1.5)
    for loss in (losses.CategoricalCrossentropy, losses.CategoricalFocalCrossentropy):
        with pytest.raises(ValueError, match="axis"):
            loss(axis=True)(torch.rand(3, 4), torch.rand(3, 4))
    assert losses.get(None) is None


def test_one_class_warns():
    with pytest.warns(SyntaxWarning, match="binary_crossentropy"):
        losses.CategoricalCrossentropy()(torch.ones(3, 1), torch.rand(3, 1))


@pytest.mark.parametrize("row", LOSSES)
def test_empty_batches(rng, row):
    """Values of no sample stay empty; a mean over none is 0, never a NaN."""
    loss, *_ = make(row)
    true, pred = draw(rng, row, (4, 2, 5))
    value = loss(true[:0], pred[:0].requires_grad_())
    assert value.isnan().sum() == 0
    flat = loss(*(x[:0] for x in draw(rng, row)))
    assert flat.isnan().sum() == 0


def test_own_classes(rng):
    """A subclass's `call` is used, also under a loss that has a short cut; a function may take structures."""
    true, pred = torch.rand(2, 6, 5)

    class Doubled(losses.MeanSquaredError):
        def call(self, y_true, y_pred):
            return 2.0 * super().call(y_true, y_pred)

    class Plain(losses.Loss):
        def call(self, y_true, y_pred):
            return (y_true["a"] - y_pred["a"]).abs().mean(-1) + y_pred["b"]

    torch.testing.assert_close(Doubled()(true, pred), 2.0 * F.mse_loss(pred, true))
    loss = Plain(name="plain", reduction="sum")
    value = loss({"a": true.numpy(), "b": np.zeros(6)}, {"a": pred, "b": torch.ones(6)})
    torch.testing.assert_close(value, (true - pred).abs().mean(-1).sum() + 6.0)
    assert loss.get_config() == {"name": "plain", "reduction": "sum"}
    wrapped = losses.LossFunctionWrapper(lambda t, p: (t[0] - p[0]).square() + (t[1] - p[1]).abs())
    torch.testing.assert_close(wrapped([true, true], [pred, pred[..., :5]]).dim(), 0)
    with pytest.raises(NotImplementedError, match="Loss"):
        losses.Loss()(true, pred)
    assert losses.Loss().name.startswith("loss")


@pytest.mark.parametrize("row", ["MeanSquaredError", "Huber delta", "SparseCategoricalCrossentropy ignore", "Dice"])
@pytest.mark.parametrize("travel", [copy.deepcopy, lambda loss: pickle.loads(pickle.dumps(loss))])
def test_copies(rng, row, travel):
    loss, *_ = make(row, name="mine")
    true, pred = draw(rng, row)
    again = travel(loss)
    assert again.get_config() == loss.get_config()
    torch.testing.assert_close(again(true, pred), loss(true, pred))


@pytest.mark.parametrize("row", [row for row in LOSSES if LOSSES[row][0] in (BITS, ONE_HOT) and "Tversky" not in row])
def test_sure_predictions_stay_finite(rng, row):
    """Probabilities of exactly 0 and 1 (and logits far out) give finite losses and gradients."""
    loss, kind, arguments = make(row)
    true, _ = draw(rng, row)
    pred = true if kind == BITS else torch.eye(5)[rng.integers(0, 5, size=6)]
    pred = pred * 200.0 - 100.0 if arguments.get("from_logits") else pred
    for p in (pred, pred.flip(-1)):
        p = p.clone().requires_grad_()
        value = loss(true, p)
        (gradient,) = torch.autograd.grad(value, p)
        assert value.isfinite() and gradient.isfinite().all()


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("classes", [5, 300])
def test_class_numbers_in_float64(rng, classes, from_logits):
    """Few classes and many go different ways; both give the formula, and leave class -100 at 0 as torch does."""
    true = torch.tensor(rng.integers(0, classes, size=12))
    true[3] = -100
    pred = torch.tensor(rng.uniform(0.01, 1.0, size=(12, classes)), requires_grad=True)
    log_prob = pred.log_softmax(-1) if from_logits else (pred / pred.sum(-1, keepdim=True)).log()
    expected = -log_prob.gather(-1, true.clamp(min=0)[:, None]).squeeze(-1) * (true != -100)
    for reduction, value in ((None, expected), ("sum_over_batch_size", expected.mean()), ("sum", expected.sum())):
        loss = losses.SparseCategoricalCrossentropy(from_logits=from_logits, reduction=reduction, dtype="float64")
        found = loss(true, pred)
        torch.testing.assert_close(found, value)
        gradients = [torch.autograd.grad(x.sum(), pred, retain_graph=True)[0] for x in (found, value)]
        torch.testing.assert_close(*gradients)


def test_ignored_classes(rng):
    true, pred = torch.tensor(rng.integers(0, 5, size=(4, 7))), torch.rand(4, 7, 5)
    kept = true != 2
    loss = losses.SparseCategoricalCrossentropy(ignore_class=2)
    expected = losses.SparseCategoricalCrossentropy()(true[kept], pred[kept])
    torch.testing.assert_close(loss(true, pred), expected)
    assert loss(torch.full((4, 7), 2), pred) == 0.0
    beyond = torch.where(kept, true, 255)  # a class that the predictions do not have
    torch.testing.assert_close(losses.SparseCategoricalCrossentropy(ignore_class=255)(beyond, pred), expected)


def test_masks_of_both_ends_meet(rng):
    true, pred = torch.tensor(rng.integers(0, 5, size=(4, 7))), torch.rand(4, 7, 5)
    mask = torch.tensor(rng.integers(0, 2, size=(4, 7)).astype(bool))
    kept = mask & (true != 2)
    set_mask(pred, mask)
    found = losses.SparseCategoricalCrossentropy(ignore_class=2)(true, pred)
    torch.testing.assert_close(found, losses.SparseCategoricalCrossentropy()(true[kept], pred[kept]))
    assert not found.requires_grad


@pytest.mark.parametrize("row", ["MeanSquaredError", "BinaryCrossentropy logits", "CategoricalCrossentropy logits"])
def test_function_transforms(rng, row):
    """`torch.func` sees through: gradients per sample of a batch equal those of the samples."""
    loss, *_ = make(row)
    true, pred = draw(rng, row)
    found = torch.func.vmap(torch.func.grad(lambda p, t: loss(t[None], p[None])))(pred, true)
    for i in range(len(pred)):
        p = pred[i : i + 1].clone().requires_grad_()
        torch.testing.assert_close(found[i], torch.autograd.grad(loss(true[i : i + 1], p), p)[0][0])


@pytest.mark.parametrize("from_logits", [True, False])
def test_focal_loss_of_class_numbers_is_that_of_one_hot_labels(from_logits, rng):
    true, pred = torch.tensor(rng.integers(0, 5, (4, 7))), torch.tensor(rng.random((4, 7, 5)))
    alpha, one_hot = rng.random(5), torch.nn.functional.one_hot(true, 5).double()
    arguments = {"alpha": torch.tensor(alpha), "gamma": 1.5, "from_logits": from_logits}
    torch.testing.assert_close(
        losses.sparse_categorical_focal_crossentropy(true, pred, **arguments),
        losses.categorical_focal_crossentropy(one_hot, pred, **arguments),
    )
    kept = true != 2
    loss = losses.SparseCategoricalFocalCrossentropy(ignore_class=2, dtype="float64")
    torch.testing.assert_close(
        loss(true, pred), losses.SparseCategoricalFocalCrossentropy(dtype="float64")(true[kept], pred[kept])
    )
    again = losses.deserialize(losses.serialize(loss))
    torch.testing.assert_close(again(true, pred).double(), loss(true, pred), rtol=1e-5, atol=1e-6)
