"""Dtype policies of quantized layers: a quantization of the weights, and the policy that the layers had before it."""

from __future__ import annotations

from torchkeras.core.quantization_modes import QUANTIZATION_MODES
from torchkeras.core.types import Config
from torchkeras.dtype_policies.policy import DTypePolicy, dtype_policy, parse_name


class QuantizedDTypePolicy(DTypePolicy):
    """Say how a layer's weights are quantized, and in which dtypes it computes and keeps what is not.

    `keras.dtype_policies.get("int8_from_mixed_bfloat16")` makes one, too.

    Args:
        mode: quantization: `"int8"`, `"float8"`, `"int4"`, `"ternary"`, `"gptq"` or `"awq"`.
        source_name: name of the policy before the quantization, such as `"mixed_bfloat16"`; `None` stands for the
            global policy's. Default: `None`.

    Raises:
        ValueError: `mode` is not one of these, `source_name` names no policy, or `mode` is `"int8"` and `source_name`
            computes in float16, whose range is too small for the products.

    Example:
        >>> policy = keras.dtype_policies.QuantizedDTypePolicy("int8", "mixed_bfloat16")
        >>> policy.name, policy.quantization_mode, policy.compute_dtype, policy.variable_dtype
        ('int8_from_mixed_bfloat16', 'int8', 'bfloat16', 'float32')
    """

    keras_module = "keras.dtype_policies"

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        self._quantization_mode = self._mode_of(mode)
        source_name = dtype_policy().name if source_name is None else source_name
        self._compute_dtype, self._variable_dtype = parse_name(source_name)
        self._source_name = source_name
        if self._compute_dtype == "float16" and self._quantization_mode == "int8":
            raise ValueError(
                f"Quantization mode='{mode}' doesn't work well with compute_dtype='float16'. "
                f"Use 'mixed_bfloat16' or 'float32'."
            )
        self._name = f"{mode}_from_{source_name}"

    def _mode_of(self, mode: str) -> str:
        """The quantization's name, from the argument `mode`, which may carry numbers behind it."""
        if mode not in QUANTIZATION_MODES:
            raise ValueError(f"Invalid quantization mode. Expected one of {QUANTIZATION_MODES}. Received: mode={mode}")
        return mode

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        return {"mode": self._name.partition("_from_")[0], "source_name": self._source_name}

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f'<{type(self).__name__} "{self._name}">'


class QuantizedFloat8DTypePolicy(QuantizedDTypePolicy):
    """Say that a layer multiplies in 8-bit floats, and how many steps the scales look back.

    Args:
        mode: `"float8"`.
        source_name: name of the policy before the quantization; `None` stands for the global policy's.
            Default: `None`.
        amax_history_length: number of training steps whose largest absolute values are kept; a scale comes from the
            largest of them. Default: `1024`.

    Raises:
        TypeError: `amax_history_length` is no int.
        ValueError: as for `QuantizedDTypePolicy`.

    Example:
        >>> policy = keras.dtype_policies.QuantizedFloat8DTypePolicy("float8", "float32", amax_history_length=16)
        >>> policy.name, policy.amax_history_length
        ('float8_from_float32', 16)
    """

    default_amax_history_length = 1024

    def __init__(self, mode: str, source_name: str | None = None, amax_history_length: int = 1024) -> None:
        super().__init__(mode, source_name)
        if not isinstance(amax_history_length, int):
            raise TypeError(
                f"`amax_history_length` must be an integer. Received: amax_history_length={amax_history_length}"
            )
        self._amax_history_length = amax_history_length

    @property
    def amax_history_length(self) -> int:
        """The number of training steps whose largest absolute values are kept."""
        return self._amax_history_length

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        return {**super().get_config(), "amax_history_length": self.amax_history_length}

    __hash__ = QuantizedDTypePolicy.__hash__


class _NumberedDTypePolicy(QuantizedDTypePolicy):
    """Base of the policies whose mode is a name with numbers behind it; `mode` is the name alone."""

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        super().__init__(mode, source_name)
        self.mode = self._quantization_mode


class Int4DTypePolicy(_NumberedDTypePolicy):
    """Say that a layer keeps its weights in 4 bits, and how many of them share a scale.

    Args:
        mode: `"int4/<block_size>"`: so many input features share a scale and a zero point; `-1` gives each output
            feature one scale.
        source_name: name of the policy before the quantization; `None` stands for the global policy's.
            Default: `None`.

    Raises:
        ValueError: `mode` has another form, or `source_name` names no policy.

    Example:
        >>> policy = keras.dtype_policies.get("int4/128_from_float32")
        >>> policy.quantization_mode, policy.block_size
        ('int4', 128)
    """

    def _mode_of(self, mode: str) -> str:
        (self.block_size,) = _numbers_behind("int4", mode, "block_size", type(self).__name__)
        _check_group("block_size", self.block_size, "per-channel", "sub-channel", mode)
        return "int4"


