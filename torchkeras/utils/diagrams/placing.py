"""Where the parts of a graph stand: in rows along the arrows, with few crossings.

After Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System Structures" (1981): rows by
the longest path, points in the rows that a long arrow passes, an order by the means of the neighbours, and places by
least squares.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

_SWEEPS = 8


@dataclass
class Placed:
    """The result.

    Args:
        centres: place of each part across the arrows, and of its upper edge along them.
        rows: upper and lower edge of the row of each part.
        paths: points between the rows of the ends of each arrow, in the order of the arrows.
        size: the whole's, across and along.
    """

    centres: list[tuple[float, float]]
    rows: list[tuple[float, float]]
    paths: list[list[tuple[float, float]]]
    size: tuple[float, float]


def place(sizes: list[tuple[float, float]], edges: list[tuple[int, int]], gap: float, row_gap: float) -> Placed:
    """Place the parts of a graph.

    Args:
        sizes: size of each part, across and along the arrows.
        edges: pairs of parts.
        gap: distance of neighbours in a row.
        row_gap: distance of rows.
    """
    rows = _rows(len(sizes), edges)
    widths = [across for across, _ in sizes]
    chains, links = [], []
    for source, target in edges:
        # An arrow that goes back (a layer that is called again) is drawn straight.
        between = range(rows[source] + 1, rows[target])
        chain = list(range(len(widths), len(widths) + len(between)))
        widths += [gap / 2] * len(chain)
        rows += between
        chains.append(chain)
        if rows[source] < rows[target]:
            path = [source, *chain, target]
            links += list(zip(path, path[1:]))
    above, below = defaultdict(list), defaultdict(list)
    for a, b in links:
        below[a].append(b)
        above[b].append(a)
    levels = [[i for i, row in enumerate(rows) if row == level] for level in range(max(rows, default=-1) + 1)]
    across = _across(levels, widths, above, below, gap)
    tops, heights, height = _tops(levels, sizes, row_gap)
    centres = [(across[i], tops[rows[i]] + (heights[rows[i]] - sizes[i][1]) / 2) for i in range(len(sizes))]
    left = min((x - sizes[i][0] / 2 for i, (x, _) in enumerate(centres)), default=0.0)
    left = min([left, *across[len(sizes) :]])
    right = max([*(x + sizes[i][0] / 2 for i, (x, _) in enumerate(centres)), *across[len(sizes) :]], default=0.0)
    edges_of = [(tops[row], tops[row] + heights[row]) for row in rows]
    # An arrow crosses a row straight, so that it bends between rows alone, where there are no parts.
    paths = [[(across[i] - left, edge) for i in chain for edge in edges_of[i]] for chain in chains]
    return Placed([(x - left, y) for x, y in centres], edges_of[: len(sizes)], paths, (right - left, height))


def _rows(count: int, edges: list[tuple[int, int]]) -> list[int]:
    """The longest path to each part, without the arrows that close a circle."""
    following = defaultdict(list)
    for source, target in edges:
        if source != target:
            following[source].append(target)
    state, order = [0] * count, []  # 0: not seen, 1: on the path, 2: done
    forward: list[tuple[int, int]] = []
    for start in range(count):
        stack = [(start, iter(following[start]))] if not state[start] else []
        state[start] = state[start] or 1
        while stack:
            node, rest = stack[-1]
            for target in rest:
                if state[target] != 1:
                    forward.append((node, target))
                if not state[target]:
                    state[target] = 1
                    stack.append((target, iter(following[target])))
                    break
            else:
                state[node] = 2
                order.append(node)
                stack.pop()
    into = defaultdict(list)
    for source, target in forward:
        into[target].append(source)
    rows = [0] * count
    for node in reversed(order):
        rows[node] = max((rows[source] + 1 for source in into[node]), default=0)
    return rows


def _across(
    levels: list[list[int]], widths: list[float], above: dict[int, list[int]], below: dict[int, list[int]], gap: float
) -> list[float]:
    """The places across the arrows: the order in each row first, then the distances."""
    rank = {node: float(i) for level in levels for i, node in enumerate(level)}

    def mean(node: int, near: dict[int, list[int]], places: dict[int, float]) -> float:
        return sum(places[other] for other in near[node]) / len(near[node]) if near[node] else places[node]

    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for level in levels if down else reversed(levels):
            level.sort(key=lambda node: mean(node, above if down else below, rank))
            rank.update((node, float(i)) for i, node in enumerate(level))
    places = dict.fromkeys(range(len(widths)), 0.0)
    for level in levels:
        places.update(zip(level, _spread([0.0] * len(level), [widths[node] for node in level], gap)))
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for level in levels if down else reversed(levels):
            wanted = [mean(node, above if down else below, places) for node in level]
            places.update(zip(level, _spread(wanted, [widths[node] for node in level], gap)))
    return [places[node] for node in range(len(widths))]


def _spread(wanted: list[float], widths: list[float], gap: float) -> list[float]:
    """The places nearest to the wanted ones, by least squares, with which nothing overlaps (pooling of neighbours)."""
    offsets = [0.0]
    for a, b in zip(widths, widths[1:]):
        offsets.append(offsets[-1] + (a + b) / 2 + gap)
    pools: list[list[float]] = []  # sum and count of places that are the same but for the offsets
    for place_wanted, offset in zip(wanted, offsets):
        pools.append([place_wanted - offset, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] >= pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += count
    flat = [total / count for total, count in pools for _ in range(int(count))]
    return [base + offset for base, offset in zip(flat, offsets)]


def _tops(
    levels: list[list[int]], sizes: list[tuple[float, float]], row_gap: float
) -> tuple[list[float], list[float], float]:
    """Upper edge and height of each row, and the height of all."""
    heights = [max((sizes[i][1] for i in level if i < len(sizes)), default=0.0) for level in levels]
    tops = [sum(heights[:i]) + row_gap * i for i in range(len(heights))]
    return tops, heights, sum(heights) + row_gap * max(len(heights) - 1, 0)
