"""The table that `model.summary()` prints."""

from __future__ import annotations

import html
import math
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from torchkeras.core import tree
from torchkeras.models.flops import flops_of

_MIN_WIDTHS = {
    "Layer (type)": 24,
    "Output Shape": 16,
    "Param #": 12,
    "Connected to": 18,
    "Trainable": 9,
    "Memory": 9,
    "FLOPs": 9,
}
_NUMBERS = {"Param #", "Memory", "FLOPs"}
_NARROWEST = 40


@dataclass
class Summary:
    """The facts of a summary, before they are text or HTML.

    Args:
        title: the line above the table.
        header: names of the columns.
        rows: texts of the cells.
        totals: the lines below the table.
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    totals: list[str]


def summarize(
    model: Any,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
    show_memory: bool = False,
    show_flops: bool = False,
) -> Summary:
    """The facts of a summary; the arguments are those of `Model.summary`.

    Raises:
        ValueError: `layer_range` is not two patterns, or names no layers.
    """
    connected = _is_branched(model)
    layers = _layers(model, expand_nested, layer_range)
    flops = flops_of(model, [layer for layer, _ in layers]) if show_flops else {}
    columns = ["Layer (type)", "Output Shape", "Param #"]
    columns += ["Memory"] if show_memory else []
    columns += ["FLOPs"] if show_flops else []
    columns += ["Connected to"] if connected else []
    columns += ["Trainable"] if show_trainable else []
    rows = []
    for layer, depth in layers:
        inset = f"{'    ' * (depth - 1)}└ " if depth else ""
        row = [
            f"{inset}{getattr(layer, 'name', '')} ({type(layer).__name__})",
            output_shape_of(layer),
            parameter_count_of(layer),
        ]
        row += [_readable(_bytes_of(getattr(layer, "weights", ())))] if show_memory else []
        row += [_count(flops.get(id(layer)))] if show_flops else []
        row += [_connections(model, layer)] if connected else []
        row += [_trainable(layer)] if show_trainable else []
        rows.append(row)
    totals = _totals(model)
    if show_flops:
        known = _count(flops[id(model)]) if flops else "not known, for the model has no symbolic inputs"
        totals.append(f" FLOPs of one sample, forward: {known}")
    return Summary(f'Model: "{model.name}"', columns, rows, totals)


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], object] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
    show_memory: bool = False,
    show_flops: bool = False,
) -> None:
    """Print the model's layers with their output shapes and parameter counts; the arguments are `Model.summary`'s."""
    summary = summarize(model, expand_nested, show_trainable, layer_range, show_memory, show_flops)
    width = line_length or _line_length(summary.header)
    widths = _widths(summary.header, summary.rows, width, positions)
    lines = [summary.title, *_table(summary.header, summary.rows, widths), *summary.totals]
    (print_fn or print)("\n".join(lines))


def _line_length(header: list[str]) -> int:
    """Keras's width of the table where it fits into the terminal, else the terminal's less four columns."""
    wanted = 108 if "Connected to" in header else 88
    wanted += 12 * sum(name in header for name in ("Trainable", "Memory", "FLOPs"))
    return max(min(wanted, shutil.get_terminal_size().columns - 4), _NARROWEST)


def summary_as_html(model: Any) -> str:
    """The summary as a table for notebooks, with nested models opened and the trainable column."""
    summary = summarize(model, expand_nested=True, show_trainable=True)

    def row(cells: list[str], tag: str) -> str:
        aligned = [
            f'<{tag} style="text-align:{"right" if name in _NUMBERS else "left"};white-space:pre-wrap">'
            f"{html.escape(cell)}</{tag}>"
            for name, cell in zip(summary.header, cells)
        ]
        return f"<tr>{''.join(aligned)}</tr>"

    body = "".join(row(cells, "td") for cells in summary.rows)
    totals = "<br>".join(html.escape(line.strip()) for line in summary.totals)
    return (
        f"<p><b>{html.escape(summary.title)}</b></p><table><thead>{row(summary.header, 'th')}</thead>"
        f"<tbody>{body}</tbody></table><p>{totals}</p>"
    )


def _layers(model: Any, expand: bool, layer_range: Any, depth: int = 0) -> list:
    found = []
    layers = _own_layers(model)
    for layer in _in_range(layers, layer_range) if depth == 0 else layers:
        found.append((layer, depth))
        if expand and getattr(layer, "layers", None):
            found.extend(_layers(layer, expand, None, depth + 1))
    return found


def _own_layers(model: Any) -> list:
    """The layers, in a functional model the ops among them too."""
    graph = model.__dict__.get("_tk_graph")
    if graph is None or hasattr(model, "_tk_row"):
        return list(model.layers)
    layers = model.layers
    return graph.operations + [layer for layer in layers if all(layer is not known for known in graph.operations)]


def _in_range(layers: list, layer_range: Any) -> list:
    if not layer_range:
        return layers
    if len(layer_range) != 2 or not all(isinstance(pattern, str) for pattern in layer_range):
        raise ValueError(f"layer_range must be two patterns of layer names; received {layer_range!r}.")
    first = [i for i, layer in enumerate(layers) if re.match(layer_range[0], layer.name)]
    last = [i for i, layer in enumerate(layers) if re.match(layer_range[1], layer.name)]
    if not first or not last:
        raise ValueError(f"layer_range {layer_range!r} names no layers; the model has {[x.name for x in layers]}.")
    low, high = sorted((first[0], last[-1]))
    return layers[low : high + 1]


def _is_branched(model: Any) -> bool:
    """Whether the model is more than a chain: a call of several tensors, or more than one that nobody builds upon."""
    graph = model.__dict__.get("_tk_graph")
    if graph is None or "_tk_row" in model.__dict__:
        return False
    if len({id(node.operation) for node in graph.nodes}) < len(graph.nodes):
        return True
    used = {id(node) for each in graph.nodes for node in each.parent_nodes}
    entries = {id(tensor._keras_history.operation._inbound_nodes[0]) for tensor in graph.inputs}
    ends = ({id(node) for node in graph.nodes} | entries) - used
    return len(ends) > 1 or any(len(node.input_tensors) > 1 for node in graph.nodes)


def _trainable(layer: Any) -> str:
    return "-" if not getattr(layer, "weights", None) else "Y" if layer.trainable else "N"


def output_shape_of(layer: Any) -> str:
    """The output's shape as text, or `"?"` while it is not known."""
    nodes, built = getattr(layer, "_inbound_nodes", None), getattr(layer, "_tk_build_shapes", None)
    if nodes:
        shapes = [str(tensor.shape) for tensor in nodes[-1].output_tensors]
    elif not built:
        return "?"
    else:
        try:
            found = layer.output_shape if hasattr(layer, "output_shape") else layer.compute_output_shape(**built)
            shapes = [str(shape) for shape in _flat_shapes(found)]
        except Exception:  # a layer whose shape is unknown is no reason for a summary to fail
            return "?"
    return shapes[0] if len(shapes) == 1 else f"[{', '.join(shapes)}]"


