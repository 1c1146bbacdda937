"""The metrics that `compile()` was given, for one output or for many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from torchkeras import losses, metrics
from torchkeras.core import tree
from torchkeras.core.naming import snake_case
from torchkeras.losses.torch_loss import is_torch_loss
from torchkeras.metrics import Metric
from torchkeras.training.compile.errors import raise_with_names
from torchkeras.training.compile.loss import CROSSENTROPY, kind_by_shape
from torchkeras.training.compile.outputs import is_flat, is_named, leaves, output_names, weights
from torchkeras.training.compile.torch_metric import TorchMetric, is_torchmetric

_ACCURACY = ("accuracy", "acc")


def get_metric(identifier: Any, y_true: Any, y_pred: Any) -> Metric | None:
    """A metric of what `compile(metrics=...)` takes; "accuracy" and "crossentropy" go by the shapes of the data."""
    if identifier is None or isinstance(identifier, Metric):
        return identifier
    if is_torchmetric(identifier):
        return TorchMetric(identifier)
    if isinstance(identifier, str) and identifier.lower() in _ACCURACY + CROSSENTROPY:
        return _by_shape(identifier.lower(), y_true, y_pred, identifier)
    found = losses.get(identifier) if is_torch_loss(identifier) else metrics.get(identifier)
    if isinstance(found, type):
        found = found()
    if isinstance(found, Metric):
        if isinstance(identifier, str):  # the logs call it what the user did
            found.name = identifier
        return found
    name = identifier if isinstance(identifier, str) else _name_of(found)
    if isinstance(found, losses.Loss):
        found = found.call
    return metrics.MeanMetricWrapper(found, name=name)


def _name_of(function: Any) -> str:
    return getattr(function, "name", None) or snake_case(getattr(function, "__name__", type(function).__name__))


def _by_shape(kind: str, y_true: torch.Tensor, y_pred: torch.Tensor, name: str) -> Metric:
    labels = {"binary": "binary", "sparse": "sparse_categorical", "categorical": "categorical"}
    measure = "accuracy" if kind in _ACCURACY else "crossentropy"
    function = getattr(metrics, f"{labels[kind_by_shape(y_true, y_pred)]}_{measure}")
    return metrics.MeanMetricWrapper(function, name=name)


class CompileMetrics:
    """All metrics of a model's outputs, those that take sample weights and those that do not.

    Args:
        plain, weighted: what `compile(metrics=, weighted_metrics=)` took: a list, a list of lists or a dict.
        output_names: of the model's outputs, where it knows them.

    Raises:
        ValueError: they are something else, or a name is unknown.
    """

    def __init__(self, plain: Any, weighted: Any = None, output_names: list[str] | None = None) -> None:
        for argument, given in (("metrics", plain), ("weighted_metrics", weighted)):
            if given and not isinstance(given, (list, tuple, dict)):
                raise ValueError(
                    f"Expected `{argument}` argument to be a list, tuple, or dict. Received instead: "
                    f"{argument}={given} of type {type(given)}. Put a single metric in a list: {argument}=[...]."
                )
        self.plain, self.weighted = plain or None, weighted or None
        self.output_names = output_names
        self.built = False
        self.when_built: Callable[[list[Metric]], None] | None = None
        """Called once with the metrics when they are made: a resumed training sets their states then."""
        self._rows: list[tuple[int, Metric, bool, str]] = []
        self._check_names()

    def _check_names(self) -> None:
        """Unknown names are found at compile(), not in the first step."""
        for identifier in tree.flatten([self.plain, self.weighted]):
            if isinstance(identifier, Metric) or is_torchmetric(identifier):
                continue
            if not isinstance(identifier, str) or identifier.lower() not in _ACCURACY + CROSSENTROPY:
                metrics.get(identifier)

    def __bool__(self) -> bool:
        return any(m is not None for m in tree.flatten([self.plain, self.weighted]))

    @property
    def metrics(self) -> list[Metric]:
        if self.built:
            return [metric for _, metric, _, _ in self._rows]
        return [m for m in tree.flatten([self.plain, self.weighted]) if isinstance(m, Metric)]

    def build(self, y_true: Any, y_pred: Any) -> None:
        """Make the metrics for targets and outputs like these."""
        names = output_names(y_pred, self.output_names)
        prefixed = len(names) > 1 and is_named(y_pred, self.output_names)
        preds, truths = tree.flatten(y_pred), leaves(y_true, y_pred, self.output_names)
        if len(truths) != len(preds) and self:
            raise ValueError(f"The model has {len(preds)} output(s); y has {len(truths)} for its metrics.")
        rows: list[tuple] = []
        for given, weighted in ((self.plain, False), (self.weighted, True)):
            argument = "weighted_metrics" if weighted else "metrics"
            for i, ones in enumerate(_per_output(given, names, y_pred, argument)):
                for one in ones:
                    metric = get_metric(one, truths[i], preds[i])
                    if metric is not None:
                        prefix = f"{names[i]}_" if prefixed else ""
                        rows.append((i, metric, weighted, prefix, metric.name))
        self._rows = _with_unique_names(rows)
        for metric in self.metrics:
            if hasattr(metric, "to") and preds and isinstance(preds[0], torch.Tensor):
                metric.to(preds[0].device)
        self.built = True
        if self.when_built is not None:
            self.when_built(self.metrics)
            self.when_built = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add one batch to all metrics."""
        if not self.built:
            self.build(y_true, y_pred)
        if isinstance(y_pred, torch.Tensor) and isinstance(y_true, torch.Tensor):
            metric: Any = None
            try:
                for _, metric, weighted, _ in self._rows:
                    if weighted:
                        metric.update_state(y_true, y_pred, sample_weight)
                    else:
                        metric.update_state(y_true, y_pred)
            except Exception as error:
                name = output_names(y_pred, self.output_names)[0]
                raise_with_names(error, "metric", metric, name, y_true, y_pred)
            return
        preds, truths = tree.flatten(y_pred), leaves(y_true, y_pred, self.output_names)
        sample_weights = weights(sample_weight, y_pred, len(preds), self.output_names)
        for i, metric, weighted, _ in self._rows:
            if truths[i] is None:
                continue
            try:
                if weighted:
                    metric.update_state(truths[i], preds[i], sample_weights[i])
                else:
                    metric.update_state(truths[i], preds[i])
            except Exception as error:
                name = output_names(y_pred, self.output_names)[i]
                raise_with_names(error, "metric", metric, name, truths[i], preds[i])

    def named(self) -> list[tuple[Metric, str | None]]:
        """Each metric with its name in the logs; `None` before the metrics are built."""
        if self.built:
            return [(metric, name) for _, metric, _, name in self._rows]
        return [(metric, None) for metric in self.metrics]

    def reset_state(self) -> None:
        for metric in self.metrics:
            metric.reset_state()


