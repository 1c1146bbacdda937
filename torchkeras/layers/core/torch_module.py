"""A plain torch module as a layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import torch
from torch import nn

from torchkeras.core import registry, tree
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.symbolic import infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.tensors.dtypes import standardize_dtype, torch_dtype
from torchkeras.core.types import Config, Shape
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.torch_parts import in_type, under_autocast


class TorchModuleWrapper(Layer):
    """Any `nn.Module` as a layer of a functional or Sequential model; its parameters are the layer's weights.

    In training the module is in `train()` mode, else in `eval()` mode. A module on the CPU moves to the device on which
    layers make their weights, such as the GPU; one that was moved elsewhere before stays there.

    Under a mixed dtype policy the module keeps its weights and runs under `torch.autocast` of the policy's compute
    type, as in a torch training loop; its float outputs are in the compute type. Under any other policy its weights
    are converted to the policy's type. Without a `dtype`, a module that was converted before (`module.half()`) keeps
    its type, and the layer's policy is that of the module.

    Files hold no pickled code. A module whose class is registered (`register_keras_serializable`) and has `get_config`
    and `from_config` is described by its config. Of any other module a file keeps the weights alone: make the model in
    code, then load them.

    Args:
        module: the `nn.Module`. A lazy module must have been called once.
        name: name of the layer; `None` numbers it. Default: `None`.
        output_shape: shape of the output with the batch axis, if running the module without values can't find it.
            Default: `None`.
        **kwargs: the arguments of `Layer`.

    Call arguments: those of the module; `training`, a boolean.

    Raises:
        ValueError: `module` is no `nn.Module`, or a lazy one without its parameters.

    Example:
        >>> module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
        >>> layer = keras.layers.TorchModuleWrapper(module, name="torch_part")
        >>> layer(np.ones((2, 4), "float32")).shape
        torch.Size([2, 8])
        >>> [tuple(w.shape) for w in layer.weights]
        [(8, 4), (8,)]
    """

    _tk_mixes_samples = True  # a module may do anything
    # A mixed policy's casts are those of torch.autocast, operation by operation.
    _tk_casts_inputs_when_mixed = False

    def __init__(
        self,
        module: nn.Module,
        name: str | None = None,
        output_shape: Shape | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not isinstance(module, nn.Module):
            raise ValueError(
                f"TorchModuleWrapper wraps an nn.Module; received {module!r} (of type {type(module).__name__})."
            )
        if any(isinstance(p, nn.parameter.UninitializedTensorMixin) for p in module.parameters()):  # type: ignore[attr-defined]
            raise ValueError(
                f"A lazy module must have its parameters before it is wrapped: call it once on data. Received: {module}"
            )
        device = current_device()
        if device.type not in ("cpu", "meta") and all(t.device.type == "cpu" for t in _tensors_of(module)):
            module.to(device)  # torch makes weights on the CPU; those of layers are made where the model computes
        self.module = module
        self.output_shape = output_shape
        self._tk_agree_on_dtype(kwargs.get("dtype") is not None)
        self.built = True

    def _tk_agree_on_dtype(self, is_asked_for: bool) -> None:
        """Convert the weights to the policy's type, or take the policy from weights that were converted before."""
        types = {p.dtype for p in self.module.parameters() if p.is_floating_point()}
        wanted = torch_dtype(self.variable_dtype)
        if not types <= {wanted}:
            if not is_asked_for and len(types) == 1 and torch.get_default_dtype() not in types:
                self.dtype_policy = standardize_dtype(types.pop())
            elif wanted.is_floating_point:
                self.module.to(wanted)

    def call(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        if self.module.training != bool(training):
            self.module.train(bool(training))
        compute_type = self.__dict__["_tk_autocast_type"]
        if compute_type is None:
            return self.module(*args, **kwargs)
        return under_autocast(self.module, compute_type, args, kwargs)

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        if self.output_shape is not None:
            return tuple(self.output_shape)
        return self.compute_output_spec(KerasTensor(tuple(input_shape), self.compute_dtype)).shape

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        if self.output_shape is not None:
            return KerasTensor(tuple(self.output_shape), self.compute_dtype)

        compute_type = self.__dict__["_tk_autocast_type"]

        def on_meta(*inputs: Any, **named: Any) -> Any:
            tensors = [*self.module.named_parameters(), *self.module.named_buffers()]
            weights = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors}
            if compute_type is None:
                return torch.func.functional_call(self.module, weights, inputs, named)
            # There is no autocast on meta: the run is in the weights' type, the outputs are in the compute type.
            kept = torch_dtype(self.variable_dtype)
            inputs, named = tree.map_structure(lambda x: in_type(x, kept), (inputs, named))
            outputs = torch.func.functional_call(self.module, weights, inputs, named)
            return tree.map_structure(lambda x: in_type(x, compute_type), outputs)

        kwargs.pop("training", None)
        return infer.infer(on_meta, args, kwargs)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "output_shape": self.output_shape}
        cls = type(self.module)
        if cls in registry.get_custom_objects().values() and hasattr(cls, "from_config"):
            config["module"] = serialize_keras_object(self.module)
        return config

    @classmethod
    def _tk_check_config(cls, config: Config) -> None:
        """Refuse a config that does not describe the torch module.

        Args:
            config: a dict as `get_config` gives it.

        Raises:
            ValueError: the module is missing, or pickled.
        """
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

    @classmethod
    def from_config(
        cls, config: Config, custom_objects: dict[str, Any] | None = None, safe_mode: bool | None = None
    ) -> Self:
        """Make the layer that a config describes (errors as in `check_config`).

        Args:
            config: a dict as `get_config` gives it.
            custom_objects: `{"name": class}`: classes of your own that the config names.
            safe_mode: not used: pickles are refused always.

        Returns:
            The layer.
        """
        cls._tk_check_config(config)
        arguments: dict[str, Any] = dict(config)
        module = arguments["module"]
        arguments["module"] = (
            module if isinstance(module, nn.Module) else deserialize_keras_object(module, custom_objects)
        )
        return cls(**arguments)


def _tensors_of(module: nn.Module) -> Iterator[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()
