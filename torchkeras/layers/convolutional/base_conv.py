"""Base classes of convolutions in one, two and three dimensions: arguments, weights, and one call of torch."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras import activations, constraints, initializers, regularizers
from torchkeras.core.borders import Border, Sides, border_of
from torchkeras.core.fast_paths.even_border import find_even_border
from torchkeras.core.fast_paths.fused_convolution import can_fuse, fused_convolution, fused_product
from torchkeras.core.fast_paths.kernel_layout import lay_out_kernel
from torchkeras.core.fast_paths.linear import linear
from torchkeras.core.fast_paths.overwriting import Overwriting, find_overwriting, may_overwrite
from torchkeras.core.fast_paths.padded_convolution import PaddedConvolution, padded_convolution
from torchkeras.core.fast_paths.pointwise import is_small_product, pointwise_dilation
from torchkeras.core.settings import standardize_data_format
from torchkeras.core.types import Identifier
from torchkeras.core.variables.variable import Variable
from torchkeras.distributed.split_layers import Split
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.joined import JoinableNormalization
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import CommonOptions
from torchkeras.layers.core.lora import AdaptedWeight, LowRankAdaptable
from torchkeras.layers.reshaping.borders import BaseZeroPadding
from torchkeras.layers.spatial import channel_axis, spatial_dims, standardize_padding, window_lengths, with_spatial_dims
from torchkeras.ops.nn.convolution import convolve_within
from torchkeras.ops.nn.windows import (
    TorchView,
    pad_argument,
    same_sides,
    standardize_tuple,
)


class WindowLayer(Layer):
    """Base of all convolutions: a window with strides, padding, dilation, a bias and an activation."""

    keras_module = None
    rank: int
    _tk_allow_causal = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "rank" in cls.__dict__ and cls.rank > 1:
            ones = (1,) * cls.rank
            cls.__init__ = _with_defaults(cls.__init__, strides=ones, dilation_rate=ones)  # type: ignore[method-assign,misc]

    def _tk_set_window(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str,
        data_format: str | None,
        dilation: int | Sequence[int],
    ) -> None:
        """Standardize and store the arguments that describe the window, and derive the padding from them."""
        self.kernel_size = standardize_tuple(kernel_size, self.rank, "kernel_size")
        self.strides = standardize_tuple(strides, self.rank, "strides")
        self.dilation_rate = standardize_tuple(dilation, self.rank, "dilation_rate")
        self.padding = standardize_padding(padding, allow_causal=self._tk_allow_causal)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=self.rank + 2)
        self._view = TorchView(self.rank, self.data_format)
        self._steps = self._view.sizes(self.strides)
        self._dilation = self._view.sizes(self.dilation_rate)
        self._is_pointwise = max(self.kernel_size) == max(self.strides) == 1
        sides = self._sides_of_any_length()
        self._static_border = None if sides is None else border_of(sides)

    def _tk_refuse_strides_with_dilation(self) -> None:
        """Raise `ValueError` if both strides and dilation are above 1."""
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                "`strides > 1` not supported in conjunction with `dilation_rate > 1`. "
                f"Received: strides={self.strides} and dilation_rate={self.dilation_rate}"
            )

    def _tk_check_positive(self, **values: int | None) -> None:
        """Raise `ValueError` for a named value that is neither `None` nor positive."""
        for name, value in values.items():
            if value is not None and value <= 0:
                raise ValueError(
                    f"Invalid value for argument `{name}`. Expected a strictly positive value. Received {name}={value}."
                )

    def _tk_input_channels(self, input_shape: tuple[int | None, ...]) -> int:
        """Return the number of channels of `input_shape`, and fix it in `input_spec`.

        Raises:
            ValueError: the number is not known.
        """
        axis = channel_axis(self.data_format)
        channels = input_shape[axis]
        if channels is None:
            raise ValueError(
                f"The channel dimension of the inputs of layer '{self.name}' must be defined. "
                f"Received: input_shape={input_shape} with data_format={self.data_format!r}."
            )
        self.input_spec = InputSpec(min_ndim=self.rank + 2, axes={axis: channels})
        return channels

    def _tk_lay_out(self, kernel: Tensor, is_grouped: bool = False) -> None:
        """Say how a mixed-precision cast of the kernel shall lie in memory: as torch's convolutions read it.

        Args:
            kernel: a weight of shape `(*window, in, out)`, or `(*window, out, in)` if transposed.
            is_grouped: whether it is of shape `(*window, in, multiplier)`, for one channel at a time.
        """
        rank = self.rank
        window = tuple(range(rank))
        if is_grouped:
            order = (rank, rank + 1, *window)
        elif self.data_format == "channels_last":
            order = (rank + 1, *window, rank)
        else:
            order = (rank + 1, rank, *window)
        if isinstance(kernel, Variable):
            kernel.info.memory_order = order

    def _tk_add_bias(self, size: int) -> None:
        """Add a bias of `size` values if the layer uses one; else set `bias` to `None`."""
        if not self.use_bias:
            self.bias = None
            return
        self.bias = self.add_weight(
            name="bias",
            shape=(size,),
            initializer=self.bias_initializer,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
        )

    def _sides_of_any_length(self) -> tuple[Sides, ...] | None:
        """The padding if it does not depend on the input size, as it does for "same" with strides; else `None`."""
        if self.padding == "valid":
            return ((0, 0),) * self._view.rank
        if self.padding == "causal":
            return (0, 0), (self.dilation_rate[0] * (self.kernel_size[0] - 1), 0)
        if max(self.strides) == 1:
            sizes = self._view.sizes(self.kernel_size)
            return tuple(same_sides(0, k, 1, d) for k, d in zip(sizes, self._dilation, strict=True))
        return None

    def _convolve(
        self, x: Tensor, kernel: Tensor, bias: Tensor | None, groups: int, border: Border | None = None
    ) -> Tensor:
        """Convolve `(N, C, *spatial)` with a kernel in torch's order; `border`, if given, replaces the padding."""
        border = border or self._static_border or self._border_of(x.shape[2:], kernel.shape[2:])
        if border.even is None:
            return convolve_within(x, kernel, bias, self._steps, border.sides, self._dilation, groups)
        convolve = F.conv2d if self._view.rank == 2 else F.conv3d
        dilation = pointwise_dilation(x, self._dilation) if self._is_pointwise and groups == 1 else self._dilation
        return convolve(x, kernel, bias, self._steps, border.even, dilation, groups)

    def _tk_joined_by_border(self, before: Any, call: Callable[..., Any]) -> PaddedConvolution | None:
        """Padding and convolution in one, where both compute with the library's own `call`, this layer with `call`."""
        if type(self).call is not call or getattr(type(before), "call", None) is not BaseZeroPadding.call:
            return None
        return padded_convolution(before, self)

    def _tk_wider_border(self, more: Sequence[Sides]) -> Border:
        """The layer's padding, which must not depend on the size of its inputs, with `more` zeros around it."""
        assert self._static_border is not None
        outer = (*((0, 0),) * self._view.lift, *more)
        pairs = zip(self._static_border.sides, outer, strict=True)
        return border_of(tuple((own[0] + other[0], own[1] + other[1]) for own, other in pairs))

    def _border_of(self, lengths: Sequence[int], window: Sequence[int]) -> Border:
        return border_of(tuple(same_sides(*dims) for dims in zip(lengths, window, self._steps, self._dilation)))

    def _tk_finish(self, outputs: Tensor, bias: Tensor | None) -> Tensor:
        if bias is not None:
            outputs = outputs + (bias if channel_axis(self.data_format) == -1 else bias.view(-1, *(1,) * self.rank))
        return self._activate(outputs)

    def _activate(self, x: Tensor) -> Tensor:
        activation = self.activation
        return x if activation is activations.linear or activation is None else activation(x)

    def _tk_is_joinable(self) -> bool:
        """Whether the layer computes by `_tk_convolve` and its activation."""
        return False

    def _tk_is_linear(self) -> bool:
        return self.activation is activations.linear or self.activation is None

    def _tk_channel_axis(self) -> int:
        return channel_axis(self.data_format) % (self.rank + 2)

    def _tk_leave(self, y: Tensor) -> Tensor:
        return self._view.leave(y)

    def _tk_convolve(self, inputs: Tensor, border: Border | None) -> Tensor:
        """Torch's view of the outputs without the activation: a new tensor that no gradient needs."""
        raise NotImplementedError

    def _tk_grouped_kernel(self) -> tuple[Tensor, int]:
        """The kernel as `(*window, in / groups, out)`, and the number of groups."""
        raise NotImplementedError

    def _tk_outputs(self, inputs: Tensor, border: Border | None) -> Tensor:
        """The outputs with the layer's own activation; `border`, if given, replaces the padding."""
        form = None
        if not torch.compiler.is_compiling():
            form = find_overwriting(self.activation)
            if not torch.is_grad_enabled():
                fused = self._tk_fuse(inputs, border, None, form)
                if fused is not None:
                    return fused if form is not None else self._activate(fused)
        outputs = self._tk_convolve(inputs, border)
        if form is not None and may_overwrite(form):
            return self._view.leave(form.function(outputs))
        return self._activate(self._view.leave(outputs))

    def _tk_fuse(
        self,
        inputs: Tensor,
        border: Border | None,
        norm: JoinableNormalization | None = None,
        activation: Overwriting | None = None,
    ) -> Tensor | None:
        """The outputs, a normalization in inference mode and an activation, in one kernel.

        `None` where there is no such kernel.
        """
        view, kernel = self._view, self._parameters.get("kernel")
        if view.rank != 2 or view.to_torch is None or self._modules or not can_fuse(inputs, kernel):
            return None
        kernel, groups = self._tk_grouped_kernel()
        affine = None if norm is None else norm._tk_affine()
        if self._is_pointwise and groups == 1 and border is None:
            return fused_product(inputs, kernel.view(kernel.shape[-2:]), self.bias, affine, activation)
        x, kernel = view.enter(inputs), kernel.unsqueeze(0) if view.lift else kernel
        window = kernel.shape[:2]
        border = border or self._static_border or self._border_of(x.shape[2:], window)
        even, found = border.even, None
        if even is None:
            found = find_even_border(x, window, kernel.shape[3], self._steps, border.sides, self._dilation)
            even = (0, 0) if found is None else found.border
            x = F.pad(x, pad_argument(border.sides)) if found is None else x
        y = fused_convolution(x, kernel, self.bias, affine, self._steps, even, self._dilation, groups, activation)
        return view.leave(y if found is None else found.keep(y))

    def _output_shape(self, input_shape: tuple[int | None, ...], channels: int) -> tuple[int | None, ...]:
        if len(input_shape) != self.rank + 2:
            raise ValueError(
                f"Layer '{self.name}' convolves inputs of {self.rank + 2} dimensions. "
                f"Received: input_shape={input_shape}"
            )
        lengths = spatial_dims(input_shape, self.data_format)
        out = window_lengths(lengths, self.kernel_size, self.strides, self.padding, self.dilation_rate)
        return with_spatial_dims(input_shape, out, channels, self.data_format)


