"""Base of multi-head and grouped-query attention: attention between projections of query, key and value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras import constraints, initializers, regularizers
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.masks import get_mask, set_mask
from torchkeras.core.variables.portable_random import is_portable_random_enabled
from torchkeras.core.variables.session import is_flash_attention_enabled
from torchkeras.distributed.split_layers import Heads
from torchkeras.layers.activation.activation import Softmax
from torchkeras.layers.attention.attention_masks import causal_mask, combined, window_mask
from torchkeras.layers.attention.mismatch import mismatch
from torchkeras.layers.attention.private_names import PrivateNames
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.core.einsum_dense import EinsumDense
from torchkeras.layers.regularization.dropout import Dropout
from torchkeras.ops.nn.attention import as_bias, attend

Shape = tuple[int | None, ...]


class ProjectedAttention(PrivateNames, Layer):
    """Project `query`, `key` and `value` to heads, attend, and project back.

    Subclasses make the projections in `build`, return them from `_projections`, and set `_attention_axes` and `_scale`.
    """

    keras_module = None
    _tk_config_base = True
    _attention_axes: tuple[int, ...] = (1,)
    _scale: float

    def _set_options(self, options: dict[str, Any], size: int) -> None:
        """Store the arguments that both kinds of attention have."""
        for name in ("dropout", "use_bias", "use_gate", "sliding_window", "seed"):
            setattr(self, name, options[name])
        for name in ("kernel_initializer", "bias_initializer"):
            setattr(self, name, initializers.get(options[name]))
        for name in ("kernel_regularizer", "bias_regularizer"):
            setattr(self, name, regularizers.get(options[name]))
        for name in ("kernel_constraint", "bias_constraint"):
            setattr(self, name, constraints.get(options[name]))
        self._projection_regularizer = regularizers.get(options["activity_regularizer"])
        self.supports_masking = True
        self._flash_attention = options["flash_attention"]
        self._scale = 1.0 / math.sqrt(float(size))
        window = self.sliding_window
        if window is not None and (not isinstance(window, int) or window <= 0):
            raise ValueError(
                f"`sliding_window` must be `None` or a positive integer. Received: sliding_window={window}"
            )
        if self._flash_attention and self.dropout > 0.0:
            raise ValueError(
                "Dropout is not supported when flash attention is enabled. Please set dropout to 0.0 to use flash "
                "attention."
            )

    def _projection(self, name: str, equation: str, output_shape: Sequence[int | None], **options: Any) -> EinsumDense:
        output_term = equation.split("->")[1]
        new = len(output_shape) - sum(size is None for size in output_shape)
        dense = EinsumDense(
            equation,
            output_shape=output_shape,
            bias_axes=output_term[-new:] if self.use_bias else None,
            name=name,
            **self._get_common_kwargs_for_sublayer(),
            **options,
        )
        dense.supports_masking = True
        return dense

    def _get_common_kwargs_for_sublayer(self) -> dict[str, Any]:
        """The arguments that all projections have, with initializers of their own."""
        return {
            "kernel_initializer": _clone(self.kernel_initializer),
            "bias_initializer": _clone(self.bias_initializer),
            "kernel_regularizer": self.kernel_regularizer,
            "bias_regularizer": self.bias_regularizer,
            "activity_regularizer": self._projection_regularizer,
            "kernel_constraint": self.kernel_constraint,
            "bias_constraint": self.bias_constraint,
            "dtype": self.dtype_policy,
        }

    def _build_scores(self, rank: int, axes: tuple[int, ...]) -> None:
        """Make the layers between scores and outputs, for projections of a rank and the axes attended over."""
        self._attention_axes = axes
        self._dot_product_equation, self._combine_equation = attention_equations(rank, axes)
        self._softmax = Softmax(axis=tuple(range(-len(axes), 0)), dtype=self.dtype_policy)
        self._softmax.supports_masking = False  # the scores' mask says which pairs attend, not which samples count
        self._dropout_layer = Dropout(rate=self.dropout, dtype=self.dtype_policy, seed=self.seed)

    # ------------------------------------------------------------------ computing

    def _projections(self) -> tuple[EinsumDense, EinsumDense, EinsumDense, EinsumDense]:
        """The projections of query, key, value and output."""
        raise NotImplementedError

    def _tk_heads(self) -> Heads | None:
        """The projections with the axes that count heads, where a rank can compute some of the heads."""
        if type(self).call is not ProjectedAttention.call or not self.built:
            return None
        *to_heads, from_heads = self._projections()
        if self.use_gate:
            to_heads.append(self._gate_dense)
        return Heads([(dense, 1) for dense in to_heads], (from_heads, 0))

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        key = value if key is None else key
        other_masks = (query_mask, value_mask, key_mask, attention_mask, self.sliding_window)
        # An override written for Keras has no argument `use_causal_mask`: it gets a mask instead.
        is_overridden = type(self)._compute_attention is not ProjectedAttention._compute_attention
        causal_only = use_causal_mask and not is_overridden and all(mask is None for mask in other_masks)
        mask = None
        if not causal_only:
            mask = self._compute_attention_mask(
                query, value, query_mask, value_mask, key_mask, attention_mask, use_causal_mask
            )
        project_query, project_key, project_value, project_output = self._projections()
        outputs, scores = self._compute_attention(
            project_query(query),
            project_key(key),
            project_value(value),
            attention_mask=mask,
            training=training,
            **({"use_causal_mask": True} if causal_only else {}),
            **({"return_attention_scores": True} if return_attention_scores else {}),
        )
        if self.use_gate:
            outputs = outputs * self._gate_dense(query)
        outputs = project_output(outputs)
        if query_mask is not None and get_mask(query) is None:
            set_mask(outputs, query_mask)
        return (outputs, scores) if return_attention_scores else outputs

    def _compute_attention_mask(
        self,
        query: Tensor,
        value: Tensor,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        use_causal_mask: bool = False,
    ) -> Tensor | None:
        """The mask `(batch or 1, steps, sources)`: True where none of the masks forbids attention."""
        steps, sources, device = query.shape[1], value.shape[1], query.device
        return combined(
            attention_mask,
            None if query_mask is None else query_mask.unsqueeze(-1),
            None if value_mask is None else value_mask.unsqueeze(-2),
            None if key_mask is None else key_mask.unsqueeze(-2),
            causal_mask(steps, sources, device) if use_causal_mask else None,
            None if self.sliding_window is None else window_mask(steps, sources, self.sliding_window, device),
        )

    def _compute_attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attention between projected tensors `(batch, ..., heads, size)`; returns the outputs, and the scores if asked
        for.

        Torch's attention kernels compute it, except for scores, dropout by a seed or by the portable generator, and
        other attention axes than the second: these go by einsum.
        """
        if self._flash_attention and return_attention_scores:
            raise ValueError(
                "Returning attention scores is not supported when flash attention is enabled. Please disable flash "
                "attention to access attention scores."
            )
        drops = bool(training) and self.dropout > 0.0
        seeded = drops and (self.seed is not None or is_portable_random_enabled())
        if return_attention_scores or seeded or query.dim() != 4 or len(self._attention_axes) != 1:
            return self._attend_by_einsum(query, key, value, attention_mask, training, use_causal_mask)
        mask = attention_mask
        while mask is not None and mask.dim() < 4:
            mask = mask.unsqueeze(-3)
        flash = self._flash_attention or (False if is_flash_attention_enabled() is False else None)
        rate = self.dropout if drops else 0.0
        bias = None if mask is None else as_bias(mask, query.dtype)
        outputs = attend(query, key, value, bias, self._scale, use_causal_mask, rate, flash)
        if self.dropout > 0.0 and mask is not None:
            # Keras computes dropout by einsum, where a query that may attend to nothing gets zeros.
            outputs = outputs.masked_fill(mask.any(-1).logical_not().transpose(1, 2).unsqueeze(-1), 0.0)
        return outputs, None

    def _attend_by_einsum(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        training: bool | None,
        use_causal_mask: bool,
    ) -> tuple[Tensor, Tensor]:
        axes = self._attention_axes
        if use_causal_mask:
            mask = combined(mask, causal_mask(query.shape[1], key.shape[1], query.device))
        heads = query.shape[-2]
        if key.shape[-2] != heads:
            key, value = (t.repeat_interleave(heads // t.shape[-2], dim=-2) for t in (key, value))
        scores_equation, outputs_equation = attention_equations(query.dim(), axes)
        scores = torch.einsum(scores_equation, key, query * self._scale)
        while mask is not None and mask.dim() < scores.dim():
            mask = mask.unsqueeze(-2 * len(axes) - 1)
        scores = self._softmax(scores, mask=mask)
        kept = self._dropout_layer(scores, training=training) if self.dropout > 0.0 else scores
        return torch.einsum(outputs_equation, kept, value), scores

    def _tk_mismatch(self, given: dict[str, Any]) -> str | None:
        parts = {name: given[name] for name in ("query", "value", "key") if given.get(name) is not None}
        return mismatch(parts, given.get("attention_mask"))

    # ------------------------------------------------------------------ symbolic

    def compute_output_spec(
        self,
        query: KerasTensor,
        value: KerasTensor,
        key: KerasTensor | None = None,
        query_mask: KerasTensor | None = None,
        value_mask: KerasTensor | None = None,
        key_mask: KerasTensor | None = None,
        attention_mask: KerasTensor | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> KerasTensor | tuple[KerasTensor, KerasTensor]:
        key_shape = None if key is None else key.shape
        output = KerasTensor(self.compute_output_shape(query.shape, value.shape, key_shape), self.compute_dtype)
        if not return_attention_scores:
            return output
        axes = self._attention_axes
        batch = tuple(size for axis, size in enumerate(query.shape[:-1]) if axis not in axes)
        lengths = tuple(query.shape[axis] for axis in axes) + tuple(value.shape[axis] for axis in axes)
        return output, KerasTensor((*batch, self._heads(), *lengths), self.compute_dtype)

    def _heads(self) -> int:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["flash_attention"]
        config["activity_regularizer"] = regularizers.serialize(self._projection_regularizer)
        return config


def attention_equations(rank: int, axes: tuple[int, ...]) -> tuple[str, str]:
    """The einsum equations of scores (from keys and queries) and outputs (from scores and values).

    Scores are `(batch axes, heads, attended axes of the query, attended axes of the key)`.
    """
    letters = "abcdefghijklmnopqrstuvwxyz"
    queries = letters[:rank]
    others = iter(letters[rank:])
    keys = "".join(next(others) if axis in axes else letter for axis, letter in enumerate(queries))
    batch = "".join(letter for axis, letter in enumerate(queries[:-1]) if axis not in axes)
    scores = batch + "".join(queries[axis] for axis in axes) + "".join(keys[axis] for axis in axes)
    return f"{keys},{queries}->{scores}", f"{scores},{keys}->{queries}"


def check_value_and_key(value_shape: Shape, key_shape: Shape | None) -> Shape:
    """The key's shape, or the value's without a key; `ValueError` unless all axes but the last are equal."""
    key_shape = value_shape if key_shape is None else key_shape
    if tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
        raise ValueError(
            "All dimensions of `value` and `key`, except the last one, must be equal. Received: "
            f"value_shape={value_shape} and key_shape={key_shape}"
        )
    return key_shape


def _clone(initializer: Any) -> Callable:
    """A new initializer with the same config: a shared one would give all projections the same weights."""
    if not hasattr(initializer, "get_config"):
        return initializer
    return type(initializer).from_config(initializer.get_config())
