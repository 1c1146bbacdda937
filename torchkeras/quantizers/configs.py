"""Settings of quantized layers: which quantizers they use for weights and for inputs."""

from __future__ import annotations

from typing import Self

from torchkeras.core.config.configurable import Configurable
from torchkeras.core.config.serialization import deserialize_keras_object
from torchkeras.core.quantization_modes import QUANTIZATION_MODES
from torchkeras.core.types import Config
from torchkeras.quantizers.abs_max import AbsMaxQuantizer, Quantizer


class QuantizationConfig(Configurable):
    """Base of the settings of a quantization: the quantizers of weights and of activations.

    Subclasses define the property `mode`.

    Args:
        weight_quantizer: quantizer of the weights; `None` stands for the layer's own. Default: `None`.
        activation_quantizer: quantizer of the inputs; `None` leaves them as floats. Default: `None`.

    Example:
        >>> class MyConfig(keras.quantizers.QuantizationConfig):
        ...     @property
        ...     def mode(self):
        ...         return "int8"
        >>> MyConfig(weight_quantizer=keras.quantizers.AbsMaxQuantizer()).mode
        'int8'
    """

    keras_module = "keras.quantizers"
    _tk_config_base = True

    def __init__(
        self, weight_quantizer: Quantizer | None = None, activation_quantizer: Quantizer | None = None
    ) -> None:
        self.weight_quantizer, self.activation_quantizer = weight_quantizer, activation_quantizer

    @property
    def mode(self) -> str:
        """The name of the quantization, such as `"int8"`."""
        raise NotImplementedError(
            "Subclasses must implement this property. Do not instantiate QuantizationConfig directly."
        )

    def dtype_policy_string(self) -> str:
        """Return the mode as dtype policies spell it: a name, and the numbers that a file needs."""
        return self.mode

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Make an object from its config.

        Args:
            config: result of `get_config`.

        Returns:
            A new object with the same arguments.
        """
        return cls(**{name: deserialize_keras_object(value) for name, value in config.items()})

    @staticmethod
    def weight_quantizer_or_default(config: QuantizationConfig | None, default: Quantizer | None) -> Quantizer | None:
        """Return the weight quantizer of a config, or the default where there is none.

        Args:
            config: the config, or `None`.
            default: quantizer, or `None`.
        """
        return default if config is None or config.weight_quantizer is None else config.weight_quantizer

    @staticmethod
    def activation_quantizer_or_default(
        config: QuantizationConfig | None, default: Quantizer | None
    ) -> Quantizer | None:
        """Return the activation quantizer of a config, which may be `None`; the default where there is no config.

        Args:
            config: the config, or `None`.
            default: quantizer, or `None`.
        """
        return default if config is None else config.activation_quantizer


class Int8QuantizationConfig(QuantizationConfig):
    """Settings of 8-bit integer quantization.

    Args:
        weight_quantizer: quantizer of the weights, with `output_dtype="int8"`; `None` stands for the layer's own.
            Default: `None`.
        activation_quantizer: quantizer of the inputs; `"default"` stands for `AbsMaxQuantizer()`, `None` leaves the
            inputs as floats. Default: `"default"`.

    Raises:
        ValueError: `weight_quantizer` has another `output_dtype`.

    Example:
        >>> config = keras.quantizers.Int8QuantizationConfig(activation_quantizer=None)
        >>> config.mode
        'int8'
    """

    def __init__(
        self, weight_quantizer: Quantizer | None = None, activation_quantizer: Quantizer | str | None = "default"
    ) -> None:
        super().__init__(weight_quantizer, _or_default(activation_quantizer, AbsMaxQuantizer()))
        _require_int8(self)

    @property
    def mode(self) -> str:
        """`"int8"`."""
        return "int8"


class Int4QuantizationConfig(QuantizationConfig):
    """Settings of 4-bit integer quantization.

    Args:
        weight_quantizer: quantizer of the weights, with `value_range=(-8, 7)` and `output_dtype="int8"`; `None` stands
            for the layer's own. Default: `None`.
        activation_quantizer: quantizer of the inputs; `"default"` and `None` leave them as floats.
            Default: `"default"`.
        block_size: number of input features that share a scale; `None` or `-1` gives each output one scale.
            Default: `128`.

    Raises:
        ValueError: `block_size` is none of these; there is a quantizer as well as a positive `block_size`; or
            `weight_quantizer` has another range or dtype.

    Example:
        >>> config = keras.quantizers.Int4QuantizationConfig(block_size=64)
        >>> config.mode, config.block_size
        ('int4', 64)
    """

    def __init__(
        self,
        weight_quantizer: Quantizer | None = None,
        activation_quantizer: Quantizer | str | None = "default",
        block_size: int | None = 128,
    ) -> None:
        super().__init__(weight_quantizer, _or_default(activation_quantizer, None))
        if block_size is not None and block_size != -1 and block_size <= 0:
            raise ValueError(f"block_size must be None, -1, or a positive integer. Received: block_size={block_size}")
        self.block_size = block_size
        has_quantizer = self.weight_quantizer is not None or self.activation_quantizer is not None
        if block_size is not None and block_size > 0 and has_quantizer:
            raise ValueError(
                f"Int4 sub-channel quantization (block_size > 0) does not support custom quantizers. Either set "
                f"block_size to None or -1 for per-channel quantization, or remove the custom quantizer arguments. "
                f"Received: block_size={block_size}"
            )
        value_range = getattr(weight_quantizer, "value_range", (-8, 7))
        if tuple(value_range) != (-8, 7):  # a config from JSON has a list
            raise ValueError(
                f"Int4QuantizationConfig requires a weight_quantizer with value_range=(-8, 7). "
                f"Received: value_range={value_range}"
            )
        _require_int8(self)

    @property
    def mode(self) -> str:
        """`"int4"`."""
        return "int4"

    def dtype_policy_string(self) -> str:
        """Return the mode as dtype policies spell it, such as `"int4/128"`; `-1` for one scale for each output."""
        return f"int4/{-1 if self.block_size is None else self.block_size}"

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Make an object from its config; one without `block_size` is older than blocks and means `None`.

        Args:
            config: result of `get_config`.

        Returns:
            A new object with the same arguments.
        """
        return super().from_config({"block_size": None, **config})


