"""Spectral normalization of a layer's kernel (Miyato et al., 2018)."""

from __future__ import annotations

from typing import Any, Unpack

import torch
import torch.nn.functional as F

from torchkeras import initializers
from torchkeras.core.types import Shape
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.core.wrapper import Wrapper


class SpectralNormalization(Wrapper):
    """Keep the largest singular value of a layer's kernel at 1, as the discriminators of GANs need it.

    Each call in training divides the kernel, seen as a matrix with its last axis as columns, by an estimate of its
    largest singular value, found by power iteration from the vector of the call before (Miyato et al., 2018,
    arXiv:1802.05957). Gradients do not flow through the estimate.

    Args:
        layer: the layer to wrap; it must have a `kernel` or `embeddings`.
        power_iterations: iterations of a call. Default: `1`.
        **kwargs: the arguments of `Layer`.

    Call arguments:
        inputs: the inputs of the wrapped layer.
        training: whether the kernel is normalized before the call. Default: the training mode of the call.

    Weights:
        Those of the layer, and `vector_u` `(1, columns)`, not trainable.

    Raises:
        ValueError: `power_iterations` is below 1; at the build: the layer has neither a kernel nor embeddings.

    Example:
        >>> layer = keras.layers.SpectralNormalization(keras.layers.Dense(3), power_iterations=50)
        >>> outputs = layer(torch.ones(2, 4), training=True)
        >>> round(torch.linalg.matrix_norm(layer.kernel, 2).item(), 3)
        1.0
    """

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(layer, **kwargs)
        if power_iterations <= 0:
            raise ValueError(
                f"`power_iterations` should be greater than zero. Received: `power_iterations={power_iterations}`"
            )
        self.power_iterations = power_iterations

    def build(self, input_shape: Shape) -> None:  # type: ignore[override]
        super().build(input_shape)
        self.input_spec = InputSpec(min_ndim=1, axes={-1: input_shape[-1]})
        name = "kernel" if hasattr(self.layer, "kernel") else "embeddings"
        if not hasattr(self.layer, name):
            raise ValueError(f"{type(self.layer).__name__} object has no attribute 'kernel' nor 'embeddings'")
        self.kernel = getattr(self.layer, name)  # under both names, as in Keras's files
        self.vector_u = self.add_weight(
            shape=(1, self.kernel.shape[-1]),
            initializer=initializers.TruncatedNormal(stddev=0.02),
            trainable=False,
            name="vector_u",
            dtype=self.kernel.dtype,
        )

    def call(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        if training:
            self._normalize()
        return self.layer(inputs).to(inputs.dtype)

    @torch.no_grad()
    def _normalize(self) -> None:
        vector, kernel = self.normalized_weights()
        is_zero = (self.kernel == 0).all()  # a kernel of zeros has no direction and stays
        self.vector_u.copy_(torch.where(is_zero, self.vector_u, vector))
        self.kernel.copy_(torch.where(is_zero, self.kernel, kernel))

    @torch.no_grad()
    def normalized_weights(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the next `vector_u`, and the kernel divided by its largest singular value."""
        matrix = self.kernel.reshape(-1, self.kernel.shape[-1])
        columns = self.vector_u.to(matrix.dtype)
        for _ in range(self.power_iterations):
            rows = F.normalize(columns @ matrix.T)
            columns = F.normalize(rows @ matrix)
        largest = (rows @ matrix @ columns.T).squeeze()
        return columns, self.kernel / largest

    def compute_output_shape(self, input_shape: Shape) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power_iterations": self.power_iterations}
