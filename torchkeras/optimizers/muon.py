"""Muon."""

from __future__ import annotations

import math
import re
from typing import Any, Unpack

import torch

from torchkeras.core.torch_internals import foreach_add, foreach_add_, foreach_mul_
from torchkeras.optimizers import planning
from torchkeras.optimizers.adam import corrected_rate
from torchkeras.optimizers.foreach import descend_, descend_by_ratio_, lerp_, lerp_square_, root, shrink_
from torchkeras.optimizers.optimizer import Optimizer, OptimizerArguments
from torchkeras.optimizers.parameter_group import ParameterGroup


class Muon(Optimizer):
    """Momentum, made orthogonal by a Newton-Schulz iteration, for matrices; AdamW for everything else.

    [Jordan, 2024](https://kellerjordan.github.io/posts/muon/),
    [Liu et al., 2025](https://arxiv.org/abs/2502.16982)

    Args:
        adam_beta_1, adam_beta_2, epsilon: Adam's arguments, for what is no matrix.
        adam_weight_decay: AdamW's weight decay, for what is no matrix.
        exclude_layers: regular expressions; variables in whose paths one is found are AdamW's.
        exclude_embeddings: leave variables with "embedding" in their path to AdamW.
        muon_a, muon_b, muon_c: coefficients of the iteration's polynomial `a x + b x**3 + c x**5`.
        adam_lr_ratio: AdamW's rate over Muon's.
        momentum: share of the last momentum in this one.
        ns_steps: number of iterations.
        nesterov: look one step ahead.
        rms_rate: size of an update, as that of AdamW's; `None`: not adjusted to the matrix's size.
    """

    elementwise = False

    def __init__(
        self,
        learning_rate: Any = 0.001,
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

    def kind_of(self, variable: Any) -> str:
        path = str(getattr(variable, "path", None) or "")
        if variable.dim() != 2 or (self.exclude_embeddings and "embedding" in path.lower()):
            return "adam"
        return "adam" if any(re.search(keyword, path) for keyword in self.exclude_layers) else "muon"

    def build(self, variables: Any) -> None:
        if self.built:
            return
        variables = list(variables)
        super().build(variables)
        momentums, velocities = [], []
        for v in variables:
            skipped = planning.is_overwritten(v)
            momentums.append(None if skipped else self.add_variable_from_reference(v, "momentum"))
            with_velocity = not skipped and self.kind_of(v) == "adam"
            velocities.append(self.add_variable_from_reference(v, "velocity") if with_velocity else None)
        self._slots.update(momentum=momentums, velocity=velocities)

    def shrink(self, group: ParameterGroup, lr: Any) -> None:
        decay = self.adam_weight_decay if group.kind == "adam" else self.weight_decay
        if decay is not None and group.decayed:
            shrink_(group.decayed, decay * lr)

    def update_many(self, group: ParameterGroup, grads: list, lr: Any, step: Any) -> None:
        if group.kind == "adam":
            self._adam(group, grads, lr * self.adam_lr_ratio, step)
        else:
            self._muon(group, grads, lr)

    def _adam(self, group: ParameterGroup, grads: list, lr: Any, step: Any) -> None:
        momentums, velocities = group.slots["momentum"], group.slots["velocity"]
        lerp_(momentums, grads, 1 - self.adam_beta_1)
        lerp_square_(velocities, grads, 1 - self.adam_beta_2)
        rate = corrected_rate(lr, self.adam_beta_1, self.adam_beta_2, step)
        descend_by_ratio_(group.parameters, momentums, root(velocities, self.epsilon), rate)

    def _muon(self, group: ParameterGroup, grads: list, lr: Any) -> None:
        momentums = group.slots["momentum"]
        foreach_mul_(momentums, self.momentum)
        foreach_add_(momentums, grads)
        ahead = foreach_add(grads, momentums, alpha=self.momentum) if self.nesterov else momentums
        directions: list[Any] = [None] * len(grads)
        for places in _by_shape(ahead):  # one iteration for all matrices of a shape
            # A batch of one is slower than a matrix.
            alone = len(places) == 1
            matrices = ahead[places[0]] if alone else torch.stack([ahead[i] for i in places])
            matrices = self.zeropower_via_newtonschulz5(matrices, self.ns_steps)
            for i, matrix in zip(places, [matrices] if alone else matrices.unbind()):
                directions[i] = self.lr_adjust(matrix)
        descend_(group.parameters, directions, lr)

    def lr_adjust(self, x: torch.Tensor) -> torch.Tensor:
        """The update scaled to the size that AdamW's would have."""
        return x if self.rms_rate is None else x * (math.sqrt(max(x.shape[:2])) * self.rms_rate)

    def transpose_last_axis(self, X: torch.Tensor) -> torch.Tensor:
        """The matrices of the last two axes transposed."""
        return X.mT

    def zeropower_via_newtonschulz5(self, x: torch.Tensor, steps: int) -> torch.Tensor:
        """Roughly the nearest matrix with orthonormal rows or columns, by Newton-Schulz iterations."""
        if x.dim() < 2:
            raise ValueError(f"Only matrices can be made orthogonal. Received: shape={tuple(x.shape)}")
        tall = x.shape[-2] > x.shape[-1]
        x = x.mT if tall else x
        x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
        for _ in range(steps):
            square = x @ x.mT
            x = multiply_add(x, multiply_add(square, square, square, self.muon_b, self.muon_c), x, self.muon_a)
        return x.mT if tall else x


def multiply_add(
    added: torch.Tensor, a: torch.Tensor, b: torch.Tensor, beta: float, alpha: float = 1.0
) -> torch.Tensor:
    """`beta * added + alpha * a @ b`, of matrices or batches of them."""
    kernel = torch.addmm if a.dim() == 2 else torch.baddbmm if a.dim() == 3 else None
    return kernel(added, a, b, beta=beta, alpha=alpha) if kernel else beta * added + alpha * (a @ b)


def _by_shape(matrices: list) -> list[list[int]]:
    """The places of the matrices, those of a shape together."""
    places: dict[Any, list[int]] = {}
    for i, matrix in enumerate(matrices):
        places.setdefault(matrix.shape, []).append(i)
    return list(places.values())
