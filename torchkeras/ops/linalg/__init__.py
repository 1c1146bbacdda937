"""Ops of linear algebra."""

from torchkeras.ops.linalg.decomposition import cholesky as cholesky
from torchkeras.ops.linalg.decomposition import cholesky_inverse as cholesky_inverse
from torchkeras.ops.linalg.decomposition import eig as eig
from torchkeras.ops.linalg.decomposition import eigh as eigh
from torchkeras.ops.linalg.decomposition import lu_factor as lu_factor
from torchkeras.ops.linalg.decomposition import qr as qr
from torchkeras.ops.linalg.decomposition import svd as svd
from torchkeras.ops.linalg.derivative import jvp as jvp
from torchkeras.ops.linalg.norm import matrix_rank as matrix_rank
from torchkeras.ops.linalg.norm import norm as norm
from torchkeras.ops.linalg.solve import det as det
from torchkeras.ops.linalg.solve import inv as inv
from torchkeras.ops.linalg.solve import matrix_power as matrix_power
from torchkeras.ops.linalg.solve import lstsq as lstsq
from torchkeras.ops.linalg.solve import pinv as pinv
from torchkeras.ops.linalg.solve import solve as solve
from torchkeras.ops.linalg.solve import solve_triangular as solve_triangular