def _flat_shapes(found: Any) -> list:
    shapes: list = []
    tree.map_shape_structure(shapes.append, found)
    return shapes


def parameter_count_of(layer: Any) -> str:
    """The number of values in the weights as text."""
    if not getattr(layer, "built", True):
        return "0 (unbuilt)"
    if hasattr(layer, "count_params"):
        return f"{layer.count_params():,}"
    return f"{sum(p.numel() for p in layer.parameters()):,}" if hasattr(layer, "parameters") else "0"


def _bytes_of(weights: Iterable[torch.Tensor]) -> int:
    return sum(weight.numel() * weight.element_size() for weight in weights)


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _connections(model: Any, layer: Any) -> str:
    kept = {id(node) for node in model.__dict__["_tk_graph"].nodes}
    sources = []
    for node in getattr(layer, "_inbound_nodes", []):
        if id(node) in kept:
            for tensor in node.input_tensors:
                history = tensor._keras_history
                sources.append(f"{history.operation.name}[{history.node_index}][{history.tensor_index}]")
    return ", ".join(sources) or "-"


def _widths(header: list, rows: list, total: int, positions: Any) -> list[int]:
    inner = total - 3 * len(header) - 1
    if positions:
        ends = [int(inner * share) for share in positions[: len(header)]]
        return [max(end - start, 6) for start, end in zip([0, *ends], ends)]
    wanted = [max(len(name), *(len(row[i]) for row in rows), _MIN_WIDTHS[name]) if rows else _MIN_WIDTHS[name]
              for i, name in enumerate(header)]  # fmt: skip
    spare = inner - sum(wanted)
    if spare >= 0:
        wanted[0] += spare
        return wanted
    for _ in range(-spare):  # the widest column gives way first
        widest = wanted.index(max(wanted))
        wanted[widest] = max(1, wanted[widest] - 1)
    return wanted


