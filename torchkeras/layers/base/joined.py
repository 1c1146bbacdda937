"""Neighbouring layers of a functional model in one call, which needs fewer tensors: nobody else sees those between.

A convolution, a batch normalization behind it and an activation behind that are one kernel on a CPU where no gradients
are recorded (`core/fast_paths/fused_convolution.py`). Elsewhere, also in training, the activation writes over its
inputs, and the images stay in torch's view from the first layer to the last.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchkeras.core.borders import Border
from torchkeras.core.fast_paths.overwriting import HARD_SIGMOID, RELU6, Overwriting, may_overwrite
from torchkeras.core.fast_paths.padded_convolution import PaddedConvolution, runs_plainly
from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.state import state
from torchkeras.core.tensors.masks import get_mask
from torchkeras.core.torch_internals import has_any_global_hook
from torchkeras.layers.base.input_spec import input_spec_knows


class JoinableNormalization(Protocol):
    """A layer that normalizes each channel."""

    trainable: bool

    def _tk_affine(self) -> tuple[Tensor, Tensor]:
        """In inference the outputs are `inputs * scale + shift`: `scale` and `shift`."""

    def _tk_normalize(self, x: Tensor, learning: bool) -> Tensor:
        """Normalize a tensor whose second axis is the channels; the result is a new tensor that no gradient needs."""

    def _tk_enter(self, x: Tensor) -> Tensor:
        """The view of the inputs whose second axis is the channels."""

    def _tk_leave(self, y: Tensor, inputs: Tensor) -> Tensor:
        """The way back to the shape of `inputs`."""

    def _tk_keeps(self, axis: int, ndim: int) -> bool:
        """Whether it normalizes each index along `axis` of inputs of `ndim` dimensions."""

    def _tk_learns_by_parts(self) -> bool:
        """Whether it learns other statistics than those of one batch on one rank."""


class JoinableConvolution(Protocol):
    """A layer that convolves."""

    rank: int

    def _tk_convolve(self, inputs: Tensor, border: Border | None) -> Tensor:
        """Torch's view of the outputs without the activation: a new tensor that no gradient needs."""

    def _tk_fuse(
        self,
        inputs: Tensor,
        border: Border | None,
        norm: JoinableNormalization | None = None,
        activation: Overwriting | None = None,
    ) -> Tensor | None:
        """The outputs with a normalization and an activation, in one kernel; `None` where there is none."""

    def _tk_leave(self, y: Tensor) -> Tensor:
        """The outputs from torch's view of them."""

    def _tk_is_linear(self) -> bool:
        """Whether it has no activation."""

    def _tk_channel_axis(self) -> int:
        """The axis of the channels in its outputs, from 0."""