class GPTQDTypePolicy(_NumberedDTypePolicy):
    """Say that a layer's weights are quantized by GPTQ, to how many bits, and how many of them share a scale.

    Args:
        mode: `"gptq/<weight_bits>/<group_size>"`: 2, 3, 4 or 8 bits; so many input features share a scale, `-1` for
            all.
        source_name: name of the policy before the quantization; `None` stands for the global policy's.
            Default: `None`.

    Raises:
        ValueError: `mode` has another form, or `source_name` names no policy.

    Example:
        >>> policy = keras.dtype_policies.get("gptq/4/128_from_float32")
        >>> policy.quantization_mode, policy.weight_bits, policy.group_size
        ('gptq', 4, 128)
    """

    def _mode_of(self, mode: str) -> str:
        self.weight_bits, self.group_size = _numbers_behind("gptq", mode, "weight_bits group_size", type(self).__name__)
        if self.weight_bits not in (2, 3, 4, 8):
            raise ValueError(
                f"Invalid weight_bits in mode. Supported values are 2, 3, 4, and 8, but got {self.weight_bits} from "
                f"'{mode}'."
            )
        _check_group("group_size", self.group_size, "whole-tensor", None, mode)
        return "gptq"


class AWQDTypePolicy(_NumberedDTypePolicy):
    """Say that a layer's weights are quantized by AWQ, and how many of them share a scale.

    Args:
        mode: `"awq/<weight_bits>/<group_size>"`: 4 bits; so many input features share a scale, `-1` for all.
        source_name: name of the policy before the quantization; `None` stands for the global policy's.
            Default: `None`.

    Raises:
        ValueError: `mode` has another form, or `source_name` names no policy.

    Example:
        >>> policy = keras.dtype_policies.get("awq/4/64_from_mixed_bfloat16")
        >>> policy.quantization_mode, policy.group_size
        ('awq', 64)
    """

    def _mode_of(self, mode: str) -> str:
        self.weight_bits, self.group_size = _numbers_behind("awq", mode, "weight_bits group_size", type(self).__name__)
        if self.weight_bits != 4:
            raise ValueError(
                f"Invalid weight_bits in mode. AWQ only supports 4-bit quantization, but got {self.weight_bits} from "
                f"'{mode}'."
            )
        _check_group("group_size", self.group_size, "per-channel", None, mode)
        return "awq"


def _numbers_behind(name: str, mode: str, numbers: str, policy: str) -> list[int]:
    """The ints of a mode such as `"gptq/4/128"`."""
    names = [f"<{number}>" for number in numbers.split()]
    expected = f"Expected format '{'/'.join([name, *names])}', but got '{mode}'."
    parts = mode.split("/")
    if len(parts) != len(names) + 1 or parts[0] != name:
        raise ValueError(f"Invalid mode for {policy}. {expected}")
    try:
        return [int(part) for part in parts[1:]]
    except ValueError:
        are = "must be an integer" if len(names) == 1 else "must be integers"
        raise ValueError(f"Invalid mode for {policy}. {' and '.join(names)} {are}. {expected}") from None


def _check_group(name: str, size: int, whole: str, grouped: str | None, mode: str) -> None:
    if size < -1 or size == 0:
        positive = "a positive integer" if grouped is None else f"a positive integer ({grouped})"
        raise ValueError(
            f"Invalid {name} in mode. Supported values are -1 ({whole}) or {positive}, but got {size} from '{mode}'."
        )


# ---------------------------------------------------------------------------- by name

_POLICIES = {"float8": QuantizedFloat8DTypePolicy, "gptq": GPTQDTypePolicy, "awq": AWQDTypePolicy}


def is_quantized_name(name: str) -> bool:
    """Whether the name of a policy begins with that of a quantization."""
    return name.startswith(QUANTIZATION_MODES)


def quantized_policy(name: str) -> QuantizedDTypePolicy:
    """The policy of a name such as `"int4/128_from_float32"`."""
    parts = name.split("_from_")
    if len(parts) != 2:
        # "int8" alone is a type, too: a policy without quantization, which Keras refuses in the same words.
        raise ValueError(
            f"Cannot convert `policy` into a valid pair (`mode`, `source_name`) to instantiate "
            f"`QuantizedDTypePolicy`. Received: policy={name}"
        )
    mode, source = parts
    policy = Int4DTypePolicy if mode.startswith("int4/") else _POLICIES.get(mode.partition("/")[0])
    return (policy or QuantizedDTypePolicy)(mode, source)
