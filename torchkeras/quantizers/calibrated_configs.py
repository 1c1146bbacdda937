"""Settings of quantizations that are calibrated on data: GPTQ and AWQ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from torchkeras.core.types import ArrayLike, Config
from torchkeras.quantizers.configs import CALIBRATED, QuantizationConfig


class _CalibratedConfig(QuantizationConfig):
    keras_module: str | None = None
    # The number of samples that pass a block together.
    calibration_batch_size = 8
    _tk_config_base = True

    def __init__(
        self,
        dataset: Iterable[str | ArrayLike] | None,
        tokenizer: Callable | None,
        num_samples: int,
        sequence_length: int,
        group_size: int,
        whole: str,
    ) -> None:
        super().__init__()
        for name, value in {"num_samples": num_samples, "sequence_length": sequence_length}.items():
            if value <= 0:
                raise ValueError(f"{name} must be a positive integer.")
        if group_size < -1 or group_size == 0:
            raise ValueError(
                f"Invalid group_size. Supported values are -1 ({whole}) or a positive integer, but got {group_size}."
            )
        self.dataset, self.tokenizer = dataset, tokenizer
        self.num_samples, self.sequence_length, self.group_size = num_samples, sequence_length, group_size
        # The config does without the arguments as they were given, which hold the data a second time.
        object.__setattr__(self, "_tk_init_args", ((), {}))

    def _tk_config(self, names: Sequence[str], **later: object) -> Config:
        """The arguments of these names, and of later ones that Keras 3.15 lacks where they are not the defaults."""
        names = [*names, *(name for name, default in later.items() if getattr(self, name) != default)]
        return {"dataset": None, "tokenizer": None, **{name: getattr(self, name) for name in names}}

    def _tk_of_layers(self) -> Self:
        """The same settings without the data and the model's structure: layers keep them, and their files."""
        return type(self).from_config({**self.get_config(), "quantization_layer_structure": None})


class GPTQConfig(_CalibratedConfig):
    """Settings of GPTQ, which rounds weights one column after the other and corrects the rest for each error.

    `Model.quantize("gptq", config)` takes it.
    (Frantar et al., 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers").

    Args:
        dataset: strings, or arrays of token ids, on which the layers' inputs are measured. It is not kept in the
            config.
        tokenizer: callable that makes token ids of strings. It is not kept in the config.
        weight_bits: number of bits of a weight: 2, 3, 4 or 8. Default: `4`.
        num_samples: number of samples of `dataset` that are used. Default: `128`.
        calibration_batch_size: number of samples that pass a block together: more of them take fewer calls and more
            memory. Default: `8`.
        per_channel: whether each output has scales of its own. Default: `True`.
        sequence_length: number of tokens in a sample. Default: `512`.
        hessian_damping: share of the mean of the Hessian's diagonal that is added to it, from 0 to 1. Default: `0.01`.
        group_size: number of input features that share a scale; `-1` for all. Default: `128`.
        symmetric: whether the range of values is symmetric about zero. Default: `False`.
        activation_order: whether columns with larger inputs are rounded first. Default: `False`.
        quantization_layer_structure: dict of `"pre_block_layers"`, the layers before the first block, and
            `"sequential_blocks"`, the blocks in order; `None`: the model's method `get_quantization_layer_structure`
            returns it. Default: `None`.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> config = keras.quantizers.GPTQConfig(dataset=["a text"], tokenizer=str.split, weight_bits=4, group_size=64)
        >>> config.mode, config.dtype_policy_string()
        ('gptq', 'gptq/4/64')
    """

    keras_module = "keras.quantizers"

    def __init__(
        self,
        dataset: Iterable[str | ArrayLike] | None,
        tokenizer: Callable[..., Any] | None,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        calibration_batch_size: int = 8,
        per_channel: bool = True,
        sequence_length: int = 512,
        hessian_damping: float = 0.01,
        group_size: int = 128,
        symmetric: bool = False,
        activation_order: bool = False,
        quantization_layer_structure: dict[str, Sequence[Any]] | None = None,
    ) -> None:
        if weight_bits not in (2, 3, 4, 8):
            raise ValueError(f"Unsupported weight_bits {weight_bits}. Supported values are 2, 3, 4, and 8.")
        super().__init__(dataset, tokenizer, num_samples, sequence_length, group_size, "whole-tensor")
        if calibration_batch_size <= 0:
            raise ValueError("calibration_batch_size must be a positive integer.")
        if not 0 <= hessian_damping <= 1:
            raise ValueError("hessian_damping must be between 0 and 1.")
        self.calibration_batch_size = calibration_batch_size
        self.weight_bits, self.per_channel, self.hessian_damping = weight_bits, per_channel, hessian_damping
        self.symmetric, self.activation_order = symmetric, activation_order
        self.quantization_layer_structure = quantization_layer_structure

    @property
    def mode(self) -> str:
        """`"gptq"`."""
        return "gptq"

    def dtype_policy_string(self) -> str:
        """Return the mode as dtype policies spell it, such as `"gptq/4/128"`: bits and group size."""
        return f"gptq/{self.weight_bits}/{self.group_size}"

    def get_config(self) -> Config:
        """Return the constructor's arguments, without the data and the tokenizer."""
        names = """weight_bits num_samples per_channel sequence_length hessian_damping group_size symmetric
            activation_order quantization_layer_structure""".split()
        return self._tk_config(names, calibration_batch_size=8)


