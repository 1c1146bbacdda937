"""Quantizing a model: each layer within that has a quantized form."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import nn

from torchkeras.core.user_warnings import warn_user
from torchkeras.distributed.sharded_weights import refuse_parts
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.quantization import checked
from torchkeras.layers.base.weight_walk import unique
from torchkeras.layers.core.input_layer import InputLayer
from torchkeras.layers.core.stored_weights import StoredWeights
from torchkeras.models.calibration import calibrate, layers_of_blocks, samples_of, uncalibrated_form
from torchkeras.models.calibration_checkpoint import CalibrationCheckpoint
from torchkeras.models.quantization_summary import summary_of
from torchkeras.quantizers import AWQConfig, GPTQConfig, QuantizationConfig, QuantizationReport
from torchkeras.reporting.progress import announce
from torchkeras.training.compile.snapshot import TrainableSnapshot
from torchkeras.training.state import state_of

if TYPE_CHECKING:
    _Base = Layer  # mixed into `Model`, which is one
else:
    _Base = object

# The layers that are quantized: patterns that a layer's name must contain, or a function of the layer.
Filters: TypeAlias = "str | Sequence[str] | Callable[[Layer], bool]"


class QuantizableModel(_Base):
    """The part of a model that quantizes its layers."""

    def get_quantization_layer_structure(self, mode: str | None = None) -> dict[str, Any] | None:
        """Return the order in which modes that need data calibrate the layers; models may override it.

        Args:
            mode: quantization, such as `"gptq"`. Default: `None`.

        Returns:
            A dict of `"pre_block_layers"`, the layers that inputs pass before the first block, and
            `"sequential_blocks"`, the blocks in order; `None` for a model that does not say.

        Example:
            >>> keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).get_quantization_layer_structure() is None
            True
        """
        return None

    @checked
    def quantize(
        self,
        mode: str | None = None,
        config: QuantizationConfig | None = None,
        filters: Filters | None = None,
        verbose: bool = False,
        checkpoint: str | Path | None = None,
        **kwargs: Any,
    ) -> QuantizationReport:
        """Quantize the weights of the layers that have a quantized form; others warn and stay as they are.

        Args:
            mode: quantization. `"int8"`: 8-bit integers, of inputs as well. `"int4"`: 4-bit integers, with a scale for
                each group of 128 features. `"float8"`: training in 8-bit floats. `"ternary"`: kernels of `Dense` become
                -1, 0 and 1 times one scale. `"gptq"`, `"awq"`: 4 bits and less,
                calibrated on data; they need `config`. `None` takes the config's mode. Default: `None`.
            config: settings, such as `keras.quantizers.Int8QuantizationConfig(activation_quantizer=None)`; `None` takes
                the mode's defaults. Default: `None`.
            filters: regular expression that a layer's name must contain, several of them, or a function of the layer
                that returns a bool: other layers stay as they are. Default: `None`, all layers.
            verbose: whether to print the report. Default: `False`. (Keras 3.16 prints it by default.)
            checkpoint: path of a folder in which `"gptq"` and `"awq"` keep each block that is done. The same call in
                another process, on the float model, goes on with the rest. Default: `None`.
            **kwargs: `type_check=False` also quantizes subclasses of the user's of layers that have a form.

        `"gptq"` and `"awq"` quantize the layers within the blocks of the structure, one block after the other, and show
        the progress. Calibration that was interrupted goes on when the method is called again.

        Returns:
            A `keras.quantizers.QuantizationReport` of the layers that were quantized and of those that were left.

        Raises:
            ValueError: a layer is not built or quantized already, or an argument is not valid.

        Example:
            >>> model = keras.Sequential([keras.layers.Dense(4, name="hidden"), keras.layers.Dense(2, name="head")])
            >>> model.build((None, 8))
            >>> report = model.quantize("int8", filters="hidden")
            >>> [layer.quantization_mode for layer in model.layers]
            ['int8', None]
            >>> report
            QuantizationReport(mode='int8', quantized=1, skipped=1)
        """
        type_check = kwargs.pop("type_check", True)
        if kwargs:
            raise ValueError(f"Unrecognized keyword arguments passed to {type(self).__name__}: {kwargs}")
        if filters is not None and not (isinstance(filters, (str, list, tuple)) or callable(filters)):
            raise ValueError(
                f"The `filters` argument must be a regex string, a list of regex strings, or a callable. "
                f"Received: {type(filters)}"
            )
        refuse_parts(self, "quantize()")
        report, before = QuantizationReport(mode), self.trainable_weights
        if isinstance(config, (GPTQConfig, AWQConfig)):
            reached = self._tk_calibrate(config, filters, type_check, checkpoint)
        elif checkpoint is not None:
            raise ValueError(
                f"A checkpoint is for the modes 'gptq' and 'awq', which take long; received mode={mode!r}."
            )
        else:
            reached = leaves(self._flatten_layers())
            _quantize_layers(_chosen(reached, filters), mode, config, type_check)
            if filters is None:
                _warn_of_torch_modules(self)
        _fill(report, leaves(self._flatten_layers()), reached, filters)
        state, weights = state_of(self), set(map(id, self.weights))
        if (optimizer := getattr(self, "optimizer", None)) is not None:
            optimizer._tk_forget_variables({id(weight) for weight in before} - weights)
        if state.snapshot is not None:  # it knows weights that are gone
            state.snapshot = TrainableSnapshot(self)
        self._quantization_report = report  # the name is Keras's
        if verbose:
            announce(report.render())
        return report

    def quantization_summary(self, verbose: bool = True) -> str:
        """Return how large the weights of the quantized layers are, with a part for each layer and the totals.

        Args:
            verbose: whether to print the summary. Default: `True`.

        Returns:
            The summary as text. The bytes of a weight are those of its integers, scales, zero points and groups; a
            bias does not count.

        Example:
            >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(5, name="hidden")], name="network")
            >>> report = model.quantize("ternary")
            >>> print(model.quantization_summary(verbose=False).splitlines()[-1])
            Weight storage   : 12 bytes quantized vs 160 bytes float32 (13.33x smaller)
        """
        quantized = [layer for layer in leaves(self._flatten_layers()) if isinstance(layer, StoredWeights)]
        text = summary_of(self.name, [layer for layer in quantized if layer._tk_form is not None])
        if verbose:
            announce(text)
        return text

    def _tk_calibrate(
        self,
        config: GPTQConfig | AWQConfig,
        filters: Filters | None,
        type_check: bool,
        checkpoint: str | Path | None,
    ) -> Sequence[Layer]:
        """Calibrate the layers within the blocks, or go on where an interrupted call stopped; return those layers."""
        structure = self._tk_structure(config.mode, config)
        layers = _chosen(layers_of_blocks(structure), filters)
        samples = samples_of(config)
        goes_on = any(uncalibrated_form(layer) is not None for layer in layers)
        prepared = [layer for layer in layers if goes_on and layer.quantization_mode == config.mode]
        rest = [layer for layer in layers if all(layer is not one for one in prepared)]
        _quantize_layers(rest, config.mode, config._tk_of_layers(), type_check)
        kept = None if checkpoint is None else CalibrationCheckpoint(checkpoint, config._tk_of_layers(), samples)
        calibrate(samples, structure, layers, config.calibration_batch_size, kept)
        return layers_of_blocks(structure)

    def _tk_structure(self, mode: str, config: Any) -> dict[str, Any]:
        structure = config.quantization_layer_structure
        structure = self.get_quantization_layer_structure(mode) if structure is None else structure
        if structure is None:
            raise ValueError(
                f"For mode='{mode}', a valid quantization structure must be provided either via "
                f"`config.quantization_layer_structure` or by overriding "
                f"`model.get_quantization_layer_structure(mode)`. The structure should be a dictionary with keys "
                f"'pre_block_layers' and 'sequential_blocks'."
            )
        return structure


def _warn_of_torch_modules(model: nn.Module) -> None:
    """Name the modules of torch whose weights stay as they are."""
    kept = [name for name, module in model.named_modules() if type(module) in (nn.Linear, nn.Embedding)]
    if kept:
        shown = f"{kept[:5]}{' and more' if len(kept) > 5 else ''}"
        warn_user(f"quantize() leaves torch's own modules as they are: {shown}. A tool such as torchao quantizes them.")


def _passes(layer: Layer, filters: Filters | None) -> bool:
    if filters is None:
        return True
    if callable(filters):
        return bool(filters(layer))
    return any(re.search(pattern, layer.name) for pattern in ([filters] if isinstance(filters, str) else filters))


def leaves(layers: Sequence[Layer]) -> list[Layer]:
    """The layers that hold no others, each once."""
    return [layer for layer in unique(layers) if isinstance(layer, Layer) and len(layer._flatten_layers()) == 1]


def _chosen(layers: Sequence[Layer], filters: Filters | None) -> list[Layer]:
    """The layers that hold no others and pass the filters."""
    return [layer for layer in leaves(layers) if _passes(layer, filters)]


def _fill(
    report: QuantizationReport, layers: Sequence[Layer], reached: Sequence[Layer], filters: Filters | None
) -> None:
    """Put into a report which of a model's layers are quantized now, and why the others are not."""
    within = {id(layer) for layer in reached}
    for layer in layers:
        if isinstance(layer, InputLayer):
            continue
        if id(layer) not in within:
            report.add_skipped(layer.path, report.SKIP_OUTSIDE_STRUCTURE)
        elif not _passes(layer, filters):
            report.add_skipped(layer.path, report.SKIP_FILTERED)
        elif layer.quantization_mode is not None:
            report.add_quantized(layer.path, layer.quantization_mode, layer.dtype_policy.name)
        else:
            report.add_skipped(layer.path, report.SKIP_NO_SUPPORT)


def _quantize_layers(
    layers: Sequence[Layer], mode: str | None, config: QuantizationConfig | None, type_check: bool
) -> None:
    for layer in layers:
        try:
            layer.quantize(mode, type_check=type_check, config=config)
        except NotImplementedError as error:
            warn_user(str(error))
