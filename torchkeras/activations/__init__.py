"""Activation functions."""

from torchkeras.activations.activations import exponential as exponential
from torchkeras.activations.activations import gelu as gelu
from torchkeras.activations.activations import linear as linear
from torchkeras.activations.activations import mish as mish
from torchkeras.activations.activations import relu as relu
from torchkeras.activations.registry import deserialize as deserialize
from torchkeras.activations.registry import get as get
from torchkeras.activations.registry import serialize as serialize
from torchkeras.ops.nn.activation import (
    celu as celu,
    elu as elu,
    glu as glu,
    hard_shrink as hard_shrink,
    hard_sigmoid as hard_sigmoid,
    hard_silu as hard_silu,
    hard_tanh as hard_tanh,
    leaky_relu as leaky_relu,
    log_sigmoid as log_sigmoid,
    log_softmax as log_softmax,
    relu6 as relu6,
    selu as selu,
    sigmoid as sigmoid,
    silu as silu,
    soft_shrink as soft_shrink,
    softmax as softmax,
    softplus as softplus,
    softsign as softsign,
    sparse_plus as sparse_plus,
    sparse_sigmoid as sparse_sigmoid,
    sparsemax as sparsemax,
    squareplus as squareplus,
    tanh_shrink as tanh_shrink,
    threshold as threshold,
)
from torchkeras.ops.nn.activation import hard_silu as hard_swish
from torchkeras.ops.nn.activation import silu as swish
from torchkeras.ops.numpy.trigonometry import tanh as tanh

__all__ = [
    "celu",
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
]
