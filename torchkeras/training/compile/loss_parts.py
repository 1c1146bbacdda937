"""The losses that `compile(loss=...)` names, each with the output or nest of outputs that it compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torchkeras.core import tree
from torchkeras.losses import Loss


@dataclass(slots=True)
class LossPart:
    """One loss of one output.

    Attributes:
        index: place of the output among the leaves of the outputs; `None` of a loss that compares a nest of outputs.
        path: keys and indices that lead to the output or the nest.
        function: callable `(y_true, y_pred, sample_weight)`.
        factor: the weight of the loss in the total.
        name: the name of its value in the logs.
    """

    index: int | None
    path: tuple
    function: Loss
    factor: float
    name: str


def loss_parts(loss: Any, loss_weights: Any, y_pred: Any, names: list[str], has_names: bool) -> list[LossPart]:
    """Find the losses of the outputs.

    A single loss is that of each output. A list or dict goes along with the nest of the outputs, key by key; where a
    list stands beside something else than a list (an output, a dict), each of its entries is a loss of the whole.

    Args:
        loss: one callable, or lists, tuples and dicts of them; `None` for an output without a loss.
        loss_weights: numbers in the form of `loss`, or one for each output, by name or by place.
        y_pred: the outputs.
        names: the names of the outputs, in the order of `tree.flatten`.
        has_names: whether these names are the outputs' own; else parts are called after their losses.

    Raises:
        ValueError: losses, or weights, and outputs do not go together.
        KeyError: likewise, where an entry of `loss` has no output.
    """
    if isinstance(loss, dict) and not isinstance(y_pred, dict):
        if set(loss) != set(names):
            raise ValueError(
                f"Expected keys {names} in loss dict, but found loss.keys()={list(loss)}. Each output has a key there; "
                f"the value of an output without a loss is None."
            )
        loss = [loss[name] for name in names]
        if len(names) == 1:
            loss = loss[0] if tree.is_nested(loss[0]) else loss
    by_output = _weights_by_output(loss, loss_weights, names)
    if loss_weights is not None and by_output is None:
        loss = _with_weights(loss, loss_weights)
    if not tree.is_nested(loss):
        loss = tree.map_structure(lambda _: loss, y_pred)
    found = _Search(y_pred, names if has_names else None).parts(loss, y_pred, ())
    if by_output is not None:
        found = [part if part.index is None else replace(part, factor=by_output[part.index]) for part in found]
    return found


@dataclass(slots=True)
class _Weighted:
    """A loss and its weight, as one leaf."""

    function: Loss
    factor: float


def _weights_by_output(loss: Any, given: Any, names: list[str]) -> list[float] | None:
    """The weight of each output's loss, where the weights are given by output and not in the form of the losses."""
    if given is None or _is_number(given):
        return None if given is None else [float(given)] * len(names)
    if isinstance(given, dict) and not any(map(tree.is_nested, given.values())):
        if set(given) <= set(names):
            return [_number(given.get(name)) for name in names]
        unknown = [name for name in given if name not in (*names, *(loss if isinstance(loss, dict) else ()))]
        if unknown:
            raise ValueError(f"`loss_weights` names {unknown}, which are no outputs of the model; it has {names}.")
    if not isinstance(given, dict) and not tree.is_nested(loss) and len(given) == len(names):
        return [_number(one) for one in given]
    return None


def _with_weights(loss: Any, given: Any) -> Any:
    leaves, weights = tree.flatten(loss), tree.flatten(given)
    if len(leaves) != len(weights):
        raise ValueError(
            f"`loss_weights` must match the number of losses, got {len(leaves)} losses and {len(weights)} weights."
        )
    pairs = [None if one is None else _Weighted(one, _number(weight)) for one, weight in zip(leaves, weights)]
    return tree.pack_sequence_as(loss, pairs)


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, (int, float))


def _number(value: Any) -> float:
    return 1.0 if value is None else float(value)


class _Search:
    def __init__(self, y_pred: Any, names: list[str] | None) -> None:
        count = len(tree.flatten(y_pred))
        self._places = tree.pack_sequence_as(y_pred, list(range(count)))
        self._names = names

    def parts(self, loss: Any, y_pred: Any, path: tuple) -> list[LossPart]:
        if loss is None:
            return []
        if not tree.is_nested(loss):
            return [self._part(loss, y_pred, path)]
        if isinstance(loss, (list, tuple)):
            leaves = tree.flatten(y_pred)
            if len(loss) == len(leaves) and not any(map(tree.is_nested, loss)):
                loss = tree.pack_sequence_as(y_pred, list(loss))
            elif not isinstance(y_pred, type(loss)):
                return [part for one in loss for part in self.parts(one, y_pred, path)]
        if not tree.is_nested(loss):  # the list had one entry
            return [] if loss is None else [self._part(loss, y_pred, path)]
        if isinstance(loss, dict) is not isinstance(y_pred, dict):
            raise KeyError(f"The path: {path} in the `loss` argument, can't be found in the model's output (`y_pred`).")
        found: list[LossPart] = []
        for key, one in loss.items() if isinstance(loss, dict) else enumerate(loss):
            if one is None:
                continue
            if not (key in y_pred if isinstance(y_pred, dict) else key < len(y_pred)):
                raise KeyError(
                    f"The path: {(*path, key)} in the `loss` argument, can't be found in either the model's output "
                    f"(`y_pred`) or in the labels (`y_true`)."
                )
            found += self.parts(one, y_pred[key], (*path, key))
        return found

    def _part(self, loss: Any, y_pred: Any, path: tuple) -> LossPart:
        place = at_path(self._places, path)
        function, factor = (loss.function, loss.factor) if isinstance(loss, _Weighted) else (loss, 1.0)
        name = f"{self._name(function, place, path)}_loss"
        return LossPart(None if tree.is_nested(y_pred) else place, path, function, factor, name)

    def _name(self, loss: Loss, place: Any, path: tuple) -> str:
        """The keys on the way to the output; its own name stands for a number in a list."""
        if not tree.is_nested(place):
            if not path or isinstance(path[-1], int):
                path = (*path[:-1], loss.name if self._names is None else self._names[place])
        elif not path:
            keys = list(place) if isinstance(place, dict) else tree.flatten(place)
            path = ("_".join(str(key) if isinstance(place, dict) else self._own_name(key) for key in keys),)
        return "/".join(str(key) for key in path)

    def _own_name(self, place: int) -> str:
        return f"output_{place}" if self._names is None else self._names[place]


def at_path(structure: Any, path: Sequence) -> Any:
    """The part of a nest to which keys and indices lead."""
    for key in path:
        structure = structure[key]
    return structure
