"""A layer's weights: made, listed in Keras's order, read and set as arrays, frozen."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import nn

from torchkeras import constraints, initializers, regularizers
from torchkeras.core import naming
from torchkeras.core.config.configurable import forgotten_init
from torchkeras.core.tensors.dtypes import is_float, standardize_dtype
from torchkeras.core.types import ArrayLike, DTypeLike, Identifier, Shape
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.core.variables.variable import Variable
from torchkeras.distributed.calls import on_parts
from torchkeras.layers.base.attributes import AttributeTracking, free_name
from torchkeras.layers.base.containers import Tracked, flat_items
from torchkeras.layers.base.values import assign, copy_of
from torchkeras.layers.base.weight_walk import all_weights, layer_tree, note_weight, own_weights, sublayers, unique

P = ParamSpec("P")
R = TypeVar("R")


def _explains_positions(method: Callable[P, R]) -> Callable[P, R]:
    """An `add_weight` that takes no name in the first place, as Keras 2 did, and no shape twice; it says so."""

    @functools.wraps(method)
    def add_weight(*args: P.args, **kwargs: P.kwargs) -> R:
        if len(args) > 1 and isinstance(args[1], str):
            raise ValueError(
                f"`name` must be passed as a keyword argument. Received: add_weight({args[1]!r}, ...). "
                f"Use: add_weight(shape=..., name={args[1]!r})."
            )
        if len(args) > 1 and "shape" in kwargs:
            raise ValueError(
                f"`shape` was passed both positionally and as a keyword argument. Received: "
                f"add_weight({args[1]!r}, shape={kwargs['shape']!r})."
            )
        return method(*args, **kwargs)

    return add_weight


class WeightOwner(AttributeTracking):
    """The part of a layer that makes, lists, copies and freezes its weights."""

    name: str

    @_explains_positions
    def add_weight(
        self,
        shape: Shape | int | None = None,
        initializer: Identifier | None = None,
        dtype: DTypeLike | None = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Identifier | None = None,
        constraint: Identifier | None = None,
        aggregation: str | None = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Any:
        """Make a weight of the layer: a parameter, or with `trainable=False` a buffer.

        Assign it to an attribute, or put it into a list or dict that is one: that gives its name in `state_dict()`.

        Args:
            shape: sizes, all known. Default: `()`, a scalar.
            initializer: name, config or callable `(shape, dtype)`. Default: `"glorot_uniform"` for floats, `"zeros"`
                for other types.
            dtype: the weight's type. Default: the layer's variable dtype.
            trainable: whether gradients reach it and training changes it.
            autocast: whether a mixed-precision layer casts it to the compute dtype where `call` reads it.
            regularizer: a penalty of the weight, added to the loss. Default: none.
            constraint: a projection of the weight after each update. Default: none.
            aggregation: how replicas' values are combined: `"none"`, `"mean"`, `"sum"`, `"only_first_replica"`.
            overwrite_with_gradient: whether an update sets the weight to its gradient, as float8 scales need.
            name: without slashes. Default: numbered.

        Returns:
            The weight, a `Variable` and (if trainable) an `nn.Parameter`.

        Raises:
            RuntimeError: the constructor of the base class was not called yet.
            ValueError: a size is `None`, `shape` is a string, or the layer's own call asks for the weight, which would
                be another one in each call.

        Example:

        >>> class Scale(keras.layers.Layer):
        ...     def build(self, input_shape):
        ...         self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones")
        ...     def call(self, x):
        ...         return x * self.scale
        >>> layer = Scale()
        >>> tuple(layer(torch.ones(2, 3)).shape)
        (2, 3)
        >>> list(layer.state_dict())
        ['scale']
        """
        if "_dtype_policy" not in self.__dict__:
            raise RuntimeError(forgotten_init("layer", self) + " It must be called before weights are made.")
        if self.__dict__.get("_tk_locked"):
            raise ValueError(
                "You cannot add new elements of state (variables or sub-layers) to a layer that is already built. All "
                "state must be created in the `__init__()` method or in the `build()` method. Received: "
                f"add_weight(shape={shape}, name={name!r}) in the call of layer {self.name!r}."
            )
        shape = () if shape is None else ((shape,) if isinstance(shape, int) else tuple(shape))
        if None in shape:
            raise ValueError(
                f"A weight's shape must be fully known; layer {self.name!r} asked for {shape} for {name!r}. "
                f"Give the missing sizes in the input shape."
            )
        dtype = standardize_dtype(dtype) if dtype is not None else self.variable_dtype  # type: ignore[attr-defined]
        if initializer is None:
            initializer = "glorot_uniform" if is_float(dtype) else "zeros"
        # A weight that comes after `build`, as low-rank and quantized ones do, has its path beside the first ones.
        later = "_tk_path" in self.__dict__ and not naming.in_scope_of(self)
        parent = self.__dict__["_tk_path"].rpartition("/")[0] if later else None
        with naming.name_scope(self.name, caller=self, override_parent=parent):
            variable: Any = Variable(
                initializers.get(initializer),
                shape=shape,
                dtype=dtype,
                trainable=trainable,
                autocast=autocast,
                aggregation=aggregation,
                name=name,
            )
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        variable.overwrite_with_gradient = overwrite_with_gradient
        # Registered at once; the attribute that it is assigned to renames it.
        key = free_name(self, name.replace(".", "_")) if name else _free_number(self, "variable")
        (self._parameters if trainable else self._buffers)[key] = variable
        self._tk_infos[key] = variable.info
        self._tk_unassigned.add(key)
        note_weight(self, variable)
        if not self._tk_trainable and trainable:
            variable.trainable = False
        return variable

    add_variable = add_weight

    def _untrack_variable(self, variable: Variable) -> None:
        # Keras's name, by which subclasses give a weight up before they make another in its place.
        for name in [name for name, info in self._tk_infos.items() if info is variable.info]:
            delattr(self, name)
            self.__dict__[name] = variable
            self._tk_deleted.pop(name, None)

    # ------------------------------------------------------------------ lists

    @property
    def weights(self) -> list[Variable]:
        """All weights of the layer and its sublayers, each once, in Keras's order.

        The layer's own come first, trainable ones before the others; then each sublayer's. The state of seed generators
        and metrics is not among them. `get_weights()` and `set_weights()` use this order.

        Example:

        >>> layer = keras.layers.BatchNormalization()
        >>> layer.build((None, 2))
        >>> [weight.name for weight in layer.weights]
        ['gamma', 'beta', 'moving_mean', 'moving_variance']
        """
        return [tensor for tensor, _ in all_weights(self)]  # type: ignore[misc]

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes: none of a layer whose `trainable` is `False`.

        Setting `trainable` sets it for all sublayers; a sublayer that is thawed afterwards trains in the models that
        hold the frozen layer.
        """
        return [tensor for tensor, trainable in all_weights(self) if trainable]  # type: ignore[misc]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training does not change: frozen ones, and those made with `trainable=False`."""
        return [tensor for tensor, trainable in all_weights(self) if not trainable]  # type: ignore[misc]

    @property
    def variables(self) -> list[Variable]:
        """The weights and the state of seed generators, layer by layer; `metrics_variables` has the metrics' state."""
        found: list = []
        _collect_variables(self, found, set())
        return unique(found)

    @property
    def torch_params(self) -> dict[str, torch.Tensor]:
        """All variables by path, as Keras's torch backend offers them."""
        return {getattr(v, "path", str(i)): v for i, v in enumerate(self.variables)}

    @property
    def trainable_variables(self) -> list[Variable]:
        """Keras's other name for `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The variables that training does not change: `non_trainable_weights` and the state of seed generators."""
        trainable = {id(v) for v in self.trainable_weights}
        return [v for v in self.variables if id(v) not in trainable]

    @property
    def metrics(self) -> list[Any]:
        """The metrics held by the layer and its sublayers."""
        return held_metrics(self)

    @property
    def metrics_variables(self) -> list[Variable]:
        """The state of the metrics."""
        return [v for metric in self.metrics for v in metric.variables]

    def _flatten_layers(self, recursive: bool = True, include_self: bool = True) -> list:
        # Keras's order, by which other packages number layers: those within a sublayer stand behind it, last first.
        found: list = [self] if include_self else []
        waiting = deque(sublayers(self))
        while waiting:
            child = waiting.popleft()
            found.append(child)
            if recursive and isinstance(child, WeightOwner):
                waiting.extendleft(sublayers(child))
        return found

    @property
    def trainable(self) -> bool:
        """Whether training changes the layer's weights. Setting it reaches all sublayers, and `requires_grad`.

        Example:

        >>> layer = keras.layers.Dense(2)
        >>> layer.build((None, 3))
        >>> layer.trainable = False
        >>> len(layer.trainable_weights), layer.kernel.requires_grad
        (0, False)
        """
        return self._tk_trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        set_trainable(self, bool(value))

    # ------------------------------------------------------------------ values

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of the values of `weights`, in their order, as NumPy arrays.

        Example:

        >>> layer = keras.layers.Dense(2, kernel_initializer="ones")
        >>> layer.build((None, 1))
        >>> layer.get_weights()
        [array([[1., 1.]], dtype=float32), array([0., 0.], dtype=float32)]
        """
        own = self.weights
        with on_parts(own, "get_weights()"):
            return [copy_of(tensor) for tensor in own]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Set the values of `weights`; all or nothing.

        Args:
            weights: one array for each weight, in the order and with the shapes of `get_weights()`.

        Raises:
            ValueError: the number of values or a shape differs; no weight has changed then.

        Example:

        >>> one, two = keras.layers.Dense(2), keras.layers.Dense(2)
        >>> one.build((None, 3)); two.build((None, 3))
        >>> two.set_weights(one.get_weights())
        >>> torch.equal(one.kernel, two.kernel)
        True
        """
        own = self.weights
        if len(own) != len(weights):
            raise ValueError(
                f"You called `set_weights(weights)` on layer '{self.name}' with a weight list of length "
                f"{len(weights)}, but the layer was expecting {len(own)} weights."
            )
        for tensor, value in zip(own, weights, strict=True):
            if tuple(tensor.shape) != tuple(np.shape(value)):  # type: ignore[arg-type]
                raise ValueError(
                    f"Layer {self.name!r}: weight {getattr(tensor, 'path', '')!r} has shape {tuple(tensor.shape)}; "
                    f"received a value of shape {tuple(np.shape(value))}."  # type: ignore[arg-type]
                )
        with on_parts(own, "set_weights()"):
            for tensor, value in zip(own, weights, strict=True):
                assign(tensor, value)

    def count_params(self) -> int:
        """Return the number of scalars in `weights`.

        Raises:
            ValueError: the layer is not built.

        Example:

        >>> layer = keras.layers.Dense(2)
        >>> layer.build((None, 3))
        >>> layer.count_params()
        8
        """
        if not getattr(self, "built", True):
            raise ValueError(f"Layer {self.name!r} has no weights yet: build it, or call it on data, first.")
        return sum(tensor.numel() for tensor in self.weights)


