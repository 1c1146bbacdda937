"""A diagram as rectangles, texts and curves, and those as SVG or by matplotlib."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field
from pathlib import Path

from torchkeras.utils.diagrams.diagram import Box, Diagram, Key
from torchkeras.utils.diagrams.placing import place

_TITLE, _TEXT = 16, 14  # sizes of the fonts, in points
_WIDE = 0.6  # mean width of a character, as a share of the font's size; somewhat more than Helvetica's
_PAD, _GAP, _ROW_GAP, _MARGIN = 10, 36, 46, 8
_HEAD = 'marker-end="url(#head)"'
_GREEN, _RED = "#228b22", "#b22222"


@dataclass
class Rectangle:
    """A rectangle by its left upper corner, with a line of text in the middle, or at the left for a dashed one."""

    x: float
    y: float
    width: float
    height: float
    fill: str = "white"
    text: str = ""
    bold: str = ""
    size: int = _TEXT
    color: str = "black"
    is_dashed: bool = False


@dataclass
class Curve:
    """An arrow through points; along the rows it leaves and arrives."""

    points: list[tuple[float, float]]


@dataclass
class Drawing:
    """All shapes, in the order in which they are drawn.

    Args:
        width: of the picture, in points.
        height: of the picture, in points.
        sideways: whether the arrows go from left to right.
    """

    width: float = 0.0
    height: float = 0.0
    sideways: bool = False
    rectangles: list[Rectangle] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)


def draw(diagram: Diagram, rankdir: str = "TB") -> Drawing:
    """Place and draw a diagram.

    Args:
        diagram: the diagram.
        rankdir: `"TB"`, from top to bottom, `"LR"`, from left to right, or `"BT"` and `"RL"`, the other way.

    Raises:
        ValueError: the direction is unknown.
    """
    if rankdir not in ("TB", "LR", "BT", "RL"):
        raise ValueError(f'`rankdir` must be "TB", "LR", "BT" or "RL". Received: rankdir={rankdir!r}')
    is_backward = rankdir in ("BT", "RL")  # placed with the arrows turned round, then turned back
    edges = [(b, a) if is_backward else (a, b) for a, b in diagram.all_edges()]
    group = _Group(diagram, edges, rankdir in ("LR", "RL"))
    drawing = Drawing(group.width + 2 * _MARGIN, group.height + 2 * _MARGIN, group.sideways)
    places: dict[Key, Rectangle] = {}
    group.draw_at(_MARGIN, _MARGIN, drawing, places)
    group.connect(drawing, places)
    for curve in drawing.curves if is_backward else ():
        curve.points.reverse()
    return drawing


class _Group:
    """A diagram whose parts have places within it.

    Args:
        diagram: the diagram.
        edges: all edges of the whole.
        sideways: whether the arrows go from left to right.
        has_frame: whether a dashed frame with the name is drawn around it.
    """

    def __init__(self, diagram: Diagram, edges: list[tuple[Key, Key]], sideways: bool, has_frame: bool = False) -> None:
        self.diagram = diagram
        self.sideways = sideways
        self.parts: list[Box | _Group] = [
            part if isinstance(part, Box) else _Group(part, edges, sideways, True) for part in diagram.parts
        ]
        self.own: dict[Key, int] = {}  # key of a box: the number of the part in which it lies
        for number, part in enumerate(self.parts):
            self.own.update(dict.fromkeys([part.key] if isinstance(part, Box) else part.own, number))
        self.edges = [(a, b) for a, b in edges if a in self.own and b in self.own and self.own[a] != self.own[b]]
        self.width, self.height, self.origin = 0.0, 0.0, (0.0, 0.0)
        sizes = [_size(part) if isinstance(part, Box) else (part.width, part.height) for part in self.parts]
        turned = [(h, w) for w, h in sizes] if sideways else sizes
        numbers = [(self.own[a], self.own[b]) for a, b in self.edges]
        self.placed = place(turned, numbers, _GAP, _ROW_GAP)
        across, along = self.placed.size
        width, height = (along, across) if sideways else (across, along)
        self.frame = (_PAD * 1.5, _PAD * 1.5 + _TEXT * 1.5) if has_frame else (0.0, 0.0)
        name_width = len(diagram.name) * _TEXT * _WIDE if has_frame else 0
        self.width = max(width, name_width) + 2 * self.frame[0]
        self.height = height + self.frame[0] + self.frame[1]
        self.sizes = sizes

    def _point(self, across: float, along: float) -> tuple[float, float]:
        x, y = (along, across) if self.sideways else (across, along)
        return self.origin[0] + x, self.origin[1] + y

    def _level(self, point: tuple[float, float], along: float) -> tuple[float, float]:
        """A point moved along the arrows to a row's edge."""
        x, y = self._point(0, along)
        return (x, point[1]) if self.sideways else (point[0], y)

    def draw_at(self, x: float, y: float, drawing: Drawing, places: dict[Key, Rectangle]) -> None:
        """Draw the parts; `places` learns where the boxes are."""
        if self.frame[0]:
            drawing.rectangles.append(
                Rectangle(x, y, self.width, self.height, "none", self.diagram.name, is_dashed=True)
            )
        self.origin = (x + self.frame[0], y + self.frame[1])
        for part, (width, height), (across, along) in zip(self.parts, self.sizes, self.placed.centres):
            left, top = self._point(across, along)
            if self.sideways:
                top -= height / 2
            else:
                left -= width / 2
            if isinstance(part, Box):
                places[part.key] = Rectangle(left, top, width, height)
                drawing.rectangles += _shapes(part, left, top, width)
            else:
                part.draw_at(left, top, drawing, places)

    def connect(self, drawing: Drawing, places: dict[Key, Rectangle]) -> None:
        """Draw the arrows, each at the level where its ends lie in different parts."""
        for (source, target), path in zip(self.edges, self.placed.paths):
            start, end = _end_of(places[source], self.sideways), _start_of(places[target], self.sideways)
            (top, after), (before, _) = self.placed.rows[self.own[source]], self.placed.rows[self.own[target]]
            between = [self._point(*point) for point in path]
            if top < before:  # not an arrow back
                between = [self._level(start, after), *between, self._level(end, before)]
            points = [start, *between, end]
            apart = [point for point, following in zip(points, points[1:]) if math.dist(point, following) > 0.1]
            drawing.curves.append(Curve([*apart, end]))
        for part in self.parts:
            if isinstance(part, _Group):
                part.connect(drawing, places)


