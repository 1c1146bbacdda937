"""Muon."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, Unpack

import torch

from torchkeras.core.accelerators import is_lazy
from torchkeras.core.torch_internals import foreach_add, foreach_add_, foreach_mul_
from torchkeras.core.types import Number
from torchkeras.optimizers import planning
from torchkeras.optimizers.adam import corrected_rate
from torchkeras.optimizers.arguments import LearningRate
from torchkeras.optimizers.foreach import descend_, descend_by_ratio_, lerp_, lerp_square_, root, shrink_
from torchkeras.optimizers.optimizer import Optimizer, OptimizerArguments
from torchkeras.optimizers.parameter_group import ParameterGroup

# Bytes of the matrices that one iteration takes together: it needs several times their memory.
BATCH_BYTES = 4 * 2**20


class Muon(Optimizer):
    """Update matrices by an orthogonalized momentum (Muon), all other weights by AdamW.

    `m = momentum * m + g`; `w -= lr * orthogonal(m)`, with a Newton-Schulz iteration for the nearest orthogonal matrix.
    [Jordan, 2024](https://kellerjordan.github.io/posts/muon/), [Liu et al., 2025](https://arxiv.org/abs/2502.16982)

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments that returns the rate.
            Default: `0.001`.
        adam_beta_1: Adam's `beta_1`, for weights that are no matrices. Default: `0.9`.
        adam_beta_2: Adam's `beta_2`, for weights that are no matrices. Default: `0.999`.
        adam_weight_decay: AdamW's weight decay, for weights that are no matrices. Default: `0.004`.
        epsilon: Adam's `epsilon`, for weights that are no matrices. Default: `1e-07`.
        weight_decay: strength of the weight decay of matrices. Default: `0.004`.
        clipnorm: limit of the 2-norm of each gradient. Default: `None`.
        clipvalue: limit of the size of each element of the gradients. Default: `None`.
        global_clipnorm: limit of the 2-norm of all gradients together. Default: `None`.
        use_ema: whether to keep an exponential moving average (EMA) of the weights. Default: `False`.
        ema_momentum: part of the old average in the new one, from 0 to 1. Default: `0.99`.
        ema_overwrite_frequency: number of steps after which the averages replace the weights; `None` does so at the end
            of `fit` only. Default: `None`.
        loss_scale_factor: number that the loss is multiplied by and the gradients are divided by. Default: `None`.
        gradient_accumulation_steps: number of calls of `apply` that make one update, by the mean of their gradients
            weighted by `batch_weight`. Schedules, EMA, constraints and `iterations` count updates, not calls. Default:
            `None`.
        name: name of the optimizer; `None` derives it from the name of the class. Default: `None`.
        exclude_layers: regular expressions; AdamW updates variables in whose paths one is found. `None` means none.
            Default: `None`.
        exclude_embeddings: whether AdamW updates variables with "embedding" in their path. Default: `True`.
        muon_a: coefficient of `x` in the iteration's polynomial. Default: `3.4445`.
        muon_b: coefficient of `x**3` in the iteration's polynomial. Default: `-4.775`.
        muon_c: coefficient of `x**5` in the iteration's polynomial. Default: `2.0315`.
        adam_lr_ratio: AdamW's learning rate divided by Muon's. Default: `1`.
        momentum: part of the last momentum in this one. Default: `0.95`.
        ns_steps: number of Newton-Schulz iterations. Default: `5`.
        nesterov: whether to use Nesterov momentum. Default: `True`.
        rms_rate: root mean square of an update, about that of AdamW's; `None` does not adjust it to the size of the
            matrix. Default: `0.2`.
        **kwargs: other arguments of `Optimizer`.

    Example:
        >>> optimizer = keras.optimizers.Muon(learning_rate=0.1)
        >>> matrix, bias = keras.Variable(np.ones((3, 3))), keras.Variable(1.0)
        >>> optimizer.apply([torch.eye(3), torch.tensor(1.0)], [matrix, bias])
        >>> round(float(bias), 4)  # AdamW: 1 - 0.1 * 0.004 - 0.1
        0.8996
    """

    elementwise = False

    def __init__(  # type: ignore[misc]
        self,
        learning_rate: LearningRate = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-07,
        weight_decay: float | None = 0.004,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        exclude_layers: list[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(
            learning_rate,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            use_ema,
            ema_momentum,
            ema_overwrite_frequency,
            loss_scale_factor,
            gradient_accumulation_steps,
            name,
            **kwargs,
        )
        self.adam_beta_1 = adam_beta_1
        self.adam_beta_2 = adam_beta_2
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = epsilon
        self.exclude_layers = exclude_layers or []
        self.exclude_embeddings = exclude_embeddings
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.rms_rate = rms_rate

    def _tk_kind_of(self, variable: torch.Tensor) -> str:
        path = str(getattr(variable, "path", None) or "")
        if variable.dim() != 2 or (self.exclude_embeddings and "embedding" in path.lower()):
            return "adam"
        return "adam" if any(re.search(keyword, path) for keyword in self.exclude_layers) else "muon"

    def build(self, variables: Iterable[torch.Tensor]) -> None:
        if self.built:
            return
        variables = list(variables)
        super().build(variables)
        momentums, velocities = [], []
        for v in variables:
            skipped = planning.is_overwritten(v)
            momentums.append(None if skipped else self.add_variable_from_reference(v, "momentum"))
            with_velocity = not skipped and self._tk_kind_of(v) == "adam"
            velocities.append(self.add_variable_from_reference(v, "velocity") if with_velocity else None)
        self._slots.update(momentum=momentums, velocity=velocities)

    def _tk_shrink(self, group: ParameterGroup, lr: Number) -> None:
        decay = self.adam_weight_decay if group.kind == "adam" else self.weight_decay
        if decay is not None and group.decayed:
            shrink_(group.decayed, decay * lr)

    def update_many(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        if group.kind == "adam":
            self._adam(group, grads, lr * self.adam_lr_ratio, step)
        else:
            self._muon(group, grads, lr)

    def _adam(self, group: ParameterGroup, grads: list, lr: Number, step: Number) -> None:
        momentums, velocities = group.slots["momentum"], group.slots["velocity"]
        lerp_(momentums, grads, 1 - self.adam_beta_1)
        lerp_square_(velocities, grads, 1 - self.adam_beta_2)
        rate = corrected_rate(lr, self.adam_beta_1, self.adam_beta_2, step)
        descend_by_ratio_(group.parameters, momentums, root(velocities, self.epsilon), rate)

    def _muon(self, group: ParameterGroup, grads: list, lr: Number) -> None:
        momentums = group.slots["momentum"]
        foreach_mul_(momentums, self.momentum)
        foreach_add_(momentums, grads)
        for places in _by_shape(grads):  # one iteration for matrices of a shape
            parameters, mine, moved = ([row[i] for i in places] for row in (group.parameters, grads, momentums))
            self._turn(parameters, mine, moved, lr)

    def _turn(self, matrices: list, grads: list, momentums: list, lr: Number) -> None:
        """Update matrices of one shape by their orthogonalized momentums."""
        # The iteration alone holds the tensor that it is given, so that it can free it.
        turned = self.zeropower_via_newtonschulz5(self._ahead(grads, momentums), self.ns_steps)
        directions = [self.lr_adjust(one) for one in ([turned] if len(matrices) == 1 else turned.unbind())]
        descend_(matrices, directions, lr)

    def _ahead(self, grads: list, momentums: list) -> torch.Tensor:
        """The momentums to orthogonalize, of one shape: of one a matrix, else a batch."""
        ahead = list(foreach_add(grads, momentums, alpha=self.momentum)) if self.nesterov else momentums
        # A batch of one is slower than a matrix.
        return ahead[0] if len(ahead) == 1 else torch.stack(ahead)

    def lr_adjust(self, x: torch.Tensor) -> torch.Tensor:
        """Scale an update to the size that AdamW's would have.

        Args:
            x: the update, a matrix.

        Returns:
            The scaled matrix.
        """
        return x if self.rms_rate is None else x * (math.sqrt(max(x.shape[:2])) * self.rms_rate)

    def transpose_last_axis(self, X: torch.Tensor) -> torch.Tensor:
        """Transpose the matrices of the last two axes.

        Args:
            X: tensor of two or more dimensions.

        Returns:
            The transposed tensor.
        """
        return X.mT

    def zeropower_via_newtonschulz5(self, x: torch.Tensor, steps: int) -> torch.Tensor:
        """Approximate the nearest matrix with orthonormal rows or columns, by Newton-Schulz iterations.

        Args:
            x: matrix, or batch of matrices.
            steps: number of iterations.

        Returns:
            A tensor of the shape of `x`.

        Raises:
            ValueError: `x` has less than two dimensions.
        """
        if x.dim() < 2:
            raise ValueError(f"Only matrices can be made orthogonal. Received: shape={tuple(x.shape)}")
        tall = x.shape[-2] > x.shape[-1]
        x = x.mT if tall else x
        x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
        for _ in range(steps):
            square = x @ x.mT
            square = multiply_add(square, square, square, self.muon_b, self.muon_c)
            x = multiply_add(x, square, x, self.muon_a)
            del square  # before the next one is made
        return x.mT if tall else x


def multiply_add(
    added: torch.Tensor, a: torch.Tensor, b: torch.Tensor, beta: float, alpha: float = 1.0
) -> torch.Tensor:
    """`beta * added + alpha * a @ b`, of matrices or batches of them."""
    kernel = torch.addmm if a.dim() == 2 else torch.baddbmm if a.dim() == 3 else None
    if is_lazy(a.device):  # torch_xla takes these to the CPU, and fuses the plain expression by itself
        kernel = None
    return kernel(added, a, b, beta=beta, alpha=alpha) if kernel else beta * added + alpha * (a @ b)


def _by_shape(matrices: list) -> list[list[int]]:
    """The places of the matrices, those of a shape together, as many as `BATCH_BYTES` hold."""
    places: dict[Any, list[int]] = {}
    for i, matrix in enumerate(matrices):
        places.setdefault(matrix.shape, []).append(i)
    batches = []
    for shape, some in places.items():
        size = max(1, BATCH_BYTES // max(1, math.prod(shape) * matrices[some[0]].element_size()))
        batches += [some[start : start + size] for start in range(0, len(some), size)]
    return batches
