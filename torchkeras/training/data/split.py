"""`validation_split`: the last part of the samples, before any shuffling."""

from __future__ import annotations

import math
from typing import Any

from torchkeras.core import tree
from torchkeras.training.data.columns import cut, is_array, loaded, rows_of


def train_validation_split(arrays: Any, validation_split: float) -> tuple[Any, Any]:
    """Split nested arrays into the first `1 - validation_split` of the samples and the rest; `None` stays `None`.

    Raises:
        ValueError: something is not an array, or one of the two parts would be empty.
    """
    arrays = loaded(arrays)
    leaves = tree.flatten(arrays)
    others = [type(leaf).__name__ for leaf in leaves if leaf is not None and not is_array(leaf)]
    if others:
        raise ValueError(
            "validation_split is only supported for arrays (NumPy, torch, pandas), whose last samples can be told; "
            f"received {', '.join(others)}. Pass validation_data instead."
        )
    found = [leaf for leaf in leaves if leaf is not None]
    if not found:
        return arrays, arrays
    samples = rows_of(found[0])
    at = math.floor(samples * (1.0 - validation_split))
    if at <= 0 or at >= samples:
        raise ValueError(
            f"validation_split={validation_split} of {samples} samples leaves {at} to train on and {samples - at} to "
            "validate on; both must hold at least one. Give more data or another validation_split."
        )
    first = tree.map_structure(lambda array: cut(array, 0, at), arrays)
    last = tree.map_structure(lambda array: cut(array, at, samples), arrays)
    return first, last
