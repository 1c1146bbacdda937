"""A plain torch module as a layer."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import nn

from torchkeras.core import registry
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.symbolic import infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.layers.base.layer import Layer


class TorchModuleWrapper(Layer):
    """Any `nn.Module` as a layer of a functional or Sequential model; its parameters are the layer's weights.

    In training the module is in `train()` mode, else in `eval()` mode.

    Files hold no pickled code. A module whose class is registered (`register_keras_serializable`) and has `get_config`
    and `from_config` is described by its config; of any other a file keeps the weights alone, and the model is to be
    made in code before they are loaded.

    Args:
        module: to wrap; lazy modules must have been called once.
        name: default: numbered.
        output_shape: batch axis included, where it can't be found by running the module without values.
    """

    _tk_mixes_samples = True  # a module may do anything

    def __init__(self, module: nn.Module, name: str | None = None, output_shape: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if not isinstance(module, nn.Module):
            raise ValueError(
                f"TorchModuleWrapper wraps an nn.Module; received {module!r} (of type {type(module).__name__})."
            )
        if any(isinstance(p, nn.parameter.UninitializedTensorMixin) for p in module.parameters()):  # type: ignore[attr-defined]
            raise ValueError(
                f"A lazy module must have its parameters before it is wrapped: call it once on data. Received: {module}"
            )
        self.module = module
        self.output_shape = output_shape
        self.built = True

    def call(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        if self.module.training != bool(training):
            self.module.train(bool(training))
        return self.module(*args, **kwargs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.output_shape is not None:
            return tuple(self.output_shape)
        return self.compute_output_spec(KerasTensor(tuple(input_shape), self.compute_dtype)).shape

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        if self.output_shape is not None:
            return KerasTensor(tuple(self.output_shape), self.compute_dtype)

        def on_meta(*inputs: Any, **named: Any) -> Any:
            tensors = [*self.module.named_parameters(), *self.module.named_buffers()]
            weights = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors}
            return torch.func.functional_call(self.module, weights, inputs, named)

        kwargs.pop("training", None)
        return infer.infer(on_meta, args, kwargs)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "output_shape": self.output_shape}
        cls = type(self.module)
        if cls in registry.get_custom_objects().values() and hasattr(cls, "from_config"):
            config["module"] = serialize_keras_object(self.module)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None, safe_mode: Any = None) -> Self:
        config = dict(config)
        module = config.get("module")
        remedy = (
            "Make the model in code and load its weights, or register the module's class with "
            "@keras.saving.register_keras_serializable() and give it get_config() and from_config()."
        )
        if isinstance(module, (str, bytes)):
            raise ValueError(
                f"TorchModuleWrapper {config.get('name')!r}: the file holds a pickled torch module, which may run any "
                f"code when it is read; it is refused, with safe_mode=False too. {remedy}"
            )
        if module is None:
            raise ValueError(
                f"TorchModuleWrapper {config.get('name')!r}: the config does not hold the torch module: its class is "
                f"not registered, and pickles, which torch.load would run, are never kept. {remedy}"
            )
        config["module"] = module if isinstance(module, nn.Module) else deserialize_keras_object(module, custom_objects)
        return cls(**config)
