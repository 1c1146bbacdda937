"""The gradients of an update, made ready for a group of parameters at a time."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core.torch_internals import foreach_div
from torchkeras.optimizers import clipping
from torchkeras.optimizers.parameter_group import ParameterGroup, Plan
from torchkeras.optimizers.wide_weights import widened


class Gradients:
    """The gradients of an update as kernels take them: in the type of the update, divided and clipped.

    That is done for a group of parameters when the group is updated, since copies of all gradients would take as much
    memory as the weights.

    Args:
        plan: the plan of the update.
        given: the gradients, in the order of the plan's variables.
        divisor: number, or tensor without dimensions, to divide them by. Default: `None`.
    """

    __slots__ = ("_plan", "_given", "_divisor", "_value", "_factors", "_kept", "are_copies")

    def __init__(self, plan: Plan, given: list[torch.Tensor], divisor: float | torch.Tensor | None = None) -> None:
        self._plan = plan
        self._given = given
        self._divisor = divisor
        self._value: float | None = None
        self._factors: list[torch.Tensor] | torch.Tensor | None = None
        self._kept: list[torch.Tensor] | None = None  # the divided gradients of the only group
        self.are_copies = divisor is not None or plan.wide is not None
        """Whether `of` gives copies of the gradients."""

    def clip(self, value: float | None, norm: float | None, global_norm: float | None) -> None:
        """Clip by the limit that is set, if one is: of each value, of each norm or of the norm of all."""
        if value and value > 0:
            self._value, self.are_copies = value, True
            return
        limit = norm or global_norm
        if not limit or limit <= 0:
            return
        norms = self._norms()
        self._factors = clipping.each_factor(norms, limit) if norm else clipping.common_factor(norms, limit)
        self.are_copies = True

    def of(self, group: ParameterGroup) -> list[Any]:
        """The gradients of a group of the plan, or of a part of a group."""
        if not self.are_copies and group.part is None:
            return self._given_of(group)
        grads = self._divided(group)
        if self._value is not None:
            return clipping.clip_by_value(grads, self._value)
        if isinstance(self._factors, torch.Tensor):
            return clipping.scaled(grads, self._factors)
        if self._factors is not None:
            return list(foreach_div(grads, [self._factors[i] for i in group.positions]))
        return grads

    def _norms(self) -> list[torch.Tensor]:
        norms: list[Any] = [None] * len(self._given)
        for group in self._plan.groups:
            if group.is_large and self.are_copies:
                parts = [clipping.local_norms(self._divided(part))[0] for part in group.parts()]
                norms[group.positions[0]] = torch.linalg.vector_norm(torch.stack(parts))
                continue
            grads = self._divided(group)
            for position, norm in zip(group.positions, clipping.local_norms(grads), strict=True):
                norms[position] = norm
            if len(self._plan.groups) == 1:
                self._kept = grads
        return clipping.over_ranks(norms, self._plan.variables if self._plan.sharded else [])

    def _given_of(self, group: ParameterGroup) -> list[Any]:
        given = self._given
        return given if len(group.positions) == len(given) else [given[i] for i in group.positions]

    def _divided(self, group: ParameterGroup) -> list[Any]:
        grads = self._kept
        if grads is None:
            grads = self._given_of(group)
        if group.part is not None:
            grads = [grad.view(-1)[group.part] for grad in grads]
        if self._kept is not None:
            return grads
        if self._plan.wide is not None:
            grads = widened(grads)
        return grads if self._divisor is None else list(foreach_div(grads, self._divisor))
