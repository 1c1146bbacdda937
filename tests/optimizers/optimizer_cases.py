"""Optimizers, variables and gradients that the tests of optimizers share."""

import numpy as np
import torch

from torchkeras import optimizers
from torchkeras.core.variables.variable import Variable

NAMES = [
    "SGD",
    "Adam",
    "AdamW",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Adamax",
    "Nadam",
    "Lion",
    "Ftrl",
    "Adafactor",
    "Lamb",
]
NAMES += ["Muon", "ScheduleFreeAdamW"]
SHAPES = [(), (3,), (4, 5), (2, 3, 4)]


def make(name, exclude=(), **arguments):
    extra = {"momentum": 0.9} if name == "SGD" else {}
    name = name.removeprefix("plain ")
    made = getattr(optimizers, name)(learning_rate=0.05, **extra, **arguments)
    made.exclude_from_weight_decay(var_names=exclude)
    return made


def variables(rng, dtype="float32"):
    return [Variable(np.asarray(rng.normal(size=s), dtype), dtype=dtype, name=f"v{i}") for i, s in enumerate(SHAPES)]


def gradients(rng, like):
    return [torch.as_tensor(np.asarray(rng.normal(size=tuple(v.shape))), dtype=v.dtype) for v in like]


def copies(tensors):
    return [t.detach().clone().as_subclass(torch.Tensor) for t in tensors]


def assert_equal(a, b, **tolerance):
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(
            x.detach().as_subclass(torch.Tensor), y.detach().as_subclass(torch.Tensor), **tolerance
        )


# -- the step


BASE_ARGUMENTS = {
    "none": {},
    "ema": {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
    "accumulation": {"gradient_accumulation_steps": 2},
    "clipnorm": {"clipnorm": 0.5},
    "global_clipnorm": {"global_clipnorm": 0.5},
    "weight_decay": {"weight_decay": 0.1},
    "decay of some": {"weight_decay": 0.1, "exclude": ["v2"]},
}
