"""Entries that a mask or a weight of 0 leaves out count for nothing, even if their targets are NaN or infinite."""

import numpy as np
import pytest
import torch

import torchkeras as keras
from tests.interop import loss_cases, metric_cases
from torchkeras.core.tensors.masks import set_mask

WHOLE_BATCH = ("Dice", "Tversky")  # one value for all entries: there is nothing to leave out
INTEGERS = (metric_cases.CLASSES, metric_cases.SEGMENTS)  # integers are finite
METRICS = [
    name
    for name, (kind, arguments) in metric_cases.METRICS.items()
    if kind not in INTEGERS and arguments.get("axis") != 0  # along axis 0 each value is one of all rows
]
FLOATS = [name for name, (kind, _) in loss_cases.LOSSES.items() if kind != loss_cases.CLASSES]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("by", ["weight", "column", "mask"])
@pytest.mark.parametrize("case", [c for c in FLOATS if c.split()[0] not in WHOLE_BATCH and not c.endswith(" axis")])
def test_losses(case, by, bad, rng):
    kind, arguments = loss_cases.LOSSES[case]
    true, pred = loss_cases.make_batch(rng, kind, arguments)
    counts = np.array([1, 0, 1, 1, 0, 1], "float32")
    spoilt = np.where(counts[:, None] == 0, bad, true).astype("float32")
    loss = getattr(keras.losses, case.split()[0])(**arguments, reduction="sum")
    results = []
    for target in (true, spoilt):
        x = torch.tensor(pred, requires_grad=True)
        weight = {"weight": counts, "column": counts[:, None], "mask": None}[by]
        y_pred = x * 1
        if by == "mask":
            set_mask(y_pred, torch.tensor(counts, dtype=torch.bool))
        value = loss(torch.tensor(target), y_pred, weight)
        value.backward()
        results.append((value.detach(), x.grad))
    for clean, found in zip(*results, strict=True):
        torch.testing.assert_close(found, clean)
    assert not results[1][1][counts == 0].any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("case", METRICS)
def test_metrics(case, bad, rng):
    kind, arguments = metric_cases.METRICS[case]
    data = metric_cases.make_batch(rng, kind, arguments)
    rows = len(data[0])
    counts = (np.arange(rows) % 3 != 1).astype("float32")
    if "IoU" in case:  # takes a weight for each label
        per_row = 1 if "OneHot" in case or "scores" in case else data[0].shape[1]
        counts = np.repeat(counts, per_row).reshape((rows,) if per_row == 1 else data[0].shape)
    made = [getattr(keras.metrics, case.split()[0])(**arguments) for _ in range(2)]
    spoilt = np.array(data[0])
    spoilt[np.arange(rows) % 3 == 1] = bad
    for metric, target in zip(made, (data[0], spoilt), strict=True):
        metric.update_state(torch.tensor(target), *map(torch.tensor, data[1:2]), sample_weight=counts)
    torch.testing.assert_close(made[1].result(), made[0].result(), equal_nan=True)
