"""Targets, weights, losses and metrics brought to the outputs of a model that they belong to."""

from __future__ import annotations

from typing import Any

from torchkeras.core import tree


def is_flat(y_pred: Any) -> bool:
    """Whether the outputs are one tensor, or a list, tuple or dict of tensors: nothing nested deeper."""
    values = y_pred.values() if isinstance(y_pred, dict) else y_pred
    return not tree.is_nested(y_pred) or not any(tree.is_nested(value) for value in values)


def is_named(y_pred: Any, known: list[str] | None) -> bool:
    """Whether the outputs have names of their own: by their dict, or as a model of symbolic tensors knows them."""
    return _is_flat_dict(y_pred) or (known is not None and len(known) == len(tree.flatten(y_pred)))


def output_names(y_pred: Any, known: list[str] | None) -> list[str]:
    """The names of the outputs, in the order of `tree.flatten`: keys of a dict, else those that the model knows."""
    if _is_flat_dict(y_pred):
        return [str(key) for key in sorted(y_pred)]
    count = len(tree.flatten(y_pred))
    if known is not None and len(known) == count:
        return list(known)
    return [f"output_{i}" for i in range(count)] if count > 1 else ["output"]


def _is_flat_dict(y_pred: Any) -> bool:
    return isinstance(y_pred, dict) and is_flat(y_pred)


def leaves(y_true: Any, y_pred: Any, names: list[str] | None = None) -> list:
    """The targets in the order of the outputs; `None` for an output that a dict of targets leaves out.

    Raises:
        ValueError: the targets name something that is no output.
    """
    if not isinstance(y_true, dict):
        return tree.flatten(y_true)
    if isinstance(y_pred, dict):
        _check_names(y_true, list(y_pred), "y")
        if any(key not in y_true for key in y_pred):
            return [y_true.get(key) for key in sorted(y_pred)]
        return tree.flatten({key: y_true[key] for key in y_pred})
    if names is None or len(names) != len(tree.flatten(y_pred)):
        return tree.flatten(y_true)
    return by_name(y_true, names, "y")


def _check_names(values: dict, names: list[str], what: str) -> None:
    unknown = [key for key in values if key not in names]
    if unknown:
        raise ValueError(f"{what} names {unknown}, which are no outputs of the model; it has {names}.")


def by_name(values: dict, names: list[str], what: str) -> list:
    _check_names(values, names, what)
    return [values.get(name) for name in names]


def weights(sample_weight: Any, y_pred: Any, count: int, names: list[str] | None = None) -> list:
    if sample_weight is None:
        return [None] * count
    if isinstance(sample_weight, dict) and isinstance(y_pred, dict):
        return [sample_weight.get(key) for key in sorted(y_pred)]
    if isinstance(sample_weight, dict) and names is not None and len(names) == count:
        return by_name(sample_weight, names, "sample_weight")
    flat = tree.flatten(sample_weight)
    if len(flat) == 1:
        return flat * count
    if len(flat) != count:
        raise ValueError(f"sample_weight has {len(flat)} arrays; the model has {count} output(s).")
    return flat


def structures(value: Any) -> Any:
    """The form of a nest, for messages: each leaf is shown as `*`."""
    return tree.map_structure(lambda _: "*", value)
