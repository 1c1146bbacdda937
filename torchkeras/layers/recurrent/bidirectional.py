"""Bidirectional: a recurrent layer and its mirror image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, Unpack

import torch
from torch import Tensor

from torchkeras.core import registry
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.types import ArrayLike, Nest, Shape
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions

_MERGES = ("sum", "mul", "ave", "concat", None)


class Bidirectional(Layer):
    """Run a recurrent layer forward and another backward over the same sequences, and merge their outputs.

    The backward layer's outputs are put in the order of time before the merge (Schuster and Paliwal, 1997). With
    `return_sequences`, masked steps put out zeros.

    Args:
        layer: a recurrent layer (`RNN`, `LSTM`, `GRU`, ...), or another layer with its attributes (`go_backwards`,
            `return_sequences`, `return_state`, ...). The layer itself is not used: `forward_layer` and `backward_layer`
            are made from its config.
        merge_mode: how the two outputs are joined: `"concat"` along the last axis, `"sum"`, `"mul"`, `"ave"`, or `None`
            for a tuple of both. Default: `"concat"`.
        weights: accepted and not used, as in Keras 3. Default: `None`.
        backward_layer: the layer for the backward direction, with the opposite `go_backwards`. `None` makes it from
            `layer`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        sequences: tensor whose second axis is time.
        initial_state: list of states, the forward layer's first. Default: zeros.
        mask: booleans `(batch, time)`. Default: the inputs' own mask.
        training: passed to both layers. Default: the training mode of the call.

    Input shape:
        That of the layer, usually `(batch, time, features)`.

    Output shape:
        The layer's, with twice the last size for `"concat"`; with `return_state` a tuple of it, the forward states and
        the backward states.

    Raises:
        ValueError: `layer` is no layer, `merge_mode` is unknown, or the two layers do not fit together.

    Example:
        >>> layer = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True))
        >>> layer(torch.zeros(2, 10, 3)).shape
        torch.Size([2, 10, 8])
        >>> keras.layers.Bidirectional(keras.layers.GRU(4), merge_mode="sum")(torch.zeros(2, 10, 3)).shape
        torch.Size([2, 4])
    """

    _tk_config_base = True

    def __init__(
        self,
        layer: Layer,
        merge_mode: str | None = "concat",
        weights: Sequence[ArrayLike] | None = None,
        backward_layer: Layer | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        for one in (layer, backward_layer):
            if not isinstance(one, Layer) and one is not None or layer is None:
                raise ValueError(f"Bidirectional needs `keras.layers.Layer` instances. Received: {one}")
        if merge_mode not in _MERGES:
            raise ValueError(f"Invalid merge mode. Received: {merge_mode}. Merge mode should be one of {_MERGES}")
        super().__init__(**kwargs)
        self.merge_mode = merge_mode
        self.forward_layer = _copy(layer, "forward_")
        if backward_layer is None:
            backward_layer = _copy(layer, "backward_", go_backwards=True)
        self.backward_layer = backward_layer
        self._check_pair()
        for one in (self.forward_layer, self.backward_layer):
            if hasattr(layer, "use_cudnn"):
                one.use_cudnn = layer.use_cudnn
            if getattr(one, "zero_output_for_mask", None) is not None:
                one.zero_output_for_mask = one.return_sequences
        self.stateful = layer.stateful
        self.return_sequences = layer.return_sequences
        self.return_state = layer.return_state
        self.supports_masking = True
        self.input_spec = layer.input_spec

    def _check_pair(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise ValueError(
                "Forward layer and backward layer should have different `go_backwards` value. Received: "
                f"forward_layer.go_backwards={forward.go_backwards}, "
                f"backward_layer.go_backwards={backward.go_backwards}"
            )
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(forward, name) != getattr(backward, name):
                raise ValueError(
                    f"Forward layer and backward layer must agree in `{name}`, got {getattr(forward, name)} for the "
                    f"forward layer and {getattr(backward, name)} for the backward layer."
                )

    def build(self, sequences_shape: Shape, initial_state_shape: Nest[Shape] | None = None) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)

    def compute_output_shape(self, sequences_shape: Shape, initial_state_shape: Nest[Shape] | None = None) -> Any:
        output = self.forward_layer.compute_output_shape(sequences_shape)
        states: tuple = ()
        if self.return_state:
            output, states = output[0], tuple(output[1:])
        if self.merge_mode == "concat":
            output = (*output[:-1], None if output[-1] is None else 2 * output[-1])
        outputs = (output,) if self.merge_mode else (output, output)
        if not self.return_state and self.merge_mode:
            return output
        return (*outputs, *states, *states)

    def compute_mask(
        self, _: Nest[Tensor], mask: Tensor | list[Tensor | None] | None
    ) -> Tensor | tuple[Any, ...] | None:
        mask = mask[0] if isinstance(mask, list) else mask
        kept = mask if self.return_sequences else None
        if not self.return_state:
            return kept if self.merge_mode else (kept, kept)
        states = (None,) * (2 * len(self.forward_layer.state_size))
        return (kept, *states) if self.merge_mode else (kept, kept, *states)

    def call(
        self,
        sequences: Tensor,
        initial_state: Sequence[Nest[Tensor]] | None = None,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Any:
        half = 0 if initial_state is None else len(initial_state) // 2
        starts = (None, None) if initial_state is None else (initial_state[:half], initial_state[half:])
        y, y_back = (
            self._run(layer, sequences, start, mask, training)
            for layer, start in zip((self.forward_layer, self.backward_layer), starts, strict=True)
        )
        states: tuple = ()
        if self.return_state:
            states = (*y[1:], *y_back[1:])
            y, y_back = y[0], y_back[0]
        if self.return_sequences:
            y_back = y_back.flip(1)
        output = self._merge(y, y_back)
        if self.return_state:
            return (*output, *states) if self.merge_mode is None else (output, *states)
        return output

    def _run(
        self,
        layer: Layer,
        sequences: Tensor,
        initial_state: Sequence[Nest[Tensor]] | None,
        mask: Tensor | None,
        training: bool | None,
    ) -> Any:
        options: dict[str, Any] = {} if initial_state is None else {"initial_state": initial_state}
        if layer._tk_call_spec.has_training:
            options["training"] = training
        if mask is not None and "mask" in layer._tk_call_spec.names:
            options["mask"] = mask
        return layer(sequences, **options)

    def _merge(self, y: Tensor, y_back: Tensor) -> Any:
        if self.merge_mode == "concat":
            return torch.cat([y, y_back], -1)
        if self.merge_mode == "sum":
            return y + y_back
        if self.merge_mode == "ave":
            return (y + y_back) / 2
        return y * y_back if self.merge_mode == "mul" else (y, y_back)

    @property
    def states(self) -> tuple[Any, ...] | None:
        """The states that both layers keep with `stateful=True`, else `None`."""
        forward, backward = self.forward_layer.states, self.backward_layer.states
        return (*forward, *backward) if forward and backward else None

    def reset_state(self) -> None:
        """Set the states of both layers to zeros."""
        if not self.stateful:
            raise AttributeError("Layer must be stateful.")
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def reset_states(self) -> None:
        """The same as `reset_state()`, under its older name."""
        self.reset_state()

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["weights"]
        return {
            **config,
            "layer": serialize_keras_object(self.forward_layer),
            "backward_layer": serialize_keras_object(self.backward_layer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        config = dict(config)
        for name in ("layer", "backward_layer"):
            if config.get(name) is not None:
                config[name] = deserialize_keras_object(config[name], custom_objects)
        return cls(**config)


def _copy(layer: Layer, prefix: str, **changes: Any) -> Any:
    """A new layer with the same config, without the weights and states of the given one."""
    config = {**layer.get_config(), **changes, "name": prefix + layer.name.removeprefix(prefix)}
    # A copy needs no registration of the user's classes of cells.
    inside = {type(module).__name__: type(module) for module in layer.modules() if module is not layer}
    with registry.custom_object_scope(inside):
        return type(layer).from_config(config)
