"""Convolutions that compute with a module of `torch.nn` under `torch_view`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from torchkeras.core.borders import Border
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.convolutional.base_conv import BaseConv
from torchkeras.layers.convolutional.conv_transpose import BaseConvTranspose
from torchkeras.layers.convolutional.depthwise import BaseDepthwiseConv
from torchkeras.layers.spatial import channel_axis
from torchkeras.utils.torch_view.layers import ViewedLayer, refusal_of
from torchkeras.utils.torch_view.probing import conv_weights, transposed_conv_weights


class ViewedConv(ViewedLayer):
    """A convolution as `nn.Conv1d`, `nn.Conv2d` or `nn.Conv3d`, with its padding in the module where torch has it."""

    key = "conv"
    rank: int
    _tk_padding: tuple[int, ...]

    @staticmethod
    def refusal(layer: Layer) -> str | None:
        return refusal_of(layer, "kernel", BaseConv)

    def _tk_module(self) -> nn.Module:
        layer: Any = self
        *_, channels, filters = layer._parameters["kernel"].shape
        self._tk_padding = self._tk_modules_padding()
        return self.kind(
            channels * layer.groups,
            filters,
            layer.kernel_size,
            layer.strides,
            self._tk_padding,
            layer.dilation_rate,
            layer.groups,
            bias=len(self._tk_weights()) > 1,
            device="meta",
        )

    def _tk_there(self, name: str, value: Tensor) -> Tensor:
        return value.permute(-1, -2, *range(self.rank)) if name == "kernel" else value

    def _tk_back(self, name: str, value: Tensor) -> Tensor:
        return value.permute(*range(2, 2 + self.rank), 1, 0) if name == "kernel" else value

    def _tk_probed(self, module: nn.Module) -> dict[str, Tensor]:
        layer: Any = self
        kernel = self._tk_held[0].variable
        return conv_weights(
            module, tuple(kernel.shape), layer.groups, layer.dilation_rate, self._tk_padding, kernel.dtype
        )

    def _tk_modules_padding(self) -> tuple[int, ...]:
        """Zeros that the module adds on either side of each axis: all, if they are known and as many on both."""
        border = self._static_border  # type: ignore[attr-defined]
        return (0,) * self.rank if border is None or border.even is None else border.even[-self.rank :]

    def call(self, inputs: Tensor, *, border: Border | None = None) -> Tensor:
        layer: Any = self
        if self._tk_is_plain_call():
            return self.own_class.call(self, inputs, border=border)  # type: ignore[attr-defined]
        last = channel_axis(layer.data_format) == -1
        x = inputs.movedim(-1, 1) if last else inputs
        with self._tk_casting(inputs):
            outputs = self._tk_run(F.pad(x, self._tk_zeros(x.shape[2:], border)), inputs)
        outputs = outputs.movedim(1, -1) if last else outputs
        return layer._activate(outputs)

    def _tk_zeros(self, lengths: Sequence[int], border: Border | None) -> list[int]:
        """Zeros to add on both sides of each axis, the last axis first, beyond those that the module adds."""
        layer: Any = self
        lift = (1,) if self.rank == 1 else ()
        border = border or layer._static_border or layer._border_of((*lift, *lengths), (*lift, *layer.kernel_size))
        sides = [(a - p, b - p) for (a, b), p in zip(border.sides[-self.rank :], self._tk_padding)]
        return [n for side in reversed(sides) for n in side]


class ViewedDepthwiseConv(ViewedConv):
    """A convolution of each channel by itself as one with a group for each channel."""

    _tk_shape: tuple[int, ...]

    @staticmethod
    def refusal(layer: Layer) -> str | None:
        return refusal_of(layer, "kernel", BaseDepthwiseConv)

    def _tk_module(self) -> nn.Module:
        layer: Any = self
        self._tk_shape = tuple(layer._parameters["kernel"].shape)
        channels = self._tk_shape[-2]
        self._tk_padding = self._tk_modules_padding()
        return self.kind(
            channels,
            channels * self._tk_shape[-1],
            layer.kernel_size,
            layer.strides,
            self._tk_padding,
            layer.dilation_rate,
            channels,
            bias=len(self._tk_weights()) > 1,
            device="meta",
        )

    def _tk_there(self, name: str, value: Tensor) -> Tensor:
        if name != "kernel":
            return value
        return value.permute(-2, -1, *range(self.rank)).flatten(0, 1).unsqueeze(1)

    def _tk_back(self, name: str, value: Tensor) -> Tensor:
        if name != "kernel":
            return value
        return value.squeeze(1).unflatten(0, self._tk_shape[-2:]).permute(*range(2, 2 + self.rank), 0, 1)

    def _tk_probed(self, module: nn.Module) -> dict[str, Tensor]:
        layer: Any = self
        *window, channels, multiplier = self._tk_shape
        shape, dtype = (*window, 1, channels * multiplier), self._tk_held[0].variable.dtype
        return conv_weights(module, shape, channels, layer.dilation_rate, self._tk_padding, dtype)


class ViewedConvTranspose(ViewedLayer):
    """A transposed convolution as `nn.ConvTranspose1d` to `nn.ConvTranspose3d`; the layer cuts the borders off."""

    key = "conv"
    rank: int

    @staticmethod
    def refusal(layer: Layer) -> str | None:
        return refusal_of(layer, "kernel", BaseConvTranspose)

    def _tk_module(self) -> nn.Module:
        layer: Any = self
        *_, filters, channels = layer._parameters["kernel"].shape
        has_bias = len(self._tk_weights()) > 1
        steps = {"stride": layer.strides, "dilation": layer.dilation_rate}
        return self.kind(channels, filters, layer.kernel_size, **steps, bias=has_bias, device="meta")

    def _tk_there(self, name: str, value: Tensor) -> Tensor:
        return value.permute(-1, -2, *range(self.rank)) if name == "kernel" else value

    def _tk_back(self, name: str, value: Tensor) -> Tensor:
        return value.permute(*range(2, 2 + self.rank), 1, 0) if name == "kernel" else value

    def _tk_probed(self, module: nn.Module) -> dict[str, Tensor]:
        layer: Any = self
        kernel = self._tk_held[0].variable
        return transposed_conv_weights(module, kernel.shape[-1], layer.dilation_rate, kernel.dtype)

    def call(self, inputs: Tensor) -> Tensor:
        layer: Any = self
        if self._tk_is_plain_call():
            return self.own_class.call(self, inputs)  # type: ignore[attr-defined]
        last = channel_axis(layer.data_format) == -1
        with self._tk_casting(inputs):
            outputs = self._tk_run(inputs.movedim(-1, 1) if last else inputs, inputs)
        outputs = F.pad(outputs, [-n for side in reversed(layer._crops[-self.rank :]) for n in side])
        return layer._activate(outputs.movedim(1, -1) if last else outputs)
