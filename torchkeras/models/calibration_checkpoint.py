"""A folder with the blocks of a calibration that are done, so that another process can go on with the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import safetensors
import safetensors.torch
import torch

from torchkeras.distributed import is_main_process
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.values import assign
from torchkeras.layers.weight_forms.calibrated import CalibratedForm
from torchkeras.quantizers import QuantizationConfig
from torchkeras.saving.safety.atomic import replacing

# The layers of a block that are calibrated together.
Waiting: TypeAlias = "Sequence[tuple[Layer, CalibratedForm]]"


class CalibrationCheckpoint:
    """Files `block_<number>.safetensors`, each with the integers, scales and zero points of a block's layers.

    A file knows of which float weights, settings and samples it was made, and is refused for any others. It is there
    as a whole or not at all.

    Args:
        folder: path of the folder; it is made where it is missing.
        config: settings of the quantization.
        samples: the samples on which the model is calibrated.
    """

    def __init__(self, folder: str | Path, config: QuantizationConfig, samples: np.ndarray) -> None:
        self.folder = Path(folder)
        self._of_all = hashlib.sha256(json.dumps(config.get_config(), sort_keys=True, default=str).encode())
        self._of_all.update(np.ascontiguousarray(samples).tobytes())

    def _path(self, number: int) -> Path:
        return self.folder / f"block_{number}.safetensors"

    def source(self, waiting: Waiting) -> str:
        """A number that stands for the samples, the settings and the float weights of a block."""
        found = self._of_all.copy()
        for layer, form in waiting:
            weight = getattr(layer, form.name).detach().cpu().contiguous()
            found.update(f"{form.name}{tuple(weight.shape)}{weight.dtype}".encode())
            found.update(weight.as_subclass(torch.Tensor).flatten().view(torch.uint8).numpy().tobytes())
        return found.hexdigest()

    def restore(self, number: int, waiting: Waiting) -> bool:
        """Give the layers of a block what its file holds, if there is one.

        Raises:
            ValueError: the file was made of other weights, settings or samples.
        """
        path = self._path(number)
        if not path.exists():
            return False
        with safetensors.safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("source") != self.source(waiting):
                raise ValueError(
                    f"{str(path)!r} belongs to another calibration: of other float weights, other settings or other "
                    f"samples (is the dataset shuffled?). Give the arguments of that calibration, or another folder."
                )
            values = {name: file.get_tensor(name) for name in file.keys()}
        for name, variable in _variables(waiting):
            assign(variable, values[name])
        for layer, form in waiting:
            form.finish(layer)
        return True

    def save(self, number: int, waiting: Waiting, source: str) -> None:
        """Write the file of a block whose layers are calibrated.

        Args:
            number: number of the block.
            waiting: the layers, and their forms.
            source: the result of the method `source` before the calibration.
        """
        if not is_main_process():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        values = {name: v.detach().as_subclass(torch.Tensor).cpu().contiguous() for name, v in _variables(waiting)}
        with replacing(self._path(number)) as file:
            file.write(safetensors.torch.save(values, {"source": source}))


def _variables(waiting: Waiting) -> Iterator[tuple[str, torch.Tensor]]:
    """The variables that calibration fills, by the number of the layer within the block and the attribute."""
    for i, (layer, form) in enumerate(waiting):
        for name in form.attributes():
            if name not in ("bias", form.name):
                yield f"{i}.{name}", getattr(layer, name)
