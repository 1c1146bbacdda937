"""The text of `print(model)`: one line for each layer, nested models indented."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from torchkeras.layers.base.layer import Layer
from torchkeras.models.summary import output_shape_of, parameter_count_of

# A longer text keeps its first and last lines.
_MAX_LINES = 40


def module_tree(model: Layer) -> str:
    """Return the layers of a model as indented text: name, class, output shape, number of parameters.

    Args:
        model: a `Model`.

    Returns:
        A string of at most 43 lines. `model.summary()` shows all layers.
    """
    lines = list(_lines(model, "  "))
    if len(lines) > _MAX_LINES:
        left_out = len(lines) - _MAX_LINES
        lines[_MAX_LINES - 10 : -10] = [f"  ... {left_out} more; summary() shows all"]
    head = f"{type(model).__name__}(name={model.name!r}, built={model.built}"
    return "\n".join([f"{head},", *lines, ")"]) if lines else f"{head})"


def _lines(module: nn.Module, indent: str) -> Iterator[str]:
    for child in getattr(module, "layers", ()):
        if not isinstance(child, Layer):  # a torch module in an attribute
            yield f"{indent}{type(child).__name__}{_parameters(child)}"
            continue
        shape = output_shape_of(child)
        known = "" if shape == "?" else f" -> {shape}"
        yield f"{indent}({child.name}): {type(child).__name__}{known}{_parameters(child)}"
        if hasattr(child, "get_layer"):
            yield from _lines(child, f"{indent}  ")


def _parameters(module: nn.Module) -> str:
    count = parameter_count_of(module)
    if "unbuilt" in count:
        return ", not built"
    return "" if count == "0" else f", {count} parameter{'' if count == '1' else 's'}"
