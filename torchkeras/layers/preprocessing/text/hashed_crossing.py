"""Crossing of features: bins for combinations of values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.types import DTypeLike
from torchkeras.layers.preprocessing.encoding import encode, refuse_sparse
from torchkeras.layers.preprocessing.text.farmhash import concatenated, fingerprint64
from torchkeras.layers.preprocessing.text.hashing import packed
from torchkeras.layers.preprocessing.text.host_layer import HostLayer, as_data, to_tensor
from torchkeras.layers.preprocessing.text.not_compiled import not_compiled

_START = 0xDECAFCAFFE


class HashedCrossing(HostLayer):
    """Cross features by a hash: `outputs = hash(the values of a row) % num_bins`.

    Rows with the same combination of values get the same bin. Strings count by FarmHash64's fingerprint, integers by
    their value; the bins are those of Keras and TensorFlow.

    Args:
        num_bins: number of bins.
        output_mode: `"int"`: the number of the bin; `"one_hot"`: a vector with a 1 at the bin. Default: `"int"`.
        sparse: must be `False`. Default: `False`.
        name: name of the layer. Default: `None`.
        dtype: dtype or dtype policy of the outputs; `None` means int64 with `"int"`, else `keras.config.floatx()`.
            Default: `None`.
        **kwargs: other arguments of `Layer`, such as `trainable`.

    Call arguments:
        inputs: list or tuple of at least two features: strings or integers, of one shape.

    Input shape:
        A list of shapes, each `()`, `(batch,)` or `(batch, 1)`.

    Output shape:
        With `"int"` the shape of one feature, with `"one_hot"` `(batch, num_bins)`.

    Raises:
        ValueError: the mode is unknown; at the call: fewer than two features, other shapes, or numbers that are no
            integers.

    Example:
        >>> layer = keras.layers.HashedCrossing(num_bins=5)
        >>> layer((["A", "B", "A", "B", "A"], np.array([101, 101, 101, 102, 102]))).tolist()
        [1, 4, 1, 1, 3]
        >>> keras.layers.HashedCrossing(num_bins=5, output_mode="one_hot")((["A", "B"], np.array([101, 101]))).tolist()
        [[0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]]
    """

    def __init__(
        self,
        num_bins: int,
        output_mode: str = "int",
        sparse: bool = False,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, dtype="int64" if output_mode == "int" and dtype is None else dtype, **kwargs)
        refuse_sparse(sparse, "HashedCrossing")
        if output_mode not in ("int", "one_hot"):
            raise ValueError(
                "Unknown value for `output_mode` argument of layer HashedCrossing. Expected one of: "
                f"('int', 'one_hot'). Received: output_mode={output_mode}"
            )
        self.num_bins = num_bins
        self.output_mode = output_mode
        self.sparse = sparse
        self.__dict__["_tk_autocast"] = False

    def _tk_as_data(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)):
            raise ValueError(
                f"`HashedCrossing` should be called on a list or tuple of inputs. Received: inputs={inputs}"
            )
        if len(inputs) < 2:
            raise ValueError(f"`HashedCrossing` should be called on at least two inputs. Received: inputs={inputs}")
        return [as_data(feature, "HashedCrossing") for feature in inputs]

    def call(self, inputs: Sequence[Tensor | np.ndarray]) -> Tensor:
        return encode(self._bins(inputs), self.output_mode, self.num_bins, self.compute_dtype)

    @not_compiled
    def _bins(self, inputs: Sequence[Tensor | np.ndarray]) -> Tensor:
        shape = tuple(inputs[0].shape)
        described = [(tuple(feature.shape), str(feature.dtype)) for feature in inputs]
        if len(shape) > 2 or (len(shape) == 2 and shape[-1] != 1):
            raise ValueError(
                "All `HashedCrossing` inputs should have shape `()`, `(batch_size)` or `(batch_size, 1)`. "
                f"Received: inputs={described}"
            )
        if any(tuple(feature.shape) != shape for feature in inputs):
            raise ValueError(f"All `HashedCrossing` inputs should have equal shape. Received: inputs={described}")
        if any(isinstance(x, Tensor) and (x.is_floating_point() or x.dtype == torch.bool) for x in inputs):
            raise ValueError(
                f"All `HashedCrossing` inputs should have an integer or string dtype. Received: inputs={described}"
            )
        size = 1 if shape == () else shape[0]
        crossed = np.full(size, _START, np.uint64)
        for feature in inputs:
            crossed = concatenated(crossed, _words(feature))
        bins = (crossed % np.uint64(self.num_bins)).astype(np.int64).reshape(shape)
        tensors = [x for x in inputs if isinstance(x, Tensor)]
        return to_tensor(bins, tensors[0].device if tensors else None)

    def compute_output_shape(self, input_shape: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        shapes = list(input_shape)
        if len(shapes) < 2 or not all(isinstance(shape, (tuple, list)) for shape in shapes[:2]):
            raise ValueError(f"Expected as input a list/tuple of 2 tensors. Received input_shape={input_shape}")
        if tuple(shapes[0])[-1:] != tuple(shapes[1])[-1:]:
            raise ValueError(
                f"Expected the two input tensors to have identical shapes. Received input_shape={input_shape}"
            )
        shape = tuple(shapes[0])
        if self.output_mode == "int":
            return shape
        return (*(shape[:-1] if shape[-1:] == (1,) else shape), self.num_bins)

    def compute_output_spec(self, inputs: Sequence[KerasTensor]) -> KerasTensor:
        return KerasTensor(self.compute_output_shape([x.shape for x in inputs]), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            "num_bins": self.num_bins,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "name": self.name,
            "dtype": self.dtype,
        }


def _words(feature: Tensor | np.ndarray) -> np.ndarray:
    """A 64-bit word for each value of a feature."""
    if isinstance(feature, Tensor):
        return convert_to_numpy(feature).reshape(-1).astype(np.int64).view(np.uint64)
    return fingerprint64(packed(feature, "HashedCrossing"))
