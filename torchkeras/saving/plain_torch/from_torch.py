"""A torch module as a Keras model."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn

from torchkeras.core import registry, tree
from torchkeras.core.types import Nest
from torchkeras.layers import Input
from torchkeras.layers.base.layer import Layer
from torchkeras.saving.plain_torch.agreement import check_agreement
from torchkeras.saving.plain_torch.read_functions import FUNCTIONS, METHODS, is_symbolic
from torchkeras.saving.plain_torch.read_modules import READERS, NotReadableError, Reading, _Stacked, learned_constant


def from_torch(module: nn.Module, example: Nest[Tensor]) -> Any:
    """Convert a torch module to a functional model of Keras layers.

    The module is traced by `torch.fx`, so its `forward` must not branch on values. Layers keep torch's order of axes:
    images are `(batch, channels, height, width)`, and the layers have `data_format="channels_first"`. The outputs of
    both are compared on the example before the model is returned.

    Args:
        module: a module whose parts are those of `torch.nn`; parts of its own classes are traced into. A parameter
            `(1, ...)` outside of them, such as a class token, becomes a `Dense` layer of a column of ones.
        example: inputs as the module takes them: a tensor, or a tuple of several. The first axis is the batch; the
            model takes any size of it, and the other sizes of the example.

    Returns:
        A `keras.Model` with the module's weights, layers named after its parts. Parts without a parameter that
        requires a gradient become layers that do not train.

    Raises:
        ValueError: the module can't be called on the example; it can't be traced, or a part of it has no counterpart:
            the message names the node.
        RuntimeError: the outputs differ.

    Example:
        >>> module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> model = keras.saving.from_torch(module, torch.randn(3, 4))
        >>> model.output_shape
        (None, 2)
        >>> x = torch.randn(5, 4)
        >>> bool(torch.allclose(model(x), module(x), atol=1e-6))
        True
    """
    if not isinstance(module, nn.Module) or isinstance(module, Layer):
        raise ValueError(f"from_torch() takes a torch module that is no Keras layer; received {type(module).__name__}.")
    examples = list(example) if isinstance(example, (tuple, list)) else [example]
    was_training = module.training
    module.eval()
    try:
        _check_example(module, examples)
        interpreter = _Interpreter(module, examples)  # type: ignore[arg-type]
        outputs = interpreter.run()
        model = registry.lookup("keras", "Model")(
            interpreter.inputs[0] if len(interpreter.inputs) == 1 else interpreter.inputs, outputs
        )
        interpreter.reading.assign_weights()
        given = examples[0] if len(examples) == 1 else examples
        check_agreement(model, module, given, lambda x: x, lambda x: x)
    finally:
        module.train(was_training)
    return model


def _check_example(module: nn.Module, examples: list[Any]) -> None:
    """Raise if the module itself can't take the example.

    Raises:
        ValueError: says the shapes, and why in torch's words.
    """
    try:
        with torch.no_grad():
            module(*examples)
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        shapes = ", ".join(str(tuple(getattr(one, "shape", ()))) for one in examples)
        raise ValueError(
            f"from_torch(): the module {type(module).__name__} can't be called on the example, of shape {shapes}: "
            f"{error} Images have their channels second, (batch, channels, height, width), as torch takes them."
        ) from error


# The errors that a node that does not fit may raise, in torch's functions or in Keras's.
_OF_A_NODE = (NotReadableError, TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError)


class _Tracer(fx.Tracer):
    """Traces into everything but the modules that there are readers for."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in READERS or super().is_leaf_module(m, module_qualified_name)


