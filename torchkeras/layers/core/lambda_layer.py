"""Lambda: any Python function as a layer, in this process."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Unpack

import torch

from torchkeras.core import tree
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.types import Config, Nest, Shape
from torchkeras.layers.base import symbolic
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions

_PARTS = ("function", "output_shape", "mask", "arguments")


class Lambda(Layer):
    """Run a Python function as a layer: `function(inputs, **arguments)`.

    Files hold a named function by its registered name. A Python lambda has no such name: it stays with its layer in
    this process (a clone shares it), and bytecode in a file is never run. Subclass `Layer` for a model to be saved.

    Args:
        function: called with the inputs first; with `mask` and `training` too where it has arguments of these names.
        output_shape: shape of one sample of the output, or a function of the input's shape; by default found by
            running the function without values. Default: `None`.
        mask: the mask of the output, or a function `(inputs, mask)` that returns it. Default: `None`.
        arguments: further named arguments of the function, a dict. Default: `None`.
        **kwargs: the arguments of `Layer`.

    Call arguments:
        inputs: a tensor, or a nest of tensors.
        mask: the mask of the inputs, a boolean tensor or `None`.
        training: a boolean.

    Example:
        >>> layer = keras.layers.Lambda(lambda x, power: x**power, arguments={"power": 2})
        >>> layer(torch.tensor([1.0, 2.0, 3.0])).tolist()
        [1.0, 4.0, 9.0]
    """

    _tk_config_base = True
    _tk_mixes_samples = True  # a function may do anything
    _tk_runs_user_code = True

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Nest[Shape] | Callable[..., Any] | None = None,
        mask: Nest[torch.Tensor] | Callable[..., Any] | None = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.arguments = arguments or {}
        if not callable(function):
            raise ValueError(f"A Lambda layer takes a function of its inputs. Received: {function!r}")
        self.function = function
        self.supports_masking = mask is not None
        self.mask = mask
        self._output_shape = output_shape
        names = inspect.getfullargspec(function).args
        self._takes_training = "training" in names
        self._takes_mask = "mask" in names

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        arguments = dict(self.arguments)
        if self._takes_mask:
            arguments["mask"] = mask
        if self._takes_training:
            arguments["training"] = training
        return self.function(inputs, **arguments)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self._output_shape is None:
            return super().compute_output_shape(input_shape)
        if callable(self._output_shape):
            return self._output_shape(input_shape)
        batch = tree.flatten(input_shape)[0]
        return tree.map_shape_structure(lambda shape: (batch, *shape), self._output_shape)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        if self._output_shape is None:
            return symbolic.inferred(self, args, kwargs)
        return super().compute_output_spec(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["function"] = in_config(self.function)
        for name, value in (("output_shape", self._output_shape), ("mask", self.mask)):
            config.pop(name, None)
            if value is not None:
                config[name] = in_config(value)
        config["arguments"] = serialize_keras_object(dict(self.arguments))
        return config

    @classmethod
    def _tk_check_config(cls, config: Config) -> None:
        """Refuse a config in which a function is a Python lambda.

        Args:
            config: a dict as `get_config` gives it, or with its parts serialized.

        Raises:
            ValueError: the function, mask or output shape is a saved Python lambda.
        """
        for name in _PARTS:
            _refuse_lambda(config.get(name), name)

    @classmethod
    def from_config(
        cls, config: Config, custom_objects: dict[str, Any] | None = None, safe_mode: bool | None = None
    ) -> Lambda:
        """Make the layer that a config describes (errors as in `check_config`).

        Args:
            config: a dict as `get_config` gives it.
            custom_objects: `{"name": function}`: functions of your own that the config names.
            safe_mode: not used: bytecode is refused always.

        Returns:
            The layer.
        """
        cls._tk_check_config(config)
        arguments: dict[str, Any] = dict(config)
        for name in _PARTS:
            if name in arguments:
                arguments[name] = out_of_config(arguments[name], name, custom_objects)
        return cls(**arguments)


def is_lambda(value: Any) -> bool:
    return getattr(value, "__name__", None) == "<lambda>"


def in_config(value: Any) -> Any:
    return value if is_lambda(value) else serialize_keras_object(value)


def _refuse_lambda(value: Any, name: str) -> None:
    if isinstance(value, dict) and (value.get("class_name") == "__lambda__" or value.get("config") == "<lambda>"):
        raise ValueError(
            f"The `{name}` of a saved `Lambda` layer is a Python lambda, a risk of arbitrary code execution: it is not "
            "loaded. Rebuild the model in code and load its weights, or replace the Lambda by a registered subclass "
            "of `keras.layers.Layer` or a registered function."
        )


def out_of_config(value: Any, name: str, custom_objects: Any) -> Any:
    if callable(value):
        return value
    value = deserialize_keras_object(value, custom_objects)
    if name == "output_shape" and isinstance(value, list) and all(isinstance(dim, (int, type(None))) for dim in value):
        return tuple(value)
    return value
