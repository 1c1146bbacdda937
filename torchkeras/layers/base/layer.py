"""The layer: an `nn.Module` with Keras's way of being built, called and described."""

from __future__ import annotations

from typing import Any, Self

import torch

from torchkeras import dtype_policies, regularizers
from torchkeras.core import naming
from torchkeras.core.config import configurable
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.config.keywords import accepted_keywords
from torchkeras.core.nearest_names import candidates
from torchkeras.core.operations.operation import Graphed
from torchkeras.core.operations.rematerializable import Rematerializable
from torchkeras.core.operations.tracebacks import complete
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import Nest, Store
from torchkeras.core.user_warnings import warn_user
from torchkeras.core.variables.stateless import CallScope
from torchkeras.dtype_policies import DTypePolicy, DTypePolicyMap, FloatDTypePolicy
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.layers.base import copies, losses, symbolic
from torchkeras.layers.base.building import as_shapes, legacy_input_shape, recorded
from torchkeras.layers.base.call import CallableModule, with_signature
from torchkeras.layers.base.call_spec import CallSpec
from torchkeras.layers.base.quantization import Quantizable, checked
from torchkeras.layers.base.untracked import Tracker
from torchkeras.layers.base.values import assign
from torchkeras.layers.base.weight_walk import count_saved, own_weights