def _with_defaults(init: Any, **defaults: tuple[int, ...]) -> FunctionType:
    """A copy of a constructor whose signature shows other defaults of the same meaning: a number per dimension."""
    copy = FunctionType(init.__code__, init.__globals__, init.__name__, None, init.__closure__)
    functools.update_wrapper(copy, init)
    del copy.__wrapped__  # type: ignore[attr-defined]
    parameters = [p for p in inspect.signature(init).parameters.values() if p.default is not p.empty]
    copy.__defaults__ = tuple(defaults.get(p.name, p.default) for p in parameters)
    return copy


class BaseConv(LowRankAdaptable, WindowLayer):
    """`activation(convolution(inputs, kernel) + bias)` with a kernel `(*window, in / groups, filters)`.

    The kernel goes to torch as a permuted view. Forward and backward on CPU that is as fast as a channels_last kernel
    on channels_last images (0.90 to 1.01 of its time over five sizes), and 0.6 to 1.0 of torch's default NCHW.
    """

    keras_module = None
    kernel = AdaptedWeight()

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: Identifier | None = None,
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        activity_regularizer: Identifier | None = None,
        kernel_constraint: Identifier | None = None,
        bias_constraint: Identifier | None = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        **kwargs: Unpack[CommonOptions],
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = filters
        self.groups = groups
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._tk_set_lora(lora_rank, lora_alpha)
        self._tk_set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self._tk_check_positive(filters=filters)
        if groups <= 0:
            raise ValueError(f"The number of groups must be a positive integer. Received: groups={groups}.")
        self._tk_refuse_strides_with_dilation()
        if filters is not None and filters % groups:
            raise ValueError(
                "The number of filters must be evenly divisible by the number of groups. "
                f"Received: groups={groups}, filters={filters}."
            )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = self._tk_input_channels(input_shape)
        if channels % self.groups:
            raise ValueError(
                "The number of input channels must be evenly divisible by the number of groups. "
                f"Received groups={self.groups}, but the input has {channels} channels "
                f"(full input shape is {input_shape})."
            )
        self.compute_output_shape(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, channels // self.groups, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self._tk_lay_out(self.kernel)
        self._tk_add_bias(self.filters)
        self.built = True
        if self.lora_rank:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    @property
    def _kernel(self) -> Tensor:
        """Keras's name of the weight without a low-rank term, which other packages read."""
        return self._tk_own_weight("kernel")

    def call(self, inputs: Tensor, *, border: Border | None = None) -> Tensor:
        return self._tk_outputs(inputs, border)

    def _tk_convolve(self, inputs: Tensor, border: Border | None) -> Tensor:
        view, kernel = self._view, self.kernel
        if self._is_pointwise and self.groups == 1 and border is None and view.to_torch is not None:
            if is_small_product(inputs, kernel):
                return view.enter(linear(inputs, kernel.view(kernel.shape[-2:]), self.bias))
        if inputs.dtype != kernel.dtype:
            inputs = inputs.to(kernel.dtype)
        laid_out = None if view.to_torch is None else lay_out_kernel(kernel.unsqueeze(0) if view.lift else kernel)
        weight = view.kernel(kernel) if laid_out is None else laid_out
        return self._convolve(view.enter(inputs), weight, self.bias, self.groups, border)

    def _tk_grouped_kernel(self) -> tuple[Tensor, int]:
        return self.kernel, self.groups

    def _tk_is_joinable(self) -> bool:
        return type(self).call is BaseConv.call

    _tk_split_weight = "kernel"

    def _tk_splits(self) -> list[Split | None] | None:
        if self.lora_enabled or self.groups > 1:
            return None
        channels = channel_axis(self.data_format)
        return [*[None] * self.rank, Split(inputs=channels), Split(outputs=channels)]

    def _tk_product(self, inputs: Tensor, weight: Tensor, *, border: Border | None = None) -> Tensor:
        view = self._view
        x = view.enter(inputs.to(weight.dtype))
        return view.leave(self._convolve(x, view.kernel(weight), None, 1, border))

    def _tk_joined_behind(self, before: Any) -> PaddedConvolution | None:
        """One call that computes `before` and this layer, or `None`; a functional model uses it."""
        return self._tk_joined_by_border(before, BaseConv.call)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return self._output_shape(input_shape, self.filters)