class Float8QuantizationConfig(QuantizationConfig):
    """Settings of training in 8-bit floats, which has no quantizers to choose.

    Example:
        >>> keras.quantizers.Float8QuantizationConfig().mode
        'float8'
    """

    def __init__(self) -> None:
        super().__init__(None, None)

    @property
    def mode(self) -> str:
        """`"float8"`."""
        return "float8"

    def get_config(self) -> Config:
        """Return an empty dict: there is nothing to choose."""
        return {}


class TernaryQuantizationConfig(QuantizationConfig):
    """Settings of weights that are -1, 0 or 1 times one scale, which has no quantizers to choose.

    Example:
        >>> keras.quantizers.TernaryQuantizationConfig().mode
        'ternary'
    """

    def __init__(self) -> None:
        super().__init__(None, None)

    @property
    def mode(self) -> str:
        """`"ternary"`."""
        return "ternary"

    def get_config(self) -> Config:
        """Return an empty dict: there is nothing to choose."""
        return {}


def _or_default(quantizer: Quantizer | str | None, default: Quantizer | None) -> Quantizer | None:
    if isinstance(quantizer, str):
        if quantizer == "default":
            return default
        raise ValueError(f"activation_quantizer must be a quantizer, None or 'default'. Received: {quantizer!r}")
    return quantizer


def _require_int8(config: QuantizationConfig) -> None:
    quantizer = config.weight_quantizer
    if quantizer is not None and quantizer.output_dtype != "int8":
        raise ValueError(
            f"{config._tk_class.__name__} requires a weight_quantizer with output_dtype='int8'. "
            f"Received: output_dtype={quantizer.output_dtype}"
        )


# ---------------------------------------------------------------------------- from the arguments of `quantize`

_DEFAULTS: dict[str, type[QuantizationConfig]] = {
    "int8": Int8QuantizationConfig,
    "int4": Int4QuantizationConfig,
    "float8": Float8QuantizationConfig,
    "ternary": TernaryQuantizationConfig,
}
# Modes that can't go without a config, with the class that it must have; see `calibrated_configs`.
CALIBRATED: dict[str, type[QuantizationConfig]] = {}


def resolve_config(mode: str | None, config: QuantizationConfig | str | None) -> QuantizationConfig:
    """The config that the arguments `mode` and `config` of `quantize` stand for together.

    Args:
        mode: name of the quantization; `None` takes the config's.
        config: config, or Keras's older way to give the mode; `None` takes the mode's default.

    Raises:
        ValueError: both are `None`, they contradict each other, or the mode needs a config and there is none.
    """
    if isinstance(config, str):
        mode, config = config, None
    check_mode(mode)
    if config is None:
        if mode is None:
            raise ValueError("You must provide either `mode` or `config` to `quantize`.")
        if mode in CALIBRATED:
            name = CALIBRATED[mode].__name__
            raise ValueError(
                f"For {mode.upper()}, you must pass {'an' if name[0] in 'AEIO' else 'a'} `{name}` object in the "
                f"`config` argument."
            )
        return _DEFAULTS[mode]()
    if not isinstance(config, QuantizationConfig):
        raise ValueError(
            f"Argument `config` must be an instance of `QuantizationConfig`. "
            f"Received: config={config} (of type {type(config)})"
        )
    if mode is not None and config.mode != mode:
        raise ValueError(f"Contradictory arguments: mode='{mode}' but config.mode='{config.mode}'")
    check_mode(config.mode)
    expected = CALIBRATED.get(config.mode)
    if expected is not None and not isinstance(config, expected):
        raise ValueError(
            f"Mode '{config.mode}' requires a valid `config` argument of type `{expected.__name__}`. "
            f"Received: {type(config)}"
        )
    return config


def check_mode(mode: str | None) -> None:
    """Raise an error unless a mode is `None` or the name of a quantization."""
    if mode is not None and mode not in QUANTIZATION_MODES:
        raise ValueError(f"Invalid quantization mode. Expected one of {QUANTIZATION_MODES}. Received: mode={mode}")
