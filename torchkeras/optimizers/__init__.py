"""Optimizers (`keras.optimizers`)."""

from torchkeras.optimizers import legacy as legacy
from torchkeras.optimizers import schedules as schedules
from torchkeras.optimizers.adafactor import Adafactor as Adafactor
from torchkeras.optimizers.adagrad import Adadelta as Adadelta
from torchkeras.optimizers.adagrad import Adagrad as Adagrad
from torchkeras.optimizers.adam import Adam as Adam
from torchkeras.optimizers.adam import AdamW as AdamW
from torchkeras.optimizers.adamax import Adamax as Adamax
from torchkeras.optimizers.adamax import Nadam as Nadam
from torchkeras.optimizers.ftrl import Ftrl as Ftrl
from torchkeras.optimizers.identifiers import deserialize as deserialize
from torchkeras.optimizers.identifiers import get as get
from torchkeras.optimizers.identifiers import serialize as serialize
from torchkeras.optimizers.lamb import Lamb as Lamb
from torchkeras.optimizers.lion import Lion as Lion
from torchkeras.optimizers.loss_scale import LossScaleOptimizer as LossScaleOptimizer
from torchkeras.optimizers.multi import MultiOptimizer as MultiOptimizer
from torchkeras.optimizers.multi import OptimizerMap as OptimizerMap
from torchkeras.optimizers.muon import Muon as Muon
from torchkeras.optimizers.optimizer import Optimizer as Optimizer
from torchkeras.optimizers.rmsprop import RMSprop as RMSprop
from torchkeras.optimizers.schedule_free import ScheduleFreeAdamW as ScheduleFreeAdamW
from torchkeras.optimizers.sgd import SGD as SGD
from torchkeras.optimizers.torch_optimizer import TorchOptimizer as TorchOptimizer
