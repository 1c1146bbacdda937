"""Convolutions over sequences, images and volumes."""

from __future__ import annotations

from torchkeras.layers.convolutional.base_conv import BaseConv


class Conv1D(BaseConv):
    """Convolution of `(batch, steps, channels)`; `padding="causal"` lets no output see a later step."""

    rank = 1
    allow_causal = True


class Conv2D(BaseConv):
    """Convolution of `(batch, height, width, channels)`."""

    rank = 2


class Conv3D(BaseConv):
    """Convolution of `(batch, depth, height, width, channels)`."""

    rank = 3
