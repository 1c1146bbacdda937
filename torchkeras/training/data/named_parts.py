"""Batches that are one dict, as of a Hugging Face data set: which entries are targets and sample weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from torchkeras.core import tree
from torchkeras.core.types import Nest
from torchkeras.training.data.columns import holds_text, is_pandas

Names: TypeAlias = Nest[str]


def are_names(value: object) -> bool:
    """Whether a value is a string, or a list, tuple or dict of strings."""
    leaves = tree.flatten(value)
    return bool(leaves) and all(isinstance(leaf, str) for leaf in leaves)


class NamedParts:
    """Takes a batch that is a dict apart into inputs, targets and sample weights.

    Args:
        y: the targets' entry, or entries in the structure in which the loss takes them.
        sample_weight: likewise for the sample weights.
        input_names: names of the model's inputs, where they are known.
        output_names: names of the model's outputs, where they are known. If `y` is not given, entries that are called
            as the outputs are, and not as an input is, are their targets.
    """

    def __init__(
        self,
        y: Names | None = None,
        sample_weight: Names | None = None,
        input_names: Collection[str] = (),
        output_names: Collection[str] = (),
    ) -> None:
        self.y = y
        self.sample_weight = sample_weight
        self.output_names = [] if y is not None else [name for name in output_names if name not in input_names]
        if len(self.output_names) != len(output_names):
            self.output_names = []

    def split(self, batch: Any) -> Any:
        """`(x, y)` or `(x, y, sample_weight)` of a batch. If one entry is left for `x`, it stands for itself.

        Raises:
            ValueError: names were given, and the batch is no dict or lacks one of them.
        """
        named = self.y is not None or self.sample_weight is not None
        if not isinstance(batch, Mapping):
            if not named:
                return batch
            raise ValueError(
                f"{self._given()} names entries of batches that are dicts; the data gave a {type(batch).__name__}. Let "
                "the data give dicts; or (inputs, targets, sample_weights), without names in fit()."
            )
        y = self.y if self.y is not None else self._outputs_in(batch)
        if not named and y is None:
            return batch
        taken = {*tree.flatten(y), *tree.flatten(self.sample_weight)} - {None}
        missing = [name for name in sorted(taken) if name not in batch]
        if missing:
            raise ValueError(f"The data have the entries {list(batch)}; there is no {', '.join(map(repr, missing))}.")
        # Names with "__" in front are a format's own, as WebDataset's "__key__".
        x = {name: value for name, value in batch.items() if name not in taken and not str(name).startswith("__")}
        if not x:
            raise ValueError(f"No entry is left for the inputs: the data have the entries {list(batch)} alone.")
        x = next(iter(x.values())) if len(x) == 1 else x
        parts = x, _entries(batch, y)
        return parts if self.sample_weight is None else (*parts, _entries(batch, self.sample_weight))

    def _given(self) -> str:
        return f"y={self.y!r}" if self.y is not None else f"sample_weight={self.sample_weight!r}"

    def _outputs_in(self, batch: Mapping[str, Any]) -> Names | None:
        """The targets as the model's outputs are called; `None` where the batch has no entries for all of them."""
        names = self.output_names
        if not names or not all(name in batch for name in names):
            return None
        return names[0] if len(names) == 1 else {name: name for name in names}


def _entries(batch: Mapping[str, Any], names: Names | None) -> Any:
    return None if names is None else tree.map_structure(lambda name: batch[name], names)


def named_arrays(x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """Take a dict of arrays, or a DataFrame, apart where `y` or `sample_weight` names entries or columns of it.

    Other data are left as they are.

    Raises:
        ValueError: there is no such column.
    """
    if not (are_names(y) or are_names(sample_weight)):
        return x, y, sample_weight
    if is_pandas(x, 2):
        taken = {*tree.flatten(y), *tree.flatten(sample_weight)} - {None}
        missing = [name for name in sorted(taken) if name not in x.columns]
        if missing:
            raise ValueError(
                f"The DataFrame has the columns {list(x.columns)}; there is no {', '.join(map(repr, missing))}."
            )
        rest = x[[name for name in x.columns if name not in taken]]
        return rest, _entries(x, y), _entries(x, sample_weight)
    if not isinstance(x, Mapping):
        return x, y, sample_weight
    return (*NamedParts(y, sample_weight).split(x), None)[:3]


def columns_by_name(x: Any, input_names: Collection[str]) -> Any:
    """A DataFrame as a dict of its columns for the inputs that are called as they are; other data as they are.

    Raises:
        ValueError: some columns hold strings, others numbers, and the model has no inputs for them.
    """
    if not is_pandas(x, 2):
        return x
    text = [name for name in x.columns if holds_text(x[name])]
    named = [name for name in x.columns if name in set(input_names)]
    if named and (text or set(input_names) <= set(named)):
        return {name: x[name] for name in named}
    if text and len(text) < len(x.columns):
        raise ValueError(
            f"A DataFrame with columns of strings {text} and others {[n for n in x.columns if n not in text]} needs a "
            f"functional model with an input for each column, named as it is; the model's inputs are called "
            f"{list(input_names)}. Make the inputs with Input((1,), dtype='string', name={text[0]!r}), or pass one "
            "column, x[name], or numbers."
        )
    return x


def with_names(validation_data: Any, y: Any, sample_weight: Any) -> Any:
    """Validation data that came without names of their own take those of the training data."""
    named = are_names(y) or are_names(sample_weight)
    if not named or validation_data is None or isinstance(validation_data, (list, tuple)):
        return validation_data
    return validation_data, y, sample_weight


def ask_for_targets(x: object) -> str:
    """The way to name the targets of data like these, for an error."""
    if not isinstance(x, Mapping):
        return "pass y"
    return (
        f"the batches are dicts with the entries {list(x)}; name the targets' entry, as in fit(data, y='labels'), or "
        "let the data give (inputs, targets)"
    )
