"""Axes named, split, joined and moved by a pattern, as in einops."""

from __future__ import annotations

import re
from typing import NamedTuple

import torch
from torch import Tensor

from torchkeras.core.memo import memoized
from torchkeras.core.operations.op import op

_TOKEN = re.compile(r"\s*(\(|\)|\.\.\.|…|\w+)")
_REST = "..."


class _Pattern(NamedTuple):
    """Groups of axis names on both sides; a group of one name is an axis, one of none has size 1."""

    left: tuple[tuple[str, ...], ...]
    right: tuple[tuple[str, ...], ...]
    names: list[str]  # of the axes on the left
    order: list[int] | None  # of these on the right, unless it is the same
    split: bool  # whether a group on the left is no single axis
    joined: bool  # so on the right


@op(call=("pattern", "axes_lengths"), file_module="keras.src.ops.einops")
def rearrange(tensor: Tensor, pattern: str, **axes_lengths: int) -> Tensor:
    """Split, join and move axes by a pattern of names.

    Names in parentheses are one axis, which is split or joined; `...` is any number of axes; `1` and `()` are an axis
    of size 1.

    Args:
        tensor: tensor.
        pattern: names of the axes before and after, as in `"b (h w) c -> b c h w"`.
        **axes_lengths: sizes of axes that the shape does not determine, by name.

    Returns:
        A tensor.

    Raises:
        ValueError: the pattern is malformed, its sides name different axes, or it does not fit the shape.

    Example:
        >>> keras.ops.rearrange(np.zeros((2, 6, 3)), "b (h w) c -> b c h w", h=2).shape
        torch.Size([2, 3, 2, 3])
    """
    parsed = _parse(pattern, tensor.dim())
    sizes: dict[str, int] = {}
    if parsed.split or parsed.joined or axes_lengths:
        sizes = _sizes(parsed.left, tuple(tensor.shape), axes_lengths, pattern)
    if parsed.split:
        tensor = torch.reshape(tensor, [sizes[name] for name in parsed.names])
    if parsed.order is not None:
        tensor = torch.permute(tensor, parsed.order)
    if not parsed.joined:
        return tensor
    return torch.reshape(tensor, [_product([sizes[name] for name in group]) for group in parsed.right])


@memoized
def _parse(pattern: str, rank: int) -> _Pattern:
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError(f"rearrange(): a pattern has the form 'axes -> axes'; received {pattern!r}.")
    left, right = (_groups(side, pattern) for side in sides)
    if [_REST] in left:
        given = rank - len(left) + 1
        rest = [[f"{_REST}{i}"] for i in range(given)]
        left, right = (_with_rest(groups, rest) for groups in (left, right))
    for side in (left, right):
        names = [name for group in side for name in group]
        if len(set(names)) != len(names):
            raise ValueError(f"rearrange(): each side names an axis once; received {pattern!r}.")
    only = {name for group in left for name in group} ^ {name for group in right for name in group}
    if only:
        raise ValueError(f"rearrange(): both sides name the same axes; {sorted(only)} stand on one of {pattern!r}.")
    if len(left) != rank:
        raise ValueError(f"rearrange(): {pattern!r} describes {len(left)} axes; received a tensor of {rank}.")
    names = [name for group in left for name in group]
    order = [names.index(name) for group in right for name in group]
    split, joined = (any(len(group) != 1 for group in side) for side in (left, right))
    moved = order if order != sorted(order) else None
    return _Pattern(tuple(map(tuple, left)), tuple(map(tuple, right)), names, moved, split, joined)


def _groups(side: str, pattern: str) -> list[list[str]]:
    groups: list[list[str]] = []
    inside = False
    position = 0
    while side[position:].strip():
        match = _TOKEN.match(side, position)
        token = match.group(1) if match else ""
        if match is None or (token == "(" and inside) or (token == ")" and not inside):
            raise ValueError(f"rearrange(): can't read {side[position:].strip()!r} in the pattern {pattern!r}.")
        position = match.end()
        if token in "()":
            inside = token == "("
            groups += [[]] * inside
        elif token == "1":
            groups += [[]] * (not inside)
        elif inside:
            groups[-1] = [*groups[-1], _REST if token == "…" else token]
        else:
            groups.append([_REST if token == "…" else token])
    if inside:
        raise ValueError(f"rearrange(): a parenthesis is not closed in the pattern {pattern!r}.")
    return groups


def _with_rest(groups: list[list[str]], rest: list[list[str]]) -> list[list[str]]:
    result: list[list[str]] = []
    for group in groups:
        if group == [_REST]:
            result += rest
        else:
            result.append([n for name in group for n in ([r[0] for r in rest] if name == _REST else [name])])
    return result


def _product(sizes: list[int]) -> int:
    product = 1
    for size in sizes:  # not math.prod: torch.compile can't follow it where sizes are open
        product *= size
    return product


def _sizes(groups: tuple, shape: tuple, lengths: dict[str, int], pattern: str) -> dict[str, int]:
    """The size of each named axis.

    Raises:
        ValueError: an axis can't be split as asked.
    """
    sizes = dict(lengths)
    for group, size in zip(groups, shape):
        unknown = [name for name in group if name not in lengths]
        known = _product([lengths[name] for name in group if name in lengths])
        if len(unknown) == 1 and known and size % known == 0:
            sizes[unknown[0]] = size // known
        elif unknown or known != size:
            asked = {name: lengths[name] for name in group if name in lengths}
            raise ValueError(
                f"rearrange(): an axis of size {size} can't be split as ({' '.join(group)}) with the sizes {asked} "
                f"given, in the pattern {pattern!r}; give all but one of the sizes, dividing {size}."
            )
    return sizes
