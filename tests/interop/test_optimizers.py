"""Optimizers and schedules against Keras: numbers over many steps, configs, variables, files."""

import keras
import numpy as np
import pytest
import torch

import torchkeras.optimizers as ours
from torchkeras.core.variable import Variable

theirs = keras.optimizers
SHAPES = [(), (3,), (4, 5), (2, 3, 4)]
STEPS = 50

RULES = {
    "SGD": ("SGD", {"learning_rate": 0.05}),
    "SGD momentum": ("SGD", {"learning_rate": 0.05, "momentum": 0.9}),
    "SGD nesterov": ("SGD", {"learning_rate": 0.05, "momentum": 0.8, "nesterov": True}),
    "Adam": ("Adam", {"learning_rate": 0.01}),
    "Adam amsgrad": ("Adam", {"learning_rate": 0.01, "amsgrad": True, "beta_1": 0.8, "epsilon": 1e-3}),
    "AdamW": ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.1}),
    "RMSprop": ("RMSprop", {"learning_rate": 0.01}),
    "RMSprop momentum": ("RMSprop", {"learning_rate": 0.01, "momentum": 0.7}),
    "RMSprop centered": ("RMSprop", {"learning_rate": 0.01, "centered": True, "momentum": 0.3, "epsilon": 1e-3}),
    "Adagrad": ("Adagrad", {"learning_rate": 0.1}),
    "Adadelta": ("Adadelta", {"learning_rate": 1.0}),
    "Adamax": ("Adamax", {"learning_rate": 0.01}),
    "Nadam": ("Nadam", {"learning_rate": 0.01}),
    "Lion": ("Lion", {"learning_rate": 0.01}),
    "Ftrl": ("Ftrl", {"learning_rate": 0.1}),
    "Ftrl strengths": (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "learning_rate_power": -0.6,
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.02,
            "l2_shrinkage_regularization_strength": 0.03,
            "beta": 0.1,
        },
    ),
    "Adafactor": ("Adafactor", {"learning_rate": 0.5}),
    "Adafactor absolute": ("Adafactor", {"learning_rate": 0.01, "relative_step": False, "clip_threshold": 0.5}),
    "Lamb": ("Lamb", {"learning_rate": 0.01}),
    "Muon": ("Muon", {"learning_rate": 0.01}),
    "Muon plain": ("Muon", {"learning_rate": 0.01, "nesterov": False, "rms_rate": None, "adam_lr_ratio": 0.5}),
    "ScheduleFreeAdamW": ("ScheduleFreeAdamW", {"learning_rate": 0.01, "warmup_steps": 7}),
}
BASE_ARGUMENTS = {
    "none": {},
    "weight_decay": {"weight_decay": 0.05},
    "clipnorm": {"clipnorm": 0.5},
    "clipvalue": {"clipvalue": 0.3},
    "global_clipnorm": {"global_clipnorm": 0.7},
    "ema": {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 7},
    "loss_scale_factor": {"loss_scale_factor": 8.0},
    "accumulation": {"gradient_accumulation_steps": 3},
    "accumulation and ema": {
        "gradient_accumulation_steps": 2,
        "use_ema": True,
        "ema_overwrite_frequency": 3,
        "clipnorm": 0.5,
        "weight_decay": 0.01,
    },
}


class Pair:
    """The same variables twice, with an optimizer of Keras's and one of ours."""

    def __init__(self, rng, name, arguments, dtype="float32", shapes=SHAPES):
        values = [np.asarray(rng.normal(size=shape), dtype) for shape in shapes]
        self.keras_variables = [keras.Variable(v, dtype=dtype, name=f"v{i}") for i, v in enumerate(values)]
        self.our_variables = [Variable(v, dtype=dtype, name=f"v{i}") for i, v in enumerate(values)]
        self.keras = getattr(theirs, name)(**as_keras(arguments))
        self.ours = getattr(ours, name)(**arguments)
        self.rng, self.dtype = rng, dtype

    def step(self, missing=()):
        grads = [np.asarray(self.rng.normal(size=tuple(v.shape)), self.dtype) for v in self.our_variables]
        grads = [None if i in missing else torch.from_numpy(g) for i, g in enumerate(grads)]
        self.keras.apply(list(grads), self.keras_variables)
        self.ours.apply(list(grads), self.our_variables)

    def check(self, rtol, atol):
        for name, mine, reference in [
            ("weight", self.our_variables, self.keras_variables),
            ("state", self.ours.variables, self.keras.variables),
        ]:
            assert len(mine) == len(reference)
            for a, b in zip(mine, reference):
                np.testing.assert_allclose(a.numpy(), keras.ops.convert_to_numpy(b), rtol, atol, err_msg=f"{name} {b.path}")


def as_keras(arguments):
    rate = arguments.get("learning_rate")
    if isinstance(rate, ours.schedules.LearningRateSchedule):
        return {**arguments, "learning_rate": getattr(theirs.schedules, type(rate).__name__)(**rate.get_config())}
    return arguments


@pytest.mark.parametrize("base", BASE_ARGUMENTS)
@pytest.mark.parametrize("rule", RULES)
def test_fifty_steps_give_keras_numbers(rule, base, rng):
    name, arguments = RULES[rule]
    pair = Pair(rng, name, {**arguments, **BASE_ARGUMENTS[base]}, dtype="float64")
    for _ in range(STEPS):
        pair.step()
    pair.check(rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rule", RULES)
def test_float32(rule, rng):
    name, arguments = RULES[rule]
    pair = Pair(rng, name, arguments)
    for _ in range(STEPS):
        pair.step()
    pair.check(rtol=1e-5, atol=1e-6)
