"""TensorFloat-32: faster products of float32 matrices on NVIDIA GPUs, with 10 bits of precision in place of 23."""

from __future__ import annotations

import torch


def enable_tf32() -> None:
    """Let products and convolutions of float32 tensors use TensorFloat-32 (TF32) on GPUs that have it (Ampere, later).

    Inputs of a product are rounded to 10 bits, sums are in float32: relative errors of about 1e-3, for several times
    the speed. The function calls `torch.set_float32_matmul_precision("high")`, sets
    `torch.backends.cudnn.allow_tf32 = True`, and `fp32_precision` of cuDNN's convolutions and recurrent kernels to
    `"tf32"`. By default torch uses TF32 in convolutions alone. A dtype policy such as `"mixed_bfloat16"` computes in
    another type and gains nothing by it.

    Example:
        >>> keras.config.enable_tf32()
        >>> keras.config.is_tf32_enabled()
        True
        >>> keras.config.disable_tf32()
    """
    _set("high", "tf32")


def disable_tf32() -> None:
    """Compute products and convolutions of float32 tensors in float32 on every device.

    The function calls `torch.set_float32_matmul_precision("highest")`, sets `torch.backends.cudnn.allow_tf32 = False`,
    which torch's default is not: it allows TF32 in convolutions. It sets `fp32_precision` of cuDNN's convolutions and
    recurrent kernels to `"ieee"`, so that `torch.backends.fp32_precision = "tf32"`, before or after, changes nothing.

    Example:
        >>> keras.config.disable_tf32()
        >>> torch.get_float32_matmul_precision()
        'highest'
    """
    _set("highest", "ieee")


def _set(precision: str, of_cudnn: str) -> None:
    """Set torch's older switches and the newer ones, which older code and newer code read."""
    torch.set_float32_matmul_precision(precision)
    cudnn = torch.backends.cudnn
    cudnn.allow_tf32 = of_cudnn == "tf32"
    # The older switch of cuDNN leaves the choice to `torch.backends.fp32_precision` where that is set, or will be.
    cudnn.conv.fp32_precision = cudnn.rnn.fp32_precision = of_cudnn  # type: ignore[attr-defined]


def float32_precisions() -> tuple[str, ...]:
    """The precisions in which a GPU computes with float32: of products, convolutions and recurrent kernels.

    Torch's older questions, such as `torch.get_float32_matmul_precision()`, raise an error once somebody has set
    `fp32_precision`; this one never does.
    """
    cudnn = torch.backends.cudnn
    places = (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn)  # type: ignore[attr-defined]
    return tuple(place.fp32_precision for place in places)


def is_tf32_enabled() -> bool:
    """Return whether products of float32 matrices use TensorFloat-32 on GPUs that have it.

    Returns:
        `True` after `enable_tf32()`, or after torch's own setting of the same.

    Example:
        >>> keras.config.disable_tf32()
        >>> keras.config.is_tf32_enabled()
        False
    """
    return torch.backends.cuda.matmul.fp32_precision == "tf32"
