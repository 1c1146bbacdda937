"""Updates of bfloat16 and float16 weights in float32, so that changes below their precision are not lost.

bfloat16 keeps 8 bits of a number: a change of less than 1/512 of a weight rounds to nothing, in every step again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.torch_internals import foreach_copy_, version_of

_NARROW = (torch.bfloat16, torch.float16)
_ROUNDED_TOGETHER = 2**20
"""Numbers, since rounding them makes several tensors of their size."""
MODES = (None, "master_weights", "stochastic_rounding")


def is_narrow(tensor: torch.Tensor) -> bool:
    """Whether a weight is of a type whose updates may be lost."""
    return tensor.dtype in _NARROW


def check_mode(mode: object) -> None:
    """Refuse an unknown `low_precision_update`.

    Raises:
        ValueError: it is none of the known ones.
    """
    if mode not in MODES:
        raise ValueError(
            "`low_precision_update` must be None, 'master_weights' or 'stochastic_rounding'. Received: "
            f"low_precision_update={mode!r}"
        )


class WideWeights:
    """The float32 values that updates change in the place of narrow weights.

    Args:
        weights: all weights that the optimizer was built with.
        masters: for each weight its float32 master, which keeps what rounding takes away. `None`: the values are made
            from the weights before each update, and rounded at random after it, up or down with such chances that the
            mean is the exact value.

    Raises:
        ValueError: weights of this kind can't be rounded at random.
    """

    def __init__(self, weights: Sequence[torch.Tensor], masters: Sequence[Any] | None) -> None:
        self._weights = list(weights)
        self._rounds = masters is None
        if masters is None:
            _check_rounding([w for w in weights if is_narrow(w)])
            self.all = [
                torch.empty_like(w, dtype=torch.float32, requires_grad=False) if is_narrow(w) else w for w in weights
            ]
        else:
            self.all = [m if is_narrow(w) else w for m, w in zip(masters, weights, strict=True)]
        """For each weight the tensor to update: the weight itself where it is not narrow."""
        self._narrow = frozenset(i for i, w in enumerate(weights) if is_narrow(w))
        self._versions: list[object] = [None] * len(self.all)
        self._generators: dict[torch.device, torch.Generator] = {}
        self._free(self._narrow)

    def begin(self, step: int | torch.Tensor) -> None:
        """Begin an update.

        Args:
            step: the number of the update: it seeds the random rounding, so that all ranks round alike.
        """
        if self._rounds:
            devices = {self.all[i].device for i in self._narrow}
            self._generators = {device: torch.Generator(device).manual_seed(int(step)) for device in devices}

    def widen(self, indices: Sequence[int]) -> None:
        """Give values to update those of their weights; a master that still rounds to its weight stays.

        Args:
            indices: of the weights that are updated next.
        """
        mine = [i for i in indices if i in self._narrow]
        for i in mine:
            weight, wide = self._weights[i], self.all[i]
            if self._rounds:
                wide.untyped_storage().resize_(4 * wide.numel())
            elif version_of(weight) != self._versions[i]:  # perhaps somebody set the weight
                wide.copy_(torch.where(wide.to(weight.dtype) == weight, wide, weight.to(wide.dtype)))
        if self._rounds and mine:
            foreach_copy_([self.all[i] for i in mine], [self._weights[i] for i in mine])

    def round(self, indices: Sequence[int]) -> None:
        """Round updated values into their weights.

        Args:
            indices: of the weights that `widen` was called for.
        """
        mine = [i for i in indices if i in self._narrow]
        if not self._rounds:
            if mine:
                foreach_copy_([self._weights[i] for i in mine], [self.all[i] for i in mine])
            for i in mine:
                self._versions[i] = version_of(self._weights[i])
            return
        for i in mine:
            wide, weight = self.all[i].view(-1), self._weights[i].detach().view(-1)
            for values, target in zip(wide.split(_ROUNDED_TOGETHER), weight.split(_ROUNDED_TOGETHER)):
                target.copy_(round_at_random(values, self._generators[wide.device]))
        self._free(mine)

    def _free(self, indices: Iterable[int]) -> None:
        """Give the memory of values back until the next update."""
        if self._rounds:
            for i in indices:
                self.all[i].untyped_storage().resize_(0)


def widened(grads: list[torch.Tensor]) -> list[torch.Tensor]:
    """Gradients in float32 where they are narrow as their weights are."""
    return [grad.float() if is_narrow(grad) else grad for grad in grads]


def round_at_random(values: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Round float32 to bfloat16, up or down at random, with the chances that make the mean exact.

    Args:
        values: float32 values.
        generator: source of the draws. Default: torch's own.

    Returns:
        A bfloat16 tensor. Values that bfloat16 has, infinities and NaNs are returned as they are.
    """
    noise = torch.randint(0, 1 << 16, values.shape, generator=generator, device=values.device, dtype=torch.int32)
    # The lower 16 bits of a float32 are those that bfloat16 lacks: adding noise carries into the upper ones.
    rounded = (values.view(torch.int32) + noise).bitwise_and_(-(1 << 16)).view(torch.float32)
    return torch.where(values.isfinite(), rounded, values).to(torch.bfloat16)


def _check_rounding(weights: Sequence[torch.Tensor]) -> None:
    for weight in weights:
        if weight.dtype is not torch.bfloat16 or is_sharded(weight):
            name = getattr(weight, "path", None) or "a weight"
            kind = "in parts on several ranks" if is_sharded(weight) else f"of type {weight.dtype}"
            raise ValueError(
                f"low_precision_update='stochastic_rounding' is for whole bfloat16 weights; {name} is {kind}. Use "
                "low_precision_update='master_weights'."
            )
