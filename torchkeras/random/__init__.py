"""Random tensors and seeds."""

from torchkeras.core.variables.seeds import SeedGenerator as SeedGenerator
from torchkeras.random.distributions import beta as beta
from torchkeras.random.distributions import binomial as binomial
from torchkeras.random.distributions import categorical as categorical
from torchkeras.random.distributions import dropout as dropout
from torchkeras.random.distributions import gamma as gamma
from torchkeras.random.distributions import normal as normal
from torchkeras.random.distributions import randint as randint
from torchkeras.random.distributions import shuffle as shuffle
from torchkeras.random.distributions import truncated_normal as truncated_normal
from torchkeras.random.distributions import uniform as uniform
