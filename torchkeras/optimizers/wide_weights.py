"""Updates of bfloat16 and float16 weights in float32, so that changes below their precision are not lost.

bfloat16 keeps 8 bits of a number: a change of less than 1/512 of a weight rounds to nothing, in every step again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.torch_internals import foreach_copy_, version_of

_NARROW = (torch.bfloat16, torch.float16)
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
        self._weights = [w for w in weights if is_narrow(w)]
        self._rounds = masters is None
        if masters is None:
            _check_rounding(self._weights)
            self._wide = [torch.empty_like(w, dtype=torch.float32, requires_grad=False) for w in self._weights]
        else:
            self._wide = [m for m, w in zip(masters, weights, strict=True) if is_narrow(w)]
        narrow = iter(self._wide)
        self.all = [next(narrow) if is_narrow(w) else w for w in weights]
        """For each weight the tensor to update: the weight itself where it is not narrow."""
        self._versions: list[object] = [None] * len(self._wide)
        self._free()

    def widen(self, grads: list[torch.Tensor]) -> list[torch.Tensor]:
        """The gradients, in float32 where they are narrow as their weights are."""
        return [grad.float() if is_narrow(grad) else grad for grad in grads]

    def begin(self) -> None:
        """Give the values to update those of the weights; a master that still rounds to its weight stays."""
        if self._rounds:
            for wide in self._wide:
                wide.untyped_storage().resize_(4 * wide.numel())
            foreach_copy_(self._wide, self._weights)
            return
        for weight, master, version in zip(self._weights, self._wide, self._versions, strict=True):
            if version_of(weight) != version:  # perhaps somebody set the weight
                master.copy_(torch.where(master.to(weight.dtype) == weight, master, weight.to(master.dtype)))

    def end(self, step: int | torch.Tensor) -> None:
        """Round the updated values into the weights.

        Args:
            step: the number of the update: it seeds the random rounding, so that all ranks round alike.
        """
        if not self._rounds:
            foreach_copy_(self._weights, self._wide)
            self._versions = [version_of(weight) for weight in self._weights]
            return
        generators: dict[torch.device, torch.Generator] = {}
        for weight, wide in zip(self._weights, self._wide, strict=True):
            if weight.device not in generators:
                generators[weight.device] = torch.Generator(weight.device).manual_seed(int(step))
            weight.copy_(round_at_random(wide, generators[weight.device]))
        self._free()

    def _free(self) -> None:
        """Give the memory of the values back until the next update."""
        if self._rounds:
            for wide in self._wide:
                wide.untyped_storage().resize_(0)


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
