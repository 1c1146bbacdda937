"""How images lie in memory: single or in batches, their channels last or first; numbers cast back to their type."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.ops.nn.windows import standardize_data_format


def channel_axis(images: Any, data_format: str | None, name: str = "images") -> int:
    """The axis of the channels, -1 or -3.

    Raises:
        ValueError: neither a single image (three axes) nor a batch (four), or no such data format.
    """
    if images.ndim not in (3, 4):
        raise ValueError(
            f"Invalid {name} rank: expected rank 3 (single image) or rank 4 (batch of images). "
            f"Received input with shape: {name}.shape={tuple(images.shape)}"
        )
    return -1 if standardize_data_format(data_format) == "channels_last" else -3


def to_nchw(images: Tensor, axis: int) -> Tensor:
    """A batch `(N, C, H, W)` of images with channels at `axis`, a view."""
    images = images.movedim(-1, -3) if axis == -1 else images
    return images if images.ndim == 4 else images.unsqueeze(0)


def from_nchw(batch: Tensor, axis: int, rank: int) -> Tensor:
    """Undo `to_nchw`."""
    batch = batch if rank == 4 else batch.squeeze(0)
    return batch.movedim(-3, -1) if axis == -1 else batch


def computed(images: Tensor) -> Tensor:
    """The images as numbers to compute with: integers become float32."""
    return images if images.is_floating_point() else images.float()


def rounded(result: Tensor, dtype: torch.dtype) -> Tensor:
    """A result in the images' type: for integers rounded, in place, and cut to their range."""
    if result.dtype is dtype:
        return result
    if dtype.is_floating_point or dtype is torch.bool:
        return result.to(dtype)
    limits = torch.iinfo(dtype)
    return result.round_().clamp_(limits.min, limits.max).to(dtype)
