"""The loss that `compile()` was given, for one output or for many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from torchkeras import losses
from torchkeras.core import tree
from torchkeras.losses import Loss
from torchkeras.losses.chunked_crossentropy import CrossentropyOfProduct, Product
from torchkeras.losses.reduction import batch_rows, batch_weight
from torchkeras.training.compile.errors import raise_with_names, warn_of_broadcast
from torchkeras.training.compile.loss_parts import LossPart, at_path, loss_parts
from torchkeras.training.compile.outputs import is_named, leaves, output_names, structures, weights


class Crossentropy(Loss):
    """`"crossentropy"`: binary, categorical or sparse, as the first targets and outputs are."""

    keras_module = None

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self._made: Loss | None = None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> torch.Tensor:
        if self._made is None:
            kind = {"binary": "binary", "sparse": "sparse_categorical", "categorical": "categorical"}
            function = losses.get(f"{kind[kind_by_shape(y_true, y_pred)]}_crossentropy")
            self._made = losses.LossFunctionWrapper(function, name=self.name)
        return self._made(y_true, y_pred, sample_weight)


CROSSENTROPY = ("crossentropy", "ce")


def kind_by_shape(y_true: torch.Tensor, y_pred: torch.Tensor) -> str:
    """The kind of the labels: `"binary"`, `"sparse"` (class numbers) or `"categorical"` (one-hot)."""
    if y_pred.dim() == 0 or y_pred.shape[-1] == 1:
        return "binary"
    return "sparse" if y_true.dim() < y_pred.dim() or y_true.shape[-1] == 1 else "categorical"


def get_loss(identifier: Any) -> Any:
    """A callable `(y_true, y_pred, sample_weight)` of what `compile(loss=...)` takes; `None` stays `None`."""
    if identifier is None or isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, str) and identifier.lower() in CROSSENTROPY:
        return Crossentropy(identifier)
    function = losses.get(identifier)
    if isinstance(function, Loss):
        return function
    if not callable(function):
        raise ValueError(f"A loss must be a name, a Loss, a torch loss or a callable; received {identifier!r}.")
    name = identifier if isinstance(identifier, str) else getattr(function, "__name__", type(function).__name__)
    return losses.LossFunctionWrapper(function, name=name)


class CompileLoss:
    """The total of the losses of a model's outputs, weighted.

    Args:
        loss: one for all outputs, or a list or dict of them (nested as the outputs are, or by output name).
        loss_weights: numbers in the same form.
        output_names: of the model's outputs, where it knows them.
    """

    def __init__(self, loss: Any, loss_weights: Any = None, output_names: list[str] | None = None) -> None:
        self.loss = loss
        self.loss_weights = loss_weights
        self.output_names = output_names
        if loss_weights is not None and not isinstance(loss_weights, (list, tuple, dict, int, float)):
            raise ValueError(f"loss_weights must be a number, a list or a dict; received {loss_weights!r}.")
        wrong = [one for one in tree.flatten(loss_weights) if isinstance(one, str) or callable(one)]
        if wrong:
            raise ValueError(
                f"loss_weights must hold numbers; received {loss_weights!r}. compile()'s third argument is "
                "loss_weights: pass metrics by name, metrics=[...]."
            )
        # Unknown losses are found at compile(), not in the first step. Whether they fit the outputs is seen there: a
        # `compute_loss` of the user's may compare others than the model's.
        self._made = tree.map_structure(get_loss, loss)
        alone = self._made[0] if isinstance(self._made, (list, tuple)) and len(self._made) == 1 else self._made
        self._single = None if tree.is_nested(alone) or loss_weights is not None else alone
        self._parts: list[LossPart] | None = None
        self.last_parts: list[tuple[str, torch.Tensor]] = []
        self._has_checked_shapes = False
        self.accumulating: Any = None  # an optimizer that must know how much a batch weighs among others

    @property
    def reduction(self) -> str | None:
        """The reduction common to all losses, else that of a mean."""
        kinds = {getattr(one, "reduction", None) for one in tree.flatten(self._made) if one is not None}
        return kinds.pop() if len(kinds) == 1 else "sum_over_batch_size"

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> torch.Tensor | None:
        """The total loss, a scalar tensor; `None` where no output has a loss.

        Raises:
            ValueError: targets, outputs and losses do not go together.
        """
        if self.accumulating is not None and torch.is_grad_enabled():
            self.accumulating._tk_batch_weight = self._batch_weight(y_pred, sample_weight)
        if self._single is not None and isinstance(y_pred, torch.Tensor) and isinstance(y_true, torch.Tensor):
            try:
                return self._single(y_true, y_pred, sample_weight)
            except Exception as error:
                name = output_names(y_pred, self.output_names)[0]
                raise_with_names(error, "loss", self._single, name, y_true, y_pred)
        if self._parts is None:
            self._parts = self._assign(y_pred)
        preds = tree.flatten(y_pred)
        truths = self._targets(y_true, y_pred, len(preds))
        sample_weights = weights(sample_weight, y_pred, len(preds), self.output_names)
        total = None
        values: dict[str, torch.Tensor] = {}
        for part in self._parts:
            if part.index is None:
                value = self._of_nest(part, y_pred, truths, sample_weights)
            else:
                value = self._of_output(part, part.index, y_pred, preds, truths, sample_weights)
            values[part.name] = value.detach()  # a value to log, which must not keep the graph
            value = value * part.factor if part.factor != 1.0 else value
            total = value if total is None else total + value
        self.last_parts = list(values.items()) if len(self._parts) > 1 else []
        return total

    def _targets(self, y_true: Any, y_pred: Any, count: int) -> list:
        """The target of each output; outputs without a loss need none.

        Raises:
            ValueError: there are more or fewer.
        """
        truths = leaves(y_true, y_pred, self.output_names)
        if len(truths) == count:
            return truths
        wanted = sorted({part.index for part in self._parts or () if part.index is not None})
        if len(truths) != len(wanted):
            raise ValueError(
                f"y_true and y_pred have different structures.\ny_true: {structures(y_true)}\n"
                f"y_pred: {structures(y_pred)}\nThe targets must be nested as the outputs are: the model has {count} "
                f"output(s), y has {len(truths)}."
            )
        given = dict(zip(wanted, truths))
        return [given.get(index) for index in range(count)]

    def _of_output(
        self, part: LossPart, index: int, y_pred: Any, preds: list, truths: list, sample_weights: list
    ) -> torch.Tensor:
        if truths[index] is None:
            raise ValueError(f"{part.name!r} can't be computed: y has no targets for that output.")
        try:
            return part.function(truths[index], preds[index], sample_weights[index])
        except Exception as error:
            name = output_names(y_pred, self.output_names)[index]
            raise_with_names(error, "loss", part.function, name, truths[index], preds[index])

    def _of_nest(self, part: LossPart, y_pred: Any, truths: list, sample_weights: list) -> torch.Tensor:
        """The value of a loss that takes several outputs at once, nested as the model gives them."""
        outputs = at_path(y_pred, part.path)
        targets = at_path(tree.pack_sequence_as(y_pred, truths), part.path)
        places = tree.flatten(at_path(tree.pack_sequence_as(y_pred, list(range(len(truths)))), part.path))
        try:
            return part.function(targets, outputs, sample_weights[places[0]])
        except Exception as error:
            raise_with_names(error, "loss", part.function, part.name.removesuffix("_loss"), targets, outputs)

    @contextmanager
    def of_product(self, product: Product | None) -> Iterator[None]:
        """Inside, the loss of the only output is that of logits that are not computed yet; with `None` as ever."""
        before = self._single
        if product is not None:
            self._single = CrossentropyOfProduct(before, product)
        try:
            yield
        finally:
            self._single = before

    def _batch_weight(self, y_pred: Any, sample_weight: Any) -> Any:
        """How much the batch counts among those whose gradients are accumulated; of several losses, its rows."""
        if self._single is not None and isinstance(y_pred, torch.Tensor):
            return batch_weight(self._single.reduction, y_pred, sample_weight)
        return batch_rows(self.reduction, tree.flatten(y_pred)[0])

    def check_shapes(self, y_true: Any, y_pred: Any) -> None:
        """Warn, once, where an elementwise loss broadcasts the target against its output or the other way round."""
        if self._has_checked_shapes:
            return
        self._has_checked_shapes = True
        truths, preds = leaves(y_true, y_pred, self.output_names), tree.flatten(y_pred)
        names = output_names(y_pred, self.output_names)
        for part in self._assign(y_pred):
            if part.index is not None and len(truths) == len(preds):
                warn_of_broadcast(part.function, names[part.index], truths[part.index], preds[part.index])

    def _assign(self, y_pred: Any) -> list[LossPart]:
        names = output_names(y_pred, self.output_names)
        has_names = tree.is_nested(y_pred) and is_named(y_pred, self.output_names)
        parts = loss_parts(self._made, self.loss_weights, y_pred, names, has_names)
        if not has_names:  # parts that are called after their losses are numbered
            for part, name in zip(parts, _numbered([part.name for part in parts])):
                part.name = name
        return parts


def _numbered(names: list[str]) -> list[str]:
    return [name + (f"_{count}" if (count := names[:i].count(name)) else "") for i, name in enumerate(names)]
