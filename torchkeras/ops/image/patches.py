"""Patches of images and volumes."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core import registry
from torchkeras.core.operations.op import op
from torchkeras.core.types import Shape, Sizes
from torchkeras.ops.nn.windows import standardize_data_format

op = functools.partial(op, module="keras.ops.image", file_module="keras.src.ops.image")


_FEW, _MANY = 8, 1_000  # numbers that lie together within a window; that all windows have at one of their places


@op
def extract_patches(
    images: Tensor,
    size: int | tuple[int, ...],
    strides: int | tuple[int, ...] | None = None,
    dilation_rate: int | tuple[int, ...] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Cut images into windows, whose pixels become the channels of one pixel.

    Args:
        images: image `(H, W, C)` or batch `(N, H, W, C)`; channels come first with `"channels_first"`. Volumes, if
            `size` has three numbers.
        size: size of a window: one number or a tuple.
        strides: distance between windows; `None`: `size`. Default: `None`.
        dilation_rate: distance between the pixels of a window. Default: `1`.
        padding: `"valid"`, or `"same"` with zeros around, for `ceil(size / stride)` windows. Default: `"valid"`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        A tensor with a pixel for each window; its channels hold the window row by row, channels innermost.

    Raises:
        TypeError: `size` is neither an integer nor a tuple.
        ValueError: `size` does not have two or three numbers, or another argument does not fit it.

    Example:
        >>> keras.ops.image.extract_patches(np.ones((1, 4, 4, 3)), 2).shape
        torch.Size([1, 2, 2, 12])
    """
    rank = _spatial_rank(size)
    single = images.ndim == rank + 1
    if not single and images.ndim != rank + 2:
        raise ValueError(
            f"Invalid images rank: expected rank {rank + 1} (single) or {rank + 2} (batch) with size={size}. "
            f"Received input with shape: images.shape={tuple(images.shape)}"
        )
    sizes = _numbers(size, rank, "size")
    steps = sizes if strides is None else _numbers(strides, rank, "strides")
    rates = _numbers(dilation_rate, rank, "dilation_rate")
    last = standardize_data_format(data_format) == "channels_last"
    x = images.unsqueeze(0) if single else images
    x = x if last else x.movedim(1, -1)
    spans = sizes if dilation_rate == 1 else [(n - 1) * rate + 1 for n, rate in zip(sizes, rates)]
    if padding == "same":
        x = F.pad(x, _around(x.shape[1:-1], spans, steps))
    elif padding != "valid":
        raise ValueError(f'`padding` must be "valid" or "same". Received: padding={padding!r}.')
    together = x.shape[-1] * (sizes[-1] if rates[-1] == 1 else 1)
    for axis in range(rank):
        x = x.unfold(axis + 1, spans[axis], steps[axis])
        if rates[axis] != 1:
            x = x[..., :: rates[axis]]
    if together < _FEW and x.numel() > _MANY * math.prod(sizes):
        # Torch copies what lies together: better place by place than by window.
        x = torch.cat([x[..., *place] for place in itertools.product(*map(range, sizes))], -1)  # type: ignore[index]
    else:
        x = x.movedim(rank + 1, -1).flatten(rank + 1)
    x = x if last else x.movedim(-1, 1)
    return x.squeeze(0) if single else x