def _end_of(box: Rectangle, sideways: bool) -> tuple[float, float]:
    return (box.x + box.width, box.y + box.height / 2) if sideways else (box.x + box.width / 2, box.y + box.height)


def _start_of(box: Rectangle, sideways: bool) -> tuple[float, float]:
    return (box.x, box.y + box.height / 2) if sideways else (box.x + box.width / 2, box.y)


def _rows(box: Box) -> list[list[Rectangle]]:
    """The lines of a box, as rectangles without places."""

    def cell(text: str, bold: str, size: int = _TEXT, fill: str = "white", color: str = "black") -> Rectangle:
        width = len(text + bold) * size * _WIDE + 2 * _PAD
        return Rectangle(0, 0, width, size + 2 * _PAD, fill, text, bold, size, color)

    title = (f" ({box.kind})", box.name) if box.name else ("", box.kind)
    rows = [[cell(*title, _TITLE, "black", "white")]]
    rows += [[cell("Activation: ", box.activation)]] if box.activation else []
    cells = [cell(f"{caption}: ", value) for caption, value in box.cells]
    if box.trainable is not None:
        text, fill = ("Trainable", _GREEN) if box.trainable else ("Non-trainable", _RED)
        cells.append(cell("", text, fill=fill, color="white"))
    return rows + ([cells] if cells else [])


def _size(box: Box) -> tuple[float, float]:
    rows = _rows(box)
    return max(sum(cell.width for cell in row) for row in rows), sum(row[0].height for row in rows)


def _shapes(box: Box, x: float, y: float, width: float) -> list[Rectangle]:
    shapes = []
    for row in _rows(box):
        spare = (width - sum(cell.width for cell in row)) / len(row)
        left = x
        for cell in row:
            cell.x, cell.y, cell.width = left, y, cell.width + spare
            left += cell.width
            shapes.append(cell)
        y += row[0].height
    return shapes


