"""Embedding: rows of a table, looked up by integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras import constraints, initializers, ops, regularizers
from torchkeras.core.tensors import dtypes
from torchkeras.core.types import ArrayLike, Identifier
from torchkeras.core.user_warnings import warn_user
from torchkeras.distributed.split_layers import Split
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.core.lora import AdaptedWeight
from torchkeras.layers.core.stored_weights import StoredWeights
from torchkeras.layers.weight_forms.layouts import Layout, TableLayout
from torchkeras.layers.weight_forms.products import Product
from torchkeras.ops.numpy.indexing import from_the_front, look_up
from torchkeras.quantizers import QuantizationConfig


class Embedding(StoredWeights):
    """Look up a trained vector for each integer index.

    `outputs[...] = embeddings[inputs[...]]`: the usual first layer of a model of text, where an index is a word.

    Args:
        input_dim: number of rows of the table, the largest index plus one; a positive int.
        output_dim: length of each vector, a positive int.
        embeddings_initializer: how the table starts: a name or an initializer. Default: `"uniform"`.
        embeddings_regularizer: penalty on the table, added to the loss. Default: `None`.
        embeddings_constraint: function that maps the table to an allowed value after each update. Default: `None`.
        mask_zero: whether index 0 is padding. If so, the layer makes a mask of the other indices, which later layers
            that support masks use; index 0 then stands for no word. Default: `False`.
        weights: a table `(input_dim, output_dim)` to start from instead of the initializer's. Default: `None`.
        lora_rank: rank of a low-rank adapter (LoRA) of the table, which is then frozen. Default: `None`, no adapter.
        lora_alpha: the adapter's product is multiplied by `lora_alpha / lora_rank`; `None` means `lora_rank`.
            Default: `None`.
        quantization_config: settings of the quantization that the dtype policy names, or that `quantize` gave.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of integers below `input_dim`; negative ones count from the end of the table. Other types are
            cast to int32.

    Input shape:
        `(batch, ...)`.

    Output shape:
        `(batch, ..., output_dim)`.

    Weights:
        `embeddings`: `(input_dim, output_dim)`.

    Raises:
        ValueError: `input_dim` or `output_dim` is no positive int.
        IndexError: an index outside the table.

    Example:
        >>> table = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])
        >>> layer = keras.layers.Embedding(3, 2, weights=table, mask_zero=True)
        >>> layer(torch.tensor([[2, 1, 0]])).tolist()
        [[[3.0, 4.0], [1.0, 2.0], [0.0, 0.0]]]
        >>> layer.compute_mask(torch.tensor([[2, 1, 0]])).tolist()
        [[True, True, False]]
    """

    _tk_config_base = True
    _tk_adapted = "embeddings"
    embeddings = AdaptedWeight()
    _tk_modes = ("int8", "int4")

    def __init__(  # type: ignore[misc]
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Identifier = "uniform",
        embeddings_regularizer: Identifier | None = None,
        embeddings_constraint: Identifier | None = None,
        mask_zero: bool = False,
        weights: ArrayLike | None = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: QuantizationConfig | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        for name, size in (("input_dim", input_dim), ("output_dim", output_dim)):
            if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
                raise ValueError(
                    f"`{name}` must be a positive integer. Received: {name}={size} (of type {type(size).__name__})."
                )
        if kwargs.pop("input_length", None) is not None:
            warn_user("Argument `input_length` is deprecated. Just remove it.")
        super().__init__(**{**kwargs, "autocast": False})
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self._tk_set_lora(lora_rank, lora_alpha)
        self.quantization_config = quantization_config
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, list) and len(weights) == 1 else [weights])

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        if self.built:
            return
        shape = (self.input_dim, self.output_dim)
        if self.quantization_mode is not None:
            self.quantized_build(shape, self.quantization_mode, self.quantization_config)
        if self._tk_keeps("embeddings"):
            self.embeddings = self.add_weight(
                name="embeddings",
                shape=shape,
                initializer=self.embeddings_initializer,
                regularizer=self.embeddings_regularizer,
                constraint=self.embeddings_constraint,
            )
        self.built = True
        if self.lora_rank:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    def call(self, inputs: Tensor) -> Tensor:
        if inputs.dtype not in (torch.int64, torch.int32):
            inputs = inputs.to(torch.int32)
        try:
            outputs = self._tk_rows(inputs) if self._tk_stored_specially else look_up(inputs, self.embeddings)
        except IndexError as error:
            raise self._tk_out_of_range(inputs) from error
        return outputs.to(dtypes.torch_dtype(self.compute_dtype))

    def _tk_out_of_range(self, inputs: Tensor) -> IndexError:
        """The error for numbers that the table has no row for. (On CUDA it is torch's, which names no number.)"""
        wrong = inputs[(inputs < -self.input_dim) | (inputs >= self.input_dim)].unique()[:5].tolist()
        return IndexError(
            f"Embedding {self.name!r} has rows for the numbers 0 to {self.input_dim - 1} (input_dim={self.input_dim}); "
            f"received {', '.join(map(str, wrong))}. Make input_dim the largest number plus 1, or mend the data."
        )

    def _tk_rows(self, inputs: Tensor) -> Tensor:
        """The vectors of a quantized table, and the low-rank term."""
        form, inputs = self._tk_form, from_the_front(inputs, self.input_dim)
        outputs = F.embedding(inputs, self._tk_own_weight("embeddings")) if form is None else form.rows(self, inputs)
        if self.lora_enabled:
            rows = F.embedding(inputs, self.lora_embeddings_a) @ self.lora_embeddings_b
            outputs = outputs + self.lora_alpha / self.lora_rank * rows
        return outputs

    @property
    def _embeddings(self) -> Tensor:
        """Keras's name of the weight as it is kept, which other packages read."""
        return self._tk_stored()

    def _tk_layouts(self, shape: tuple[int, ...]) -> Sequence[tuple[Layout, Product | None]]:
        return [(TableLayout("embeddings", shape), None)]

    _tk_split_weight = "embeddings"

    def _tk_splits(self) -> tuple[Split, Split] | None:
        return None if self._tk_stored_specially else (Split(is_lookup=True), Split(outputs=-1))

    def _tk_product(self, inputs: Tensor, weight: Tensor) -> Tensor:
        inputs = inputs if inputs.dtype in (torch.int64, torch.int32) else inputs.to(torch.int32)
        return look_up(inputs, weight)

    def _tk_finish(self, outputs: Tensor, bias: Tensor | None) -> Tensor:
        return outputs.to(dtypes.torch_dtype(self.compute_dtype))

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor | None:
        return ops.not_equal(inputs, 0) if self.mask_zero else None  # type: ignore[arg-type]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, self.output_dim)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["weights"]
        return {**config, "activity_regularizer": regularizers.serialize(self.activity_regularizer)}
