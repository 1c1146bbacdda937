"""Products of floats with small integers by torch's kernels for integers, as exact as those of floats.

Those kernels read a quarter of the memory and multiply several times as fast, but take integers on both sides. So a
row of floats is written as three digits, int8 each: `x = d1 * s + d2 * s / 254 + d3 * s / 254**2`, where `s` is the
row's largest absolute value by 127. What is left is at most 2**-24 of that largest value, as much as a float32 product
rounds. Three products of integers are exact, and make the product of floats.

Measured with torch 2.13 on one core with AVX-512 VNNI, in parts of the float product's time, for matrices of 1024, 2048
and 4096 rows and columns: 8 bits 1.6, 0.9, 0.35 for one row of inputs, and 0.4 for 16; 4 bits with one scale for each
output 2.4, 1.5, 0.5 and 0.5; 4 bits in groups of 128 3.3, 3.0, 1.3 and 1.3, 0.95, 0.8. The float matrices of the first
two sizes lay in a cache of 32 MB.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.torch_internals import int_mm

_DIGITS = 3
# A digit is 1/254 of the one before it: half a unit is 127 of the next.
_BASE = 254.0


@functools.cache
def _has_vnni() -> bool:
    """Whether the CPU multiplies 8-bit integers four times as fast as floats."""
    try:
        return bool(torch.cpu.get_capabilities().get("avx512_vnni"))  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError):
        return False


def multiplies_integers_fast(inputs: Tensor) -> bool:
    """Whether products with these inputs are faster by digits than by floats."""
    return (
        not torch.compiler.is_compiling()  # first: a compiler joins the steps of the plain way itself
        and inputs.device.type == "cpu"
        and int_mm is not None
        and inputs.numel() > 0
        and _has_vnni()
        and fast_paths_enabled()
    )


def as_digits(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Write each row as digits.

    Args:
        inputs: float tensor of shape `(rows, features)`.

    Returns:
        The digits, int8 of shape `(3 * rows, features)`, those of a place together; their scales `(3 * rows, 1)`.
    """
    rest = inputs.float()
    scale = rest.abs().amax(-1, keepdim=True).clamp_(min=1e-30).div_(127.0)
    digits, scales = [], []
    for place in range(_DIGITS):
        rounded = torch.round(rest / scale)
        digits.append(rounded.to(torch.int8))
        scales.append(scale)
        if place < _DIGITS - 1:
            rest, scale = torch.addcmul(rest, rounded, scale, value=-1), scale / _BASE
    return torch.cat(digits), torch.cat(scales)


def product_of_digits(digits: Tensor, scales: Tensor, integers: Tensor) -> Tensor:
    """The float32 product `(rows, columns)` of rows that are written as digits with an int8 matrix."""
    if len(digits) == _DIGITS:  # torch has a kernel for one row, which is quicker than that for three
        sums = torch.cat([int_mm(row, integers) for row in digits.split(1)])
        return scales.t() @ sums.float()
    sums = int_mm(digits, integers).float().mul_(scales)
    return sums.view(_DIGITS, -1, sums.shape[-1]).sum(0)


def product_with_bytes(inputs: Tensor, integers: Tensor) -> Tensor:
    """The float32 product of float inputs `(rows, features)` with an int8 matrix `(features, columns)`."""
    return product_of_digits(*as_digits(inputs), integers)


# ---------------------------------------------------------------------------- 4 bits


def _halves(packed: Tensor) -> tuple[Tensor, Tensor]:
    """The bytes with 8 added to the low integers, and those low integers: `bytes = 16 * high + low + 8`."""
    shifted = torch.bitwise_xor(packed, 8)  # not `^`, which is a logical operation on variables
    return shifted, torch.bitwise_and(shifted, 15)


def product_of_halves(packed: Tensor, multiply: Callable[[Tensor], Tensor], sums: Tensor) -> tuple[Tensor, Tensor]:
    """The products with the low and with the high 4-bit integers of bytes, without taking these apart.

    Args:
        packed: int8 matrix of bytes.
        multiply: the product of the inputs with an int8 matrix.
        sums: the sum of each row of the inputs, of shape `(rows, 1)`.
    """
    shifted, low = _halves(packed)
    of_low = multiply(low)
    of_high = multiply(shifted).sub_(of_low)
    of_high = of_high.div_(16) if of_high.is_floating_point() else of_high >> 4
    return of_low.sub_(8 * sums), of_high


def product_with_groups(inputs: Tensor, packed: Tensor, scale: Tensor, zero: Tensor) -> tuple[Tensor, Tensor]:
    """The products of float inputs with the even and the odd columns of `(integers - zero) * scale`.

    Args:
        inputs: float tensor of shape `(rows, features)`.
        packed: int8 matrix of bytes of shape `(features, columns / 2)`.
        scale, zero: float tensors of shape `(groups, columns)`.
    """
    groups, rows = len(scale), len(inputs)
    size = packed.shape[0] // groups
    digits, scales = as_digits(inputs)
    sums = inputs.float().view(rows, groups, size).sum(-1)
    of_low, of_high = (inputs.new_zeros(rows, packed.shape[1], dtype=torch.float32) for _ in range(2))
    pairs = [(part[:, ::2].contiguous(), _wide(part[:, 1::2], packed.shape[1])) for part in (scale, zero)]
    (low_scale, high_scale), (low_zero, high_zero) = pairs
    shifted, low = _halves(packed)
    for group in range(groups):
        part = slice(group * size, (group + 1) * size)
        own = digits[:, part].contiguous()
        first = product_of_digits(own, scales, low[part])
        second = product_of_digits(own, scales, shifted[part]).sub_(first).div_(16)
        total = sums[:, group : group + 1]
        of_low.addcmul_(first.sub_(total * (low_zero[group] + 8)), low_scale[group])
        of_high.addcmul_(second.sub_(total * high_zero[group]), high_scale[group])
    return of_low, of_high


def _wide(part: Tensor, columns: int) -> Tensor:
    """The entries of odd columns, with a zero for the last byte where the number of columns is odd."""
    if part.shape[1] == columns:
        return part.contiguous()
    return torch.nn.functional.pad(part, (0, 1))


def joined(of_low: Tensor, of_high: Tensor, columns: int) -> Tensor:
    """The products with even and odd columns in their order."""
    return torch.stack([of_low, of_high], -1).flatten(1)[:, :columns]
