"""The optimizer's variables in legacy files, into the optimizer of a model that was compiled as the file says.

Keras 3 writes the variables in the order of `optimizer.variables`. In files of Keras 1 and 2 all first moments come
before all second ones, or each variable's moments lie side by side, by the version; the names say which, if they say
anything.
"""

from __future__ import annotations

import re
from typing import Any

from torchkeras.core.user_warnings import warn_user
from torchkeras.optimizers.optimizer import Optimizer
from torchkeras.saving.formats.legacy_h5 import LegacySource, SavedLayer
from torchkeras.saving.legacy.values import Value, values_of

_UNTRAINED = 2  # variables before the first step: the number of steps and the learning rate
_COUNTS = ("iter", "iteration", "iterations")
_RATES = ("learning_rate", "lr")
_PRODUCTS = ("momentum_cache", "m_schedule", "u_product", "_u_product")
_OTHER_NUMBERS = ("decay", "current_learning_rate", "beta_1", "beta_2", "rho", "hyper")
# Keras 2's names of the state of each variable, and the optimizer's.
_SLOTS = {
    "m": ("momentum",),
    "v": ("velocity", "norm"),
    "u": ("norm",),
    "vhat": ("velocity_hat",),
    "v_hat": ("velocity_hat",),
    "rms": ("velocity",),
    "velocity": ("velocity",),
    "momentum": ("momentum",),
    "mg": ("average_gradient",),
    "average_gradient": ("average_gradient",),
    "accumulator": ("accumulator",),
    "accum_grad": ("accumulated_grad",),
    "accumulated_grad": ("accumulated_grad",),
    "accum_var": ("accumulated_delta_var",),
    "accumulated_delta_var": ("accumulated_delta_var",),
    "linear": ("linear",),
}


def load_optimizer(optimizer: Any, source: LegacySource) -> None:
    """Give an optimizer the state in a file; warn, and leave it as it is, if the state does not fit.

    Args:
        optimizer: of the model, built.
        source: the file.
    """
    saved = source.optimizer()
    if saved is None:
        return
    found: list[tuple[Any, Value]] | None = None
    if isinstance(optimizer, Optimizer) and optimizer.built:
        if optimizer.variables[_UNTRAINED:] and all(value.shape in ((), (1,)) for value in values_of(saved)):
            return  # saved before the first step: it had no state of variables yet
        is_keras_3 = (source.keras_version() or "1").startswith("3")
        found = _as_they_are(optimizer, saved) if is_keras_3 else _by_slots(optimizer, saved)
    if found is None:
        warn_user(
            "Error in loading the saved optimizer state. As a result, your model is starting with a freshly "
            "initialized optimizer."
        )
        return
    read = [(variable, value.read()) for variable, value in found]
    for variable, array in read:
        optimizer.assign(variable, array.reshape(tuple(variable.shape)))


def _as_they_are(optimizer: Optimizer, saved: SavedLayer) -> list[tuple[Any, Value]] | None:
    values = values_of(saved)
    pairs = list(zip(optimizer.variables, values))
    fits = len(values) == len(optimizer.variables) and all(tuple(v.shape) == value.shape for v, value in pairs)
    return pairs if fits else None


def _by_slots(optimizer: Optimizer, saved: SavedLayer) -> list[tuple[Any, Value]] | None:
    """The pairs of variables and values; `None` if they do not fit."""
    named = list(zip(saved.weight_names, values_of(saved), strict=True))
    numbers: dict[str, Value] = {}
    while named and named[0][1].shape in ((), (1,)) and (kind := _number(named[0][0])) is not None:
        numbers[kind] = named.pop(0)[1]
    numbers |= {kind: value for name, value in named if (kind := _number(name)) in ("product", "rate")}
    named = [(name, value) for name, value in named if _number(name) not in ("product", "rate")]
    blocks = _blocks(optimizer, named)
    if blocks is None:
        return None
    found = _pairs_of_numbers(optimizer, numbers)
    for slot, values in blocks.items():
        variables = optimizer._slots.get(slot)
        if variables is None:
            continue
        if any(tuple(v.shape) != value.shape for v, value in zip(variables, values, strict=True)):
            return None
        found += zip(variables, values)
    return found


def _number(name: str) -> str | None:
    """The kind of a variable that belongs to no weight: `"count"`, `"rate"`, `"product"` or `"other"`."""
    last = _parts(name)[-1]
    for kind, names in (("count", _COUNTS), ("rate", _RATES), ("product", _PRODUCTS), ("other", _OTHER_NUMBERS)):
        if last in names:
            return kind
    return "count" if re.fullmatch(r"variable(_\d+)?", last) and "/" not in name.rsplit("/", 1)[0] else None


def _parts(name: str) -> list[str]:
    return [part for part in name.split(":")[0].lower().split("/") if part]


def _pairs_of_numbers(optimizer: Optimizer, numbers: dict[str, Value]) -> list[tuple[Any, Value]]:
    targets = {"count": optimizer.iterations, "product": getattr(optimizer, "_u_product", None)}
    targets["rate"] = next((v for v in optimizer.variables if v.path.endswith("learning_rate")), None)
    return [(targets[kind], value) for kind, value in numbers.items() if targets.get(kind) is not None]


def _blocks(optimizer: Optimizer, named: list[tuple[str, Value]]) -> dict[str, list[Value]] | None:
    """The values of each slot in the order of the variables; `None` if their number does not fit."""
    count = len(optimizer._trainable_variables)
    slots = [slot for group in optimizer.slot_groups() for slot in group]
    kinds = [_kind(name) for name, _ in named]
    if all(kind is not None for kind in kinds):
        found: dict[str, list[Value]] = {}
        for kind, (_, value) in zip(kinds, named):
            slot = next((slot for slot in _SLOTS[kind] if slot in slots), kind)  # type: ignore[index]
            found.setdefault(slot, []).append(value)  # type: ignore[arg-type]
    else:
        if not count or len(named) % count:
            return None
        values = [value for _, value in named]
        parts = [values[i : i + count] for i in range(0, len(values), count)]
        found = dict(zip(slots, parts))
    if any(slot not in found or len(found[slot]) != count for slot in slots):
        return None
    return {slot: found[slot] for slot in slots}


def _kind(name: str) -> str | None:
    """The state of a weight that a variable is, by its name: last in TensorFlow 2.0 to 2.10, then second."""
    parts = _parts(name)
    for part in (parts[-1], *parts[1:2]):
        if re.sub(r"_\d+$", "", part) in _SLOTS:
            return re.sub(r"_\d+$", "", part)
    return None