def set_trainable(module: nn.Module, value: bool) -> None:
    """Freeze or thaw a module and all within it."""
    if isinstance(module, WeightOwner):
        module.__dict__.update(_tk_trainable=value, _tk_trainable_set=True)
    for _, tensor, info in own_weights(module):
        if isinstance(tensor, nn.Parameter):
            if info is not None:
                info.trainable = value
            if tensor.is_floating_point() or tensor.is_complex():
                tensor.requires_grad_(value)
    for layer in sublayers(module):
        if isinstance(layer, WeightOwner):
            layer.trainable = value  # a subclass may do more
        else:
            set_trainable(layer, value)


def _containers_of(layer: nn.Module) -> Iterator[Tracked]:
    held = layer._modules.values()
    if layer.__dict__.get("_tk_holds_containers", True):
        held = (*layer.__dict__.values(), *held)  # type: ignore[assignment]
    for value in held:
        if isinstance(value, Tracked):
            yield value


def held_metrics(layer: WeightOwner) -> list[Any]:
    """The metrics held by a layer and its sublayers."""
    return unique(metric for part in layer_tree(layer) for metric in _held_metrics(part))


def _held_metrics(layer: WeightOwner) -> list:
    held = [item for container in _containers_of(layer) for item in flat_items(container)]
    return layer._tk_metrics + [m for m in held if hasattr(m, "update_state") and hasattr(m, "reset_state")]


def _held_seeds(layer: WeightOwner) -> list[SeedGenerator]:
    held = [item for container in _containers_of(layer) for item in flat_items(container)]
    return layer._tk_seed_generators + [seed for seed in held if isinstance(seed, SeedGenerator)]


def _free_number(layer: Any, prefix: str) -> str:
    """`prefix`, `prefix_1`, ...: the first that is free in the layer, whatever other layers have."""
    number, key = 0, prefix
    while free_name(layer, key) != key:
        number += 1
        key = f"{prefix}_{number}"
    return key


def _collect_variables(module: nn.Module, found: list, seen: set[int]) -> None:
    if id(module) in seen:
        return
    seen.add(id(module))
    found += [weight.tensor for weight in own_weights(module)]
    if isinstance(module, WeightOwner):
        found += [v for seed in _held_seeds(module) for v in seed.variables]
    for layer in sublayers(module):
        _collect_variables(layer, found, seen)
