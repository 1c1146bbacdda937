"""The form in which a layer keeps a weight: the base of the quantized forms, and their registry.

A layer that can be quantized (see `layers/core/stored_weights.py`) has a `Layout` for each of its weights and, once it
is quantized, a `WeightForm` for each. A mode of quantization is one subclass of `WeightForm` in a file of its own:

- `names`: what a file has of a layer in this mode, in Keras's order;
- `build`: make the variables, without values;
- `quantized`: the values of these variables, from the float weight;
- `dequantized`: the float weight back;
- `product` (and `rows`, for tables): compute with the weight as it is kept.

`@register` puts it into the table `FORMS`, by which layers, files, `Model.quantize` and low-rank adapters find it.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.dtype_policies import DTypePolicy
from torchkeras.layers.base.values import assign
from torchkeras.layers.weight_forms.layouts import Layout
from torchkeras.layers.weight_forms.products import MatrixProduct, Product
from torchkeras.quantizers import QuantizationConfig, Quantizer


class WeightForm:
    """A weight that is kept in another form than as one float parameter.

    A form holds no tensors: the variables are attributes of the layer, so that torch and files see them.

    Args:
        layout: the axes of the weight.
        product: the product that the layer computes with it; `None` for one of matrices.
        config: settings of the quantization; `None` for those of a file without any.
        policy: the layer's dtype policy.
    """

    # Keras's name of the quantization.
    mode: ClassVar[str]
    # The variables in the order of Keras's files; `{}` stands for the weight's name. "bias" is the layer's own.
    names: ClassVar[tuple[str, ...]]
    # Whether the float weight stays a parameter of the layer.
    keeps_weight: ClassVar[bool] = False
    # Whether a low-rank term can be added to the weight.
    takes_low_rank: ClassVar[bool] = True
    # Where the variable that files call after the weight is another attribute of the layer, that attribute.
    kept_as: ClassVar[str | None] = None

    def __init__(
        self, layout: Layout, product: Product | None, config: QuantizationConfig | None, policy: DTypePolicy
    ) -> None:
        self.layout, self.config, self.policy = layout, config, policy
        self.given_product = MatrixProduct() if product is None else product

    @property
    def name(self) -> str:
        """The weight's name."""
        return self.layout.name

    @property
    def attribute(self) -> str:
        """The attribute of the layer that holds the variable that is named after the weight."""
        return self.name if self.kept_as is None else self.kept_as.format(self.name)

    # ------------------------------------------------------------------ what a mode defines

    def build(self, layer: nn.Module) -> None:
        """Make the variables of the form as attributes of the layer, without values."""
        raise NotImplementedError

    def quantized(self, value: Tensor, by_default: bool = False) -> dict[str, Tensor]:
        """The values of the variables, by attribute, for a float weight.

        Args:
            value: the weight.
            by_default: whether to leave the config's own quantizer of weights aside. Default: `False`.
        """
        raise NotImplementedError

    def dequantized(self, layer: nn.Module) -> Tensor:
        """The float weight that the variables stand for, in the dtype of computation."""
        raise NotImplementedError

    def product(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """The product of the inputs with the weight, without low-rank term, bias and activation."""
        raise NotImplementedError

    def rows(self, layer: nn.Module, indices: Tensor) -> Tensor:
        """The rows of a table, as floats in the dtype of computation."""
        raise NotImplementedError

    def scores(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """The product of the inputs with the rows of a table."""
        raise NotImplementedError

    def inputs_quantizer(self) -> Quantizer | None:
        """The quantizer of the inputs; `None` leaves them as floats."""
        return None

    def bias(self, bias: Tensor | None) -> Tensor | None:
        """The bias as the outputs get it."""
        return bias

    def read_from(self, layer: nn.Module, names: list[str], count: int) -> list[str]:
        """The attributes that a file with `count` variables has values for, of those that a file should have."""
        return names

    def loaded(self, layer: nn.Module) -> None:
        """Called when the variables were read from a file."""

    # ------------------------------------------------------------------ what follows

    def fill(self, layer: nn.Module, value: Tensor) -> None:
        """Give the variables their values for a float weight."""
        for name, quantized in self.quantized(value).items():
            assign(getattr(layer, name), quantized)

    def shown(self, layer: nn.Module) -> Tensor:
        """The value of the attribute that is named after the weight, where no variable has that name."""
        return self.dequantized(layer)

    def attributes(self) -> dict[str, str]:
        """The layer's attributes in the order of Keras's files, and the name that each has there."""
        names = [name.format(self.name) for name in self.names]
        return {(self.attribute if name == self.name else name): name for name in names}

    def float_weight(self, layer: Any) -> Tensor:
        """The float parameter of a form that keeps it, without a low-rank term."""
        return layer._tk_own_weight(self.name)

    def compute_dtype(self) -> torch.dtype:
        """The dtype of the outputs."""
        return torch_dtype(self.policy.compute_dtype)


FORMS: dict[str, type[WeightForm]] = {}
Registered = TypeVar("Registered", bound=type[WeightForm])


def register(form: Registered) -> Registered:
    """Decorator: put a form into the table of modes."""
    FORMS[form.mode] = form
    return form


def variable(layer: Any, attribute: str, **arguments: Any) -> Tensor:
    """Make a variable of a form; `arguments` are those of `add_weight`, without training unless they say so."""
    arguments = {"name": attribute, "trainable": False, **arguments}
    setattr(layer, attribute, layer.add_weight(**arguments))
    return getattr(layer, attribute)
