"""Calibration: the blocks of a model, one after the other, on samples of a dataset.

A block's layers see the outputs of the blocks before it, which are quantized already, so that each block can make up
for their errors. A calibration that was interrupted goes on where it stopped: layers that are calibrated stay so, and
another process finds them in the folder of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.types import ArrayLike
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.weight_walk import layer_tree
from torchkeras.layers.core.stored_weights import StoredWeights
from torchkeras.layers.weight_forms.calibrated import CalibratedForm, Statistics
from torchkeras.models.calibration_checkpoint import CalibrationCheckpoint
from torchkeras.quantizers import AWQConfig, GPTQConfig
from torchkeras.reporting.progress import Progbar

if TYPE_CHECKING:
    from collections.abc import Iterable

Config: TypeAlias = GPTQConfig | AWQConfig


def calibrate(
    samples: np.ndarray,
    structure: Mapping[str, Sequence[Layer]],
    layers: Sequence[Layer],
    batch_size: int,
    checkpoint: CalibrationCheckpoint | None = None,
) -> None:
    """Calibrate layers that are prepared for it.

    Args:
        samples: token ids of shape `(samples, sequence_length)`; see `samples_of`.
        structure: `"pre_block_layers"` and `"sequential_blocks"` of the model.
        layers: the layers, all of them within the blocks.
        batch_size: number of samples that pass a block together.
        checkpoint: where blocks that are done are kept. Default: `None`, nowhere.
    """
    blocks = structure.get("sequential_blocks", ())
    tokens = torch.as_tensor(samples, device=current_device())
    batches: list[Any] = list(tokens.split(batch_size))
    with torch.no_grad():
        for layer in structure.get("pre_block_layers", ()):
            batches = [_first_output(layer(batch)) for batch in batches]
        bar = Progbar(len(blocks), unit_name="block")
        for number, block in enumerate(blocks):
            within = {id(layer) for layer in layer_tree(block)}
            waiting = [
                (layer, form)
                for layer in layers
                if id(layer) in within and (form := uncalibrated_form(layer)) is not None
            ]
            if waiting and not (checkpoint is not None and checkpoint.restore(number, waiting)):
                source = None if checkpoint is None else checkpoint.source(waiting)
                _calibrate_block(block, waiting, batches)
                if checkpoint is not None and source is not None:
                    checkpoint.save(number, waiting, source)
            if number < len(blocks) - 1:
                batches = [_first_output(block(batch)) for batch in batches]
            bar.update(number + 1)


def layers_of_blocks(structure: Mapping[str, Sequence[Layer]]) -> list[Layer]:
    """The layers that calibration can reach: those within the blocks, each once.

    Raises:
        ValueError: there are no blocks.
    """
    blocks = structure.get("sequential_blocks", ())
    if not blocks:
        raise ValueError("No sequential blocks found in the provided structure to quantize.")
    found = {id(layer): layer for block in blocks for layer in layer_tree(block)}
    return list(found.values())


def _calibrate_block(block: Layer, waiting: Sequence[tuple[Layer, CalibratedForm]], batches: Sequence[Tensor]) -> None:
    seen = [form.statistics(getattr(layer, form.name).device) for layer, form in waiting]
    with _watched(waiting, seen):
        for batch in batches:
            block(batch)
    for (layer, form), statistics in zip(waiting, seen, strict=True):
        form.calibrate(layer, statistics)


@contextmanager
def _watched(waiting: Sequence[tuple[Layer, CalibratedForm]], seen: Sequence[Statistics]) -> Iterator[None]:
    """Inside, the inputs of each layer go into its statistics."""
    hooks = [
        layer.register_forward_pre_hook(_hook(form, statistics), with_kwargs=True)
        for (layer, form), statistics in zip(waiting, seen, strict=True)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _hook(form: CalibratedForm, statistics: Statistics) -> Callable[[nn.Module, tuple, dict[str, Any]], None]:
    def take(layer: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        statistics.update(form.as_rows(args[0] if args else kwargs["inputs"]))

    return take


def uncalibrated_form(layer: Layer) -> CalibratedForm | None:
    """The form of a layer that waits for its calibration; `None` for any other layer."""
    form = layer._tk_form if isinstance(layer, StoredWeights) else None
    return form if isinstance(form, CalibratedForm) and form.keeps_weight else None


def _first_output(outputs: Any) -> Any:
    return outputs[0] if isinstance(outputs, (list, tuple)) else outputs


# ---------------------------------------------------------------------------- samples


def samples_of(config: Config) -> np.ndarray:
    """The samples on which a config calibrates, as `windows` cuts them.

    Raises:
        TypeError: the dataset can't be iterated over.
        ValueError: there is no dataset or no tokenizer, or the dataset is empty.
    """
    if config.dataset is None or config.tokenizer is None:
        raise ValueError(
            f"{config.mode.upper()} quantization requires a dataset and a tokenizer. "
            f"Please provide them in the `{type(config).__name__}`."
        )
    return windows(config.dataset, config.tokenizer, config.num_samples, config.sequence_length)


def windows(
    dataset: Iterable[str | ArrayLike] | None, tokenizer: Callable | None, num_samples: int, sequence_length: int
) -> np.ndarray:
    """Samples of equal length, evenly spread over the tokens of a dataset.

    Args:
        dataset: strings, or arrays of token ids; a list, an array, a generator.
        tokenizer: an object with `tokenize`, or a callable, that makes token ids of a string.
        num_samples: number of samples; fewer if the dataset is too short for as many different ones.
        sequence_length: number of tokens of each; a shorter dataset is repeated.

    Returns:
        An int32 array of shape `(samples, sequence_length)`.

    Raises:
        TypeError: `dataset` can't be iterated over, or is one string.
        ValueError: it has no tokens.
    """
    if not hasattr(dataset, "__iter__") or isinstance(dataset, (str, bytes)):
        raise TypeError(
            "The `dataset` argument must be an iterable (e.g., a list of strings, a generator, or a NumPy array). "
            f"Got type: {type(dataset).__name__}. Please pass the loaded dataset directly."
        )
    tokenize = getattr(tokenizer, "tokenize", tokenizer)
    pieces = [tokenize(item) if isinstance(item, str) else item for item in dataset]  # type: ignore[misc,union-attr]
    flat = [np.asarray(convert_to_numpy(piece)).reshape(-1).astype(np.int32) for piece in pieces]
    tokens = np.concatenate(flat) if flat else np.zeros(0, np.int32)
    if not len(tokens):
        raise ValueError("Provided dataset is empty.")
    if len(tokens) < sequence_length:
        tokens = np.tile(tokens, -(-sequence_length // len(tokens)))
    starts = len(tokens) - sequence_length + 1
    count = min(num_samples, starts)
    chosen = np.arange(count) * (starts - 1) // max(count - 1, 1)
    return np.lib.stride_tricks.sliding_window_view(tokens, sequence_length)[chosen].copy()
