"""Constraints: projections of weights after each update."""

from torchkeras.constraints.constraints import Constraint as Constraint
from torchkeras.constraints.constraints import MaxNorm as MaxNorm
from torchkeras.constraints.constraints import MaxNorm as max_norm
from torchkeras.constraints.constraints import MinMaxNorm as MinMaxNorm
from torchkeras.constraints.constraints import MinMaxNorm as min_max_norm
from torchkeras.constraints.constraints import NonNeg as NonNeg
from torchkeras.constraints.constraints import NonNeg as non_neg
from torchkeras.constraints.constraints import UnitNorm as UnitNorm
from torchkeras.constraints.constraints import UnitNorm as unit_norm
from torchkeras.constraints.constraints import deserialize as deserialize
from torchkeras.constraints.constraints import get as get
from torchkeras.constraints.constraints import serialize as serialize

__all__ = [
    "Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm", "min_max_norm",
    "non_neg", "serialize", "unit_norm",
]  # fmt: skip
