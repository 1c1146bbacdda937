"""The layer: an `nn.Module` with Keras's way of being built, called and described."""

from __future__ import annotations

import functools
import inspect
import warnings
from typing import Any, Self

import torch
from torch import nn

from torchkeras import dtype_policies, regularizers
from torchkeras.core import naming, tree
from torchkeras.core.config import configurable
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.operations.operation import Graphed
from torchkeras.core.operations.rematerializable import Rematerializable
from torchkeras.core.state import state
from torchkeras.core.symbolic.keras_tensor import any_symbolic
from torchkeras.core.tensors.devices import with_values
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.tensors.masks import set_mask
from torchkeras.core.variables.stateless import CallScope
from torchkeras.layers.base import inputs as arguments
from torchkeras.layers.base import symbolic
from torchkeras.layers.base.call_spec import CallSpec
from torchkeras.layers.base.input_spec import check_inputs, input_spec_knows
from torchkeras.layers.base.module import StatefulModule, assign


class Layer(StatefulModule, Graphed, Rematerializable, Configurable):
    """A computation with weights: Keras's `Layer`, and a `torch.nn.Module`.

    Subclasses define `call(inputs, ...)` in torch or in `ops`, and make weights in `build(input_shape)`. Called on a
    KerasTensor a layer records a node of a functional graph. Called on tensors it runs `nn.Module.__call__`, so hooks,
    `torch.compile`, DDP and FSDP see it; the first call builds it.

    `training` is the call's argument, else that of the enclosing call, else the module's flag, which starts `False`.

    Args:
        activity_regularizer: of the output.
        trainable: whether training changes the weights.
        dtype: a type's name, or a dtype policy.
        autocast: whether float inputs are cast to the compute dtype.
        name: default: numbered after the class.
    """

    keras_module = "keras.layers"
    _tk_config_base = True
    _tk_call_spec: CallSpec
    _tk_own_mask_rule = False
    # Layers of this package without a build() are built when they are made; their subclasses too, until they have one.
    _tk_nothing_to_build = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "call" in cls.__dict__:
            cls._tk_call_spec = CallSpec(cls.call)
        if "build" in cls.__dict__:
            cls.build = _recorded_build(cls.build)  # type: ignore[method-assign]
            cls._tk_nothing_to_build = False
        elif cls.build is Layer.build and cls.__module__.startswith("torchkeras.layers."):
            cls._tk_nothing_to_build = not cls.__name__.startswith(_BUILT_ON_CALL)
        cls._tk_own_mask_rule = cls.compute_mask is not Layer.compute_mask
        cls._tk_own_shape_rule = cls.compute_output_shape is not Layer.compute_output_shape

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        shape = _legacy_input_shape(kwargs)
        if kwargs:
            raise ValueError(f"Unknown arguments of {type(self).__name__}: {sorted(kwargs)}.")
        self.name = naming.check_name(name or naming.auto_name(type(self).__name__))
        self.activity_regularizer = regularizers.get(activity_regularizer)
        if not isinstance(trainable, (bool, int)):
            raise ValueError(f"trainable is expected to be a boolean; received {trainable!r}.")
        if not trainable:
            self.trainable = False
        self.__dict__["_tk_autocast"] = autocast
        self.built = self._tk_nothing_to_build
        self.supports_masking = False
        self.input_spec: Any = None
        self._tk_build_shapes: dict | None = None
        self.dtype_policy = dtype_policies.get(dtype)
        if shape is not None:
            self._tk_input_shape_arg = shape
        self._tk_follow_remat_scope()

    # ------------------------------------------------------------------ types

    @property
    def dtype_policy(self) -> Any:
        """The policy that says in which types weights are kept and values computed."""
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        policy = dtype_policies.get(value)
        own = self.__dict__
        own["_dtype_policy"] = policy
        compute = policy.compute_dtype
        # What the hot path needs, found once.
        own["_tk_input_type"] = torch_dtype(compute) if self.autocast and compute in _FLOATS else None
        mixed = compute != policy.variable_dtype and compute in _FLOATS
        own["_tk_autocast_type"] = torch_dtype(compute) if mixed else None

    @property
    def autocast(self) -> bool:
        """Whether float inputs are cast to the compute dtype."""
        return self.__dict__["_tk_autocast"]

    @autocast.setter
    def autocast(self, value: bool) -> None:
        self.__dict__["_tk_autocast"] = bool(value)
        self.dtype_policy = self._dtype_policy

    @property
    def dtype(self) -> str:
        """The name of the weights' type."""
        return self.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The name of the type in which `call` computes."""
        return self._dtype_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        return self._dtype_policy.variable_dtype

    @property
    def input_dtype(self) -> str:
        return self.compute_dtype

    @property
    def path(self) -> str:
        """The layer's name behind those of the layers inside which it was built."""
        return getattr(self, "_tk_path", self.name)

    # ------------------------------------------------------------------ building

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of the shape (a tuple with `None` for any size); none by default."""
        self.built = True

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build as `get_build_config()` says it was done."""
        if not config:
            return
        shapes = {name: _as_shapes(shape) for name, shape in config.items()}
        if "input_shape" in shapes:
            self.build(shapes["input_shape"])
        elif "shapes_dict" in shapes:
            self.build(**shapes["shapes_dict"])
        else:
            self.build(**shapes)

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes with which the layer was built, or `None`."""
        shapes = self._tk_build_shapes
        if not shapes:
            return None
        return {"input_shape": next(iter(shapes.values()))} if len(shapes) == 1 else {"shapes_dict": shapes}

    def _tk_build_for(self, args: tuple, kwargs: dict) -> None:
        """Build from the shapes of a call's arguments."""
        if self.built:
            return
        with naming.name_scope(self.name, caller=self), with_values():
            self._tk_path = naming.current_path()
            shapes = arguments.build_shapes(self, args, kwargs)
            self.build(**shapes)

    # ------------------------------------------------------------------ calling

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer computes; defined by subclasses."""
        raise NotImplementedError(
            f"Layer {type(self).__name__!r} does not have a `call` method implemented: it must define call()."
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and isinstance(args[0], torch.Tensor):  # the common case first
            return nn.Module.__call__(self, args[0])
        if any_symbolic(args, kwargs):
            return self.symbolic_call(*args, **kwargs)
        return nn.Module.__call__(self, *args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """One call on tensors: cast, check, resolve `training` and masks, run `call`."""
        own = self.__dict__
        spec = self._tk_call_spec
        x = args[0] if args else None
        plain = isinstance(x, torch.Tensor) and len(args) == 1
        told = None
        if kwargs:
            told = kwargs.get("training")
            if not spec.has_training and "training" in kwargs:
                kwargs = {name: value for name, value in kwargs.items() if name != "training"}
        # Whether there is one tensor and nothing else that could be an array or carry a mask.
        alone = plain and (not kwargs or (len(kwargs) == 1 and "training" in kwargs))
        if alone:
            wanted = own["_tk_input_type"]
            if wanted is not None and x.dtype is not wanted and x.is_floating_point():
                x = arguments.cast_float(x, wanted)
                args = (x,)
        else:
            args, kwargs = arguments.convert(self, args, kwargs)
            x = args[0] if args else next(iter(kwargs.values()), None)
        if not own["built"]:
            return self._tk_first_call(args, kwargs, told)
        input_spec = own["input_spec"]
        if input_spec is not None and (not plain or not input_spec_knows(input_spec, x.shape)):
            check_inputs(input_spec, x, own["name"])
        if spec.has_training:
            training = told
            if training is None:
                training = state.training
                if training is None:
                    training = own["training"] or spec.training_default
            if len(args) <= 1 or "training" in kwargs:
                kwargs = {**kwargs, "training": training}
            else:
                kwargs = arguments.with_training(spec, args, kwargs, training)
        if spec.masks and (not alone or getattr(x, "_keras_mask", None) is not None):
            kwargs = arguments.with_masks(spec, args, kwargs)
        if own["_modules"] or own["_tk_autocast_type"] is not state.autocast:
            outputs = self._tk_call_in_scope(args, kwargs, told)
        else:
            if own["_tk_losses"] and state.entry is None:
                own["_tk_losses"].clear()
            outputs = self.call(*args, **kwargs)
        if own["activity_regularizer"] is not None:
            self._tk_add_activity_loss(outputs)
        if own["supports_masking"] or self._tk_own_mask_rule:
            mask = getattr(x, "_keras_mask", None)
            if mask is not None or self._tk_own_mask_rule or not plain:
                self._tk_pass_mask(x, outputs)
        elif plain and getattr(x, "_keras_mask", None) is not None and not spec.masks:
            _warn_lost_mask(self)
        return outputs

    def _tk_call_in_scope(self, args: tuple, kwargs: dict, told: bool | None) -> Any:
        """Run `call` with what the layers within must know: training, autocast, who is outermost."""
        entry, training, autocast = state.entry, state.training, state.autocast
        mine = self.__dict__["_tk_autocast_type"]
        if entry is None:
            state.entry = self
            if StatefulModule._tk_extra_losses_exist:
                self._tk_clear_losses()
        # What stands already is not set again: a graph being compiled takes no setting inside of a checkpoint.
        tells = told is not None and bool(told) is not training
        if tells:
            state.training = bool(told)
        if mine is not autocast:
            state.set("autocast", mine)
        try:
            return self.call(*args, **kwargs)
        finally:
            if entry is None:
                state.entry = None
            if tells:
                state.training = training
            if mine is not autocast:
                state.set("autocast", autocast)

    def _tk_first_call(self, args: tuple, kwargs: dict, told: bool | None) -> Any:
        with naming.name_scope(self.name, caller=self):
            if self.input_spec is not None:
                check_inputs(self.input_spec, args[0] if args else next(iter(kwargs.values()), None), self.name)
            self._tk_build_for(args, kwargs)
            self.built = True
            if told is not None:
                kwargs = {**kwargs, "training": told}
            return self.forward(*args, **kwargs)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Build, infer the outputs and record a node of the graph."""
        return symbolic.call(self, args, kwargs)

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The shape of the outputs for inputs of the given shape(s); by a run without values unless overridden."""
        return symbolic.output_shape(self, args, kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs as KerasTensors, for KerasTensors."""
        return symbolic.output_spec(self, args, kwargs)

    def stateless_call(
        self,
        trainable_variables: list,
        non_trainable_variables: list,
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> tuple:
        """Call with the given values in the place of the layer's, which stay as they are.

        Returns `(outputs, non_trainable_variables)`, with `return_losses=True` also the losses.
        """
        own = [*self.trainable_variables, *self.non_trainable_variables]
        values = [*trainable_variables, *non_trainable_variables]
        if len(own) != len(values):
            raise ValueError(
                f"stateless_call() of {self.name!r} needs {len(own)} values "
                f"({len(self.trainable_variables)} trainable); received {len(values)}."
            )
        count = len(self.trainable_variables)
        scope = CallScope(zip(own[:count], values[:count]), zip(own[count:], values[count:]))
        with scope:
            outputs = self(*args, **kwargs)
            losses = self.losses
        after = [scope.current_value(v).detach() for v in own[count:]]
        return (outputs, after, losses) if return_losses else (outputs, after)

    # ------------------------------------------------------------------ masks

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the outputs; the inputs' one unless overridden."""
        return previous_mask

    def _tk_pass_mask(self, inputs: Any, outputs: Any) -> None:
        previous = tree.map_structure(lambda t: getattr(t, "_keras_mask", None), inputs)
        if not self._tk_own_mask_rule and all(m is None for m in tree.flatten(previous)):
            return
        masks = self.compute_mask(inputs, previous)
        flat_masks, flat_outputs = tree.flatten(masks), tree.flatten(outputs)
        if masks is None:
            return
        if len(flat_masks) == 1 and len(flat_outputs) > 1:
            flat_masks = flat_masks * len(flat_outputs)
        for tensor, mask in zip(flat_outputs, flat_masks):
            if isinstance(tensor, torch.Tensor) and mask is not None:
                set_mask(tensor, mask)

    # ------------------------------------------------------------------ losses

    def add_loss(self, loss: Any) -> None:
        """Add a scalar tensor (or a list of them) to what training minimizes. Calls start afresh."""
        StatefulModule._tk_extra_losses_exist = True
        scope = state.stateless
        if state.symbolic or (scope is not None and scope.drops_losses):
            return
        for one in tree.flatten(loss):
            if scope is not None and scope.collect_losses:
                scope.add_loss(one)
            self._tk_losses.append(one)

    def _tk_add_activity_loss(self, outputs: Any) -> None:
        for tensor in tree.flatten(outputs):
            if isinstance(tensor, torch.Tensor):
                self.add_loss(self.activity_regularizer(tensor) / max(1, tensor.shape[0] if tensor.dim() else 1))

    def _tk_clear_losses(self) -> None:
        for layer in self._tk_layer_tree():
            layer._tk_losses.clear()  # type: ignore[attr-defined]

    @property
    def losses(self) -> list:
        """The losses added in the last call, and those of the weights' regularizers."""
        added = [loss for layer in self._tk_layer_tree() for loss in layer._tk_losses]  # type: ignore[attr-defined]
        return added + self._tk_regularizer_losses()

    def _tk_regularizer_losses(self) -> list:
        losses, seen = [], set()
        for layer in self._tk_layer_tree():
            for name, info in layer._tk_infos.items():
                if info.regularizer is None or not info.trainable:
                    continue
                weight = layer._parameters.get(name)
                if weight is not None and id(weight) not in seen and weight.requires_grad:
                    seen.add(id(weight))
                    losses.append(info.regularizer(getattr(layer, name)))
        return losses

    # ------------------------------------------------------------------ description and storage

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, from which `from_config` makes an equal layer without its weights."""
        config = configurable.config_of(self)
        own_arguments = {
            name for cls in type(self).__mro__ for name, _ in configurable._parameters(cls) if cls is not Layer
        }
        for name in ("activity_regularizer", "autocast"):
            if name not in own_arguments:
                config.pop(name, None)
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        policy = dtype_policies.serialize(self.dtype_policy)
        return {**config, "name": self.name, "trainable": self.trainable, "dtype": policy}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer that `config` describes, without its weights."""
        config = dict(config)
        accepted, is_open = configurable._accepts(cls)
        base = {}
        if not is_open:
            base = {
                name: config.pop(name)
                for name in ("name", "trainable", "dtype")
                if name in config and name not in accepted
            }
        layer = cls(**config)
        if base.get("name") is not None:
            layer.name = base["name"]
        if base.get("trainable") is False:
            layer.trainable = False
        return layer

    def save_own_variables(self, store: Any) -> None:
        """Write the layer's own weights into a dict-like store under `"0"`, `"1"`, ..."""
        for i, (_, tensor) in enumerate(self._tk_own_variables()):
            store[str(i)] = tensor

    def load_own_variables(self, store: Any) -> None:
        """Read what `save_own_variables` wrote.

        Raises:
            ValueError: the number of weights differs.
        """
        own = list(self._tk_own_variables())
        if len(store.keys()) != len(own):
            state_of = "" if self.built else " It is not built: build it, or call it on data, before loading."
            raise ValueError(
                f"Layer {self.name!r} has {len(own)} weights of its own; the file has {len(store.keys())}.{state_of}"
            )
        for i, (_, tensor) in enumerate(own):
            assign(tensor, store[str(i)])

    def quantize(self, mode: Any = None, **kwargs: Any) -> None:
        raise NotImplementedError(f"Layer {type(self).__name__!r} has no quantized form.")

    def __repr__(self) -> str:
        state_text = f", built={self.built}" if "built" in self.__dict__ else ""
        return f"<{type(self).__name__} name={self.__dict__.get('name')}{state_text}>"

    def __str__(self) -> str:
        return self.__repr__()


# Keras builds these on their first call, and its files tell with what shape.
_BUILT_ON_CALL = ("Adaptive", "Cropping", "Flatten", "Lambda", "Permute", "RepeatVector", "Rescaling", "TorchModule",
                  "UpSampling", "ZeroPadding")  # fmt: skip
_FLOATS = ("float16", "bfloat16", "float32", "float64")


def _recorded_build(build: Any) -> Any:
    """A `build` that notes its shapes, names its weights after the layer, and marks the layer built."""
    if getattr(build, "_recorded", False):
        return build
    signature = inspect.signature(build)

    @functools.wraps(build)
    def recorded(self: Layer, *args: Any, **kwargs: Any) -> None:
        with naming.name_scope(self.name, caller=self):
            if "_tk_path" not in self.__dict__:
                self._tk_path = naming.current_path()
            args = tuple(_as_shapes(value) for value in args)
            build(self, *args, **kwargs)
        self.built = True
        bound = signature.bind(self, *args, **kwargs).arguments
        shapes = dict(list(bound.items())[1:])
        if shapes and "kwargs" not in shapes:
            self._tk_build_shapes = shapes

    recorded._recorded = True  # type: ignore[attr-defined]
    return recorded


Layer.build = _recorded_build(Layer.build)  # type: ignore[method-assign]
Layer._tk_call_spec = CallSpec(Layer.call)


def _as_shapes(value: Any) -> Any:
    """Lists of sizes (as JSON has them, or as users type them) as tuples, however nested."""
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (list, tuple)):
        if all(size is None or isinstance(size, int) for size in value):
            return tuple(value)
        return type(value)(_as_shapes(item) for item in value)
    if isinstance(value, dict):
        return {key: _as_shapes(item) for key, item in value.items()}
    return value


def _legacy_input_shape(kwargs: dict) -> tuple | None:
    """Keras 2's ways to give the first layer its input shape; a whole batch shape, or `None`."""
    batch = kwargs.pop("batch_size", None) if any(k in kwargs for k in ("input_shape", "input_dim")) else None
    if "batch_input_shape" in kwargs:
        return tuple(kwargs.pop("batch_input_shape"))
    if "batch_shape" in kwargs:
        return tuple(kwargs.pop("batch_shape"))
    if "input_shape" in kwargs:
        shape = kwargs.pop("input_shape")
        kwargs.pop("input_dim", None)
        return (batch, *((shape,) if isinstance(shape, int) else shape))
    if "input_dim" in kwargs:
        length = kwargs.pop("input_length", None)
        return (batch, kwargs.pop("input_dim")) if length is None else (batch, length, kwargs.pop("input_dim"))
    return None


def _warn_lost_mask(layer: Layer) -> None:
    warnings.warn(
        f"Layer {layer.name!r} ({type(layer).__name__}) received a mask and does not pass it on: it does not set "
        f"supports_masking. What follows sees no mask.",
        stacklevel=4,
    )
