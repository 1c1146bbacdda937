"""`timeseries_dataset_from_array`: sliding windows over a series as a DataLoader of batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike
from torchkeras.utils.loaders.indexing import check_format, seed_or_draw
from torchkeras.utils.loaders.loader import BatchLoader, as_it_is


class WindowDataset(Dataset):
    """Windows of a series, made when they are asked for, with their targets.

    Args:
        series: the series; time is the first axis.
        targets: the target of each start of a window, or `None`.
        starts: the first step of each window.
        offsets: the steps of a window, counted from its first one.
    """

    def __init__(
        self, series: torch.Tensor, targets: torch.Tensor | None, starts: torch.Tensor, offsets: torch.Tensor
    ) -> None:
        self.series = series
        self.targets = targets
        self.starts = starts
        self.offsets = offsets

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: Any) -> Any:
        starts = self.starts[index]
        windows = self.series[starts.unsqueeze(-1) + self.offsets]
        return windows if self.targets is None else (windows, self.targets[starts])

    def __getitems__(self, indices: list[int]) -> Any:
        """A whole batch in one go: torch's DataLoader asks for it."""
        return self[torch.as_tensor(indices)]


def timeseries_dataset_from_array(
    data: ArrayLike,
    targets: ArrayLike | None,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> BatchLoader:
    """Make batches of sliding windows over a series.

    Window `i` holds the steps `s, s + r, ..., s + (L - 1) r` with `s = i * sequence_stride`, `r = sampling_rate` and
    `L = sequence_length`, counted from `start_index`. The result is a torch `DataLoader` that `fit`, `evaluate` and
    `predict` take; `loader.dataset` is the torch `Dataset` of single windows, which keeps the series once.

    Args:
        data: array or tensor; time is the first axis.
        targets: array or tensor: `targets[s]` belongs to the window that starts at step `s`. `None`: there are none.
        sequence_length: steps of a window.
        sequence_stride: steps between the starts of windows. Default: `1`.
        sampling_rate: steps between neighbours in a window. Default: `1`.
        batch_size: windows per batch; `None`: single windows. Default: `128`.
        shuffle: whether to shuffle the windows; otherwise they come in the order of time. Default: `False`.
        seed: seed of the shuffling. Default: `None`, drawn from NumPy's global generator.
        start_index: steps before it are not used. Default: `None`, 0.
        end_index: this step and those after it are not used. Default: `None`, the end of the data.
        format: `"tf"`: each pass has a new order; `"grain"`: each pass has the same order. Both give the same kind of
            object. Default: `"tf"`.

    Returns:
        A `DataLoader` of batches `windows`, or `(windows, targets)` if there are targets; windows have the shape
        `(batch, sequence_length, ...)`.

    Raises:
        ValueError: a number does not fit the data.

    Example:
        >>> loader = keras.utils.timeseries_dataset_from_array(np.arange(7), np.arange(7) * 10, sequence_length=3)
        >>> windows, targets = next(iter(loader))
        >>> windows[0], targets
        (tensor([0, 1, 2]), tensor([ 0, 10, 20, 30, 40]))
    """
    length = len(data)  # type: ignore[arg-type]
    _check(length, start_index, end_index, sampling_rate, sequence_stride)
    check_format(format)
    start, end = start_index or 0, end_index or length
    count = end - start - (sequence_length - 1) * sampling_rate
    if targets is not None:
        count = min(count, len(targets))  # type: ignore[arg-type]
    starts = np.arange(0, count, sequence_stride)
    if shuffle:
        seed = seed_or_draw(seed)
        np.random.RandomState(seed).shuffle(starts)
    dataset = WindowDataset(
        _tensor(data)[start:end],
        None if targets is None else _targets(targets)[start:],
        torch.from_numpy(starts),
        torch.arange(0, sequence_length * sampling_rate, sampling_rate),
    )
    return BatchLoader(
        dataset, batch_size, shuffle=shuffle, seed=seed or 0, same_order=format == "grain", collate=as_it_is
    )


def _tensor(values: ArrayLike | Sequence) -> torch.Tensor:
    return values if isinstance(values, torch.Tensor) else convert_to_tensor(np.asarray(values), device="cpu")


def _targets(values: ArrayLike) -> torch.Tensor:
    """Targets as a tensor; single numbers of float64 become float32, as Keras stacks them."""
    found = _tensor(values)
    return found.float() if found.dim() == 1 and found.dtype == torch.float64 else found


def _check(length: int, start: int | None, end: int | None, sampling_rate: int, stride: int) -> None:
    if start and start < 0:
        raise ValueError(f"`start_index` must be 0 or greater. Received: start_index={start}")
    if start and start >= length:
        raise ValueError(
            f"`start_index` must be lower than the length of the data. Received: start_index={start}, for data of "
            f"length {length}"
        )
    if end and start and end <= start:
        raise ValueError(
            f"`end_index` must be higher than `start_index`. Received: start_index={start}, and end_index={end}"
        )
    if end and end >= length:
        raise ValueError(
            f"`end_index` must be lower than the length of the data. Received: end_index={end}, for data of length "
            f"{length}"
        )
    if end and end <= 0:
        raise ValueError(f"`end_index` must be higher than 0. Received: end_index={end}")
    for name, value in (("sampling_rate", sampling_rate), ("sequence_stride", stride)):
        if value <= 0:
            raise ValueError(f"`{name}` must be higher than 0. Received: {name}={value}")
        if value >= length:
            raise ValueError(
                f"`{name}` must be lower than the length of the data. Received: {name}={value}, for data of length "
                f"{length}"
            )