class Layer(CallableModule, Quantizable, Graphed, Rematerializable, Configurable):
    """Compute outputs from inputs with weights: Keras's `Layer`, and a `torch.nn.Module`.

    Subclasses define `call(inputs, ...)` in torch or in `keras.ops`, and make weights in `build(input_shape)` with
    `add_weight`. Layers set as attributes become part of the layer. Called on a KerasTensor, a layer records a node
    of a functional graph. Called on tensors it runs `nn.Module.__call__`, so hooks, `torch.compile`, DDP and FSDP see
    it; the first call builds it.

    `training` is the call's argument, else that of the enclosing call, else the module's flag, which starts `False`.

    Args:
        activity_regularizer: penalty on the output, by name or callable. Default: `None`.
        trainable: whether training changes the weights. Default: `True`.
        dtype: a type's name, or a dtype policy; by default `keras.config.dtype_policy()`. Default: `None`.
        autocast: whether float inputs are cast to the compute dtype. Default: `True`.
        name: a string; by default numbered after the class. Default: `None`.
        **kwargs: `input_shape` and the other arguments of Keras 2 that say the shape of the input.

    Raises:
        ValueError: an argument is not known, or `trainable` is no boolean.

    Example:
        >>> class Linear(keras.layers.Layer):
        ...     def __init__(self, units, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.units = units
        ...
        ...     def build(self, input_shape):
        ...         self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel")
        ...         self.bias = self.add_weight((self.units,), initializer="zeros", name="bias")
        ...
        ...     def call(self, inputs):
        ...         return inputs @ self.kernel + self.bias
        >>> layer = Linear(4, name="linear")
        >>> layer(np.ones((2, 3))).shape
        torch.Size([2, 4])
        >>> [tuple(weight.shape) for weight in layer.weights]
        [(3, 4), (4,)]
        >>> layer.get_config()["units"]
        4
    """

    keras_module = "keras.layers"
    _tk_config_base = True
    # Whether instances are built when they are made: for layers without weights, until a subclass defines build().
    _tk_nothing_to_build = False
    # Whether the weights are held by a torch module in another layout for the time, see utils/torch_view.
    _tk_stands_in = False
    # Whether a mixed policy has float inputs cast to the compute type before `call`.
    _tk_casts_inputs_when_mixed = True
    _dtype_policy: DTypePolicy
    _tk_policy: DTypePolicy
    # Whether positional arguments may be other than tensors, which subclasses written for Keras set.
    _allow_non_tensor_positional_args = False
    _tracker = Tracker()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "call" in cls.__dict__:
            cls._tk_call_spec = CallSpec(cls.call)
            if getattr(cls.forward, "_tk_of_layers", False):
                cls.forward = with_signature(cls.forward, cls.call)  # type: ignore[method-assign,arg-type]
        if "build" in cls.__dict__:
            cls.build = recorded(cls.build)  # type: ignore[method-assign]
            cls._tk_nothing_to_build = False
            cls._tk_builds_weights = cls.__dict__.get("_tk_builds_weights", True)
        if "quantize" in cls.__dict__:
            cls.quantize = checked(cls.quantize)  # type: ignore[method-assign]
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
        shape = legacy_input_shape(kwargs)
        if kwargs:
            cls = type(self)
            hint = candidates(kwargs, accepted_keywords(cls)[0])
            raise ValueError(f"Unrecognized keyword arguments passed to {cls.__name__}: {kwargs}. {hint}")
        self.__dict__["_tk_name_given"] = bool(name)
        self.name = naming.name_or_automatic(name, type(self).__name__)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        if not isinstance(trainable, bool):
            raise ValueError(
                f"Expected `trainable` to be a boolean. Received: trainable={trainable!r} (of type {type(trainable)})"
            )
        if not trainable:
            self.trainable = False
        self.__dict__["_tk_autocast"] = autocast
        self.built = self._tk_nothing_to_build
        self.supports_masking = False
        self.input_spec: Any = None
        self._tk_build_shapes: dict | None = None
        self.__dict__["_dtype_policy"] = dtype_policies.get(dtype)
        self._tk_follow_policy()
        if shape is not None:
            self._tk_input_shape_arg = shape
        self._tk_follow_remat_scope()

    # ------------------------------------------------------------------ types

    @property
    def dtype_policy(self) -> DTypePolicy:
        """The policy that says in which types weights are kept and values computed.

        A quantized policy, set on a layer that is built, quantizes the layer.
        """
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: PolicyLike | None) -> None:
        policy, held = dtype_policies.get(value), self._dtype_policy
        if isinstance(held, DTypePolicyMap) and "_tk_path" in self.__dict__:
            if self.path in held:
                del held[self.path]
            held[self.path] = policy
        else:
            self.__dict__["_dtype_policy"] = policy
        self._tk_follow_policy()
        if policy.quantization_mode is not None and self.built and not self._tk_is_quantized:
            self._tk_quantize_for_policy(policy)

    def _tk_follow_policy(self) -> None:
        """Cache what follows from the policy; of a map, that of the layer's path."""
        own = self.__dict__
        policy = own["_dtype_policy"]
        if isinstance(policy, DTypePolicyMap) and "_tk_path" in own:
            policy = policy[self.path]
        own["_tk_policy"] = policy
        compute = policy.compute_dtype
        mixed = compute != policy.variable_dtype and compute in _FLOATS
        casts = self.autocast and self._convert_input_args and compute in _FLOATS
        casts = casts and (self._tk_casts_inputs_when_mixed or not mixed)
        own["_tk_input_type"] = torch_dtype(compute) if casts else None
        own["_tk_autocast_type"] = torch_dtype(compute) if mixed else None

    @property
    def autocast(self) -> bool:
        """Whether float inputs are cast to the compute dtype."""
        return self.__dict__["_tk_autocast"]

    @autocast.setter
    def autocast(self, value: bool) -> None:
        self.__dict__["_tk_autocast"] = bool(value)
        self._tk_follow_policy()

    @property
    def _convert_input_args(self) -> bool:
        """Whether arrays become tensors and floats are cast; subclasses written for Keras set it after `__init__`."""
        return self.__dict__.get("_tk_converts_arguments", True)

    @_convert_input_args.setter
    def _convert_input_args(self, value: bool) -> None:
        self.__dict__["_tk_converts_arguments"] = bool(value)
        self._tk_follow_policy()

    @property
    def dtype(self) -> str:
        """The name of the weights' type."""
        return self.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The name of the type in which `call` computes."""
        return self._tk_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The name of the type in which weights are kept."""
        return self._tk_policy.variable_dtype

    @property
    def input_dtype(self) -> str:
        """The name of the type to which float inputs are cast."""
        return self.compute_dtype

    @property
    def path(self) -> str:
        """The layer's name behind those of the layers inside which it was built."""
        return getattr(self, "_tk_path", self.name)

    # ------------------------------------------------------------------ building

    @recorded
    def build(self, input_shape: Any = None) -> None:
        """Make the weights; subclasses define it and call `add_weight` in it. By default there are none.

        Args:
            input_shape: sizes of the inputs, the batch size first, `None` for any size; nested as the inputs are.
                Default: `None`.
        """
        self.built = True

    def _build_at_init(self) -> None:
        # Keras's name: subclasses without a build() of their own call it at the end of their constructor.
        if type(self).build is Layer.build:
            self.built = True

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the layer for the shapes that `get_build_config()` gave.

        Args:
            config: a dict.
        """
        if not config:
            return
        shapes = {name: as_shapes(shape) for name, shape in config.items()}
        if "input_shape" in shapes:
            self.build(shapes["input_shape"])
        elif "shapes_dict" in shapes:
            self.build(**shapes["shapes_dict"])
        else:
            self.build(**shapes)

    def get_build_config(self) -> dict[str, Any] | None:
        """Return the shapes with which the layer was built, as JSON-ready values; `None` if there are none."""
        shapes = self._tk_build_shapes
        if shapes is None:
            return None
        return {"input_shape": next(iter(shapes.values()))} if len(shapes) == 1 else {"shapes_dict": shapes}

    # ------------------------------------------------------------------ calling

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; subclasses define this method. Call the layer itself, `layer(inputs)`, not this one.

        Args:
            *args: the inputs: tensors, or nests of them.
            **kwargs: `training` and `mask`, where the subclass takes them, and arguments of its own.

        Returns:
            A tensor, or a nest of them.

        Raises:
            NotImplementedError: the subclass does not define it.
        """
        raise complete(
            NotImplementedError(
                f"Layer {type(self).__name__!r} does not have a `call` method implemented: it must define call()."
            )
        )

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Build the layer, infer the outputs for symbolic inputs, and record a node of the graph.

        Args:
            *args: positional arguments of `call`, with KerasTensors.
            **kwargs: arguments of `call` by name.

        Returns:
            KerasTensors, in the structure of the outputs.
        """
        return symbolic.call(self, args, kwargs)

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Return the shape of the outputs, found by running `call` without values unless a subclass overrides it.

        Args:
            *args: shapes of the inputs, tuples with `None` for any size.
            **kwargs: the same by name: `input_shape`, or `<argument>_shape` for several inputs.

        Returns:
            A tuple, or a nest of them.

        Example:
            >>> keras.layers.Dense(4).compute_output_shape((None, 3))
            (None, 4)
        """
        return symbolic.output_shape(self, args, kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs as KerasTensors, for KerasTensors as inputs."""
        return symbolic.output_spec(self, args, kwargs)

    def stateless_call(
        self,
        trainable_variables: list[Any],
        non_trainable_variables: list[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Call the layer with the given values in the place of its variables, which stay unchanged.

        Args:
            trainable_variables: values for `layer.trainable_variables`, a list of tensors in that order.
            non_trainable_variables: values for `layer.non_trainable_variables`, a list of tensors in that order.
            *args: the inputs of the call.
            return_losses: whether to return the losses too. Default: `False`.
            **kwargs: further arguments of the call.

        Returns:
            `(outputs, non_trainable_variables)`, the latter as the call leaves them; with `return_losses=True`
            `(outputs, non_trainable_variables, losses)`.

        Raises:
            ValueError: the number of values differs from the number of variables.

        Example:
            >>> layer = keras.layers.Dense(2, kernel_initializer="zeros")
            >>> layer.build((None, 3))
            >>> values = [torch.ones(3, 2), torch.zeros(2)]
            >>> outputs, _ = layer.stateless_call(values, [], np.ones((1, 3)))
            >>> outputs.tolist(), layer.kernel.sum().item()
            ([[3.0, 3.0]], 0.0)
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
        """Return the mask of the outputs: that of the inputs, unless a subclass overrides this method.

        Args:
            inputs: tensors, nested as in the call.
            previous_mask: the masks of the inputs, boolean tensors or `None`, in the same nest.

        Returns:
            A boolean tensor (`True` for steps that count), a nest of them, or `None`.
        """
        return previous_mask

    # ------------------------------------------------------------------ losses

    def add_loss(self, loss: Nest[torch.Tensor]) -> None:
        """Add to the loss that training minimizes; called in `call`. The next call of the model starts without it.

        Args:
            loss: a scalar tensor, or a list of them.

        Example:
            >>> class Penalty(keras.layers.Layer):
            ...     def call(self, inputs):
            ...         self.add_loss(0.1 * inputs.square().sum())
            ...         return inputs
            >>> layer = Penalty()
            >>> outputs = layer(torch.ones(10))
            >>> [round(loss.item(), 4) for loss in layer.losses]
            [1.0]
        """
        losses.add(self, loss)

    @property
    def losses(self) -> list[torch.Tensor]:
        """The losses added in the last call, and those of the weights' regularizers."""
        return losses.added(self) + losses.of_regularizers(self)

    # ------------------------------------------------------------------ description and storage

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, JSON-ready, from which `from_config` makes an equal layer.

        The weights are not part of it. A subclass whose arguments can't be found in attributes overrides it.

        Returns:
            A dict.
        """
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
        """Make a layer from the result of `get_config()`, without the weights.

        Args:
            config: a dict.

        Returns:
            The layer.

        Raises:
            TypeError: the constructor refused the config; its own error is the cause.

        Example:
            >>> layer = keras.layers.Dense(4, activation="relu")
            >>> keras.layers.Dense.from_config(layer.get_config()).units
            4
        """
        config = dict(config)
        if isinstance(config.get("dtype"), dict):
            policy = dtype_policies.deserialize(config["dtype"])
            # A constructor of the user's may expect a name, which says all of a plain policy.
            config["dtype"] = policy.name if type(policy) in (DTypePolicy, FloatDTypePolicy) else policy
        accepted, is_open = accepted_keywords(cls)
        base = {}
        if not is_open:
            base = {
                name: config.pop(name)
                for name in ("name", "trainable", "dtype")
                if name in config and name not in accepted
            }
        try:
            layer = cls(**config)
        except Exception as error:
            raise TypeError(
                f"Error when deserializing class '{cls.__name__}' using config={config}.\n\n"
                f"Exception encountered: {error}"
            ) from error
        layer._tk_from_description()
        if base.get("name") is not None:
            layer.name = base["name"]
        if base.get("trainable") is False:
            layer.trainable = False
        return layer

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copies.deep_copy(self, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return copies.reduced(self, protocol)

    def _tk_from_description(self) -> None:
        """A config has a name in any case: one that could be automatic counts as automatic."""
        self.__dict__["_tk_name_given"] = False

    def save_own_variables(self, store: Store) -> None:
        """Write the layer's own weights into a dict-like store under `"0"`, `"1"`, ..., in the order of `weights`.

        Weights in lists and dicts are among them; those of sublayers are not, for each layer writes its own.

        Args:
            store: takes a tensor by `store[key] = tensor`.
        """
        for i, weight in enumerate(own_weights(self)):
            store[str(i)] = weight.tensor

    def load_own_variables(self, store: Store) -> None:
        """Read what `save_own_variables` wrote.

        Keys that are no numbers are left to the subclass that wrote them.

        Args:
            store: gives an array by `store[key]`.

        Raises:
            ValueError: the number of weights differs.
        """
        own = own_weights(self)
        saved = count_saved(store)
        in_attributes = [weight for weight in own if "." not in weight.name]
        if saved == len(in_attributes) < len(own):  # files had no others once
            missing = [weight.name for weight in own if "." in weight.name]
            warn_user(
                f"Layer {self.name!r}: the file has no values for {missing}, which lists and dicts hold; they keep "
                f"theirs. Save the model again once they are right."
            )
            own = in_attributes
        if saved != len(own):
            state_of = "" if self.built else " It is not built: build it, or call it on data, before loading."
            raise ValueError(f"Layer {self.name!r} has {len(own)} weights of its own; the file has {saved}.{state_of}")
        for i, weight in enumerate(own):
            assign(weight.tensor, store[str(i)])

    def __repr__(self) -> str:
        state_text = f", built={self.built}" if "built" in self.__dict__ else ""
        return f"<{type(self).__name__} name={self.__dict__.get('name')}{state_text}>"

    def __str__(self) -> str:
        return self.__repr__()


_FLOATS = ("float16", "bfloat16", "float32", "float64")


Layer._tk_call_spec = CallSpec(Layer.call)
