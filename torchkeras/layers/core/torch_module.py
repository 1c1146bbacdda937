"""A plain torch module as a layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from torchkeras.core import infer
from torchkeras.core.keras_tensor import KerasTensor
from torchkeras.layers.base.layer import Layer


class TorchModuleWrapper(Layer):
    """Any `nn.Module` as a layer of a functional or Sequential model; its parameters are the layer's weights.

    In training the module is in `train()` mode, else in `eval()` mode.

    Args:
        module: to wrap.
        name: default: numbered.
        output_shape: of one sample, where it can't be found by running the module without values.
    """

    def __init__(self, module: nn.Module, name: str | None = None, output_shape: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if not isinstance(module, nn.Module):
            raise ValueError(f"TorchModuleWrapper wraps an nn.Module; received {module!r} (of type {type(module).__name__}).")
        self.module = module
        self.output_shape = output_shape
        self.built = True

    def call(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        if self.module.training != bool(training):
            self.module.train(bool(training))
        return self.module(*args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        if self.output_shape is not None:
            first = args[0] if args else next(iter(kwargs.values()))
            return KerasTensor((first.shape[0], *self.output_shape), self.compute_dtype)

        def on_meta(*inputs: Any, **named: Any) -> Any:
            weights = {name: torch.empty_like(t, device="meta") for name, t in self._named_tensors()}
            return torch.func.functional_call(self.module, weights, inputs, named)

        return infer.infer(on_meta, args, kwargs)

    def _named_tensors(self) -> Any:
        yield from self.module.named_parameters()
        yield from self.module.named_buffers()

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError(
            f"Layer {self.name!r} wraps a torch module ({type(self.module).__name__}), which no config describes: files "
            f"hold no pickled code here. Save the weights (save_weights, or torch.save of state_dict()) and make the "
            f"model in code; or put the module into a Layer of your own with get_config()."
        )
