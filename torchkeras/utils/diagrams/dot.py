"""Diagrams in the language of Graphviz."""

from __future__ import annotations

import html
import shutil
import subprocess
from pathlib import Path
from typing import Any

from torchkeras.utils.diagrams.diagram import Box, Diagram


class Dot:
    """A graph in Graphviz's language; a stand-in for `pydot.Dot` where pydot is not installed.

    Args:
        source: the text.
    """

    def __init__(self, source: str) -> None:
        self.source = source

    def to_string(self) -> str:
        """The text of the graph."""
        return self.source

    def create(self, prog: str = "dot", format: str = "png") -> bytes:
        """Draw the graph by Graphviz.

        Args:
            prog: the program. Default: `"dot"`.
            format: the format of the picture. Default: `"png"`.

        Raises:
            OSError: Graphviz is not installed, or it failed.
        """
        done = subprocess.run([prog, f"-T{format}"], input=self.source.encode(), capture_output=True)
        if done.returncode:
            raise OSError(f"{prog} failed: {done.stderr.decode(errors='replace')[:500]}")
        return done.stdout

    def write(self, path: str, prog: str = "dot", format: str = "raw") -> bool:
        """Write the picture, or with the format `"raw"` the text, to a file.

        Args:
            path: path of the file.
            prog: the program. Default: `"dot"`.
            format: the format of the picture. Default: `"raw"`.

        Raises:
            OSError: Graphviz is not installed, or it failed.
        """
        Path(path).write_bytes(self.source.encode() if format in ("raw", "dot") else self.create(prog, format))
        return True


def has_graphviz() -> bool:
    """Whether the program `dot` is there."""
    return shutil.which("dot") is not None


def dot_source(diagram: Diagram, rankdir: str, dpi: int, splines: str, subgraph: bool) -> str:
    """The text of a diagram.

    Args:
        diagram: the diagram.
        rankdir: direction of the arrows: `"TB"`, `"LR"`, `"BT"` or `"RL"`.
        dpi: dots per inch.
        splines: form of the arrows.
        subgraph: whether it is a cluster for another graph.
    """
    lines = [f"{'subgraph' if subgraph else 'digraph'} {_quoted(('cluster_' if subgraph else '') + diagram.name)} {{"]
    if subgraph:
        lines += _cluster_settings(diagram)
    else:
        lines += [f"rankdir={_quoted(rankdir)};", "concentrate=True;", f"dpi={dpi};", f"splines={_quoted(splines)};"]
        lines += ["node [shape=record];"]
    lines += _parts(diagram)
    lines += [f"{_quoted(a)} -> {_quoted(b)} [penwidth=2];" for a, b in diagram.all_edges()]
    return "\n".join([*lines, "}"])


def _parts(diagram: Diagram) -> list[str]:
    lines = []
    for part in diagram.parts:
        if isinstance(part, Box):
            lines.append(f"{_quoted(part.key)} [label={label(part)}, fontname=Helvetica, border=0, margin=0];")
        else:
            lines += [f"subgraph {_quoted(f'cluster_{part.name}')} {{", *_cluster_settings(part), *_parts(part), "}"]
    return lines


def _cluster_settings(diagram: Diagram) -> list[str]:
    return ["style=dashed;", f"label={_quoted(diagram.name)};", "labeljust=l;"]


def _quoted(value: object) -> str:
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def label(box: Box) -> str:
    """A box as a table in Graphviz's dialect of HTML."""
    cells = [
        _cell(f"{html.escape(caption, quote=False)}: <b>{html.escape(value, quote=False)}</b>")
        for caption, value in box.cells
    ]
    if box.trainable is not None:
        color, text = ("forestgreen", "Trainable") if box.trainable else ("firebrick", "Non-trainable")
        cells.append(f'<td bgcolor="{color}"><font point-size="14" color="white"><b>{text}</b></font></td>')
    span = max(len(cells), 1)
    title = (
        f"<b>{html.escape(box.name, quote=False)}</b> ({html.escape(box.kind, quote=False)})"
        if box.name
        else f"<b>{html.escape(box.kind, quote=False)}</b>"
    )
    rows = [f'<td colspan="{span}" bgcolor="black"><font point-size="16" color="white">{title}</font></td>']
    if box.activation:
        rows.append(_cell(f"Activation: <b>{html.escape(box.activation, quote=False)}</b>", f' colspan="{span}"'))
    rows += ["".join(cells)] if cells else []
    table = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<<table border="0" cellborder="1" bgcolor="black" cellpadding="10">{table}</table>>'


def _cell(text: str, span: str = "") -> str:
    return f'<td bgcolor="white"{span}><font point-size="14">{text}</font></td>'


def pydot_graph(diagram: Diagram, rankdir: str, dpi: int, splines: str, subgraph: bool) -> Any:
    """A diagram as pydot's object, or as `Dot` where pydot is not installed; the arguments are `dot_source`'s."""
    try:
        import pydot
    except ImportError:
        return Dot(dot_source(diagram, rankdir, dpi, splines, subgraph))
    if subgraph:
        dot = pydot.Cluster(graph_name=diagram.name, style="dashed", label=_quoted(diagram.name), labeljust="l")
    else:
        dot = pydot.Dot(rankdir=rankdir, concentrate=True, dpi=dpi, splines=splines)
        dot.set_node_defaults(shape="record")
    _add_parts(dot, diagram, pydot)
    for source, target in diagram.all_edges():
        dot.add_edge(pydot.Edge(str(source), str(target), penwidth="2"))
    return dot


def _add_parts(dot: Any, diagram: Diagram, pydot: Any) -> None:
    for part in diagram.parts:
        if isinstance(part, Box):
            dot.add_node(pydot.Node(str(part.key), label=label(part), fontname="Helvetica", border="0", margin="0"))
        else:
            cluster = pydot.Cluster(graph_name=part.name, style="dashed", label=_quoted(part.name), labeljust="l")
            _add_parts(cluster, part, pydot)
            dot.add_subgraph(cluster)
