"""What each op is called with, at about a given number of elements in its main input.

`FORMS` maps an op's name, or `name: form` where it has several, to a function of `Drawn`. An op that is not here and
works element by element gets one vector for each tensor that it takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import OPS

Call = tuple[tuple, dict[str, Any]]

# Their time has nothing to do with how many elements there are.
SIZELESS = {
    "cond": "only calls one of two functions",
    "ndim": "only reads the shape",
    "size": "only reads the shape",
    "switch": "only calls one of several functions",
}


class Drawn:
    """Inputs of about `size` elements; floats lie in [0.1, 0.9)."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.side = max(1, math.isqrt(size))
        self.generator = torch.Generator().manual_seed(0)

    def floats(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator) * 0.8 + 0.1

    def whole(self, *shape: int, high: int = 10, dtype: torch.dtype = torch.int32) -> Tensor:
        return torch.randint(0, high, shape, generator=self.generator, dtype=dtype)

    def part(self, many: int) -> int:
        """How many things of `many` elements there are; at least one."""
        return max(1, self.size // many)

    @cached_property
    def flat(self) -> Tensor:
        return self.floats(self.size)

    @cached_property
    def square(self) -> Tensor:
        return self.floats(self.side, self.side)

    @cached_property
    def line(self) -> Tensor:
        return self.floats(self.side)

    @cached_property
    def digits(self) -> Tensor:
        return self.whole(self.size)

    @cached_property
    def even(self) -> Tensor:
        """Rows of an even length."""
        return self.floats(self.side, 2 * ((self.side + 1) // 2))

    @cached_property
    def holes(self) -> Tensor:
        """A tenth are NaN."""
        return torch.where(self.digits == 9, torch.nan, self.flat) if self.size > 1 else self.flat

    @cached_property
    def complex(self) -> Tensor:
        return torch.complex(self.flat, self.floats(self.size))

    def matrices(self, n: int = 8) -> Tensor:
        """A batch of matrices (n, n) that can be inverted; smaller ones where there are fewer elements."""
        n = min(n, self.side)
        return self.floats(self.part(n * n), n, n) + torch.eye(n)

    def positive_definite(self, n: int = 8) -> Tensor:
        x = self.matrices(n)
        return x @ x.mT + torch.eye(x.shape[-1])

    def images(self, channels: int = 3, least: int = 1, most: int = 128) -> Tensor:
        """Images (batch, side, side, channels), with sides between `least` and `most`, even if they can."""
        side = min(most, max(least, math.isqrt(self.size // channels)))
        side -= side % 2 if side > least else 0
        return self.floats(self.part(side * side * channels), side, side, channels)

    def features(self, channels: int = 64, least: int = 1) -> Tensor:
        """Images (batch, side, side, channels), as inside a network."""
        return self.images(channels if self.size > 1 else 1, least, 32)

    def columns(self, classes: int = 10) -> int:
        """How many rows of `classes` there are."""
        return self.part(classes)


def call(*args: Any, **kwargs: Any) -> Call:
    return args, kwargs


def attention(d: Drawn) -> Call:
    steps, width = min(128, d.side), min(64, d.side)
    heads = 8 if d.size > 1000 else 1
    return call(*(d.floats(d.part(steps * heads * width), steps, heads, width) for _ in range(3)))


def ctc(d: Drawn) -> tuple[Tensor, Tensor]:
    """Logits (batch, steps, classes) and the number of steps of each."""
    steps, classes = (50, 20) if d.size > 1 else (1, 2)
    batch = d.part(steps * classes)
    return d.floats(batch, steps, classes), torch.full((batch,), steps, dtype=torch.int32)


def ctc_loss(d: Drawn) -> Call:
    logits, steps = ctc(d)
    batch, length, classes = logits.shape
    target = d.whole(batch, max(1, length // 5), high=classes - 1) + 1
    return call(target, logits, torch.full((batch,), target.shape[1], dtype=torch.int32), steps)


def convolution(d: Drawn, *kernels: Callable[[int], tuple]) -> Call:
    """Features and kernels, of which each is given the channels."""
    x = d.features()
    return call(x, *(d.floats(*kernel(x.shape[-1])) for kernel in kernels), padding="same")


def spectrum(d: Drawn, length: int) -> tuple[Tensor, Tensor]:
    shape = max(4, d.part(length)), length // 2 + 1
    return d.floats(*shape), d.floats(*shape)


def frames(d: Drawn) -> dict[str, int]:
    n = 256 if d.size > 1000 else 16
    return {"sequence_length": n, "sequence_stride": n // 4, "fft_length": n}


def corners(d: Drawn) -> Call:
    x = d.images(3, least=2)
    end = x.shape[1] - 1.0
    start = torch.tensor([[0.0, 0.0], [0.0, end], [end, 0.0], [end, end]]).expand(len(x), 4, 2)
    return call(x, start, start * 0.9)


def affine(d: Drawn) -> Call:
    x = d.images()
    return call(x, torch.tensor([0.9, 0.1, 1.0, -0.1, 1.1, 0.5, 0.0, 0.0]).expand(len(x), 8).clone())


def segments(d: Drawn) -> Call:
    return call(d.flat, d.whole(d.size, high=d.side).sort().values, num_segments=d.side)


def scattered(d: Drawn, **config: Any) -> Call:
    n = d.part(10)
    return call(d.flat, d.whole(n, 1, high=d.size), d.floats(n), **config)


def classified(d: Drawn, one_hot: bool = True) -> Call:
    n = d.columns()
    labels = d.whole(n)
    target = torch.nn.functional.one_hot(labels.long(), 10).float() if one_hot else labels
    return call(target, d.floats(n, 10).softmax(-1))


def normalized(d: Drawn, weights: int) -> Call:
    return call(d.square, *(d.floats(d.side) for _ in range(weights)))


# Names (or `name: form`, separated by semicolons) and what they are called with.
_GROUPS: list[tuple[str, Callable[[Drawn], Call]]] = [
    # Over everything.
    ("all; any; argmax; argmin; argsort; average; count_nonzero; cumprod; cumsum; diff; flip; max; mean; median; min; "
     "amax; amin; norm; prod; ptp; ravel; sort; std; sum; trapezoid; var; histogram; normalize: one vector",
     lambda d: call(d.flat)),
    ("celu; elu; gelu; hard_shrink; hard_sigmoid; hard_silu; hard_tanh; leaky_relu; log_sigmoid; relu; relu6; selu; "
     "sigmoid; silu; soft_shrink; softplus; softsign; sparse_plus; sparse_sigmoid; squareplus; tanh_shrink",
     lambda d: call(d.flat)),
    ("nanargmax; nanargmin; nancumprod; nancumsum; nanmax; nanmean; nanmedian; nanmin; nanprod; nanstd; nansum; "
     "nanvar; nan_to_num", lambda d: call(d.holes)),
    ("quantile; percentile; nanquantile; nanpercentile", lambda d: call(d.flat, 0.3)),
    ("bincount; unique", lambda d: call(d.digits)),
    ("moments: everything", lambda d: call(d.square, [0, 1])),
    # Along an axis.
    ("all: last; any: last; argmax: last; argsort: last; cumsum: last; logsumexp: last; max: last; mean: last; "
     "median: last; nanmax: last; nanmean: last; nansum: last; nanvar: last; norm: last; prod: last; sort: last; "
     "std: last; sum: last; var: last; count_nonzero: last; ptp: last", lambda d: call(d.square, axis=-1)),
    ("all: first; any: first; argmax: first; argsort: first; cumsum: first; log_softmax: first; logsumexp: first; "
     "max: first; mean: first; median: first; nanmax: first; nanmean: first; nansum: first; norm: first; prod: first; "
     "softmax: first; sort: first; std: first; sum: first; var: first; flip: first; diff: first; normalize: first",
     lambda d: call(d.square, axis=0)),
    ("moments: last", lambda d: call(d.square, -1)),
    ("moments: first", lambda d: call(d.square, 0)),
    ("moments: images", lambda d: call(d.images(), [0, 1, 2])),
    ("moments: features", lambda d: call(d.features(), [0, 1, 2])),
    ("quantile: last; nanquantile: last", lambda d: call(d.square, 0.3, axis=-1)),
    ("log_softmax; logsumexp; normalize; softmax; sparsemax", lambda d: call(d.square)),
    ("layer_normalization", lambda d: normalized(d, 2)),
    ("rms_normalization", lambda d: normalized(d, 1)),
    ("batch_normalization", lambda d: call(*normalized(d, 2)[0], -1, d.line, d.line)),
    ("glu", lambda d: call(d.even)),
    ("top_k", lambda d: call(d.square, min(10, d.side))),
    ("argpartition", lambda d: call(d.flat, d.size // 2)),
    # Element by element, with more than tensors of floats.
    ("bitwise_and; bitwise_or; bitwise_xor; gcd; lcm; bitwise_left_shift; bitwise_right_shift; left_shift; right_shift",
     lambda d: call(d.digits, d.digits)),
    ("bitwise_invert; bitwise_not", lambda d: call(d.digits)),
    ("angle; conjugate; imag; isreal; real; view_as_real", lambda d: call(d.complex)),
    ("view_as_complex", lambda d: call(d.floats(d.part(2), 2))),
    ("allclose; polar", lambda d: call(d.flat, d.flat)),
    ("clip", lambda d: call(d.flat, 0.2, 0.7)),
    ("cast", lambda d: call(d.flat, "float16")),
    ("saturate_cast", lambda d: call(d.flat, "int8")),
    ("view", lambda d: call(d.flat, "int32")),
    ("full_like", lambda d: call(d.flat, 2.5)),
    ("ldexp", lambda d: call(d.flat, d.digits)),
    ("threshold", lambda d: call(d.flat, 0.5, 0.0)),
    ("where", lambda d: call(d.flat > 0.5, d.flat, d.flat)),
    ("select", lambda d: call([d.flat > 0.6, d.flat > 0.3], [d.flat, d.flat + 1])),
    ("psnr", lambda d: call(d.flat, d.floats(d.size), 1.0)),
    ("binary_crossentropy", lambda d: call((d.flat > 0.5).float(), d.floats(d.size))),
    # Made.
    ("arange; bartlett; blackman; hamming; hanning", lambda d: call(d.size)),
    ("kaiser", lambda d: call(d.size, 14.0)),
    ("eye; identity; tri", lambda d: call(d.side)),
    ("ones; zeros", lambda d: call((d.size,))),
    ("full", lambda d: call((d.size,), 2.5)),
    ("linspace; logspace; geomspace", lambda d: call(1.0, 2.0, d.size)),
    ("array; convert_to_tensor", lambda d: call(d.flat.numpy())),
    ("meshgrid", lambda d: call(d.line, d.line)),
    ("vander; diagflat", lambda d: call(d.line)),
    # Moved.
    ("diag; diagonal; fliplr; flipud; rot90; trace; transpose; tril; triu; corrcoef", lambda d: call(d.square)),
    ("moveaxis; swapaxes", lambda d: call(d.square, 0, 1)),
    ("rearrange", lambda d: call(d.square, "a b -> b a")),
    ("reshape", lambda d: call(d.square, (-1,))),
    ("expand_dims", lambda d: call(d.flat, 0)),
    ("squeeze", lambda d: call(d.flat[None])),
    ("broadcast_to", lambda d: call(d.flat, (2, d.size))),
    ("pad", lambda d: call(d.square, ((1, 1), (1, 1)))),
    ("pad: reflected", lambda d: call(d.even, ((0, 0), (1, 1)), "reflect")),
    ("tile", lambda d: call(d.square, (2, 1))),
    ("repeat", lambda d: call(d.flat, 2)),
    ("roll", lambda d: call(d.flat, 3)),
    ("roll: first", lambda d: call(d.square, 3, 0)),
    # Joined and split.
    ("concatenate; dstack; hstack; stack; vstack", lambda d: call([d.flat, d.flat])),
    ("stack: last; concatenate: last", lambda d: call([d.square, d.square], axis=-1)),
    ("append", lambda d: call(d.flat, d.flat)),
    ("hsplit; split", lambda d: call(d.flat, [d.size // 2])),
    ("array_split", lambda d: call(d.flat, 2)),
    ("vsplit", lambda d: call(d.square, [d.side // 2])),
    ("dsplit", lambda d: call(d.square[None], [d.side // 2])),
    ("unstack", lambda d: call(d.floats(min(10, d.size), d.part(10)))),
    # Picked.
    ("take", lambda d: call(d.flat, d.whole(d.size, high=d.size))),
    ("take: rows", lambda d: call(d.square, d.whole(d.side, high=d.side), axis=0)),
    ("take_along_axis", lambda d: call(d.square, d.whole(d.side, d.side, high=d.side, dtype=torch.int64), axis=-1)),
    ("get_item", lambda d: call(d.square, slice(d.side // 2, None))),
    ("slice", lambda d: call(d.square, (0, 0), (d.side, max(1, d.side // 2)))),
    ("slice_update", lambda d: call(d.square, (0, 0), d.floats(d.side, max(1, d.side // 2)))),
    ("scatter", lambda d: call(d.whole(d.part(8), 1, high=d.part(8)), d.floats(d.part(8), 8), (d.part(8), 8))),
    ("scatter_update", scattered),
    ("scatter_update: added", lambda d: scattered(d, reduction="add")),
    ("scatter_update: greatest", lambda d: scattered(d, reduction="max")),
    ("segment_max; segment_min; segment_prod; segment_sum", segments),
    ("nonzero", lambda d: call(d.flat > 0.5)),
    ("unravel_index", lambda d: call(d.whole(d.size, high=d.side**2), (d.side, d.side))),
    ("searchsorted", lambda d: call(d.floats(min(d.size, 1000)).sort().values, d.flat)),
    ("digitize", lambda d: call(d.flat, torch.linspace(0, 1, 10))),
    ("isin", lambda d: call(d.digits, torch.arange(5, dtype=torch.int32))),
    ("one_hot; multi_hot", lambda d: call(d.whole(d.columns(), 1), 10)),
    ("in_top_k", lambda d: call(d.whole(d.columns()), d.floats(d.columns(), 10), 3)),
    # Classes.
    ("categorical_crossentropy", classified),
    ("sparse_categorical_crossentropy", lambda d: classified(d, one_hot=False)),
    ("ctc_loss", ctc_loss),
    ("ctc_decode", lambda d: call(*ctc(d))),
    # Products.
    ("matmul; dot; inner", lambda d: call(d.square, d.square)),
    ("matmul: batch", lambda d: call(d.matrices(32), d.matrices(32))),
    ("matmul: vector", lambda d: call(d.square, d.line)),
    ("tensordot", lambda d: call(d.square, d.square, 1)),
    ("einsum", lambda d: call("ij,jk->ik", d.square, d.square)),
    ("einsum: heads", lambda d: call("bqd,bkd->bqk", d.matrices(32), d.matrices(32))),
    ("cdist", lambda d: call(d.floats(d.part(8), 8), d.floats(10, 8))),
    ("vdot", lambda d: call(d.flat, d.flat)),
    ("outer", lambda d: call(d.line, d.line)),
    ("kron", lambda d: call(d.floats(math.isqrt(d.side), math.isqrt(d.side)), d.floats(math.isqrt(d.side), 1))),
    ("cross", lambda d: call(d.floats(d.part(3), 3), d.floats(d.part(3), 3))),
    ("correlate", lambda d: call(d.flat, d.floats(min(8, d.size)))),
    ("dot_product_attention", attention),
    # Matrices, many small ones and one large.
    ("det; eig; inv; logdet; lu_factor; matrix_rank; pinv; qr; slogdet; svd", lambda d: call(d.matrices())),
    ("cholesky; eigh", lambda d: call(d.positive_definite())),
    ("cholesky_inverse", lambda d: call(torch.linalg.cholesky(d.positive_definite()))),
    ("solve", lambda d: call(d.matrices(), d.matrices())),
    ("solve_triangular", lambda d: call(d.matrices().triu(), d.matrices())),
    ("lstsq", lambda d: call(d.floats(d.part(10), min(10, d.size)), d.floats(d.part(10)))),
    ("det: large; inv: large; lu_factor: large; qr: large", lambda d: call(d.matrices(d.side))),
    ("cholesky: large", lambda d: call(d.positive_definite(d.side))),
    ("solve: large", lambda d: call(d.matrices(d.side), d.line[None, :, None])),
    # Frequencies.
    ("fft; fft2; ifft2", lambda d: call((d.square, d.square))),
    ("rfft", lambda d: call(d.square)),
    ("irfft", lambda d: call(spectrum(d, 1000 if d.size > 1000 else 2))),
    ("stft", lambda d: call(d.floats(d.part(10_000), min(10_000, max(32, d.size))), **frames(d))),
    ("istft", lambda d: call(spectrum(d, frames(d)["fft_length"]), **frames(d))),
    ("extract_sequences", lambda d: call(d.even, min(100, d.side), 1 + d.side // 50)),
    # Windows over images.
    ("average_pool; max_pool", lambda d: call(d.features(least=2), 2)),
    ("adaptive_average_pool; adaptive_max_pool", lambda d: call(d.features(least=2), 2)),
    ("conv", lambda d: convolution(d, lambda c: (3, 3, c, c))),
    ("conv: dots", lambda d: convolution(d, lambda c: (1, 1, c, c))),
    ("conv_transpose", lambda d: convolution(d, lambda c: (3, 3, c, c))),
    ("depthwise_conv", lambda d: convolution(d, lambda c: (3, 3, c, 1))),
    ("separable_conv", lambda d: convolution(d, lambda c: (3, 3, c, 1), lambda c: (1, 1, c, c))),
    ("depth_to_space; space_to_depth", lambda d: call(d.images(4, least=2), 2)),
    ("unfold", lambda d: call(d.images(least=2).permute(0, 3, 1, 2).contiguous(), 2)),
    ("fold", lambda d: call(d.floats(d.part(12 * 256), 12, 225) if d.size > 1000 else d.floats(1, 4, 1),
                            16 if d.size > 1000 else 2, 2)),
    # Images.
    ("image.hsv_to_rgb; image.rgb_to_hsv; image.rgb_to_grayscale; image.sobel_edges",
     lambda d: call(d.images(least=2))),
    ("image.gaussian_blur", lambda d: call(d.images(least=3), data_format="channels_last")),  # Keras's default differs
    ("image.elastic_transform", lambda d: call(d.images(least=3))),
    ("image.affine_transform", affine),
    ("image.perspective_transform", corners),
    ("image.crop_images", lambda d: call(d.images(least=3), 1, 1, 1, 1)),
    ("image.pad_images", lambda d: call(d.images(), 1, 1, 1, 1)),
    ("image.extract_patches", lambda d: call(d.images(least=2), 2)),
    ("image.extract_patches_3d", lambda d: call(d.images(least=2)[None], (1, 2, 2))),
    ("image.map_coordinates", lambda d: call(d.square, d.floats(2, d.size) * d.side, 1)),
    ("image.resize", lambda d: call(d.images(least=2), (100, 100) if d.size > 1000 else (3, 3))),
    ("image.scale_and_translate", lambda d: call(
        d.images(), tuple(d.images().shape), torch.tensor([0.9, 1.1]), torch.tensor([1.0, 2.0]),
        spatial_dims=(1, 2), method="linear")),
    ("image.ssim", lambda d: call(d.images(least=11), d.images(least=11))),
    # With functions.
    ("associative_scan", lambda d: call(torch.add, d.square)),
    ("fori_loop", lambda d: call(0, 3, lambda i, x: x + i, d.flat)),
    ("while_loop", lambda d: call(lambda i, x: i < 3, lambda i, x: (i + 1, x + 1), (0, d.flat))),
    ("jvp", lambda d: call(torch.sin, (d.flat,), (d.flat,))),
    ("map; vectorized_map", lambda d: call(lambda x: x * 2, d.square)),
    ("scan", lambda d: call(lambda carry, x: (carry + x, carry), d.line, d.square)),
]  # fmt: skip

FORMS = {name: inputs for names, inputs in _GROUPS for name in names.split("; ")}


def forms(op: str) -> list[str]:
    """The names in `FORMS` of an op, or the op's own where it works element by element; empty: none."""
    definition = OPS.get(op)
    found = [name for name in FORMS if name.split(":")[0] == op]
    return found or ([op] if definition is not None and definition.elementwise else [])


def inputs(form: str, size: int) -> Call:
    """Arguments and keywords of a form."""
    drawn = Drawn(size)
    if form in FORMS:
        return FORMS[form](drawn)
    return call(*(drawn.flat for _ in OPS[form].tensors))