class _Interpreter:
    """Runs the nodes of a traced module on symbolic tensors."""

    def __init__(self, module: nn.Module, examples: list[Tensor]) -> None:
        self.module, self._examples = module, examples
        self.reading = Reading()
        self.inputs: list[Any] = []
        self._values: dict[fx.Node, Any] = {}
        if type(module) in READERS:
            self._graph = _graph_of_one(module, len(examples))
            return
        try:
            self._graph = _Tracer().trace(module)
        except Exception as error:  # whatever the module's code says of proxies
            raise ValueError(
                f"{type(module).__name__} can't be traced by torch.fx: {error} Rewrite the part so that it does not "
                f"depend on values, or convert the modules in it one by one."
            ) from error

    def run(self) -> Any:
        for node in self._graph.nodes:
            try:
                if node.op == "output":
                    return tree.map_structure(self._whole, self._filled(node.args[0]))
                self._values[node] = self._value(node)
            except (
                NotReadableError,
                TypeError,
                ValueError,
                KeyError,
                IndexError,
                AttributeError,
                RuntimeError,
            ) as error:
                raise ValueError(
                    f"from_torch() has no layers for the node {node.format_node()}: {error}. Replace this part of the "
                    f"module, or keep it: keras.layers.TorchModuleWrapper(module) is a layer."
                ) from error
        raise ValueError("The module returns nothing.")

    @staticmethod
    def _whole(value: object) -> Any:
        """A value as ops of Keras take it."""
        if isinstance(value, Tensor):
            return value.numpy()
        return value.tensor() if isinstance(value, _Stacked) else value

    def _value(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            return self._input(node)
        if node.op == "get_attr":
            return self._attribute(str(node.target))
        args, kwargs = self._filled(node.args), self._filled(node.kwargs)
        if node.op == "call_module":
            module = self.module if node.target == "" else self.module.get_submodule(str(node.target))
            reader = READERS.get(type(module))
            if reader is None:
                raise NotReadableError(f"{type(module).__name__} is not known")
            return reader(module, self.reading, str(node.target) or type(module).__name__.lower(), *args, **kwargs)
        if not any(is_symbolic(value) for value in tree.flatten((args, kwargs))):
            target: Any = node.target
            return (
                getattr(args[0], target)(*args[1:], **kwargs) if node.op == "call_method" else target(*args, **kwargs)
            )
        if node.op == "call_method":
            function = METHODS.get(str(node.target))
        else:
            function = _attribute_of if node.target is getattr else FUNCTIONS.get(node.target)
        if function is None:
            raise NotReadableError(f"{getattr(node.target, '__name__', node.target)} is not known")
        if function is not FUNCTIONS[operator.getitem]:
            args, kwargs = tree.map_structure(self._whole, (args, kwargs))
        return function(*args, **kwargs)

    def _input(self, node: fx.Node) -> Any:
        index = len(self.inputs)
        if index >= len(self._examples):
            if node.args:
                return node.args[0]  # a default
            raise NotReadableError("the example has no input for it")
        x = self._examples[index]
        name = None if str(node.target) in ("x", "input") else str(node.target)
        dtype = str(x.dtype).removeprefix("torch.")
        self.inputs.append(Input(batch_shape=(None, *x.shape[1:]), dtype=dtype, name=name))
        return self.inputs[-1]

    def _attribute(self, target: str) -> Any:
        value: Any = self.module
        for part in target.split("."):
            value = getattr(value, part)
        if isinstance(value, nn.Parameter):
            return learned_constant(value, self.reading, target, self.inputs[0])
        return value

    def _filled(self, value: Any) -> Any:
        return fx.node.map_arg(value, lambda node: self._values[node])


def _attribute_of(value: Any, name: str) -> Any:
    if name == "shape":
        return tuple(value.shape)
    if name == "device":
        return torch.device("cpu")
    if name == "dtype":
        return getattr(torch, value.dtype)
    if name == "ndim":
        return len(value.shape)
    raise NotReadableError(f"the attribute {name!r} of a tensor is not known")


def _graph_of_one(module: nn.Module, count: int) -> fx.Graph:
    """The graph of a module that is one of torch's own."""
    graph = fx.Graph()
    inputs = [graph.placeholder(f"x{i}" if i else "x") for i in range(count)]
    graph.output(graph.call_module("", tuple(inputs)))
    return graph
