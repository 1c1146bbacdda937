"""Sound at another number of samples per second."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

_LOBES = 6  # zero crossings of the filter on each side
_ROLLOFF = 0.99  # share of the frequencies below the limit that are kept


def resample(sound: torch.Tensor, rate: int, new_rate: int) -> torch.Tensor:
    """Resample by a sinc filter with a Hann window.

    Each new sample is a weighted mean of the old ones around its time: `y(t) = sum_n x_n h(t - n / rate)`, where
    `h(t) = sinc(2 f t) cos(pi f t / lobes)**2` cuts frequencies off at `f`, a little below half of the lower rate.

    Args:
        sound: samples of shape `(steps, channels)`.
        rate: their samples per second.
        new_rate: the samples per second that are wanted.

    Returns:
        A tensor of shape `(ceil(steps * new_rate / rate), channels)`.
    """
    if rate == new_rate or not len(sound):
        return sound
    common = math.gcd(rate, new_rate)
    old, new = rate // common, new_rate // common
    cutoff = min(old, new) * _ROLLOFF  # in units of 1 / (2 * common) seconds
    reach = math.ceil(_LOBES * old / cutoff)
    # Row p: the weights for the p-th of `new` samples, which stand for `old` samples of the input.
    steps = torch.arange(-reach, reach + old, dtype=torch.float64) / old
    times = (steps - torch.arange(new, dtype=torch.float64).unsqueeze(1) / new) * cutoff
    window = torch.cos(times.clamp(-_LOBES, _LOBES) * math.pi / _LOBES / 2) ** 2
    kernel = (torch.sinc(times) * window * cutoff / old).float()
    padded = F.pad(sound.T.unsqueeze(1), (reach, reach + old))
    channels = F.conv1d(padded, kernel.unsqueeze(1), stride=old)  # (channels, new, blocks)
    length = -(-len(sound) * new // old)
    return channels.transpose(1, 2).flatten(1)[:, :length].T.contiguous()
