"""Training a small model on the outputs of a large one (`keras.distillation`)."""

from torchkeras.distillation.distillation_loss import DistillationLoss as DistillationLoss
from torchkeras.distillation.distillation_loss import FeatureDistillation as FeatureDistillation
from torchkeras.distillation.distillation_loss import LogitsDistillation as LogitsDistillation
from torchkeras.distillation.distiller import Distiller as Distiller
