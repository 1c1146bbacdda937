"""EinsumDense: a dense layer whose product an einsum equation spells out."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Sequence
from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor

from torchkeras import activations, constraints, initializers, regularizers
from torchkeras.core.quantization_modes import QUANTIZATION_MODES
from torchkeras.core.types import Identifier
from torchkeras.distributed.split_layers import Split
from torchkeras.initializers import VarianceScaling
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.core.lora import AdaptedWeight
from torchkeras.layers.core.stored_weights import StoredWeights
from torchkeras.layers.weight_forms.layouts import EinsumLayout, Layout
from torchkeras.layers.weight_forms.products import EinsumProduct, Product
from torchkeras.quantizers import QuantizationConfig

Shape = tuple[int | None, ...]


class EinsumDense(StoredWeights):
    """Multiply the inputs by a tensor of weights along the axes that an einsum equation names.

    `outputs = activation(einsum(equation, inputs, kernel) + bias)`.

    Args:
        equation: einsum equation of inputs and kernel, such as `"abc,cd->abd"`. An ellipsis may stand first or last in
            both the inputs' and the output's term: `"...x,xy->...y"`.
        output_shape: int or tuple: sizes of the output without the batch axis, and without the axes that the ellipsis
            stands for. `None` for a size that is taken from the inputs.
        activation: function applied to the result, by name or as a callable; `None` for none. Default: `None`.
        bias_axes: the output's letters along which there is a bias, such as `"d"`; `None` for no bias.
            Default: `None`.
        kernel_initializer, bias_initializer: how the weights start: a name or an initializer. Fan-in and fan-out are
            counted by the equation. Defaults: `"glorot_uniform"`, `"zeros"`.
        kernel_regularizer, bias_regularizer: penalty on a weight, added to the loss. Default: `None`.
        kernel_constraint, bias_constraint: function that maps a weight to an allowed value after each update.
            Default: `None`.
        lora_rank: rank of a low-rank adapter (LoRA) of the kernel, which is then frozen. Default: `None`, no adapter.
        lora_alpha: the adapter's product is multiplied by `lora_alpha / lora_rank`; `None` means `lora_rank`.
            Default: `None`.
        gptq_unpacked_column_size: number of columns of a kernel that GPTQ packed, for Keras's files. Default: `None`.
        quantization_config: settings of the quantization that the dtype policy names, or that `quantize` gave.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor whose axes are those of the equation's first term.

    Input shape:
        The sizes of the equation's first term.

    Output shape:
        `(batch, *output_shape)`, with the ellipsis's axes before or behind.

    Weights:
        `kernel`: the sizes of the equation's second term. `bias`: from the first of `bias_axes` on, with 1 for the
        axes that have no bias.

    Raises:
        ValueError: the equation has none of these forms, or its letters do not fit the shapes.

    Example:
        >>> heads = keras.layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 4), bias_axes="de")
        >>> heads(torch.ones(3, 7, 8)).shape
        torch.Size([3, 7, 2, 4])
        >>> tuple(heads.kernel.shape), tuple(heads.bias.shape)
        ((8, 2, 4), (2, 4))
    """

    _tk_config_base = True
    kernel = AdaptedWeight()
    _tk_modes = tuple(mode for mode in QUANTIZATION_MODES if mode != "ternary")

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Identifier | None = None,
        bias_axes: str | None = None,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        kernel_constraint: Identifier | None = None,
        bias_constraint: Identifier | None = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        gptq_unpacked_column_size: int | None = None,
        quantization_config: QuantizationConfig | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.equation = equation
        self.partial_output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.bias_axes = bias_axes
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._tk_set_lora(lora_rank, lora_alpha)
        self.gptq_unpacked_column_size = gptq_unpacked_column_size
        self.quantization_config = quantization_config

    def build(self, input_shape: Shape) -> None:
        terms = parse(self.equation, len(input_shape))
        output_shape = self._full_output_shape(terms, input_shape)
        shape = kernel_shape(terms, input_shape, output_shape)
        initializer = self.kernel_initializer
        if isinstance(initializer, VarianceScaling) and None in (initializer.input_axes, initializer.output_axes):
            initializer = _with_axes(initializer, terms)
        self.input_spec = InputSpec(ndim=len(input_shape))
        if self.quantization_mode is not None:
            self.quantized_build(shape, self.quantization_mode, self.quantization_config)
        if self._tk_keeps("kernel"):
            self.kernel = self.add_weight(
                name="kernel",
                shape=shape,
                initializer=initializer,
                regularizer=self.kernel_regularizer,
                constraint=self.kernel_constraint,
            )
        self.bias = None
        if self.bias_axes is not None:
            self.bias = self.add_weight(
                name="bias",
                shape=bias_shape(terms, self.bias_axes, output_shape),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self._matmul_axes = matmul_axes(terms)
        self._rows = math.prod(shape[: self._matmul_axes])
        self._bias_in_matmul = (
            self._matmul_axes > 0 and self.bias is not None and tuple(self.bias.shape) == shape[self._matmul_axes :]
        )
        self.built = True
        if self.lora_rank:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if self._tk_form is not None:
            return self._tk_finish(self._tk_quantized_product(inputs), self._tk_form.bias(self.bias))
        kernel, bias = self.kernel, self.bias
        if inputs.dtype != kernel.dtype:
            inputs = inputs.to(kernel.dtype)
        bound = self._matmul_axes
        if bound:
            rows = inputs.reshape(-1, self._rows)
            matrix = kernel.reshape(self._rows, -1)
            x = torch.addmm(bias.reshape(-1), rows, matrix) if self._bias_in_matmul else torch.mm(rows, matrix)
            x = x.view(inputs.shape[: inputs.dim() - bound] + kernel.shape[bound:])
        else:
            x = torch.einsum(self.equation, inputs, kernel)
        if bias is not None and not self._bias_in_matmul:
            x = x + bias
        if self.activation is not activations.linear and self.activation is not None:
            x = self.activation(x)
        return x

    @property
    def _kernel(self) -> Tensor:
        """Keras's name of the weight as it is kept, which other packages read."""
        return self._tk_stored()

    def _tk_layouts(self, shape: tuple[int, ...]) -> Sequence[tuple[Layout, Product | None]]:
        terms = parse(self.equation, self.input_spec.ndim)
        product = EinsumProduct(terms.inputs, terms.kernel, terms.output, matmul_axes(terms), shape)
        return [(EinsumLayout("kernel", shape, terms.kernel, terms.output), product)]

    _tk_split_weight = "kernel"

    def _tk_splits(self) -> list[Split] | None:
        if self._tk_stored_specially:
            return None
        terms = parse(self.equation, self.input_spec.ndim)
        places = [(terms.inputs.find(letter), terms.output.find(letter)) for letter in terms.kernel]
        return [Split(*(None if place < 0 else place for place in pair)) for pair in places]  # type: ignore[arg-type]

    def _tk_product(self, inputs: Tensor, weight: Tensor) -> Tensor:
        return torch.einsum(self.equation, inputs.to(weight.dtype), weight)

    def _tk_finish(self, outputs: Tensor, bias: Tensor | None) -> Tensor:
        outputs = outputs if bias is None else outputs + bias
        return outputs if self.activation in (None, activations.linear) else self.activation(outputs)

    def _tk_mismatch(self, given: dict[str, Any]) -> str | None:
        inputs = given.get("inputs")
        if not self.built or not hasattr(inputs, "shape"):
            return None
        return (
            f"The layer was built for inputs that fit a kernel of shape {tuple(self.kernel.shape)} in the equation "
            f"{self.equation!r}; received inputs of shape {tuple(inputs.shape)}."
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return self._full_output_shape(parse(self.equation, len(input_shape)), input_shape)

    def _full_output_shape(self, terms: Terms, input_shape: Shape) -> Shape:
        front, back = terms.elided_front, terms.elided_back
        shape = (
            *input_shape[: max(front, 1)],
            *self.partial_output_shape,
            *input_shape[len(input_shape) - back :],
        )
        check_shapes(terms, input_shape, shape)
        return shape

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["output_shape"] = self.partial_output_shape
        config.setdefault("activity_regularizer", None)
        if not self.gptq_unpacked_column_size:
            del config["gptq_unpacked_column_size"]
        return config


class Terms(NamedTuple):
    """The letters of an equation, with letters of their own for the axes under an ellipsis."""

    inputs: str
    kernel: str
    output: str
    elided_front: int
    elided_back: int


def parse(equation: str, rank: int) -> Terms:
    """Split an equation into its letters, for inputs of `rank` axes.

    Raises:
        ValueError: the equation has none of the three allowed forms.
    """
    match = re.fullmatch(r"(\.{3})?([a-zA-Z]+)(\.{3})?,([a-zA-Z]+)->(\.{3})?([a-zA-Z]+)(\.{3})?", equation)
    marks = match.group(1, 3) if match else (None, None)
    if match is None or marks != match.group(5, 7) or all(marks):
        raise ValueError(
            f"Invalid einsum equation '{equation}'. Equations must be in the form [X],[Y]->[Z], ...[X],[Y]->...[Z], or "
            "[X]...,[Y]->[Z]...."
        )
    inputs, kernel, output = match.group(2, 4, 6)
    elided = max(0, rank - len(inputs))
    free = "".join(sorted(set(string.ascii_letters) - set(inputs + kernel + output))[:elided])
    if marks[0]:
        return Terms(free + inputs, kernel, free + output, elided, 0)
    if marks[1]:
        return Terms(inputs + free, kernel, output + free, 0, elided)
    return Terms(inputs, kernel, output, 0, 0)


def check_shapes(terms: Terms, input_shape: Shape, output_shape: Shape) -> None:
    """Raise `ValueError` if a letter has two sizes, or stands only in the output."""
    sizes = dict(zip(terms.inputs, input_shape, strict=False))
    for letter, size in zip(terms.output, output_shape, strict=False):
        if letter in sizes and size is not None and size != sizes[letter]:
            raise ValueError(
                f"Input shape and output shape do not match at shared dimension '{letter}'. Input shape is "
                f"{sizes[letter]}, and output shape is {size}."
            )
        if letter not in terms.inputs and letter not in terms.kernel:
            raise ValueError(
                f"Dimension '{letter}' was specified in the output '{terms.output}' but has no corresponding dim in "
                f"the input spec '{terms.inputs}' or weight spec '{terms.kernel}'"
            )


def kernel_shape(terms: Terms, input_shape: Shape, output_shape: Shape) -> Shape:
    """The sizes of the kernel's letters, taken from the output if it has them, else from the inputs."""
    sizes = dict(zip(terms.inputs, input_shape, strict=False)) | dict(zip(terms.output, output_shape, strict=False))
    for letter in terms.kernel:
        if letter not in sizes:
            raise ValueError(
                f"Weight dimension '{letter}' did not have a match in either the input spec '{terms.inputs}' or the "
                f"output spec '{terms.output}'. For this layer, the weight must be fully specified."
            )
    return tuple(sizes[letter] for letter in terms.kernel)


def bias_shape(terms: Terms, axes: str, output_shape: Shape) -> Shape:
    """From the first biased axis on: the sizes of the biased axes, 1 for the others."""
    for letter in axes:
        if letter not in terms.output:
            raise ValueError(
                f"Bias dimension '{letter}' was requested, but is not part of the output spec '{terms.output}'"
            )
    first = min(terms.output.index(letter) for letter in axes)
    sizes = dict(zip(terms.output, output_shape, strict=False))
    return tuple(sizes[letter] if letter in axes else 1 for letter in terms.output[first:])


def matmul_axes(terms: Terms) -> int:
    """The number of axes summed over if the equation is one matrix product without a transposition, else 0."""
    bound = next((n for n, letter in enumerate(terms.kernel) if letter not in terms.inputs), len(terms.kernel))
    free = len(terms.inputs) - bound
    is_one_product = (
        0 < bound < len(terms.kernel)
        and free > 0
        and terms.inputs[free:] == terms.kernel[:bound]
        and terms.output == terms.inputs[:free] + terms.kernel[bound:]
        and len(set(terms.inputs + terms.kernel[bound:])) == len(terms.inputs) + len(terms.kernel) - bound
    )
    return bound if is_one_product else 0


def _with_axes(initializer: VarianceScaling, terms: Terms) -> VarianceScaling:
    """A copy of the initializer that counts fan-in and fan-out by the equation's axes of the kernel."""
    outputs = [i for i, letter in enumerate(terms.kernel) if letter in terms.output]
    inputs = [i for i, letter in enumerate(terms.kernel) if letter not in terms.output]
    config = {**initializer.get_config(), "seed": initializer.seed, "input_axes": inputs, "output_axes": outputs}
    return type(initializer).from_config(config)
