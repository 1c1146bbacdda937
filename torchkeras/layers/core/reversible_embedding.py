"""ReversibleEmbedding: a table from indices to vectors, and back to scores of indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors import dtypes
from torchkeras.core.tensors.masks import set_mask
from torchkeras.core.types import ArrayLike, Identifier
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.core.embedding import Embedding
from torchkeras.layers.weight_forms.layouts import Layout, MatrixLayout, TableLayout
from torchkeras.layers.weight_forms.products import Product
from torchkeras.quantizers import QuantizationConfig


class EmbeddingOptions(LayerOptions, total=False):
    """Arguments of `Embedding` that the signature leaves out."""

    weights: ArrayLike | None
    lora_rank: int | None
    lora_alpha: float | None
    quantization_config: QuantizationConfig | None


class ReversibleEmbedding(Embedding):
    """Look up vectors of indices, and with `reverse=True` score all indices for vectors: both ends of a language model.

    `reverse=False`: `outputs = embeddings[inputs]`. `reverse=True`: `outputs = inputs @ embeddings.T`, or
    `inputs @ reverse_embeddings` where the weights are not tied (Press and Wolf, 2017, arXiv:1608.05859).

    Args:
        input_dim: number of rows of the table, the largest index plus one; a positive int.
        output_dim: length of each vector, a positive int.
        tie_weights: whether both directions share the table. Default: `True`.
        embeddings_initializer: how the table starts: a name or an initializer. Default: `"uniform"`.
        embeddings_regularizer: penalty on the table, added to the loss. Default: `None`.
        embeddings_constraint: function that maps the table to an allowed value after each update. Default: `None`.
        mask_zero: whether index 0 is padding, as in `Embedding`. Default: `False`.
        reverse_dtype: dtype in which scores are computed, such as `"float32"` in a model of float16. Default: `None`,
            that of the inputs.
        logit_soft_cap: scores are kept within this number by `cap * tanh(scores / cap)`. Default: `None`.
        **kwargs: `weights`, `lora_rank`, `name`, `dtype` and the other arguments of `Embedding`.

    Call arguments:
        inputs: integers `(batch, ...)`; with `reverse`, floats `(batch, ..., output_dim)`.
        reverse: whether to compute scores. Default: `False`.

    Output shape:
        `(batch, ..., output_dim)`; with `reverse`, `(batch, ..., input_dim)`.

    Weights:
        `embeddings` `(input_dim, output_dim)`; untied also `reverse_embeddings` `(output_dim, input_dim)`.

    Raises:
        ValueError: `input_dim` or `output_dim` is no positive int.

    Example:
        >>> layer = keras.layers.ReversibleEmbedding(5, 3)
        >>> vectors = layer(torch.tensor([[1, 4]]))
        >>> vectors.shape, layer(vectors, reverse=True).shape
        (torch.Size([1, 2, 3]), torch.Size([1, 2, 5]))
    """

    def __init__(  # type: ignore[misc]
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Identifier = "uniform",
        embeddings_regularizer: Identifier | None = None,
        embeddings_constraint: Identifier | None = None,
        mask_zero: bool = False,
        reverse_dtype: str | None = None,
        logit_soft_cap: float | None = None,
        **kwargs: Unpack[EmbeddingOptions],
    ) -> None:
        self.tie_weights = tie_weights
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            **kwargs,
        )
        self.reverse_dtype = reverse_dtype
        self.logit_soft_cap = logit_soft_cap

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        super().build(input_shape)
        if not self.tie_weights and self._tk_keeps("reverse_embeddings"):
            self.reverse_embeddings = self.add_weight(
                name="reverse_embeddings",
                shape=(self.output_dim, self.input_dim),
                initializer=self.embeddings_initializer,
            )

    def call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        if not reverse:
            vectors = super().call(inputs)
            mask = super().compute_mask(inputs)
            if mask is not None:
                set_mask(vectors, mask)
            return vectors
        scores = self._tk_scores(inputs)
        if self.logit_soft_cap is not None:
            scores = torch.tanh(scores / self.logit_soft_cap) * self.logit_soft_cap
        return scores

    def _tk_scores(self, inputs: Tensor) -> Tensor:
        if self._tk_form is not None:
            form = self._tk_form if self.tie_weights else self._tk_forms["reverse_embeddings"]
            return form.scores(self, inputs) if self.tie_weights else form.product(self, inputs)
        inputs, kernel = self._factors(inputs)
        return inputs @ kernel

    def _tk_layouts(self, shape: tuple[int, ...]) -> Sequence[tuple[Layout, Product | None]]:
        found: list[tuple[Layout, Product | None]] = [(TableLayout("embeddings", shape, quantizes_inputs=True), None)]
        if not self.tie_weights:
            reverse = MatrixLayout(
                "reverse_embeddings",
                shape[::-1],
                packed_axis=0,
                has_groups=False,
                zero_dtype=None,
                quantizes_inputs=True,
            )
            found.append((reverse, None))
        return found

    def _factors(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and matrix whose product are the scores, in their common type."""
        kernel = self.embeddings.T if self.tie_weights else self.reverse_embeddings
        kind = inputs.dtype if self.reverse_dtype is None else dtypes.torch_dtype(self.reverse_dtype)
        common = torch.promote_types(kind, kernel.dtype) if self.reverse_dtype is None else kind
        return inputs.to(common), kernel.to(common)

    def _tk_as_product(self, inputs: Tensor, reverse: bool = False) -> tuple[Tensor, Tensor, None] | None:
        """Inputs and matrix where a call is their product and nothing else, else `None`."""
        is_product = reverse and self.logit_soft_cap is None and self._tk_form is None
        return (*self._factors(inputs), None) if is_product else None

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """`call` puts the mask on the vectors; scores have none."""
        return None

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...], reverse: bool = False
    ) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.input_dim) if reverse else (*input_shape, self.output_dim)

    def compute_output_spec(self, inputs: KerasTensor, reverse: bool = False) -> KerasTensor:
        return KerasTensor(self.compute_output_shape(inputs.shape, reverse), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        own = ("tie_weights", "reverse_dtype", "logit_soft_cap")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}
