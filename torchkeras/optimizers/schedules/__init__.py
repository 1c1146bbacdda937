"""Learning rates that depend on the step (`keras.optimizers.schedules`)."""

from torchkeras.optimizers.schedules.decay import CosineDecay as CosineDecay
from torchkeras.optimizers.schedules.decay import CosineDecayRestarts as CosineDecayRestarts
from torchkeras.optimizers.schedules.decay import ExponentialDecay as ExponentialDecay
from torchkeras.optimizers.schedules.decay import InverseTimeDecay as InverseTimeDecay
from torchkeras.optimizers.schedules.decay import PiecewiseConstantDecay as PiecewiseConstantDecay
from torchkeras.optimizers.schedules.decay import PolynomialDecay as PolynomialDecay
from torchkeras.optimizers.schedules.identifiers import deserialize as deserialize
from torchkeras.optimizers.schedules.identifiers import serialize as serialize
from torchkeras.optimizers.schedules.schedule import LearningRateSchedule as LearningRateSchedule