def _per_output(given: Any, names: list[str], y_pred: Any, argument: str) -> list[list]:
    """For each output the list of its metrics.

    Raises:
        ValueError: there are outputs without a place in `given`, or entries without an output.
    """
    if given is None:
        return [[] for _ in names]
    if len(names) == 1:  # all metrics are of the one output, under whatever key
        return [tree.flatten(given)]
    if isinstance(given, dict) and set(given) <= set(names) and is_flat(y_pred):
        return [_listed(given.get(name)) for name in names]
    if isinstance(given, (list, tuple)) and is_flat(y_pred) and len(given) == len(names):
        return [_listed(one) for one in given]
    try:
        nested = tree.map_structure_up_to(tree.lists_to_tuples(y_pred), _Leaf, tree.lists_to_tuples(given))
        return [_listed(leaf.value) for leaf in tree.flatten(nested)]
    except (ValueError, TypeError) as error:
        form = tree.map_structure(lambda _: "X", y_pred)
        raise ValueError(
            f"Invalid `{argument}`. It must be a dict or a list with the metrics of each output, by the names of the "
            f"outputs {names} or in the form of the outputs, {form}. Received: {argument}={given}"
        ) from error


class _Leaf:
    """The metrics of one output, which may be a list, as a leaf of a nest."""

    def __init__(self, value: Any) -> None:
        if isinstance(value, dict):
            raise ValueError("A dict goes deeper than the outputs.")
        self.value = value


def _listed(value: Any) -> list:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _with_unique_names(rows: list) -> list:
    """A weighted metric whose name is taken is called `weighted_...`; others are numbered."""
    used: set[str] = set()
    unique = []
    for i, metric, weighted, prefix, name in rows:
        if prefix + name in used and weighted:
            name = f"weighted_{name}"
        base, number = name, 1
        while prefix + name in used:
            name, number = f"{base}_{number}", number + 1
        used.add(prefix + name)
        unique.append((i, metric, weighted, prefix + name))
    return unique
