"""Images seen at other coordinates."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from torchkeras.core.operations.op import op
from torchkeras.core.tensors.convert import constant
from torchkeras.core.torch_internals import in_functorch_transform
from torchkeras.core.types import Number
from torchkeras.core.variables.seeded_random import random_values
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.ops.image.filters import filtered, gaussian
from torchkeras.ops.image.layout import channel_axis, computed, from_nchw, to_nchw
from torchkeras.ops.image.sampling import ORDERS, require_fill_mode, require_interpolation, sample

op = functools.partial(op, module="keras.ops.image", file_module="keras.src.ops.image")


@op
def map_coordinates(
    inputs: Tensor, coordinates: Tensor, order: int, fill_mode: str = "constant", fill_value: float = 0
) -> Tensor:
    """Return the values of a tensor at coordinates that need not be integers.

    Args:
        inputs: tensor.
        coordinates: tensor `(axes of inputs, ...)`.
        order: 0 for the nearest value, 1 for linear interpolation.
        fill_mode: values beyond the borders: `"constant"` (`fill_value`), `"nearest"` (the border), `"wrap"` (the other
            side), `"mirror"` or `"reflect"` (the mirror image, without or with the border repeated). Default:
            `"constant"`.
        fill_value: value beyond the borders in constant mode. Default: `0`.

    Returns:
        A tensor of the shape of the coordinates without their first axis.

    Raises:
        NotImplementedError: `order` is another number.

    Example:
        >>> keras.ops.image.map_coordinates(np.array([0.0, 10.0]), np.array([[0.5]]), order=1)
        tensor([5.], dtype=torch.float64)
    """
    if coordinates.dim() and coordinates.shape[0] != inputs.dim():
        raise ValueError(
            "First dim of `coordinates` must be the same as the rank of `inputs`. "
            f"Received inputs with shape {tuple(inputs.shape)} and coordinates with shape {tuple(coordinates.shape)}."
        )
    if coordinates.dim() < 2:
        raise ValueError(
            "Invalid coordinates rank: expected at least rank 2. "
            f"Received input with shape: coordinates.shape={tuple(coordinates.shape)}"
        )
    require_fill_mode(fill_mode)
    if order not in (0, 1):
        raise NotImplementedError(f"map_coordinates: `order` must be 0 or 1. Received: order={order}.")
    points = computed(coordinates).flatten(1).unsqueeze(1)
    result = sample(inputs[None, ..., None], points, order, fill_mode, fill_value)
    return result.reshape(coordinates.shape[1:])


@op
def affine_transform(
    images: Tensor,
    transform: Tensor,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Transform images: pixel `(x, y)` is taken from `(a0 x + a1 y + a2, b0 x + b1 y + b2)`.

    Args:
        images: image `(H, W, C)` or batch `(N, H, W, C)`; channels come first with `"channels_first"`.
        transform: `[a0, a1, a2, b0, b1, b2, c0, c1]` for all images, or a row for each; `c0` and `c1` are not used.
        interpolation: `"nearest"` or `"bilinear"`. Default: `"bilinear"`.
        fill_mode: values beyond the borders: `"constant"` (`fill_value`), `"nearest"` (the border), `"wrap"` (the other
            side), `"mirror"` or `"reflect"` (the mirror image, without or with the border repeated). Default:
            `"constant"`.
        fill_value: value beyond the borders in constant mode. Default: `0`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        Images of the same shape.

    Example:
        >>> keras.ops.image.affine_transform(np.ones((1, 4, 4, 1)), np.array([1.0, 0, 0, 0, 1, 0, 0, 0])).shape
        torch.Size([1, 4, 4, 1])
    """
    axis = channel_axis(images, data_format)
    require_interpolation(interpolation)
    require_fill_mode(fill_mode)
    if transform.dim() not in (1, 2):
        raise ValueError(
            "Invalid transform rank: expected rank 1 (single transform) or rank 2 (batch of transforms). "
            f"Received input with shape: transform.shape={tuple(transform.shape)}"
        )
    across, down = _grid(images, axis)
    rows = transform.to(across.dtype).reshape(-1, 8)[:, :6].reshape(-1, 2, 3)
    if _torch_samples(images, interpolation, fill_mode):
        by_x, by_y, shift = rows.unsqueeze(1).unbind(3)
        parts = (by_x * across.unsqueeze(1)).unsqueeze(1), (by_y * down + shift).unsqueeze(2)
        return _torch_warped(images, axis, parts, interpolation, fill_mode, fill_value)
    mapped = _mapped(rows[..., None, None].flip(1), across, down)
    return _warped(images, axis, mapped, interpolation, fill_mode, fill_value)


