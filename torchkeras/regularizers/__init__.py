"""Regularizers: penalties on weights and outputs."""

from torchkeras.regularizers.regularizers import L1 as L1
from torchkeras.regularizers.regularizers import L1 as l1
from torchkeras.regularizers.regularizers import L1L2 as L1L2
from torchkeras.regularizers.regularizers import L1L2 as l1_l2
from torchkeras.regularizers.regularizers import L2 as L2
from torchkeras.regularizers.regularizers import L2 as l2
from torchkeras.regularizers.regularizers import OrthogonalRegularizer as OrthogonalRegularizer
from torchkeras.regularizers.regularizers import OrthogonalRegularizer as orthogonal_regularizer
from torchkeras.regularizers.regularizers import Regularizer as Regularizer
from torchkeras.regularizers.regularizers import deserialize as deserialize
from torchkeras.regularizers.regularizers import get as get
from torchkeras.regularizers.regularizers import serialize as serialize

__all__ = [
    "L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "l1", "l1_l2", "l2",
    "orthogonal_regularizer", "serialize",
]  # fmt: skip