def extract_patches_3d(
    volumes: Any,
    size: int | tuple[int, int, int],
    strides: int | tuple[int, int, int] | None = None,
    dilation_rate: int | tuple[int, int, int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """Cut volumes into windows, whose voxels become the channels of one voxel.

    Args:
        volumes: volume `(D, H, W, C)` or batch `(N, D, H, W, C)`; channels come first with `"channels_first"`.
        size: size of a window: one number or three.
        strides: distance between windows; `None`: `size`. Default: `None`.
        dilation_rate: distance between the pixels of a window. Default: `1`.
        padding: `"valid"`, or `"same"` with zeros around, for `ceil(size / stride)` windows. Default: `"valid"`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        A tensor with a voxel for each window.

    Raises:
        TypeError: `size` is neither an integer nor a tuple of three.

    Example:
        >>> keras.ops.image.extract_patches_3d(np.ones((1, 4, 4, 4, 1)), 2).shape
        torch.Size([1, 2, 2, 2, 8])
    """
    if not isinstance(size, int) and (not isinstance(size, (tuple, list)) or len(size) != 3):
        raise TypeError(f"Invalid `size` argument. Expected an int or a tuple of length 3. Received: size={size}.")
    sizes = (size, size, size) if isinstance(size, int) else tuple(size)
    return extract_patches(volumes, sizes, strides, dilation_rate, padding, data_format)


registry.register_public(extract_patches_3d, "keras.ops.image", "extract_patches_3d")


def _spatial_rank(size: Sizes) -> int:
    if isinstance(size, int):
        return 2
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"Invalid `size` argument. Expected an int or a tuple. Received: size={size!r}.")
    if len(size) not in (2, 3):
        raise ValueError(f"Invalid `size` argument. Expected a tuple of length 2 or 3. Received: size={size}.")
    return len(size)


def _numbers(value: Any, rank: int, name: str) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * rank
    values = tuple(value)
    if len(values) != rank:
        raise ValueError(f"`{name}` must be an integer or have {rank} numbers, as `size`. Received: {name}={value}.")
    return values


def _around(shape: Shape, spans: Sequence[int], steps: tuple[int, ...]) -> list[int]:
    """Zeros before and after each axis, last axis first, as `F.pad` takes them; none at the channels."""
    widths = [0, 0]
    for size, span, step in reversed(list(zip(shape, spans, steps))):
        total = max((-(-size // step) - 1) * step + span - size, 0)
        widths += [total // 2, total - total // 2]
    return widths


@op
def reconstruct_patches(
    patches: Tensor,
    size: int | tuple[int, ...],
    output_size: int | tuple[int, ...] | None = None,
    strides: int | tuple[int, ...] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Put images together from their windows: the inverse of `extract_patches`. Keras has it from 3.16 on.

    Args:
        patches: windows of one image `(rows, columns, values)` or of a batch; channels come first with
            `"channels_first"`. Of volumes, if `size` has three numbers.
        size: size of a window: one number or a tuple.
        output_size: sizes of the images: one number or a tuple. With `"valid"`, what no window covers becomes 0.
            Default: `None`, with `"valid"` alone: the sizes that the windows cover.
        strides: distance between windows; `None`: `size`, and no other is supported. Default: `None`.
        padding: `"valid"` or `"same"`, as the windows were cut. Default: `"valid"`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        A tensor of images.

    Raises:
        NotImplementedError: windows overlap, or lie apart.
        ValueError: the windows do not fit the sizes.

    Example:
        >>> images = np.random.rand(2, 6, 8, 3)
        >>> patches = keras.ops.image.extract_patches(images, (3, 2))
        >>> bool((keras.ops.image.reconstruct_patches(patches, (3, 2)).numpy() == images).all())
        True
    """
    rank = _spatial_rank(size)
    single = patches.ndim == rank + 1
    sizes = _numbers(size, rank, "size")
    if strides is not None and list(_numbers(strides, rank, "strides")) != list(sizes):
        raise NotImplementedError(
            f"reconstruct_patches() puts windows side by side: `strides` must equal `size`. Received: size={size}, "
            f"strides={strides}."
        )
    if padding not in ("same", "valid"):
        raise ValueError(f'`padding` must be "valid" or "same". Received: padding={padding!r}.')
    last = standardize_data_format(data_format) == "channels_last"
    x = patches.unsqueeze(0) if single else patches
    x = x if last else x.movedim(1, -1)
    grid = x.shape[1:-1]
    channels, rest = divmod(x.shape[-1], math.prod(sizes))
    covered = [count * length for count, length in zip(grid, sizes)]
    if len(grid) != rank or rest:
        raise ValueError(f"Windows of size {size} do not have patches of shape {tuple(patches.shape)}.")
    if output_size is None and padding == "same":
        raise ValueError('With `padding="same"` the sizes of the images must be given as `output_size`.')
    wanted = covered if output_size is None else list(_numbers(output_size, rank, "output_size"))
    counts = [-(-whole // length) if padding == "same" else whole // length for whole, length in zip(wanted, sizes)]
    if counts != list(grid):
        raise ValueError(
            f"Images of {tuple(wanted)} have {tuple(counts)} windows of size {size} with padding={padding!r}; received "
            f"{tuple(grid)}."
        )
    x = x.reshape(len(x), *grid, *sizes, channels)
    order = [axis for i in range(rank) for axis in (1 + i, 1 + rank + i)]
    x = x.permute(0, *order, 2 * rank + 1).reshape(len(x), *covered, channels)
    if padding == "same":  # as zeros were put around: half of them, rounded down, in front
        fronts = [(whole - length) // 2 for whole, length in zip(covered, wanted)]
        x = x[:, *(slice(front, front + length) for front, length in zip(fronts, wanted))]
    elif wanted != covered:
        x = F.pad(x, [0, 0, *(n for w, c in zip(reversed(wanted), reversed(covered)) for n in (0, w - c))])
    x = x if last else x.movedim(-1, 1)
    return x.squeeze(0) if single else x