class JoinableMerge(Protocol):
    """A layer that merges several inputs."""

    def _tk_pairwise(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """The function of two tensors that merges any number from left to right, if that is what the layer does."""


class JoinableActivation(Protocol):
    """A layer that computes each value from one value."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def call(self, x: Tensor) -> Tensor: ...

    def _tk_overwriting(self) -> Overwriting | None:
        """How the activation is computed over its input, if that is known."""


class JoinedLayers:
    """Computes `last(... first(inputs))`, the layers one by one where somebody could see what is between them.

    Args:
        first: the call at the beginning.
        rest: the layers behind it.
    """

    takes_any_arguments = True
    """Whether it can be called with whatever arguments `first` takes."""

    def __init__(self, first: Callable[..., Tensor], *rest: Any) -> None:
        self.first = first
        self.rest = rest
        begin: list[Any] = [first.padding, first.convolution] if isinstance(first, PaddedConvolution) else [first]
        self.border = first.border if isinstance(first, PaddedConvolution) else None
        self.begin = begin
        self.layers = (*begin, *(layer.relu if isinstance(layer, HardSigmoid) else layer for layer in rest))
        self.head = begin[-1]
        self.activation: JoinableActivation | None = rest[-1] if rest and hasattr(rest[-1], "_tk_overwriting") else None

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        if len(args) == 1 and not kwargs and not has_any_global_hook() and not torch.compiler.is_compiling():
            outputs = self._together(args[0])
            if outputs is not None:
                return outputs
        x = self.first(*args, **kwargs)
        for layer in self.rest:
            x = layer(x)
        return x

    def _together(self, inputs: Any) -> Tensor | None:
        """All in one; `None`, before anything has changed, where that does not apply."""
        raise NotImplementedError

    def _fits(self, x: Tensor) -> bool:
        """Whether the first layer takes `x` as it is, and a call of each layer would run its `call` and no more."""
        if not isinstance(x, Tensor) or get_mask(x) is not None:
            return False
        for layer in self.begin:
            spec = layer.__dict__["input_spec"]
            if spec is not None and not input_spec_knows(spec, x.shape):
                return False
        return self._are_bare(x.dtype)

    def _are_bare(self, dtype: torch.dtype) -> bool:
        """Whether a call of each layer on floats of type `dtype` would run its `call` and no more."""
        for layer in self.layers:
            if not _is_bare(layer, dtype):
                return False
        return True

    def _activated(self, y: Tensor, leave: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """The activation of `y`, which nobody else has, and the way back from torch's view to the layer's."""
        activation = self.activation
        form = None if activation is None else activation._tk_overwriting()
        if form is not None and may_overwrite(form):
            y = form.function(y)
            return y if leave is None else leave(y)
        y = y if leave is None else leave(y)
        return y if activation is None else activation.call(y)


class JoinedConvolution(JoinedLayers):
    """A convolution, perhaps with a padding before it, and behind it a normalization, an activation or both."""

    head: JoinableConvolution

    def __init__(self, first: Callable[..., Tensor], *rest: Any) -> None:
        super().__init__(first, *rest)
        self.norm: JoinableNormalization | None = rest[0] if hasattr(rest[0], "_tk_normalize") else None

    def _together(self, inputs: Tensor) -> Tensor | None:
        x = inputs
        convolution, norm, activation = self.head, self.norm, self.activation
        if not convolution._tk_is_linear() or not self._fits(x):
            return None
        learning = norm is not None and _is_learning(norm)
        if learning and not _can_learn(norm, x):
            return None
        if not learning and not torch.is_grad_enabled():
            form = None if activation is None else activation._tk_overwriting()
            if form is not None or activation is None:
                outputs = convolution._tk_fuse(x, self.border, norm, form)
                if outputs is not None:
                    return outputs
        outputs = convolution._tk_convolve(x, self.border)
        if norm is not None:
            outputs = norm._tk_normalize(outputs, learning)
        return self._activated(outputs, convolution._tk_leave)


class JoinedNormalization(JoinedLayers):
    """A normalization and the activation behind it."""

    head: JoinableNormalization

    def _together(self, inputs: Tensor) -> Tensor | None:
        x, norm = inputs, self.head
        if not self._fits(x):
            return None
        learning = _is_learning(norm)
        if learning and not _can_learn(norm, x):
            return None
        return self._activated(norm._tk_normalize(norm._tk_enter(x), learning), lambda y: norm._tk_leave(y, x))


class JoinedMerge(JoinedLayers):
    """A layer that merges several inputs pair by pair, and perhaps the activation behind it."""

    head: JoinableMerge
    takes_any_arguments = True

    def _together(self, inputs: Sequence[Tensor]) -> Tensor | None:
        pair = self.head._tk_pairwise()
        if pair is None or type(inputs) not in (list, tuple) or len(inputs) < 2:
            return None
        dtype, ndim = self.head.__dict__["_tk_input_type"], getattr(inputs[0], "ndim", None)
        for x in inputs:
            if not isinstance(x, Tensor) or x.dtype is not dtype or x.ndim != ndim or get_mask(x) is not None:
                return None
        return self._activated(functools.reduce(pair, inputs)) if self._are_bare(dtype) else None


class HardSigmoid:
    """`relu6(x + 3) * (1 / 6)`, written as an op, a `ReLU` layer and an op, in one kernel.

    Args:
        add: adds its second argument to the first.
        relu: the layer between.
        scale: multiplies its first argument by the second, or divides it.
        constant: the second argument of `scale`.
    """

    def __init__(self, add: Callable[..., Tensor], relu: Any, scale: Callable[..., Tensor], constant: float) -> None:
        self.add = add
        self.relu = relu
        self.scale = scale
        self.constant = constant

    def __call__(self, x: Tensor) -> Tensor:
        if (
            self._tk_overwriting() is not None
            and isinstance(x, Tensor)
            and get_mask(x) is None
            and not has_any_global_hook()
            and not torch.compiler.is_compiling()
            and _is_bare(self.relu, x.dtype)
        ):
            return self.call(x)
        return self._one_by_one(x)

    def call(self, x: Tensor) -> Tensor:
        # In float64 torch's kernel (2.14) divides by 6 as exactly as a float32.
        return self._one_by_one(x) if x.dtype is torch.float64 else F.hardsigmoid(x)

    def _one_by_one(self, x: Tensor) -> Tensor:
        return self.scale(self.relu(self.add(x, 3.0)), self.constant)

    def _tk_overwriting(self) -> Overwriting | None:
        return HARD_SIGMOID if self.relu._tk_overwriting() is RELU6 else None

    def _tk_joined_behind(self, before: Any) -> JoinedLayers | None:
        """One call that computes `before` and this, or `None`; a functional model uses it."""
        return join_activation(before, self, HardSigmoid.call)


def join_normalization(before: Any, norm: Any) -> JoinedLayers | None:
    """Join a normalization with the convolution before it, if the one before is one."""
    convolution = _convolution_of(before)
    if convolution is None or not fast_paths_enabled():
        return None
    fits = norm._tk_keeps(convolution._tk_channel_axis(), convolution.rank + 2)
    return JoinedConvolution(before, norm) if fits else None


def join_merge(merge: Any) -> JoinedLayers | None:
    """A call of a merging layer that does no more than it must, or `None`."""
    return JoinedMerge(merge) if merge._tk_pairwise() is not None and fast_paths_enabled() else None


def join_hard_sigmoid(
    add: Callable[..., Tensor], relu: Any, scale: Callable[..., Tensor], constant: float
) -> HardSigmoid | None:
    """A hard sigmoid of three calls as one, if `relu` is a layer that cuts at 0 and 6."""
    form = getattr(relu, "_tk_overwriting", None)
    if form is None or form() is not RELU6 or not fast_paths_enabled():
        return None
    return HardSigmoid(add, relu, scale, constant)


def join_activation(before: Any, activation: Any, call: Callable) -> JoinedLayers | None:
    """Join an activation, whose class computes by `call`, with the layers before it, if these make a new tensor."""
    if type(activation).call is not call or activation._tk_overwriting() is None or not fast_paths_enabled():
        return None
    if isinstance(before, JoinedConvolution) and before.activation is None:
        return JoinedConvolution(before.first, *before.rest, activation)
    if _convolution_of(before) is not None:
        return JoinedConvolution(before, activation)
    if isinstance(before, JoinedMerge):
        return None if before.activation is not None else JoinedMerge(before.first, activation)
    if getattr(before, "_tk_makes_new_tensor", None) is None or not before._tk_makes_new_tensor():
        return None
    return JoinedNormalization(before, activation)


def _convolution_of(before: Any) -> JoinableConvolution | None:
    layer = before.convolution if isinstance(before, PaddedConvolution) else before
    return layer if hasattr(layer, "_tk_convolve") and layer._tk_is_joinable() and layer._tk_is_linear() else None


def _is_bare(layer: nn.Module, dtype: torch.dtype) -> bool:
    own = layer.__dict__
    return (
        own["built"]
        and own["_tk_input_type"] is dtype
        and own["_tk_autocast_type"] is state.autocast
        and not own["_modules"]
        and own["activity_regularizer"] is None
        and not own["_tk_losses"]
        and runs_plainly(layer)
    )


def _is_learning(norm: Any) -> bool:
    training = norm.__dict__["training"] if state.training is None else state.training
    return bool(training and norm.trainable)


def _can_learn(norm: Any, x: Tensor) -> bool:
    """Whether torch's kernel has the layer's statistics: of one rank, and surely of more than one value."""
    return x.shape[0] > 1 and not norm._tk_learns_by_parts()
