"""Names that Keras keeps for optimizers of Keras 2 (`keras.optimizers.legacy`)."""

from torchkeras.optimizers.legacy_optimizer import LegacyOptimizer as Adagrad
from torchkeras.optimizers.legacy_optimizer import LegacyOptimizer as Adam
from torchkeras.optimizers.legacy_optimizer import LegacyOptimizer as Ftrl
from torchkeras.optimizers.legacy_optimizer import LegacyOptimizer as Optimizer
from torchkeras.optimizers.legacy_optimizer import LegacyOptimizer as RMSprop
from torchkeras.optimizers.legacy_optimizer import LegacyOptimizer as SGD

__all__ = ["SGD", "Adagrad", "Adam", "Ftrl", "Optimizer", "RMSprop"]
