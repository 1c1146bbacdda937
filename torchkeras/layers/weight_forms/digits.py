"""Products of floats with small integers by torch's kernels for integers, as exact as those of floats.

Those kernels read a quarter of the memory and multiply several times as fast, but take integers on both sides. So a
row of floats is written as three digits, int8 each: `x = d1 * s + d2 * s / 254 + d3 * s / 254**2`, where `s` is the
row's largest absolute value by 127. The rest is at most 2**-24 of that largest value, as much as a float32 product
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


def sums_of_digits(digits: Tensor, integers: Tensor) -> Tensor:
    """The exact products of each digit's row with an int8 matrix `(features, columns)`, as int32."""
    if len(digits) == _DIGITS:  # torch has a kernel for one row, which is quicker than that for three
        return torch.cat([int_mm(row, integers) for row in digits.split(1)])
    return int_mm(digits, integers)


def from_sums(sums: Tensor, scales: Tensor) -> Tensor:
    """The float32 rows `(rows, columns)` of what `sums_of_digits` returned."""
    if len(sums) == _DIGITS:
        return scales.t() @ sums.float()
    return sums.float().mul_(scales).view(_DIGITS, -1, sums.shape[-1]).sum(0)


def product_with_bytes(inputs: Tensor, integers: Tensor) -> Tensor:
    """The float32 product of float inputs `(rows, features)` with an int8 matrix `(features, columns)`."""
    digits, scales = as_digits(inputs)
    return from_sums(sums_of_digits(digits, integers), scales)


# ---------------------------------------------------------------------------- 4 bits


def _halves(packed: Tensor) -> tuple[Tensor, Tensor]:
    """The bytes with 8 added to the low integers, and those low integers: `bytes = 16 * high + low + 8`."""
    shifted = torch.bitwise_xor(packed, 8)  # not `^`, which is a logical operation on variables
    return shifted, torch.bitwise_and(shifted, 15)


def _sums_with_halves(rows: Tensor, shifted: Tensor, low: Tensor, multiply: Callable) -> tuple[Tensor, Tensor]:
    """The exact products of int8 rows with the low and with the high integers, from those with what `_halves` made."""
    of_low = multiply(rows, low)
    of_high = multiply(rows, shifted).sub_(of_low).bitwise_right_shift_(4)
    return of_low.sub_(8 * rows.sum(-1, keepdim=True, dtype=torch.int32)), of_high


def exact_product_with_halves(rows: Tensor, packed: Tensor, columns: int) -> Tensor:
    """The product of int8 rows with the 4-bit integers of bytes `(features, columns / 2)`, as int32."""
    return _joined(*_sums_with_halves(rows, *_halves(packed), int_mm), columns)


def product_with_halves(inputs: Tensor, packed: Tensor, columns: int) -> Tensor:
    """The float32 product of float inputs with the 4-bit integers of bytes `(features, columns / 2)`."""
    digits, scales = as_digits(inputs)
    pair = _sums_with_halves(digits, *_halves(packed), sums_of_digits)
    of_low, of_high = (from_sums(sums, scales) for sums in pair)
    return _joined(of_low, of_high, columns)


def product_with_groups(inputs: Tensor, packed: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """The float32 product of float inputs with `(integers - zero) * scale`.

    Args:
        inputs: float tensor of shape `(rows, features)`.
        packed: int8 matrix of bytes of shape `(features, columns / 2)`.
        scale, zero: float tensors of shape `(groups, columns)`.
    """
    groups, rows, columns = len(scale), len(inputs), packed.shape[1]
    size = packed.shape[0] // groups
    digits, scales = as_digits(inputs)
    totals = inputs.float().view(rows, groups, size).sum(-1)
    outputs = [inputs.new_zeros(rows, columns, dtype=torch.float32) for _ in range(2)]
    pairs = [[_wide(part[:, start::2], columns) for part in (scale, zero)] for start in (0, 1)]
    shifted, low = _halves(packed)
    for group in range(groups):
        part, total = slice(group * size, (group + 1) * size), totals[:, group : group + 1]
        both = _sums_with_halves(digits[:, part].contiguous(), shifted[part], low[part], sums_of_digits)
        for of_half, sums, (own_scale, own_zero) in zip(outputs, both, pairs, strict=True):
            of_half.addcmul_(from_sums(sums, scales).sub_(total * own_zero[group]), own_scale[group])
    return _joined(outputs[0], outputs[1], scale.shape[1])


def _wide(part: Tensor, columns: int) -> Tensor:
    """The entries of odd columns, with a zero for the last byte where the number of columns is odd."""
    if part.shape[1] == columns:
        return part.contiguous()
    return torch.nn.functional.pad(part, (0, 1))


# ---------------------------------------------------------------------------- five values of -1, 0 and 1 in a byte


def product_with_fives(inputs: Tensor, packed: Tensor) -> Tensor:
    """The float32 product of float inputs with the values -1, 0 and 1 in bytes `(features, columns)`.

    A byte less 121 is `q0 = t0 + 3 * q1` with the value `t0` and the rounded third `q1 = t1 + 3 * q2`, and so on: the
    products with the thirds give those with the values.
    """
    digits, scales = as_digits(inputs)
    third = packed.to(torch.int16) - 121
    sums = []
    for place in range(5):
        sums.append(sums_of_digits(digits, third.to(torch.int8)))
        if place < 4:
            third = third.mul_(171).add_(256).bitwise_right_shift_(9)  # the nearest integer to a third, up to 121
    for place in range(4):
        sums[place].sub_(sums[place + 1], alpha=3)
    return torch.stack([from_sums(part, scales) for part in sums], -1).flatten(1)


def _joined(of_low: Tensor, of_high: Tensor, columns: int) -> Tensor:
    """The products with even and odd columns in their order."""
    return torch.stack([of_low, of_high], -1).flatten(1)[:, :columns]