def controls(points: list[tuple[float, float]], sideways: bool) -> list[tuple[tuple[float, float], ...]]:
    """The two control points and the end of each piece of a smooth curve through points."""
    pieces: list[tuple[tuple[float, float], ...]] = []
    for (x, y), (to_x, to_y) in zip(points, points[1:]):
        if sideways:
            middle = (x + to_x) / 2
            pieces.append(((middle, y), (middle, to_y), (to_x, to_y)))
        else:
            middle = (y + to_y) / 2
            pieces.append(((x, middle), (to_x, middle), (to_x, to_y)))
    return pieces


def svg(drawing: Drawing, dpi: int = 96) -> str:
    """The drawing as SVG.

    Args:
        drawing: the drawing.
        dpi: dots per inch: 96 shows it in the size of its fonts. Default: `96`.
    """
    scale = dpi / 96
    size = f'width="{drawing.width * scale:.0f}" height="{drawing.height * scale:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {drawing.width:.1f} {drawing.height:.1f}" '
        'font-family="Helvetica, Arial, sans-serif">',
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="6" markerHeight="6" '
        'orient="auto"><path d="M0 0L10 5L0 10z"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    lines += [_svg_rectangle(box) for box in drawing.rectangles]
    for curve in drawing.curves:
        (x, y), *_ = curve.points
        pieces = "".join(
            "C" + " ".join(f"{a:.1f},{b:.1f}" for a, b in piece) for piece in controls(curve.points, drawing.sideways)
        )
        lines.append(f'<path d="M{x:.1f},{y:.1f}{pieces}" fill="none" stroke="black" stroke-width="2" {_HEAD}/>')
    return "\n".join([*lines, "</svg>"])


def _svg_rectangle(box: Rectangle) -> str:
    dashes = ' stroke-dasharray="6 4"' if box.is_dashed else ""
    shape = (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
        f'fill="{box.fill}" stroke="black"{dashes}/>'
    )
    if box.is_dashed:
        x, y, anchor = box.x + _PAD, box.y + _TEXT * 1.4, "start"
        text = html.escape(box.text)
    else:
        x, y, anchor = box.x + box.width / 2, box.y + box.height / 2 + box.size * 0.35, "middle"
        bold = f'<tspan font-weight="bold">{html.escape(box.bold)}</tspan>'
        text = bold + html.escape(box.text) if box.fill == "black" else html.escape(box.text) + bold
    return (
        f'{shape}<text x="{x:.1f}" y="{y:.1f}" font-size="{box.size}" fill="{box.color}" '
        f'text-anchor="{anchor}" xml:space="preserve">{text}</text>'
    )


def save_by_matplotlib(drawing: Drawing, path: str, dpi: int) -> None:
    """Write the drawing in a format of matplotlib's, such as PNG or PDF.

    Args:
        drawing: the drawing.
        path: path of the file; its suffix says the format.
        dpi: dots per inch.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.patches import Rectangle as Patch
    from matplotlib.path import Path as Line

    figure = Figure((drawing.width / 96, drawing.height / 96))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, drawing.width)
    axes.set_ylim(drawing.height, 0)
    axes.axis("off")
    points = 72 / 96  # of a font, in a unit of the drawing
    for box in drawing.rectangles:
        patch = Patch((box.x, box.y), box.width, box.height, facecolor=box.fill, edgecolor="black", linewidth=points)
        patch.set_linestyle("--" if box.is_dashed else "-")
        axes.add_patch(patch)
        text = box.bold + box.text if box.fill == "black" else box.text + box.bold
        if box.is_dashed:
            axes.text(box.x + _PAD, box.y + _TEXT, text, fontsize=box.size * points, va="center")
        else:
            middle = (box.x + box.width / 2, box.y + box.height / 2)
            axes.text(*middle, text, fontsize=box.size * points, color=box.color, ha="center", va="center")
    for curve in drawing.curves:
        corners = [curve.points[0], *(point for piece in controls(curve.points, drawing.sideways) for point in piece)]
        codes = [Line.MOVETO, *[Line.CURVE4] * (len(corners) - 1)]
        axes.add_patch(
            FancyArrowPatch(path=Line(corners, codes), arrowstyle="-|>", mutation_scale=10, color="black", lw=1.5)
        )
    figure.savefig(Path(path), dpi=dpi)
