"""Spectrograms on the mel scale."""

from __future__ import annotations

import math
from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras import ops
from torchkeras.core.tensors import dtypes
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.preprocessing.data_layer import DataLayer

# The mel scale of HTK: mel = 1127 * ln(1 + hertz / 700).
_BREAK_HERTZ, _SCALE = 700.0, 1127.0


class MelSpectrogram(DataLayer):
    """Turn sound into pictures of its loudness by mel frequency and time.

    The steps are: a short-time Fourier transform of centered windows, its magnitude to the power `mag_exp`, sums over
    triangular bands that are equally wide on the mel scale, and decibels.

    Args:
        fft_length: length of the Fourier transform. Default: `2048`.
        sequence_stride: samples from one window to the next. Default: `512`.
        sequence_length: samples of a window; `None` means `fft_length`. Default: `None`.
        window: `"hann"`, `"hamming"`, or a tensor of `sequence_length` numbers; `None` for none. Default: `"hann"`.
        sampling_rate: samples per second. Default: `16000`.
        num_mel_bins: number of bands. Default: `128`.
        min_freq: lowest frequency of the bands in hertz. Default: `20.0`.
        max_freq: highest frequency in hertz. Default: `None`, half of `sampling_rate`.
        power_to_db: whether the outputs are decibels, `10 * log10(power / ref_power)`. Default: `True`.
        top_db: the outputs are at least the largest one minus `top_db`. Default: `80.0`.
        mag_exp: power of the magnitude: 1 for the magnitude, 2 for the energy. Default: `2.0`.
        min_power: smaller powers count as this one. Default: `1e-10`.
        ref_power: power at 0 decibels. Default: `1.0`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of samples.

    Input shape:
        `(samples,)` or `(batch, samples)`.

    Output shape:
        `(num_mel_bins, times)` or `(batch, num_mel_bins, times)`.

    Raises:
        ValueError: `fft_length` is below `sequence_length`.

    Example:
        >>> sound = torch.sin(torch.arange(16000) * 0.2)
        >>> keras.layers.MelSpectrogram(num_mel_bins=64, sampling_rate=8000, fft_length=1024)(sound).shape
        torch.Size([64, 32])
    """

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: str | Tensor | None = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.fft_length = fft_length
        self.sequence_stride = sequence_stride
        self.sequence_length = sequence_length or fft_length
        if self.fft_length < self.sequence_length:
            raise ValueError(
                "`fft_length` must be greater than or equal to `sequence_length`. Received: "
                f"`sequence_length`={self.sequence_length}, `fft_length`={self.fft_length}."
            )
        self.window = window
        self.sampling_rate = sampling_rate
        self.num_mel_bins = num_mel_bins
        self.min_freq = min_freq
        self.max_freq = max_freq or int(sampling_rate / 2)
        self.power_to_db = power_to_db
        self.top_db = top_db
        self.mag_exp = mag_exp
        self.min_power = min_power
        self.ref_power = ref_power

    def call(self, inputs: Tensor) -> Tensor:
        wanted = dtypes.torch_dtype(self.compute_dtype)
        samples = inputs.to(wanted if wanted in (torch.float32, torch.float64) else torch.float32)
        real, imaginary = ops.stft(
            samples,
            sequence_length=self.sequence_length,
            sequence_stride=self.sequence_stride,
            fft_length=self.fft_length,
            window=self.window,
            center=True,
        )
        power = torch.hypot(real, imaginary) ** self.mag_exp
        bands = power @ self._bands(power)
        if self.power_to_db:
            bands = self._decibels(bands)
        return bands.transpose(-1, -2).to(wanted)

    def _bands(self, power: Tensor) -> Tensor:
        return self.linear_to_mel_weight_matrix(
            self.num_mel_bins, power.shape[-1], self.sampling_rate, self.min_freq, self.max_freq
        ).to(power.device, power.dtype, non_blocking=power.device.type != "cpu")

    def _decibels(self, power: Tensor) -> Tensor:
        reference = max(abs(self.ref_power), self.min_power)
        levels = 10.0 * (power.clamp_min(self.min_power).log10() - math.log10(reference))
        return torch.maximum(levels, levels.max() - self.top_db)

    def linear_to_mel_weight_matrix(
        self,
        num_mel_bins: int = 20,
        num_spectrogram_bins: int = 129,
        sampling_rate: float = 8000,
        lower_edge_hertz: float = 125.0,
        upper_edge_hertz: float = 3800.0,
        dtype: str = "float32",
    ) -> Tensor:
        """Return the matrix that sums the bins of a spectrogram to mel bands.

        Args:
            num_mel_bins: number of bands. Default: `20`.
            num_spectrogram_bins: number of bins, from 0 hertz to half of `sampling_rate`. Default: `129`.
            sampling_rate: samples per second. Default: `8000`.
            lower_edge_hertz: lower edge of the first band. Default: `125.0`.
            upper_edge_hertz: upper edge of the last band. Default: `3800.0`.
            dtype: dtype of the result. Default: `"float32"`.

        Returns:
            A tensor `(num_spectrogram_bins, num_mel_bins)`: a triangle in each column. The bin of 0 hertz is in no
            band.
        """
        kind = dtypes.torch_dtype(dtype)
        hertz = torch.linspace(0.0, sampling_rate / 2.0, num_spectrogram_bins, dtype=kind)[1:]
        bins = _mel(hertz)[:, None]
        low, high = (_mel(torch.tensor(edge, dtype=kind)) for edge in (lower_edge_hertz, upper_edge_hertz))
        edges = torch.linspace(float(low), float(high), num_mel_bins + 2, dtype=kind)
        lower, center, upper = edges[:-2], edges[1:-1], edges[2:]
        rising, falling = (bins - lower) / (center - lower), (upper - bins) / (upper - center)
        triangles = torch.minimum(rising, falling).clamp_min(0.0)
        return torch.cat([triangles.new_zeros(1, num_mel_bins), triangles])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        *batch, samples = input_shape
        times = None if samples is None else (samples + self.sequence_stride + 1) // self.sequence_stride
        return (*batch, self.num_mel_bins, times)

    def get_config(self) -> dict[str, Any]:
        names = (
            "fft_length sequence_stride sequence_length window sampling_rate num_mel_bins min_freq max_freq "
            "power_to_db top_db mag_exp min_power ref_power"
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names.split()}}


def _mel(hertz: Tensor) -> Tensor:
    return _SCALE * torch.log1p(hertz / _BREAK_HERTZ)
