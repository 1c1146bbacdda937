"""Activations whose formula is another one in Keras 3."""

from __future__ import annotations

import torch

from torchkeras.core.operations.op import op


@op(dtype="float", elementwise=True, name="LegacyHardSigmoid", module="keras.activations")
def legacy_hard_sigmoid(x: torch.Tensor) -> torch.Tensor:
    """Compute the `hard_sigmoid` of Keras 1 and 2: `min(max(0.2 * x + 0.5, 0), 1)`.

    Keras 3 divides by 6 where they multiply by 0.2, so that a model of theirs, read as it stands, would give other
    numbers.

    Args:
        x: a tensor.

    Returns:
        A tensor of the same shape.

    Example:
        >>> keras.activations.get("legacy_hard_sigmoid")(torch.tensor([-3.0, 0.0, 1.0])).tolist()
        [0.0, 0.5, 0.699999988079071]
    """
    return torch.clamp(0.2 * x + 0.5, 0.0, 1.0)
