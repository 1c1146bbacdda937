"""Initializers of weights."""

from torchkeras.initializers.initializer import Constant as Constant
from torchkeras.initializers.initializer import Constant as constant
from torchkeras.initializers.initializer import Identity as Identity
from torchkeras.initializers.initializer import Identity as identity
from torchkeras.initializers.initializer import IdentityInitializer as IdentityInitializer
from torchkeras.initializers.initializer import Initializer as Initializer
from torchkeras.initializers.initializer import Ones as Ones
from torchkeras.initializers.initializer import Ones as ones
from torchkeras.initializers.initializer import Zeros as Zeros
from torchkeras.initializers.initializer import Zeros as zeros
from torchkeras.initializers.initializer import deserialize as deserialize
from torchkeras.initializers.initializer import get as get
from torchkeras.initializers.initializer import serialize as serialize
from torchkeras.initializers.random import GlorotNormal as GlorotNormal
from torchkeras.initializers.random import GlorotNormal as glorot_normal
from torchkeras.initializers.random import GlorotUniform as GlorotUniform
from torchkeras.initializers.random import GlorotUniform as glorot_uniform
from torchkeras.initializers.random import HeNormal as HeNormal
from torchkeras.initializers.random import HeNormal as he_normal
from torchkeras.initializers.random import HeUniform as HeUniform
from torchkeras.initializers.random import HeUniform as he_uniform
from torchkeras.initializers.random import LecunNormal as LecunNormal
from torchkeras.initializers.random import LecunNormal as lecun_normal
from torchkeras.initializers.random import LecunUniform as LecunUniform
from torchkeras.initializers.random import LecunUniform as lecun_uniform
from torchkeras.initializers.random import Orthogonal as Orthogonal
from torchkeras.initializers.random import Orthogonal as orthogonal
from torchkeras.initializers.random import OrthogonalInitializer as OrthogonalInitializer
from torchkeras.initializers.random import RandomNormal as RandomNormal
from torchkeras.initializers.random import RandomNormal as random_normal
from torchkeras.initializers.random import RandomUniform as RandomUniform
from torchkeras.initializers.random import RandomUniform as random_uniform
from torchkeras.initializers.random import TruncatedNormal as TruncatedNormal
from torchkeras.initializers.random import TruncatedNormal as truncated_normal
from torchkeras.initializers.random import VarianceScaling as VarianceScaling
from torchkeras.initializers.random import VarianceScaling as variance_scaling

__all__ = ["Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer", "Initializer", "LecunNormal", "LecunUniform", "Ones", "Orthogonal", "OrthogonalInitializer", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros", "constant", "deserialize", "get", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_normal", "lecun_uniform", "ones", "orthogonal", "random_normal", "random_uniform", "serialize", "truncated_normal", "variance_scaling", "zeros"]
