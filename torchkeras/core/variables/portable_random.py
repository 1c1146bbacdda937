"""Random numbers that are the same on every device: by a counter-based generator in integer operations.

Philox 4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011): ten rounds of products make four
random words of a counter and a key. The counter is the place in the tensor, the key is the seed; there is no state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torchkeras.core.accelerators import is_lazy

_WORD = 0xFFFFFFFF
_FACTORS = 0xD2511F53, 0xCD9E8D57
_KEY_STEPS = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10
_KINDS = ("uniform", "normal", "normals", "randint", "bernoulli")

is_on = False
"""Whether it is switched on: for hot paths, to read without a call."""


def enable_portable_random() -> None:
    """Draw the same random numbers for the same seed on every device.

    Torch's generators give other numbers on a GPU than on the CPU. Initial weights and shuffles are drawn on the CPU in
    any case; this switch adds all that layers and `keras.random` draw while a model runs, such as the masks of dropout:
    after `keras.utils.set_random_seed(1)` they are then the same on the CPU and on a GPU, compiled or not (values of
    the normal distribution to rounding). The numbers come from a counter-based generator (Philox) in torch operations,
    and are others than without the switch. Draws of `beta`, `binomial`, `categorical` and `gamma`, and of `MixUp`,
    `CutMix` and `AugMix`, which use them, come from the CPU, which waits for the device. In eager mode large draws take
    up to twice the time of torch's; compiled code draws faster than torch's generators do. Dropout of attention takes
    the way without torch's attention kernels. Dropout within torch's own modules stays torch's.

    Example:
        >>> keras.config.enable_portable_random()
        >>> keras.random.randint((3,), 0, 100, seed=1).tolist() == keras.random.randint((3,), 0, 100, seed=1).tolist()
        True
        >>> keras.config.disable_portable_random()
    """
    global is_on
    is_on = True


def disable_portable_random() -> None:
    """Draw by the generators of torch on each device, as by default: on the CPU the numbers are Keras's.

    Example:
        >>> keras.config.disable_portable_random()
        >>> keras.config.is_portable_random_enabled()
        False
    """
    global is_on
    is_on = False


def is_portable_random_enabled() -> bool:
    """Return whether random numbers are the same on every device.

    Returns:
        `True` after `enable_portable_random()`.

    Example:
        >>> keras.config.is_portable_random_enabled()
        False
    """
    return is_on


def has_portable(kind: str) -> bool:
    """Whether the generator here can make draws of a kind."""
    return kind in _KINDS


def is_portable(kind: str) -> bool:
    """Whether draws of a kind are to be the same on every device, and the generator here makes them."""
    return is_on and kind in _KINDS


def portable_values(
    kind: str,
    key: int | Tensor,
    shape: Sequence[int],
    dtype: torch.dtype,
    device: torch.device,
    numbers: Sequence[float],
    tensors: Sequence[Tensor],
) -> Tensor:
    """Random values of a distribution; the arguments but `key` are those of `random_values`.

    Args:
        key: the seed, an integer or a tensor without dimensions.
    """
    count = math.prod(shape)
    if kind in ("normal", "normals"):
        mean, deviation = numbers
        return (_normal(key, count, dtype, device) * deviation + mean).to(dtype).view(*shape)
    if kind == "randint":
        low, high = (int(number) for number in numbers)
        words = random_words(key, count, device)
        if high - low > 1 << 30:  # two words, so that no value is much more likely than another
            words = (words << 31) ^ random_words(key, count, device, block=1)
        return (words % (high - low) + low).to(dtype).view(*shape)
    if kind == "bernoulli":
        (chances,) = tensors
        return (_uniform(key, count, torch.float32, device).view(*shape) < chances).to(dtype)
    return _uniform(key, count, dtype, device).view(*shape)


def random_words(key: int | Tensor, count: int, device: torch.device, block: int = 0) -> Tensor:
    """Random integers of 32 bits as int64.

    Args:
        key: the seed.
        count: how many.
        device: where.
        block: words of other blocks are independent.
    """
    places = torch.arange((count + 3) // 4, dtype=torch.int64, device=device)
    first, second = places & _WORD, places >> 32
    third, fourth = torch.full_like(places, block), torch.zeros_like(places)
    low, high = key & _WORD, (key >> 32) & _WORD
    for _ in range(_ROUNDS):
        one, two = first * _FACTORS[0], third * _FACTORS[1]
        first, second, third, fourth = _upper(two) ^ second ^ low, two & _WORD, _upper(one) ^ fourth ^ high, one & _WORD
        low, high = (low + _KEY_STEPS[0]) & _WORD, (high + _KEY_STEPS[1]) & _WORD
    return torch.stack([first, second, third, fourth], 1).flatten()[:count]


def _upper(product: Tensor) -> Tensor:
    """The upper 32 bits of products of 32 bits, which int64 holds as if they had a sign."""
    if is_lazy(product.device):  # torch_xla divides to shift, which rounds towards zero
        product = product & ~_WORD
    return (product >> 32) & _WORD


_BITS = {torch.float16: 11, torch.bfloat16: 8, torch.float32: 24}


def _uniform(key: int | Tensor, count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Values in [0, 1) with as many random bits as the type holds."""
    words = random_words(key, count, device)
    if dtype == torch.float64:
        words = (words << 21) ^ (random_words(key, count, device, block=1) >> 11)
        return words.double() * 2.0**-53
    bits = _BITS[dtype]
    return ((words >> (32 - bits)).float() * 2.0**-bits).to(dtype)


def _normal(key: int | Tensor, count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Standard normal values, two of two uniform ones (Box and Muller, 1958)."""
    kind = torch.float64 if dtype == torch.float64 else torch.float32
    pairs = (count + 1) // 2
    uniform = _uniform(key, 2 * pairs, kind, device)
    radius = (-2.0 * torch.log1p(-uniform[:pairs])).sqrt()
    angle = 2.0 * math.pi * uniform[pairs:]
    return torch.cat([radius * angle.cos(), radius * angle.sin()])[:count]