@op
def perspective_transform(
    images: Tensor,
    start_points: Tensor,
    end_points: Tensor,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Transform images by the perspective that moves four points.

    Args:
        images: image `(H, W, C)` or batch `(N, H, W, C)`; channels come first with `"channels_first"`.
        start_points: points `(x, y)` before, `(4, 2)` or `(N, 4, 2)`.
        end_points: the points after, in the same shape.
        interpolation: `"nearest"` or `"bilinear"`. Default: `"bilinear"`.
        fill_value: value beyond the borders. Default: `0`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        Images of the same shape.

    Example:
        >>> corners = torch.tensor([[0.0, 0.0], [0.0, 3.0], [3.0, 0.0], [3.0, 3.0]])
        >>> keras.ops.image.perspective_transform(torch.ones(1, 4, 4, 1), corners, corners).shape
        torch.Size([1, 4, 4, 1])
    """
    axis = channel_axis(images, data_format)
    require_interpolation(interpolation)
    for name, points in (("start_points", start_points), ("end_points", end_points)):
        if points.dim() not in (2, 3) or points.shape[-2:] != (4, 2):
            raise ValueError(
                f"Invalid {name} shape: expected (4,2) for a single image or (N,4,2) for a batch. "
                f"Received shape: {tuple(points.shape)}"
            )
    if start_points.shape != end_points.shape:
        raise ValueError(
            "start_points and end_points must have the same shape. "
            f"Received: {tuple(start_points.shape)} and {tuple(end_points.shape)}."
        )
    across, down = _grid(images, axis)
    rows = homography(end_points.to(across.dtype).reshape(-1, 4, 2), start_points.to(across.dtype).reshape(-1, 4, 2))
    mapped = _mapped(rows, across, down)
    return _warped(images, axis, mapped[:2] / mapped[2], interpolation, "constant", fill_value)


def homography(points: Tensor, targets: Tensor) -> Tensor:
    """The projective maps that take four points `(N, 4, 2)` to their targets: `(N, 3, 3, 1, 1)`, the row of y first.

    Raises:
        RuntimeError: three of the points lie on one line. On the CPU alone: for such a look the host waits for a GPU.
    """
    if points.device.type != "cpu":
        return _homography(points, targets)
    x, y = targets.split(1, -1)
    one, opposite = F.pad(points, (0, 1), value=1), -points
    none = torch.zeros_like(one)
    system = torch.cat([torch.cat([one, none, y * opposite], -1), torch.cat([none, one, x * opposite], -1)], 1)
    solution = torch.linalg.solve(system, torch.cat([y, x], 1))
    return F.pad(solution, (0, 0, 0, 1), value=1).reshape(-1, 3, 3, 1, 1)


def _homography(points: Tensor, targets: Tensor) -> Tensor:
    """The maps of `homography` in closed form.

    By Cramer's rule the fourth point is a sum of the other three, weighted by the areas of triangles. A map that sends
    three points to three targets, each with the ratio of the weights, sends the fourth one to its target, too.
    """
    one, to = F.pad(points, (0, 1), value=1), F.pad(targets.flip(-1), (0, 1), value=1)
    ratios = _areas_beside_the_last(targets) / _areas_beside_the_last(points)
    opposite = torch.linalg.cross(one[:, [1, 2, 0]], one[:, [2, 0, 1]])  # 0 at two of the points
    # No matrix product: with TF32 it would keep three digits of the coordinates.
    rows = ((ratios.unsqueeze(-1) * to[:, :3]).unsqueeze(-1) * opposite.unsqueeze(-2)).sum(1)
    return (rows / rows[:, 2:, 2:]).unsqueeze(-1).unsqueeze(-1)


def _areas_beside_the_last(points: Tensor) -> Tensor:
    """Twice the signed areas of the triangles of the last of four points and two others: `(N, 3)`."""
    sides = points[:, :3] - points[:, 3:]
    (x, y), (next_x, next_y) = sides[:, [1, 2, 0]].unbind(-1), sides[:, [2, 0, 1]].unbind(-1)
    return x * next_y - y * next_x


@op
def elastic_transform(
    images: Tensor,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: int | SeedGenerator | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Distort images by a smooth random field (Simard et al., 2003).

    Args:
        images: image `(H, W, C)` or batch `(N, H, W, C)`; channels come first with `"channels_first"`.
        alpha: strength: how far pixels move. Default: `20.0`.
        sigma: standard deviation of the Gaussian that smooths the field, in pixels. Default: `5.0`.
        interpolation: `"nearest"` or `"bilinear"`. Default: `"bilinear"`.
        fill_mode: values beyond the borders: `"constant"` (`fill_value`), `"nearest"` (the border), `"wrap"` (the other
            side), `"mirror"` or `"reflect"` (the mirror image, without or with the border repeated). Default:
            `"reflect"`.
        fill_value: value beyond the borders in constant mode. Default: `0.0`.
        seed: int, `SeedGenerator`, or `None` for the global one. Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        Images of the same shape.

    Example:
        >>> keras.ops.image.elastic_transform(np.ones((1, 8, 8, 1), "float32"), seed=0).shape
        torch.Size([1, 8, 8, 1])
    """
    axis = channel_axis(images, data_format)
    require_interpolation(interpolation)
    require_fill_mode(fill_mode)
    height, width = images.shape[-3:-1] if axis == -1 else images.shape[-2:]
    dtype = torch.promote_types(images.dtype, torch.float32)
    shape = (2, len(images) if images.ndim == 4 else 1, height, width)
    draws = random_values("normals", seed, shape, dtype, images.device, (0.0, alpha * sigma))
    return displaced(images, smoothed_field(draws, sigma), interpolation, fill_mode, fill_value, data_format)


def smoothed_field(noise: Tensor, sigma: Number, largest: int | None = None) -> Tensor:
    """Smooth `(2, N, H, W)` with a Gaussian whose window is `int(6 * sigma) | 1` pixels wide.

    Args:
        noise: tensor.
        sigma: standard deviation in pixels. The value of a tensor is not read.
        largest: width of the largest window, where `sigma` is a tensor. Default: `None`.
    """
    size = largest or int(6 * sigma) | 1
    weights = gaussian(size, sigma, noise, width=None if largest is None else 6 * sigma)
    return filtered(F.pad(noise.transpose(0, 1), [size // 2] * 4), weights, weights).transpose(0, 1)


def displaced(
    images: Tensor,
    field: Tensor,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images with each pixel `(x, y)` taken from `(x + field[0], y + field[1])`; the field is `(2, N, H, W)`."""
    axis = channel_axis(images, data_format)
    across, down = _grid(images, axis)
    coordinates = torch.stack([field[1] + down, field[0] + across])
    return _warped(images, axis, coordinates, interpolation, fill_mode, fill_value)


def _grid(images: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The coordinates of the pixels, across `(W,)` and down `(H, 1)`, in float32 or the images' wider type."""
    height, width = images.shape[-3:-1] if axis == -1 else images.shape[-2:]
    dtype = torch.promote_types(images.dtype, torch.float32)
    across = torch.arange(width, dtype=dtype, device=images.device)
    return across, torch.arange(height, dtype=dtype, device=images.device).unsqueeze(1)


def _mapped(rows: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """The products of the k rows of matrices, `(N, k, 3, 1, 1)`, with each pixel's `(x, y, 1)`: `(k, N, H, W)`."""
    by_x, by_y, shift = rows.unbind(2)
    return (by_x * across + by_y * down).add_(shift).transpose(0, 1)


def _warped(
    images: Tensor, axis: int, coordinates: Tensor, interpolation: str, fill_mode: str, fill_value: float
) -> Tensor:
    """Images with each pixel taken from the row and the column that `(2, N or 1, H, W)` say."""
    if _torch_samples(images, interpolation, fill_mode):
        places = torch.stack([coordinates[1], coordinates[0]], -1)
        return _torch_warped(images, axis, [places], interpolation, fill_mode, fill_value)
    batch = images if images.ndim == 4 else images.unsqueeze(0)
    batch = batch if axis == -1 else batch.movedim(1, -1)
    result = sample(batch, coordinates.flatten(2), ORDERS[interpolation], fill_mode, fill_value).reshape(batch.shape)
    result = result if axis == -1 else result.movedim(-1, 1)
    return result if images.ndim == 4 else result.squeeze(0)


def _torch_samples(images: Tensor, interpolation: str, fill_mode: str) -> bool:
    """Whether torch's `grid_sample` gives the numbers of `sample`, about ten times as quickly.

    Its float numbers must hold the images'. On a GPU its backward pass is not deterministic.
    """
    if fill_mode not in ("constant", "nearest", "reflect"):
        return False
    if images.requires_grad and images.is_cuda and torch.are_deterministic_algorithms_enabled():
        return False
    return images.is_floating_point() or (interpolation == "nearest" and images.element_size() <= 2)


# Torch's names for the ways to go on beyond the border.
_PADDINGS = {"constant": "zeros", "nearest": "border", "reflect": "reflection"}


def _torch_warped(
    images: Tensor, axis: int, parts: Sequence[Tensor], interpolation: str, fill_mode: str, fill_value: float
) -> Tensor:
    """Images with each pixel taken from the `(x, y)` that the sum of parts of `(N or 1, H or 1, W or 1, 2)` says."""
    batch = to_nchw(images, axis).to(parts[0].dtype)
    padding, border = _PADDINGS[fill_mode], 0
    if fill_mode == "constant" and fill_value:  # torch has zeros there: it repeats a border of another value instead
        padding, border = "border", 1
        batch = F.pad(batch, [1, 1, 1, 1], value=fill_value if images.is_floating_point() else int(fill_value))
    sizes = constant([batch.shape[-1], batch.shape[-2]], batch.dtype, batch.device)
    if interpolation == "nearest":  # in place: memory for a whole grid is what takes the time
        places = _sum(parts).round_() if len(parts) > 1 else parts[0].round()
        width, rows = places.shape[2], places.flatten(2)  # whole rows: operations on pairs of numbers are slow
        rows = rows.mul_((2 / sizes).repeat(width)).add_(((2 * border + 1) / sizes - 1).repeat(width))
        grid = rows.view(places.shape)
        return _sampled(images, axis, batch, grid, interpolation, padding)
    # From pixels to torch's coordinates, -1 at one edge of the image and 1 at the other.
    first = parts[0] * (2 / sizes) + ((2 * border + 1) / sizes - 1)
    grid = _sum([first, *(part * (2 / sizes) for part in parts[1:])])
    return _sampled(images, axis, batch, grid, interpolation, padding)


def _sum(parts: Sequence[Tensor]) -> Tensor:
    """The sum of parts of coordinates, `(N, H, W, 2)`."""
    if torch.compiler.is_compiling() or in_functorch_transform() or not all(_is_constant(part) for part in parts):
        return sum(parts[1:], parts[0])
    if len(parts) != 2 or parts[0].device.type != "cpu":
        return sum(parts[1:], parts[0])
    grid = torch.empty(torch.broadcast_shapes(parts[0].shape, parts[1].shape), dtype=parts[0].dtype)
    for axis in (0, 1):  # one coordinate at a time: twice as quick as pairs
        torch.add(parts[0][..., axis], parts[1][..., axis], out=grid[..., axis])
    return grid


def _is_constant(part: Tensor) -> bool:
    """Whether nobody asks for the derivative by a tensor, forwards or backwards."""
    return not part.requires_grad and unpack_dual(part).tangent is None


def _sampled(images: Tensor, axis: int, batch: Tensor, grid: Tensor, interpolation: str, padding: str) -> Tensor:
    """The result of `grid_sample`, in the layout and type of the images."""
    grid = grid.expand(batch.shape[0], -1, -1, -1)
    result = F.grid_sample(batch.contiguous(), grid, interpolation, padding, align_corners=False)
    return from_nchw(result.to(images.dtype), axis, images.ndim).contiguous()
