"""torch's losses, modules and functions, where Keras takes one: the order of arguments, shapes, weights, masks."""

import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import torchkeras as keras
from torchkeras import losses
from torchkeras.core.tensors.masks import set_mask
from torchkeras.losses.torch_loss import FUNCTIONS, MODULES, TorchLoss

VALUES, BITS, SIGNS, LOGS, CLASSES, PLACES = "values bits signs logs classes places".split()
ROWS = {
    "MSELoss": (nn.MSELoss(), VALUES),
    "L1Loss sum": (nn.L1Loss(reduction="sum"), VALUES),
    "SmoothL1Loss": (nn.SmoothL1Loss(beta=0.3), VALUES),
    "HuberLoss": (nn.HuberLoss(delta=0.4), VALUES),
    "KLDivLoss": (nn.KLDivLoss(log_target=True), LOGS),
    "PoissonNLLLoss": (nn.PoissonNLLLoss(), VALUES),
    "SoftMarginLoss": (nn.SoftMarginLoss(), SIGNS),
    "HingeEmbeddingLoss": (nn.HingeEmbeddingLoss(margin=0.7), SIGNS),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 0.5, 1.0])), BITS),
    "MultiLabelSoftMarginLoss": (nn.MultiLabelSoftMarginLoss(), BITS),
    "MultiLabelMarginLoss": (nn.MultiLabelMarginLoss(), PLACES),
    "MultiMarginLoss": (nn.MultiMarginLoss(margin=0.5), CLASSES),
    "CrossEntropyLoss": (nn.CrossEntropyLoss(label_smoothing=0.1), CLASSES),
    "CrossEntropyLoss ignore": (nn.CrossEntropyLoss(ignore_index=2), CLASSES),
    "CrossEntropyLoss weight": (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 0.2, 3.0, 0.5])), CLASSES),
    "NLLLoss": (nn.NLLLoss(), CLASSES),
    "mse_loss": (F.mse_loss, VALUES),
    "cross_entropy": (F.cross_entropy, CLASSES),
    "cross_entropy smooth": (functools.partial(F.cross_entropy, label_smoothing=0.2), CLASSES),
    "binary_cross_entropy_with_logits": (F.binary_cross_entropy_with_logits, BITS),
    "huber_loss delta": (functools.partial(F.huber_loss, delta=0.2), VALUES),
}


def make_batch(rng, kind, rows=6, classes=4):
    shape = (rows, classes)
    true = {
        VALUES: lambda: rng.normal(size=shape).astype("float32"),
        LOGS: lambda: np.log(rng.dirichlet(np.ones(classes), rows)).astype("float32"),
        BITS: lambda: rng.integers(0, 2, size=shape),
        SIGNS: lambda: rng.choice([-1, 1], size=shape),
        CLASSES: lambda: rng.integers(0, classes, size=rows),
        PLACES: lambda: np.stack([rng.permutation(classes) for _ in range(rows)]),
    }[kind]()
    return torch.as_tensor(true), torch.as_tensor(rng.normal(size=shape).astype("float32"))


@pytest.mark.parametrize("row", ROWS)
def test_values_are_torchs(row, rng):
    function, kind = ROWS[row]
    true, pred = make_batch(rng, kind)
    target = true.to(pred.dtype) if kind in (BITS, SIGNS) else true
    expected = function(pred, target)
    assert losses.get(function)(true, pred) == expected
    if kind == CLASSES:
        assert losses.get(function)(true[:, None], pred) == expected


@pytest.mark.parametrize("row", [row for row in ROWS if "weight" not in row])
def test_sample_weights_and_masks_follow_kerass_rules(row, rng):
    function, kind = ROWS[row]
    true, pred = make_batch(rng, kind)
    loss = losses.get(function)
    values = torch.stack([loss(true[i : i + 1], pred[i : i + 1]) for i in range(len(true))])
    if "ignore" in row:
        values = values.nan_to_num(0.0)
    weight, mask = torch.rand(len(true)), torch.tensor([True, False, True, True, False, True])
    total = torch.sum if loss.reduction == "sum" else torch.mean
    if "sum" in row:
        values = values / pred.shape[1]
    torch.testing.assert_close(loss(true, pred, sample_weight=weight), total(values * weight))
    set_mask(pred, mask)
    torch.testing.assert_close(loss(true, pred), total(values[mask]))


@pytest.mark.parametrize("row", ROWS)
def test_configs_hold_names_and_numbers(row, rng):
    function, kind = ROWS[row]
    true, pred = make_batch(rng, kind)
    loss = losses.get(function)
    data = losses.serialize(loss)
    assert data["module"] == "torchkeras.losses" and keras.saving.deserialize_keras_object(data).name == loss.name
    assert losses.deserialize(data)(true, pred) == loss(true, pred)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_can_be_described(name):
    module = getattr(nn, name)()
    again = TorchLoss.from_config(TorchLoss(module).get_config())
    assert type(again.function) is type(module) and again.get_config() == TorchLoss(module).get_config()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_can_be_described(name):
    assert TorchLoss.from_config(TorchLoss(getattr(F, name)).get_config()).function is getattr(F, name)


@pytest.mark.parametrize("classes_last", [True, False])
def test_sequences_of_classes(classes_last, rng):
    """Keras has the classes in the last axis, torch in the second."""
    true = torch.as_tensor(rng.integers(0, 4, size=(3, 5)))
    pred = torch.as_tensor(rng.normal(size=(3, 4, 5)).astype("float32"))
    expected = F.cross_entropy(pred, true)
    given = pred.movedim(1, -1) if classes_last else pred
    torch.testing.assert_close(losses.get(nn.CrossEntropyLoss())(true, given), expected)
    if classes_last:
        one_hot = F.one_hot(true, 4)
        torch.testing.assert_close(losses.get(F.cross_entropy)(one_hot, given), expected)


def test_columns_meet_vectors(rng):
    """A column of predictions and a vector of targets are one to one, not all to all."""
    true, pred = torch.rand(5), torch.rand(5, 1)
    assert losses.get(nn.MSELoss())(true, pred) == F.mse_loss(pred, true[:, None])


@pytest.mark.parametrize("row", ["MSELoss", "CrossEntropyLoss", "cross_entropy", "BCEWithLogitsLoss"])
def test_shapes_that_do_not_fit_are_told(row):
    with pytest.raises(ValueError, match=r"\(6, 3\).*\(6, 4\)"):
        losses.get(ROWS[row][0])(torch.ones(6, 3), torch.ones(6, 4))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"name": "x", "torch_loss": "system", "arguments": {}}, "Unknown torch loss 'system'.*MSELoss"),
        ({"name": "x", "torch_loss": "LinearCrossEntropyLoss", "arguments": {}}, "Unknown torch loss"),
    ],
)
def test_files_name_torchs_losses_alone(config, said):
    with pytest.raises(ValueError, match=said):
        TorchLoss.from_config(config)
