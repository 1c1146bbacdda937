"""A model as a torch module that needs nothing of Keras."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras.core import registry, tree
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike, Nest
from torchkeras.distributed.sharded_weights import refuse_parts
from torchkeras.layers import Input
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.weight_walk import layer_tree
from torchkeras.saving.api import load_model
from torchkeras.saving.plain_torch.agreement import check_agreement, example_inputs
from torchkeras.saving.plain_torch.program import DOC, ModelProgram, argument_names, returned
from torchkeras.saving.plain_torch.source import (
    ClassSource,
    NoCounterpartError,
    Value,
    channels_second,
    in_keras_order,
)
from torchkeras.saving.plain_torch.state_files import write_state
from torchkeras.saving.plain_torch.written import namespace_of
from torchkeras.saving.safety.atomic import replacing

_FORMATS = ("channels_first", "channels_last")
_HEADER = '''"""A model that was converted from Keras to plain PyTorch."""

{imports}'''
_IMPORTS = {
    "OrderedDict": "from collections import OrderedDict",
    "Path": "from pathlib import Path\n",
    "torch.": "import torch",
    "F.": "import torch.nn.functional as F",
    "load_file(": "from safetensors.torch import load_file",
    "nn": "from torch import nn",
}
_FOOTER = '''def load(weights=Path(__file__).with_name("{name}")):
    """The module with its weights, in eval mode."""
    module = {cls}(){cast}
    module.load_state_dict(load_file(weights)){frozen}
    return module.eval()
'''


def to_torch(
    model: Layer | str | os.PathLike[str],
    data_format: str = "channels_first",
    source: str | os.PathLike[str] | None = None,
    example: Nest[ArrayLike] | None = None,
) -> nn.Module:
    """Convert a model to an `nn.Module` made of `torch.nn` alone.

    The weights are in torch's layouts and under the names of the layers: `module.state_dict()` has `conv1.weight`,
    `(out, in, height, width)`. The module needs no torchkeras. Before it is returned, a random input is passed through
    both and the outputs are compared.

    Args:
        model: a built model, or the path of a saved one.
        data_format: how the module takes images and volumes, and returns them: `"channels_first"` for
            `(batch, channels, height, width)`, as torch's own layers do, `"channels_last"` for
            `(batch, height, width, channels)`. Sequences are `(batch, time, features)` in any case. Default:
            `"channels_first"`.
        source: a path that ends in `.py`: the module's source is written there, and its weights beside it as
            `.safetensors`. Its function `load()` makes the module. Default: `None`.
        example: inputs as the Keras model takes them, for the comparison, and for the shapes where the model does not
            say them; `None` draws random ones. Default: `None`.

    Returns:
        The module, in eval mode; it can be copied, and pickled where torchkeras is importable. Parameters of layers
        that do not train have `requires_grad=False`. In training, `nn.BatchNorm` keeps the unbiased variance where
        Keras keeps the biased one, and dropout inside of recurrent layers is left out.

    Raises:
        ValueError: some layers have no counterpart in torch; the message names all of them. Or an argument is wrong.
        RuntimeError: the outputs differ.

    Example:
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv"),
        ...                           keras.layers.Flatten(), keras.layers.Dense(2, name="head")])
        >>> module = keras.saving.to_torch(model)
        >>> module.conv
        Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1))
        >>> x = torch.rand(1, 3, 8, 8)
        >>> bool(torch.allclose(module(x), model(x.movedim(1, -1)), atol=1e-5))
        True
    """
    if data_format not in _FORMATS:
        raise ValueError(f"data_format must be one of {_FORMATS}; received {data_format!r}.")
    if source is not None and not os.fspath(source).endswith(".py"):
        raise ValueError(f"source must be a path that ends in `.py`; received {os.fspath(source)!r}.")
    if isinstance(model, (str, os.PathLike)):
        model = load_model(model, compile=False)
    if isinstance(model, Layer):
        refuse_parts(model, "to_torch()")
    graph = _graph_of(model, example)
    conversion = Conversion(model, graph, data_format)
    module = conversion.module()
    inputs = example_inputs(graph) if example is None else example
    check_agreement(model, module, inputs, conversion.to_module, conversion.to_keras)
    if source is not None:
        conversion.write(module, Path(source))
    return module


def _graph_of(model: Layer, example: Any) -> Any:
    """The graph of a model, or of a layer that is called on inputs like the example."""
    if not isinstance(model, Layer):
        raise ValueError(f"to_torch() takes a model, a layer, or the path of a saved model; received {model!r}.")
    graph = getattr(model, "_tk_graph", None)
    if graph is not None:
        return graph
    if example is None:
        raise ValueError(
            f"The model {model.name!r} does not say the shapes of its inputs: it is no functional or Sequential model, "
            f"or not built. Pass to_torch(model, example=inputs)."
        )
    model(example)
    arguments = tree.map_structure(lambda x: _symbol(convert_to_tensor(x)), example)
    arguments = arguments if isinstance(arguments, tuple) else (arguments,)
    symbols = [Input(batch_shape=v.shape, dtype=v.dtype) for v in arguments]
    return registry.lookup("keras", "Function")(symbols[0] if len(symbols) == 1 else symbols, model(*symbols))._tk_graph


def _symbol(x: Tensor) -> Any:
    return _Shape((None, *x.shape[1:]), str(x.dtype).removeprefix("torch."))


class _Shape:
    def __init__(self, shape: tuple[int | None, ...], dtype: str) -> None:
        self.shape, self.dtype = shape, dtype


class Conversion:
    """One model on its way into a source.

    Raises:
        ValueError: some layers have no counterpart.
    """

    def __init__(self, model: Layer, graph: Any, data_format: str) -> None:
        self.graph = graph
        self.program = ModelProgram()
        self.main = ClassSource(self.program.class_name(_wanted_name(model.name)), self.program, model)
        own = _format_of(model)
        # Whether images are turned where they enter and leave the module, and which way.
        self._turned = own is not None and own != data_format
        self._to_first = data_format == "channels_first"
        names = [self.main.argument(name) for name in argument_names(graph)]
        inputs = [self._entering(name, tensor) for name, tensor in zip(names, graph.inputs)]
        outputs = self.program.write_graph(graph, self.main, inputs)
        if self.program.problems:
            raise NoCounterpartError(_explained(self.program.problems))
        outputs = tree.map_structure(self._leaving, outputs)
        self.program.classes.append(self.main.text(names, returned(outputs), DOC))

    # -- the order of axes at the edges

    def _is_image(self, rank: int) -> bool:
        return self._turned and rank in (4, 5)

    def _entering(self, name: str, tensor: Any) -> Value:
        value = Value(name, tuple(tensor.shape))
        if not self._is_image(value.rank):
            return value
        if self._to_first:
            return replace(value, swapped=True)
        self.main.lines.append(f"{name} = {name}.movedim(-1, 1)")
        return value

    def _leaving(self, value: Value) -> Value:
        if not self._is_image(value.rank):
            return in_keras_order(value)
        return channels_second(value) if self._to_first else value.of(f"{value.code}.movedim(1, -1)")

    def to_module(self, x: Tensor) -> Tensor:
        """An input as the module takes it."""
        if not self._is_image(x.ndim):
            return x
        return x.movedim(-1, 1) if self._to_first else x.movedim(1, -1)

    def to_keras(self, x: Tensor) -> Tensor:
        """An output of the module as the model gives it."""
        if not self._is_image(x.ndim):
            return x
        return x.movedim(1, -1) if self._to_first else x.movedim(-1, 1)

    # -- the module

    def module(self) -> nn.Module:
        """Run the source, and put the weights in."""
        module = namespace_of(self._text(""), self.main.name, self.program.constants)[self.main.name]()
        self.dtype = _dtype_of(self.main.state.values())
        module.to(self.dtype)
        missing, unexpected = module.load_state_dict(self.main.state, strict=False)
        lost = [key for key in missing if not key.endswith("num_batches_tracked") and not self._is_constant(key)]
        if lost or unexpected:
            raise RuntimeError(f"The written module lacks {unexpected} and adds {lost}.")
        self.frozen = sorted(self.main.frozen & {key for key, _ in module.named_parameters()})
        for key in self.frozen:
            module.get_parameter(key).requires_grad_(False)
        return module.eval()

    def _is_constant(self, key: str) -> bool:
        return any(f"self.{key.partition('.')[0]} = MODULE_" in line for line in self.main.made)

    def write(self, module: nn.Module, path: Path) -> None:
        """Write the source, and the weights beside it.

        Raises:
            ValueError: the model holds torch modules whose source is not known.
        """
        if self.program.constants:
            names = [type(module).__name__ for module in self.program.constants.values()]
            raise NoCounterpartError(f"The model wraps torch modules ({', '.join(names)}), which cannot be written.")
        weights = path.with_suffix(".safetensors")
        cast = "" if self.dtype is torch.float32 else f".to({self.dtype})"
        frozen = "".join(f"\n    module.get_parameter({key!r}).requires_grad_(False)" for key in self.frozen)
        footer = _FOOTER.format(name=weights.name, cls=self.main.name, cast=cast, frozen=frozen)
        write_state(module.state_dict(), os.fspath(weights))
        with replacing(path) as file:
            file.write(self._text(footer).encode())

    def _text(self, footer: str) -> str:
        """The whole source, with the imports that it needs."""
        body = self.program.text("", footer)
        lines = [line for word, line in _IMPORTS.items() if word in body]
        return _HEADER.format(imports="\n".join(lines)).replace("\n\n\n", "\n\n") + "\n\n" + body


def _wanted_name(name: str) -> str:
    """The class's name: the model's, unless that is one that Keras numbers."""
    return "net" if re.fullmatch(r"(functional|sequential|model)(_\d+)?", name) else name


def _dtype_of(tensors: Any) -> torch.dtype:
    found = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
    return found.pop() if len(found) == 1 else torch.float32


def _format_of(model: Layer) -> str | None:
    """The order of axes that a model's images have; `None` if it has no layers of images, or they disagree."""
    found = {
        layer.data_format
        for layer in layer_tree(model)
        if getattr(layer, "data_format", None) in _FORMATS and getattr(layer, "rank", 2) > 1 and _takes_images(layer)
    }
    return found.pop() if len(found) == 1 else None


def _takes_images(layer: Layer) -> bool:
    spec = getattr(layer, "input_spec", None)
    return max(getattr(spec, "ndim", None) or 0, getattr(spec, "min_ndim", None) or 0) in (4, 5)


def _explained(problems: dict[str, str]) -> str:
    lines: Sequence[str] = [f"  {label}: {reason}." for label, reason in list(problems.items())[:20]]
    return (
        "These layers have no counterpart in torch.nn:\n"
        + "\n".join(lines)
        + "\nReplace them by other layers, or convert the parts around them: "
        "keras.Model(model.inputs, model.get_layer(name).output)."
    )
