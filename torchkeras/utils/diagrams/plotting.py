"""`plot_model` and `model_to_dot`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torchkeras.models import Model
from torchkeras.utils.diagrams.diagram import Style, diagram_of
from torchkeras.utils.diagrams.dot import Dot, dot_source, has_graphviz, pydot_graph
from torchkeras.utils.diagrams.drawing import draw, save_by_matplotlib, svg

_PIXELS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
_MIME = {**_PIXELS, ".svg": "image/svg+xml", ".html": "text/html"}


class Picture:
    """A file with a picture, which notebooks show.

    Args:
        path: path of the file.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"<picture in {self.path}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str | bytes]:
        kind = _MIME.get(Path(self.path).suffix.lower())
        if kind is None:
            return {}
        data = Path(self.path).read_bytes()
        return {kind: data if kind in _PIXELS.values() else data.decode()}


def model_to_dot(
    model: Model,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Convert a model to a graph in the language of Graphviz.

    Args:
        model: the model; it must be built.
        show_shapes: whether to show the shapes of inputs and outputs. Default: `False`.
        show_dtype: whether to show the types of outputs. Default: `False`.
        show_layer_names: whether to show the names of layers. Default: `True`.
        rankdir: direction of the arrows: `"TB"`, from top to bottom, or `"LR"`, from left to right. Default: `"TB"`.
        expand_nested: whether to show the layers of models in the model. Default: `False`.
        dpi: dots per inch. Default: `200`.
        subgraph: whether to return a cluster for another graph. Default: `False`.
        show_layer_activations: whether to show the activations of layers. Default: `False`.
        show_trainable: whether to show if the weights of a layer are trained. Default: `False`.
        splines: form of the arrows: `"ortho"`, `"curved"`, `"polyline"`, `"spline"` or `"line"`. Default: `"ortho"`.
        **kwargs: none is known.

    Returns:
        A `pydot.Dot` (`pydot.Cluster` with `subgraph`). Without pydot, an object of our own with its methods
        `to_string()`, `create(format=...)` and `write(path, format=...)`.

    Raises:
        ValueError: the model is not built, or an argument is unknown.

    Example:
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="first")])
        >>> print(keras.utils.model_to_dot(model).to_string()[:9])
        digraph "
    """
    _refuse(kwargs)
    style = Style(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested)
    return pydot_graph(diagram_of(model, style), rankdir, dpi, splines, subgraph)


def plot_model(
    model: Model,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Picture | None:
    """Draw a model as a picture in a file.

    Graphviz draws it where its program `dot` is installed. Otherwise this package draws: files `.svg` and `.html` need
    nothing else, `.png`, `.pdf` and the like need matplotlib.

    Args:
        model: the model; it must be built.
        to_file: path of the file; its suffix says the format, `.png` if it has none. Default: `"model.png"`.
        show_shapes: whether to show the shapes of inputs and outputs. Default: `False`.
        show_dtype: whether to show the types of outputs. Default: `False`.
        show_layer_names: whether to show the names of layers. Default: `False`.
        rankdir: direction of the arrows: `"TB"`, from top to bottom, or `"LR"`, from left to right. Default: `"TB"`.
        expand_nested: whether to show the layers of models in the model. Default: `False`.
        dpi: dots per inch. Default: `200`.
        show_layer_activations: whether to show the activations of layers. Default: `False`.
        show_trainable: whether to show if the weights of a layer are trained. Default: `False`.
        splines: form of the arrows, for Graphviz: `"ortho"`, `"curved"`, `"polyline"`, `"spline"` or `"line"`. Default:
            `"ortho"`.
        **kwargs: none is known.

    Returns:
        An object that notebooks show as the picture; `None` for a PDF.

    Raises:
        ValueError: the model is not built, or an argument is unknown.
        ImportError: neither Graphviz nor matplotlib is installed, and the format needs one of them.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="first")])
        >>> file = Path(tempfile.mkdtemp()) / "model.svg"
        >>> keras.utils.plot_model(model, file, show_shapes=True)
        <picture in ...model.svg>
    """
    _refuse(kwargs)
    style = Style(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested)
    diagram = diagram_of(model, style)
    path = os.fspath(to_file)
    suffix = Path(path).suffix.lower()
    if suffix == ".html":
        page = f"<!DOCTYPE html><meta charset='utf-8'><title>{model.name}</title>{svg(draw(diagram, rankdir))}"
        Path(path).write_text(page, encoding="utf-8")
    elif has_graphviz() or suffix == ".dot":
        Dot(dot_source(diagram, rankdir, dpi, splines, False)).write(path, format=suffix[1:] or "png")
    elif suffix == ".svg":
        Path(path).write_text(svg(draw(diagram, rankdir), dpi), encoding="utf-8")
    else:
        try:
            save_by_matplotlib(draw(diagram, rankdir), path, dpi)
        except ImportError as error:
            raise ImportError(
                f"A model is drawn as {suffix or '.png'} by Graphviz (see https://graphviz.org/download/) or by "
                "matplotlib (`pip install matplotlib`); neither is installed. to_file='model.svg' and 'model.html' "
                "need neither."
            ) from error
    return None if suffix == ".pdf" else Picture(path)


def _refuse(kwargs: dict[str, Any]) -> None:
    if kwargs.pop("layer_range", None) is not None:
        raise ValueError("Argument `layer_range` is no longer supported.")
    if kwargs:
        raise ValueError(f"Unrecognized keyword arguments: {kwargs}")
