"""Identity: the input, untouched."""

from __future__ import annotations

from typing import Any

from torchkeras.layers.base.layer import Layer


class Identity(Layer):
    """Returns its inputs, any structure of them; a placeholder."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
