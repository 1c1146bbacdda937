"""Spectrograms by a short-time Fourier transform whose kernels may be trained."""

from __future__ import annotations

import math
from typing import Unpack

import torch
from torch import Tensor

from torchkeras import initializers, ops
from torchkeras.core import settings
from torchkeras.core.tensors import dtypes
from torchkeras.core.user_warnings import warn_user
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions

_MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


class STFTSpectrogram(Layer):
    """Compute spectrograms by a short-time Fourier transform (STFT), done as a convolution.

    The transform's sines and cosines are weights: with `trainable=True` (the default) they are trained.

    Args:
        mode: output: `"log"` (logarithm of the magnitude), `"magnitude"`, `"psd"` (power spectral density, of both
            sides), `"real"`, `"imag"`, `"angle"`, or `"stft"` (real and imaginary parts beside each other). Default:
            `"log"`.
        frame_length: samples of a frame. Default: `256`.
        frame_step: samples from one frame to the next. Default: `None`, half of `frame_length`.
        fft_length: length of the transform; a longer one than the frame gives more frequencies. Default: `None`, the
            next power of two.
        window: name of a window, such as `"hann"`, an array of `frame_length` numbers, or `None`. Default: `"hann"`.
        periodic: whether a named window is periodic. Default: `False`.
        scaling: `"density"`, `"spectrum"` or `None`, as in `keras.initializers.STFT`. Default: `"density"`.
        padding: `"valid"` or `"same"`. Default: `"valid"`.
        expand_dims: whether frequencies and channels have an axis each. Default: `False`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: float tensor of samples.

    Input shape:
        `(batch, samples, channels)`, or `(batch, channels, samples)` with `"channels_first"`.

    Output shape:
        `(batch, times, frequencies * channels)`, or `(batch, frequencies * channels, times)`; with `expand_dims`
        `(batch, times, frequencies, channels)`, or `(batch, channels, times, frequencies)`.

    Weights:
        `real_kernel`, `imag_kernel`: each `(frame_length, 1, fft_length // 2 + 1)`, as far as the mode needs them.

    Raises:
        ValueError: an argument is unknown or does not fit the others.
        TypeError: at the call, inputs of another type.

    Example:
        >>> layer = keras.layers.STFTSpectrogram(mode="log", frame_length=256, frame_step=128)
        >>> layer(torch.zeros(2, 1024, 1)).shape
        torch.Size([2, 7, 129])
    """

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: str | Tensor | None = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        if frame_step is not None and not 1 <= frame_step <= frame_length:
            raise ValueError(
                "`frame_step` should be a positive integer not greater than `frame_length`. "
                f"Received frame_step={frame_step}, frame_length={frame_length}"
            )
        if fft_length is not None and fft_length < frame_length:
            raise ValueError(
                "`fft_length` should be not less than `frame_length`. "
                f"Received fft_length={fft_length}, frame_length={frame_length}"
            )
        if fft_length is not None and fft_length & (fft_length - 1):
            warn_user(f"`fft_length` is recommended to be a power of two. Received fft_length={fft_length}")
        if mode not in _MODES:
            raise ValueError(f"Output mode is invalid, it must be one of {', '.join(_MODES)}. Received: mode={mode}")
        if scaling not in (None, "density", "spectrum"):
            raise ValueError(
                f"Scaling is invalid, it must be `None`, 'density' or 'spectrum'. Received scaling={scaling}"
            )
        if padding not in ("valid", "same"):
            raise ValueError(f"Padding is invalid, it should be 'valid', 'same'. Received: padding={padding}")
        initializers.STFT("real", window, scaling, periodic)  # an unknown window is said now
        self.mode = mode
        self.frame_length = frame_length
        self.frame_step = frame_step
        self.fft_length = fft_length
        self.window = window
        self.periodic = periodic
        self.scaling = scaling
        self.padding = padding
        self.expand_dims = expand_dims
        self.data_format = settings.standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=3)

    @property
    def _frequencies(self) -> int:
        return (self.fft_length or 2 ** math.ceil(math.log2(self.frame_length))) // 2 + 1

    @property
    def _step(self) -> int:
        return self.frame_step or self.frame_length // 2

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (self.frame_length, 1, self._frequencies)
        for side, unused in (("real", "imag"), ("imag", "real")):
            if self.mode != unused:
                start = initializers.STFT(side, self.window, self.scaling, self.periodic)
                setattr(self, f"{side}_kernel", self.add_weight(name=f"{side}_kernel", shape=shape, initializer=start))

    def call(self, inputs: Tensor) -> Tensor:
        if not inputs.is_floating_point():
            raise TypeError(
                "Invalid input type. Expected `float16`, `float32` or `float64`, or `bfloat16`. "
                f"Received: input type={dtypes.standardize_dtype(inputs.dtype)}"
            )
        # (batch, channels, frequencies, times) in each of the steps
        real = self._transform(inputs, self.real_kernel) if self.mode != "imag" else None
        imaginary = self._transform(inputs, self.imag_kernel) if self.mode != "real" else None
        if real is None or imaginary is None:
            return self._arrange(real if imaginary is None else imaginary)
        if self.mode == "angle":
            return self._arrange(torch.atan2(imaginary, real))
        if self.mode == "stft":
            return self._arrange(torch.cat([real, imaginary], dim=2))
        power = real.square() + imaginary.square()
        if self.mode == "psd":  # the frequencies between 0 and the highest stand for both signs
            inner = torch.nn.functional.pad(power[:, :, 1:-1], (0, 0, 1, 1))
            return self._arrange(power + inner)
        magnitude = self._arrange(power.clamp_min(settings.epsilon()).sqrt())
        return magnitude if self.mode == "magnitude" else magnitude.clamp_min(settings.epsilon()).log()

    def _transform(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        signals = inputs.transpose(1, 2) if self.data_format == "channels_last" else inputs
        batch, channels, samples = signals.shape
        outputs = ops.conv(
            signals.reshape(batch * channels, 1, samples),
            kernel.to(inputs.dtype),
            strides=self._step,
            padding=self.padding,
            data_format="channels_first",
        )
        return outputs.unflatten(0, (batch, channels))

    def _arrange(self, outputs: Tensor) -> Tensor:
        if self.data_format == "channels_last":
            return outputs.permute(0, 3, 2, 1) if self.expand_dims else outputs.flatten(1, 2).transpose(1, 2)
        return outputs.transpose(2, 3) if self.expand_dims else outputs.flatten(1, 2)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        last = self.data_format == "channels_last"
        batch, samples, channels = input_shape if last else (input_shape[0], input_shape[2], input_shape[1])
        if channels is None:
            raise ValueError(f"The number of channels must be known. Received: input_shape={tuple(input_shape)}")
        times = None
        if samples is not None:
            frames = samples - self.frame_length + 1 if self.padding == "valid" else samples
            times = -(-frames // self._step)
        frequencies = self._frequencies * (2 if self.mode == "stft" else 1)
        if self.expand_dims:
            return (batch, times, frequencies, channels) if last else (batch, channels, times, frequencies)
        return (batch, times, frequencies * channels) if last else (batch, frequencies * channels, times)
