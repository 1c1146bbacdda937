"""Convolutions, where torch computes small batches by another kernel."""

import pytest
import torch

import torchkeras as keras


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_one_filter_learns_from_one_sample(rank, channels, rng):
    """The gradient of one row is that of two equal rows, whichever kernel torch takes for so small a batch."""
    layer = getattr(keras.layers, f"Conv{rank}D")(1, 3, padding="same")
    row = torch.from_numpy(rng.normal(size=(1, *[6] * rank, channels)).astype("float32"))
    gradients = []
    for x in (row, row.repeat(2, *[1] * (rank + 1))):
        loss = (layer(x) ** 2).mean()
        gradients.append(torch.autograd.grad(loss, layer.trainable_weights))
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)