class AWQConfig(_CalibratedConfig):
    """Settings of AWQ, which scales up the weights that meet the largest inputs before it rounds.

    `Model.quantize("awq", config)` takes it.
    (Lin et al., 2023, "AWQ: Activation-aware Weight Quantization for LLM Compression and Acceleration").

    Args:
        dataset: strings, or arrays of token ids, on which the layers' inputs are measured. It is not kept in the
            config.
        tokenizer: callable that makes token ids of strings. It is not kept in the config.
        weight_bits: number of bits of a weight, always 4. Default: `4`.
        num_samples: number of samples of `dataset` that are used. Default: `128`.
        sequence_length: number of tokens in a sample. Default: `512`.
        group_size: number of input features that share a scale; `-1` for all. Default: `128`.
        num_grid_points: number of scales that are tried for each layer. Default: `20`.
        apply_clip: whether to clip the weights of each group where that makes the errors of the outputs smaller, which
            takes a matrix `(group_size, group_size)` for each group. Default: `False`. (Keras 3.16: `True`.)
        quantization_layer_structure: dict of `"pre_block_layers"`, the layers before the first block, and
            `"sequential_blocks"`, the blocks in order; `None`: the model's method `get_quantization_layer_structure`
            returns it. Default: `None`.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> config = keras.quantizers.AWQConfig(dataset=["a text"], tokenizer=str.split)
        >>> config.mode, config.dtype_policy_string()
        ('awq', 'awq/4/128')
    """

    keras_module = "keras.quantizers"

    def __init__(
        self,
        dataset: Iterable[str | ArrayLike] | None,
        tokenizer: Callable[..., Any] | None,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        sequence_length: int = 512,
        group_size: int = 128,
        num_grid_points: int = 20,
        apply_clip: bool = False,
        quantization_layer_structure: dict[str, Sequence[Any]] | None = None,
    ) -> None:
        if weight_bits != 4:
            raise ValueError(f"AWQ only supports 4-bit quantization. Received weight_bits={weight_bits}.")
        super().__init__(dataset, tokenizer, num_samples, sequence_length, group_size, "per-channel")
        if num_grid_points <= 0:
            raise ValueError("num_grid_points must be a positive integer.")
        self.weight_bits, self.num_grid_points, self.apply_clip = weight_bits, num_grid_points, apply_clip
        self.quantization_layer_structure = quantization_layer_structure

    @property
    def mode(self) -> str:
        """`"awq"`."""
        return "awq"

    def dtype_policy_string(self) -> str:
        """Return the mode as dtype policies spell it, such as `"awq/4/128"`: bits and group size."""
        return f"awq/{self.weight_bits}/{self.group_size}"

    def get_config(self) -> Config:
        """Return the constructor's arguments, without the data and the tokenizer."""
        names = """weight_bits num_samples sequence_length group_size num_grid_points
            quantization_layer_structure""".split()
        return self._tk_config(names, apply_clip=False)


CALIBRATED.update(gptq=GPTQConfig, awq=AWQConfig)
