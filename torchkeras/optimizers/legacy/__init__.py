"""Names that Keras keeps for optimizers of Keras 2 (`keras.optimizers.legacy`)."""

from torchkeras.optimizers.retired import LegacyOptimizer as Adagrad
from torchkeras.optimizers.retired import LegacyOptimizer as Adam
from torchkeras.optimizers.retired import LegacyOptimizer as Ftrl
from torchkeras.optimizers.retired import LegacyOptimizer as Optimizer
from torchkeras.optimizers.retired import LegacyOptimizer as RMSprop
from torchkeras.optimizers.retired import LegacyOptimizer as SGD
