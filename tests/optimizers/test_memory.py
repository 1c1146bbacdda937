"""The memory that updates take for what they compute on the way, to the byte."""

import pytest
import torch

import torchkeras as keras
from tests.optimizers.optimizer_cases import NAMES, make
from tests.peaks import peaks
from torchkeras.optimizers import muon, parameter_group, wide_weights

GROUP = 32 * 2**10
SHAPES = [(64, 64)] * 12 + [(256, 256)]
LARGE = 4 * 256 * 256
OF_WHOLE_WEIGHTS = {"Adafactor": 1, "Lamb": 2, "Muon": 3}
"""The optimizers that look at a weight as a whole: of how many tensors of its size they need memory."""
OPTIONS = {
    "plain": {},
    "accumulated": {"gradient_accumulation_steps": 2, "global_clipnorm": 0.1, "weight_decay": 0.01, "use_ema": True},
    "unscaled": {"loss_scale_factor": 2.0, "clipvalue": 0.1},
    "masters": {"low_precision_update": "master_weights", "clipnorm": 0.1},
    "rounding": {"low_precision_update": "stochastic_rounding"},
}


def update_of(name, options):
    """A function that makes an update, after two that made everything that stays."""
    dtype = "bfloat16" if "low_precision_update" in options else "float32"
    variables = [keras.Variable(torch.full(shape, 0.5), dtype=dtype) for shape in SHAPES]
    grads = [torch.full_like(variable, 0.1, requires_grad=False) for variable in variables]
    optimizer = make(name, **options)

    def update():
        for _ in range(options.get("gradient_accumulation_steps", 1)):
            optimizer.apply(grads, variables)

    update()
    update()
    return update


def test_what_an_update_computes_on_the_way_is_of_the_size_of_a_group(monkeypatch):
    monkeypatch.setattr(parameter_group, "CPU_GROUP_BYTES", GROUP)
    monkeypatch.setattr(muon, "BATCH_BYTES", GROUP)
    monkeypatch.setattr(wide_weights, "_ROUNDED_TOGETHER", GROUP // 4)
    runs = {f"{name}, {kind}": update_of(name, options) for name in NAMES for kind, options in OPTIONS.items()}
    found = peaks(runs)
    for name in NAMES:
        for kind in OPTIONS:
            limit = 8 * GROUP
            if name in OF_WHOLE_WEIGHTS:
                limit = OF_WHOLE_WEIGHTS[name] * LARGE + (LARGE if OPTIONS[kind] else 0) + GROUP
            if kind == "rounding":
                limit += LARGE
            assert found[f"{name}, {kind}"] <= limit, (name, kind, found[f"{name}, {kind}"] / GROUP)


@pytest.mark.parametrize("shape", [(256, 256), (128, 512), (512, 128)])
def test_muon_takes_no_more_than_torchs(shape, monkeypatch):
    monkeypatch.setattr(muon, "BATCH_BYTES", 0)  # a matrix at a time, as torch does
    weights = [torch.nn.Parameter(torch.full(shape, 0.5)) for _ in range(4)]
    for weight in weights:
        weight.grad = torch.full_like(weight, 0.1)
    theirs = torch.optim.Muon(weights)
    theirs.step()
    grads = [weight.grad for weight in weights]
    variables = [keras.Variable(weight.detach()) for weight in weights]
    ours = keras.optimizers.Muon()
    ours.apply(grads, variables)
    found = peaks({"theirs": theirs.step, "ours": lambda: ours.apply(grads, variables)})
    assert found["ours"] <= found["theirs"]