def _table(header: list, rows: list, widths: list[int]) -> list[str]:
    right = {i for i, name in enumerate(header) if name in _NUMBERS}

    def cells(values: list, bar: str) -> list[str]:
        wrapped = [_wrap(value, width) for value, width in zip(values, widths)]
        lines = []
        for n in range(max(map(len, wrapped))):
            parts = [(w[n] if n < len(w) else "") for w in wrapped]
            texts = [part.rjust(s) if i in right else part.ljust(s) for i, (part, s) in enumerate(zip(parts, widths))]
            lines.append(f"{bar} " + f" {bar} ".join(texts) + f" {bar}")
        return lines

    def rule(left: str, cross: str, end: str, line: str) -> str:
        return left + cross.join(line * (width + 2) for width in widths) + end

    lines = [rule("┏", "┳", "┓", "━"), *cells(header, "┃"), rule("┡", "╇", "┩", "━")]
    for i, row in enumerate(rows):
        lines += ([rule("├", "┼", "┤", "─")] if i else []) + cells(row, "│")
    return [*lines, rule("└", "┴", "┘", "─")]


# Where a word that is wider than its column may break: in `snake_case`, in `CamelCase`, before an index.
_BREAK = re.compile(r"(?<=[_/.])|(?<=[a-z0-9])(?=[A-Z])|(?<!\])(?=\[)")


def _wrap(text: str, width: int) -> list[str]:
    """The lines of a cell: breaks lie between words, or within one that is wider than the cell."""
    lines = [""]
    for word in re.split(r"(?<= )|(?<=,)(?=\S)", text):
        parts = [word]
        if len(word.rstrip()) > width:
            parts = _BREAK.split(word)
            lines += [""] * any(map(str.isalnum, lines[-1]))
        for part in (long[i : i + width] for long in parts for i in range(0, max(len(long.rstrip()), 1), width)):
            if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
                lines.append("")
            lines[-1] += part
    return [line.rstrip() for line in lines]


def _totals(model: Any) -> list[str]:
    weights = model.weights if hasattr(model, "weights") else []
    trainable = {id(w) for w in model.trainable_weights}
    counted = {True: [0, 0], False: [0, 0]}
    for weight in weights:
        slot = counted[id(weight) in trainable]
        slot[0] += weight.numel()
        slot[1] += weight.numel() * weight.element_size()
    count, size = (counted[True][i] + counted[False][i] for i in (0, 1))
    optimizer = getattr(model, "optimizer", None)
    slots = list(getattr(optimizer, "variables", [])) if optimizer is not None else []
    lines = []
    if slots:
        extra = [sum(v.numel() for v in slots), sum(v.numel() * v.element_size() for v in slots)]
        count, size = count + extra[0], size + extra[1]
    lines.append(f" Total params: {count:,} ({_readable(size)})")
    lines.append(f" Trainable params: {counted[True][0]:,} ({_readable(counted[True][1])})")
    lines.append(f" Non-trainable params: {counted[False][0]:,} ({_readable(counted[False][1])})")
    if slots:
        lines.append(f" Optimizer params: {extra[0]:,} ({_readable(extra[1])})")
    return lines


def _readable(size: int) -> str:
    units = ("B", "KB", "MB", "GB", "TB", "PB")
    power = min(int(math.log(size, 1024)), len(units) - 1) if size > 0 else 0
    return f"{size / 1024**power:.2f} {units[power]}"
