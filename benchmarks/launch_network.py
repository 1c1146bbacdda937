"""A network whose training step is counted: a row of the table, and the sizes that all rows share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

CLASSES = 10
VOCABULARY, LENGTH, WIDTH, HEADS, FEATURES = 100, 8, 32, 4, 20


@dataclass(frozen=True)
class Network:
    """A row of the table.

    `layers(keras, x)` maps a symbolic input to logits; `module()` is the same network in torch, which takes images as
    NCHW. `targets` is the shape of the class numbers behind the batch axis.
    """

    name: str
    shape: tuple[int, ...]
    layers: Callable[[Any, Any], Any]
    module: Callable[[], nn.Module]
    classes: int = CLASSES
    targets: tuple[int, ...] = ()

    def data(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Random inputs and class numbers."""
        rng = np.random.default_rng(0)
        if len(self.shape) == 1:
            x = rng.integers(0, VOCABULARY, (rows, *self.shape))
        else:
            x = rng.standard_normal((rows, *self.shape), dtype="float32")
        return x, rng.integers(0, self.classes, (rows, *self.targets))
