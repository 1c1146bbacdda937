"""Fourier transforms, frames, complex numbers in two parts."""

import torch

from tests.ops.row import Row, complexes, floats

PARTS = [floats(2, 3, 8), floats(2, 3, 8)]
SPECTRUM = [floats(2, 12, 9), floats(2, 12, 9)]
FRAMES = {"sequence_length": 8, "sequence_stride": 4, "fft_length": 16}
WINDOW = torch.linspace(1, 2, 8)
ROWS = [
    *(Row(name, (PARTS,), dtypes=("float64",)) for name in ("fft", "fft2", "ifft2", "irfft")),
    *(Row("irfft", (PARTS,), {"fft_length": n}) for n in (9, 14, 20)),
    Row("rfft", (floats(2, 3, 9),), dtypes=("bool", "uint8", "int32", "int64", "float64")),
    *(Row("rfft", (floats(3, 9),), {"fft_length": n}) for n in (6, 7, 12)),
    Row("extract_sequences", (floats(2, 20),), {"sequence_length": 6, "sequence_stride": 3}, dtypes=("int32", "bool")),
    Row("extract_sequences", (floats(2, 3, 20),), {"sequence_length": 4, "sequence_stride": 7}),
    Row("stft", (floats(40),), FRAMES, dtypes=("float64",)),
    Row("stft", (floats(2, 3, 40),), {**FRAMES, "window": "hamming"}),
    Row("stft", (floats(2, 40),), {**FRAMES, "window": None, "center": False}),
    Row("stft", (floats(2, 40),), {"sequence_length": 5, "sequence_stride": 3, "fft_length": 9, "center": False}),
    Row("stft", (floats(2, 400),), {"sequence_length": 200, "sequence_stride": 50, "fft_length": 256}),
    Row("stft", (floats(2, 40),), {**FRAMES, "window": WINDOW}, symbolic="a window given as an array"),
    Row("istft", (SPECTRUM,), FRAMES, dtypes=("float64",)),
    Row("istft", ([floats(2, 3, 12, 9), floats(2, 3, 12, 9)],), {**FRAMES, "window": "hamming"}),
    Row("istft", (SPECTRUM,), {**FRAMES, "window": None, "center": False}),
    Row("istft", (SPECTRUM,), {**FRAMES, "length": 20}),
    Row("istft", (SPECTRUM,), {**FRAMES, "length": 21, "center": False}),
    Row("istft", (SPECTRUM,), {"sequence_length": 7, "sequence_stride": 3, "fft_length": 17}),
    Row("istft", (SPECTRUM,), {"sequence_length": 8, "sequence_stride": 8, "fft_length": 16, "window": "hamming"}),
    Row(
        "istft",
        (SPECTRUM,),
        {"sequence_length": 8, "sequence_stride": 8, "fft_length": 16},
        gradient="NaN where a Hann window's zero meets no other window",
    ),
    Row("istft", (SPECTRUM,), {**FRAMES, "window": WINDOW}, symbolic="a window given as an array"),
    Row(
        "view_as_complex",
        (floats(3, 4, 2),),
        dtypes=("int32", "float16", "float64"),
        gradient="complex64 whatever the input, which differences don't resolve",
    ),
    Row("view_as_real", (complexes(3, 4),), gradient="complex input"),
]
