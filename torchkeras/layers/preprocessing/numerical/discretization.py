"""Bins of continuous features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras.core import settings
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import constant
from torchkeras.core.types import DTypeLike, Store
from torchkeras.layers.preprocessing.data_layer import DataLayer, batches, to_float64
from torchkeras.layers.preprocessing.encoding import MODES, check_mode, encode, refuse_sparse

Summary = np.ndarray  # two rows: values in ascending order, and the number of values that each stands for


class Discretization(DataLayer):
    """Put each number into a bin: `outputs` is the number of boundaries that are not above the input.

    The boundaries are given, or `adapt()` finds them so that the bins hold about equally many values of a data set.

    Args:
        bin_boundaries: ascending boundaries; `[0.0, 1.0]` makes the bins `(-inf, 0)`, `[0, 1)`, `[1, inf)`.
            Default: `None`.
        num_bins: number of bins that `adapt()` makes, instead of `bin_boundaries`. Default: `None`.
        epsilon: tolerance of the quantiles that `adapt()` finds, as a share of the data: a smaller one keeps more
            values. Default: `0.01`.
        output_mode: `"int"`: the number of the bin; `"one_hot"`, `"multi_hot"`, `"count"`: as in `CategoryEncoding`.
            Default: `"int"`.
        sparse: must be `False`. Default: `False`.
        dtype: dtype or dtype policy of the outputs, but with `"int"`, where they are int32. Default: `None`.
        name: name of the layer. Default: `None`.

    Call arguments:
        inputs: tensor, array or list of numbers.

    Input shape:
        Any.

    Output shape:
        The input shape; an axis of size `bins` more with `"one_hot"`.

    Raises:
        ValueError: not exactly one of `bin_boundaries` and `num_bins` is given; the mode is unknown; at the call: there
            are no boundaries yet.

    Example:
        >>> keras.layers.Discretization(bin_boundaries=[0.0, 1.0, 2.0])([[-1.5, 1.0], [3.4, 0.5]]).tolist()
        [[0, 2], [3, 1]]
        >>> layer = keras.layers.Discretization(num_bins=2, epsilon=0.01)
        >>> layer.adapt(np.array([1.0, 2.0, 3.0, 4.0]))
        >>> layer(np.array([1.0, 4.0])).tolist()
        [0, 1]
    """

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: DTypeLike | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        refuse_sparse(sparse, "Discretization")
        if num_bins is not None and num_bins < 0:
            raise ValueError(f"`num_bins` must be greater than or equal to 0. Received: `num_bins={num_bins}`")
        if num_bins is not None and bin_boundaries is not None:
            raise ValueError(
                "Both `num_bins` and `bin_boundaries` should not be set. "
                f"Received: `num_bins={num_bins}` and `bin_boundaries={bin_boundaries}`"
            )
        if num_bins is None and bin_boundaries is None:
            raise ValueError("You need to set either `num_bins` or `bin_boundaries`.")
        self.output_mode = check_mode(output_mode, MODES, "Discretization")
        self.bin_boundaries = bin_boundaries
        self.num_bins = num_bins
        self.epsilon = epsilon
        self.sparse = sparse
        self.summary = None if bin_boundaries else _nothing()

    @property
    def input_dtype(self) -> str:
        """The type of the inputs, `keras.config.floatx()`."""
        return settings.floatx()

    @property
    def output_dtype(self) -> str:
        """The type of the outputs: int32 for numbers of bins, else that of the dtype policy."""
        return "int32" if self.output_mode == "int" else self.compute_dtype

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find the boundaries of `num_bins` bins from the quantiles of a data set.

        Args:
            data: array, tensor, `PyDataset`, torch `DataLoader`, or any iterable of batches.
            steps: number of batches to read at most; `None`: all. Default: `None`.

        Raises:
            ValueError: the layer has `bin_boundaries` from its constructor, or there is no data, or it holds NaN.
            TypeError: the data holds no numbers.
        """
        if self.num_bins is None:
            raise ValueError(
                "Cannot adapt a Discretization layer that has been initialized with `bin_boundaries`, use `num_bins` "
                "instead."
            )
        self.reset_state()
        for batch in batches(data, steps, "Discretization"):
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Take a batch of numbers into the summary of the data; `finalize_state()` makes boundaries of it.

        Args:
            data: array or tensor of numbers.
        """
        values = to_float64(data, "Discretization").astype("float32")
        self.summary = _merged(_summary_of(values, self.epsilon), self.summary, self.epsilon)

    def finalize_state(self) -> None:
        """Make boundaries of the batches seen."""
        if self.num_bins is None:
            return
        if not self.summary.shape[1]:
            raise ValueError("Discretization.adapt() saw no value: it must see at least one.")
        self.bin_boundaries = _compressed(self.summary, 1.0 / self.num_bins)[0, :-1].tolist()

    def reset_state(self) -> None:
        """Forget the batches seen."""
        if self.num_bins is not None:
            self.summary = _nothing()

    def call(self, inputs: Tensor) -> Tensor:
        if self.bin_boundaries is None:
            raise ValueError(
                "You need to either pass the `bin_boundaries` argument at construction time or call "
                "`adapt(dataset)` before you can start using the `Discretization` layer."
            )
        values = inputs if inputs.is_floating_point() else inputs.to(torch.get_default_dtype())
        boundaries = constant(tuple(self.bin_boundaries), values.dtype, values.device)
        bins = torch.bucketize(values, boundaries, right=True)
        return encode(bins, self.output_mode, len(self.bin_boundaries) + 1, self.output_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        shape = tuple(input_shape)
        if self.output_mode == "int":
            return shape
        depth = self.num_bins if self.bin_boundaries is None else len(self.bin_boundaries) + 1
        if self.output_mode == "one_hot":
            return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), depth)
        return (shape[0], *shape[2:], depth) if len(shape) > 1 else (depth,)

    def compute_output_spec(self, inputs: KerasTensor) -> KerasTensor:
        return KerasTensor(self.compute_output_shape(inputs.shape), self.output_dtype)

    def load_own_variables(self, store: Store) -> None:
        """Take the summary that older files hold; the boundaries are in the config."""
        if len(store) == 1:
            self.summary = np.asarray(store["0"])

    def get_config(self) -> dict[str, Any]:
        boundaries = self.bin_boundaries
        return {
            "bin_boundaries": None if boundaries is None else np.asarray(boundaries).tolist(),
            "num_bins": self.num_bins,
            "epsilon": self.epsilon,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "name": self.name,
            "dtype": self.dtype,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Discretization:
        """Make a layer of a config, with the boundaries that `adapt()` found."""
        if config.get("bin_boundaries") is None or config.get("num_bins") is None:
            return cls(**config)
        layer = cls(**{**config, "bin_boundaries": None})
        layer.bin_boundaries = config["bin_boundaries"]
        return layer


def _nothing() -> Summary:
    return np.zeros((2, 0), "float32")


def _summary_of(values: np.ndarray, epsilon: float) -> Summary:
    """About `1 / epsilon` of the values, evenly spaced in their order; fewer values are all kept."""
    values = np.sort(values.reshape(-1))
    step = max(values.size * epsilon, 1)
    kept = values[int(step - 1) :: int(step)]
    return np.stack([kept, np.full_like(kept, step)])


def _merged(one: Summary, other: Summary, epsilon: float) -> Summary:
    both = np.concatenate((one, other), axis=1)
    return _compressed(both[:, np.argsort(both[0])], epsilon)


def _compressed(summary: Summary, epsilon: float) -> Summary:
    """Values at every `epsilon` of the data, interpolated, with the number of values below each."""
    if summary.shape[1] * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    up_to = summary[1].cumsum()
    share_up_to = up_to / up_to[-1]
    values = np.interp(shares, share_up_to, summary[0])
    counts = np.diff(np.interp(shares, share_up_to, up_to), prepend=0)
    return np.stack((values, counts)).astype("float32")
