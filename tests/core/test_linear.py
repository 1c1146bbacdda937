"""Dense in inference mode: the same numbers by oneDNN, and by torch's own product wherever somebody looks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from torchkeras import layers
from torchkeras.core.fast_paths import linear

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")


@pytest.fixture
def calls(monkeypatch):
    """Shapes of what goes to oneDNN, on a CPU where all that may go does."""
    shapes: list = []

    def counted(x, *others):
        shapes.append(tuple(x.shape))
        return onednn_linear(x, *others)

    onednn_linear = linear.onednn_linear
    monkeypatch.setattr(linear, "onednn_is_faster_here", lambda: True)
    monkeypatch.setattr(linear, "onednn_linear", counted)
    return shapes


# The inputs' shape, units, bias, and whether oneDNN computes.
ROWS = {
    "large": ((64, 256), 128, True, True),
    "no bias": ((64, 256), 128, False, True),
    "sequences": ((4, 16, 256), 128, True, True),
    "small": ((64, 16), 8, True, False),
    "few rows": ((2, 1024), 1024, True, False),
    "no rows": ((0, 1024), 1024, True, False),
}


@pytest.mark.parametrize("name", ROWS)
def test_numbers_are_those_of_the_formula(name, calls, rng):
    shape, units, use_bias, is_onednn = ROWS[name]
    layer = layers.Dense(units, use_bias=use_bias, bias_initializer="random_normal", activation="relu")
    x = rng.standard_normal(shape, dtype="float32")
    layer.build(shape)
    with torch.inference_mode():
        got = layer(torch.from_numpy(x))
    wanted = x.astype("float64") @ layer.kernel.numpy().astype("float64")
    wanted = np.maximum(wanted + layer.bias.numpy() if use_bias else wanted, 0)
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-4, atol=1e-4)
    assert bool(calls) == is_onednn


def big():
    layer = layers.Dense(128)
    layer.build((None, 256))
    return layer, torch.randn(64, 256)


def test_gradients_are_torchs(calls):
    layer, x = big()
    layer(x).sum().backward()
    assert layer.kernel.grad is not None and not calls
    with torch.no_grad():
        layer(x)
    assert calls


def _compiled(layer, x):
    return torch.compile(layer, fullgraph=True, backend="eager")(x)


def _autocast(layer, x):
    with torch.autocast("cpu", torch.bfloat16):
        return layer(x)


def _without_onednn(layer, x):
    with torch.backends.mkldnn.flags(enabled=False):
        return layer(x)


def _replaced(layer, x):
    return torch.func.functional_call(layer, {"kernel": layer.kernel.detach() * 1}, (x,))


def _double(layer, x):
    return layers.Dense(128, dtype="float64")(x)


OTHERS = {
    "compiled": _compiled,
    "autocast": _autocast,
    "oneDNN off": _without_onednn,
    "vmap": lambda layer, x: torch.vmap(layer)(x.view(1, 64, 256))[0],
    "another type": _double,
    "traced": lambda layer, x: torch.jit.trace(layer, x, check_trace=False)(x),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_torch_takes_what_is_not_plain(name, calls):
    layer, x = big()
    with torch.inference_mode():
        got = OTHERS[name](layer, x)
    assert not calls
    if name != "another type":
        torch.testing.assert_close(got.float(), (x @ layer.kernel + layer.bias).detach(), rtol=5e-2, atol=5e-2)


def test_weights_in_the_places_of_others_are_multiplied_as_they_would_be(calls):
    """A quantized layer makes its kernel of integers, and `functional_call` puts one in the place of the variable."""
    layer, x = big()
    with torch.inference_mode():
        got = _replaced(layer, x)
    assert len(calls) == 1
    torch.testing.assert_close(got, (x @ layer.kernel + layer.bias).detach(), rtol=1e-4, atol=1e-4)


def test_operations_are_counted(calls):
    layer, x = big()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        layer(x)
    assert counter.get_total_flops() == 2 * 64 * 256 * 128 and not calls
