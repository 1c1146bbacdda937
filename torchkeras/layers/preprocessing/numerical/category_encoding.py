"""Encoding of class numbers as rows of zeros, ones or counts."""

from __future__ import annotations

from typing import Any, Unpack

from torch import Tensor

from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.preprocessing.data_layer import DataLayer
from torchkeras.layers.preprocessing.encoding import check_range, encode, refuse_sparse


class CategoryEncoding(DataLayer):
    """Encode class numbers as vectors: one hot, many hot, or counts.

    The number of classes must be known; `IntegerLookup` and `StringLookup` find it from data.

    Args:
        num_tokens: number of classes; the inputs are in `[0, num_tokens)`; it must be given. Default: `None`.
        output_mode: form of the outputs. Default: `"multi_hot"`.
            `"one_hot"`: each number becomes a vector with a single 1; a last axis of size 1 is replaced.
            `"multi_hot"`: each sample becomes one vector, with a 1 for each number that it holds.
            `"count"`: each sample becomes one vector that counts its numbers.
        sparse: must be `False`. Default: `False`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: integer tensor, array or list, `(batch,)` or `(batch, numbers)`.
        count_weights: weight of each number, of the inputs' shape; only with `"count"`. Default: `None`.

    Input shape:
        `(batch, numbers)`, also `(numbers,)` for a single sample.

    Output shape:
        `(batch, num_tokens)`; with `"one_hot"` `(batch, numbers, num_tokens)`.

    Raises:
        ValueError: the mode is unknown; `num_tokens` is missing or below 1; at the call: a number is out of range
            (looked at on CPUs only), or `count_weights` without `"count"`.

    Example:
        >>> keras.layers.CategoryEncoding(num_tokens=4)([[0, 1], [0, 0], [1, 2]]).tolist()
        [[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]
        >>> layer = keras.layers.CategoryEncoding(num_tokens=3, output_mode="count")
        >>> layer([[0, 1], [2, 2]], count_weights=[[0.5, 0.25], [1.0, 2.0]]).tolist()
        [[0.5, 0.25, 0.0], [0.0, 0.0, 3.0]]
    """

    def __init__(
        self,
        num_tokens: int | None = None,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        output_mode = "multi_hot" if output_mode == "binary" else output_mode
        if output_mode not in ("count", "one_hot", "multi_hot"):
            raise ValueError(
                f"Unknown arg for output_mode: {output_mode}. It must be 'count', 'one_hot' or 'multi_hot'."
            )
        if num_tokens is None:
            raise ValueError(
                "num_tokens must be set to use this layer. If the number of tokens is not known beforehand, use the "
                "IntegerLookup layer instead."
            )
        if num_tokens < 1:
            raise ValueError(f"`num_tokens` must be >= 1. Received: num_tokens={num_tokens}.")
        refuse_sparse(sparse, "CategoryEncoding")
        self.num_tokens = num_tokens
        self.output_mode = output_mode
        self.sparse = sparse

    def call(self, inputs: Tensor, count_weights: ArrayLike | None = None) -> Tensor:
        weights = None
        if count_weights is not None:
            if self.output_mode != "count":
                raise ValueError(
                    "`count_weights` is not used when `output_mode` is not `'count'`. "
                    f"Received `count_weights={count_weights}`."
                )
            weights = convert_to_tensor(count_weights, self.compute_dtype).to(inputs.device)
        numbers = inputs.long()
        check_range(numbers, self.num_tokens, "CategoryEncoding")
        return encode(numbers, self.output_mode, self.num_tokens, self.compute_dtype, weights)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        shape = tuple(input_shape)
        if self.output_mode == "one_hot" and shape and (shape[-1] != 1 or len(shape) == 1):
            return (*shape, self.num_tokens)
        return (*shape[:-1], self.num_tokens)

    def compute_output_spec(self, inputs: KerasTensor, count_weights: Any = None) -> KerasTensor:
        return KerasTensor(self.compute_output_shape(inputs.shape), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_tokens": self.num_tokens, "output_mode": self.output_mode}
