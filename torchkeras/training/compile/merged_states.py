"""The states of metrics of several ranks put together, for a training that other ranks go on with.

A state is what `metric_states.get_states` gives. The states of metrics are sums: the ranks that go on have the same sum
if the first of them has that of all former ranks and the others begin with nothing, which is written as `None`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from torchkeras.core.user_warnings import warn_user

State: TypeAlias = dict[str, Any]


def merged(states: Sequence[State], is_first: bool) -> State:
    """The states of all metrics that one rank goes on with.

    Args:
        states: the states of ranks that had different rows.
        is_first: whether the rank is the first of those that have different rows now.
    """

    def each(parts: Sequence[Any]) -> Any:
        return _of_metric(parts, is_first)

    first = states[0]
    names = {name: None for state in states for name in state["losses"]}
    built = [state["compiled"] for state in states if state["compiled"]]
    return {
        "loss": each([state["loss"] for state in states]),
        "losses": {
            name: each([state["losses"][name] for state in states if name in state["losses"]]) for name in names
        },
        "compiled": [each(parts) for parts in zip(*built, strict=True)] if built else [],
        "own": [each([state["own"][i] for state in states]) for i in range(len(first["own"]))],
    }


def _of_metric(parts: Sequence[Any], is_first: bool) -> Any:
    if isinstance(parts[0], dict) and "of_torch" in parts[0]:
        members = zip(*[part["of_torch"] for part in parts], strict=True)
        return {"of_torch": [_of_torch_metric(member, is_first) for member in members]}
    states = [part if isinstance(part, dict) else {"values": part, "kinds": ["sum"] * len(part)} for part in parts]
    made = [state for state in states if state["values"]] or states[:1]  # some make their variables for the first batch
    kinds = made[0]["kinds"]
    columns = zip(kinds, *[state["values"] for state in made], strict=True)
    values = [_of_variable(kind, column, is_first) for kind, *column in columns]
    return {"values": values, "kinds": kinds}


def _of_variable(kind: str, values: Sequence[np.ndarray], is_first: bool) -> Any:
    if kind == "mean":
        return np.mean(values, axis=0).astype(values[0].dtype)
    if not is_first:
        return None
    return values[0] if kind == "only_first_replica" else np.sum(values, axis=0).astype(values[0].dtype)


# ---------------------------------------------------------------------------- torchmetrics

_REDUCTIONS: dict[str, Callable[[Sequence[np.ndarray]], np.ndarray]] = {
    "dim_zero_sum": lambda values: np.sum(values, axis=0).astype(values[0].dtype),
    "dim_zero_max": lambda values: np.max(values, axis=0),
    "dim_zero_min": lambda values: np.min(values, axis=0),
}


def _of_torch_metric(parts: Sequence[State], is_first: bool) -> State | None:
    """The state of a torchmetrics metric, put together as torchmetrics does it."""
    first, values = parts[0], {}
    for name, kind in first["kinds"].items():
        own = [part["values"][name] for part in parts if part["updates"]] or [first["values"][name]]
        if kind == "dim_zero_mean":
            values[name] = np.mean(own, axis=0).astype(own[0].dtype)
        elif not is_first:
            values[name] = None
        elif isinstance(own[0], list) and kind in ("dim_zero_cat", "None"):
            values[name] = [item for one in own for item in one]
        elif kind == "dim_zero_cat":
            values[name] = np.concatenate([np.atleast_1d(one) for one in own])
        elif kind in _REDUCTIONS:
            values[name] = _REDUCTIONS[kind](own)
        else:
            warn_user(
                f"The metric {first['name']} can't be put together from those of {len(parts)} ranks: its state "
                f"{name!r} has the reduction {kind}. Its value for the epoch that was interrupted will lack their rows."
            )
            values[name] = own[0]
    updates = sum(part["updates"] for part in parts) if is_first else None
    return {**first, "updates": updates, "values": values}


def merged_results(results: Sequence[State], is_first: bool) -> State:
    """Join the results of an epoch's steps so far, of all ranks (`PassResults.get_state`)."""
    first = results[0]
    if not first:
        return first
    sums = first["sums"]
    if sums is not None:
        sums = {n: sum(part["sums"][n] for part in results if part["sums"]) if is_first else 0.0 for n in sums}
    rows = sum(part["rows"] for part in results) if is_first else 0
    return {**first, "rows": rows, "sums": sums}
