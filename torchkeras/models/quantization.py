"""Quantizing a model: each layer within that has a quantized form."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import nn

from torchkeras.core.user_warnings import warn_user
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.quantization import checked
from torchkeras.layers.base.weight_walk import unique
from torchkeras.models.calibration import calibrate, layers_of_blocks, samples_of, uncalibrated_form
from torchkeras.quantizers import AWQConfig, GPTQConfig, QuantizationConfig
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
        **kwargs: Any,
    ) -> None:
        """Quantize the weights of the layers that have a quantized form; others warn and stay as they are.

        Args:
            mode: quantization. `"int8"`: 8-bit integers, of inputs as well. `"int4"`: 4-bit integers, with a scale for
                each group of 128 features. `"float8"`: training in 8-bit floats. `"gptq"`, `"awq"`: 4 bits and less,
                calibrated on data; they need `config`. `None` takes the config's mode. Default: `None`.
            config: settings, such as `keras.quantizers.Int8QuantizationConfig(activation_quantizer=None)`; `None` takes
                the mode's defaults. Default: `None`.
            filters: regular expression that a layer's name must contain, several of them, or a function of the layer
                that returns a bool: other layers stay as they are. Default: `None`, all layers.
            **kwargs: `type_check=False` also quantizes subclasses of the user's of layers that have a form.

        `"gptq"` and `"awq"` quantize the layers within the blocks of the structure, one block after the other, and show
        the progress. Calibration that was interrupted goes on when the method is called again.

        Raises:
            ValueError: a layer is not built or quantized already, or an argument is not valid.

        Example:
            >>> model = keras.Sequential([keras.layers.Dense(4, name="hidden"), keras.layers.Dense(2, name="head")])
            >>> model.build((None, 8))
            >>> model.quantize("int8", filters="hidden")
            >>> [layer.quantization_mode for layer in model.layers]
            ['int8', None]
        """
        type_check = kwargs.pop("type_check", True)
        if kwargs:
            raise ValueError(f"Unrecognized keyword arguments passed to {type(self).__name__}: {kwargs}")
        if filters is not None and not (isinstance(filters, (str, list, tuple)) or callable(filters)):
            raise ValueError(
                f"The `filters` argument must be a regex string, a list of regex strings, or a callable. "
                f"Received: {type(filters)}"
            )
        if isinstance(config, (GPTQConfig, AWQConfig)):
            self._tk_calibrate(config, filters, type_check)
        else:
            _quantize_layers(_chosen(self._flatten_layers(), filters), mode, config, type_check)
            if filters is None:
                _warn_of_torch_modules(self)
        state = state_of(self)
        if state.snapshot is not None:  # it knows weights that are gone
            state.snapshot = TrainableSnapshot(self)

    def _tk_calibrate(self, config: GPTQConfig | AWQConfig, filters: Filters | None, type_check: bool) -> None:
        """Calibrate the layers within the blocks, or go on where an interrupted call stopped."""
        structure = self._tk_structure(config.mode, config)
        layers = _chosen(layers_of_blocks(structure), filters)
        samples = samples_of(config)
        goes_on = any(uncalibrated_form(layer) is not None for layer in layers)
        prepared = [layer for layer in layers if goes_on and layer.quantization_mode == config.mode]
        rest = [layer for layer in layers if all(layer is not one for one in prepared)]
        _quantize_layers(rest, config.mode, config._tk_of_layers(), type_check)
        calibrate(samples, structure, layers)

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


def _chosen(layers: Sequence[Layer], filters: Filters | None) -> list[Layer]:
    """The layers that hold no others and pass the filters, each once."""
    return [
        layer
        for layer in unique(layers)
        if isinstance(layer, Layer) and _passes(layer, filters) and len(layer._flatten_layers()) == 1
    ]


def _quantize_layers(
    layers: Sequence[Layer], mode: str | None, config: QuantizationConfig | None, type_check: bool
) -> None:
    for layer in layers:
        try:
            layer.quantize(mode, type_check=type_check, config=config)
        except NotImplementedError as error:
            warn_user(str(error))
