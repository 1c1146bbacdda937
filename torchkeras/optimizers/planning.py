"""From gradients and variables to a plan: missing and new variables, and the variables of each kernel call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch

from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.user_warnings import warn_user
from torchkeras.optimizers import slots
from torchkeras.optimizers.parameter_group import (
    ParameterGroup,
    Plan,
    cut_by_bytes,
    group_by_kernel,
    local,
    to_parameter,
)
from torchkeras.optimizers.wide_weights import WideWeights, is_narrow


class Planned(Protocol):
    """The parts of an optimizer from which plans are made."""

    name: str
    built: bool
    elementwise: bool
    gradient_accumulation_steps: int | None
    _iterations: Any
    _trainable_variables: list
    _variables: list
    _index: dict[int, int]
    _slots: dict[str, list]
    _uses_update_step: bool
    low_precision_update: str | None

    def _bind(self, variables: list) -> None: ...
    def _tk_kind_of(self, variable: torch.Tensor) -> Any: ...
    def _tk_updates_in_place(self, group: ParameterGroup) -> bool: ...
    def _tk_uses_weight_decay(self, variable: torch.Tensor) -> bool: ...
    def _slot_dtype(self, variable: torch.Tensor) -> torch.dtype: ...
    def add_variable_from_reference(self, reference_variable: Any, name: str | None, initializer: Any) -> Any: ...


def indices_of(optimizer: Planned, grads: list, variables: list | None) -> list[int]:
    """The index of each gradient's variable among those that the optimizer was built with."""
    known = optimizer._trainable_variables
    if variables is None:
        if not optimizer.built:
            raise ValueError(
                "apply() without variables needs an optimizer that knows them; "
                f"{optimizer.name!r} has not been built. Call optimizer.build(variables) first."
            )
        if len(grads) != len(known):
            raise ValueError(
                f"There must be a gradient for each variable; received {len(grads)} gradients, "
                f"the optimizer {optimizer.name!r} was built with {len(known)} variables."
            )
        return list(range(len(known)))
    if len(grads) != len(variables):
        raise ValueError(f"Received {len(grads)} gradients for {len(variables)} variables.")
    found = [optimizer._index.get(id(v)) for v in variables]
    if None in found:
        rebind(optimizer, variables, variables[found.index(None)])
        found = list(range(len(variables)))
    return found


def rebind(optimizer: Planned, variables: list, unknown: torch.Tensor) -> None:
    """Take new variables for those that the optimizer was built with: FSDP2 replaces the parameters of a model.

    Before the first update any new variables of the same shapes will do. Later only sharded ones: they can be
    nothing but the old ones in another form, and the state is sharded like them.

    Raises:
        ValueError: these are other variables.
    """
    old = optimizer._trainable_variables
    same_shapes = len(old) == len(variables) and all(a.shape == b.shape for a, b in zip(old, variables))
    fresh = int(optimizer._iterations) == 0
    if not same_shapes or not (fresh or is_sharded(unknown)):
        raise ValueError(
            f"Unknown variable: {getattr(unknown, 'path', tuple(unknown.shape))}. The optimizer {optimizer.name!r} "
            f"was built with {len(old)} other variables and has made {int(optimizer._iterations)} updates. "
            "Make a new optimizer for new variables."
        )
    move_state(optimizer, variables)
    optimizer._bind(list(variables))


def change_layouts(optimizer: Planned, layouts: Mapping[int, Callable[[torch.Tensor], torch.Tensor]]) -> None:
    """Give slots another layout, in place: those shaped like a variable whose `id` is a key of `layouts`."""
    for row in optimizer._slots.values():
        for slot, variable in zip(row, optimizer._trainable_variables):
            if slot is not None and id(variable) in layouts and slot.shape == variable.shape:
                slot.data = layouts[id(variable)](slot.data)


def move_state(optimizer: Planned, variables: list, with_dtype: bool = False) -> None:
    """Move the slots to the variables' devices, and if asked convert them to the variables' dtypes."""
    replaced = {}
    for row in optimizer._slots.values():
        for i, (slot, variable) in enumerate(zip(row, variables)):
            if slot is not None and slot.is_floating_point():
                row[i] = slots.moved(slot, variable, optimizer._slot_dtype(variable) if with_dtype else None)
                replaced[id(slot)] = row[i]
    optimizer._variables = [replaced.get(id(v), v) for v in optimizer._variables]


def select(optimizer: Planned, grads: list, indices: list[int]) -> tuple[list, list[int]]:
    """The gradients that exist, and their variables' indices.

    Raises:
        ValueError: there are none.
    """
    present = [i for i, g in enumerate(grads) if g is not None]
    if len(present) == len(grads):
        return grads, indices
    if not present:
        raise ValueError("No gradients provided for any variable: each of the gradients is None.")
    names = [_name(optimizer, indices[i]) for i in range(len(grads)) if grads[i] is None]
    warn_user(
        f"Gradients do not exist for variables {names} when minimizing the loss: it does not depend on them. Is there "
        "a loss for each output of the model?"
    )
    return [grads[i] for i in present], [indices[i] for i in present]


def _name(optimizer: Planned, index: int) -> str:
    return getattr(optimizer._trainable_variables[index], "path", None) or f"parameter {index}"


def overwrite(optimizer: Planned, grads: list, indices: list[int]) -> tuple[list, list[int]]:
    """Put the gradient itself into variables that ask for it (scales of float8 training); return the others.

    Over accumulated steps their value is the greatest of the gradients.
    """
    variables = optimizer._trainable_variables
    if not any(is_overwritten(variables[i]) for i in indices):
        return grads, indices
    every = optimizer.gradient_accumulation_steps
    rest = []
    for grad, index in zip(grads, indices):
        variable = variables[index]
        if not is_overwritten(variable):
            rest.append((grad, index))
        elif not every:
            slots.assign(variable, grad)
        else:
            greatest = optimizer._slots["gradient_accumulator"][index]
            torch.maximum(to_parameter(grad, variable), greatest, out=greatest)
            if (int(optimizer._iterations) + 1) % every == 0:
                slots.assign(variable, greatest)
                greatest.zero_()
    return [grad for grad, _ in rest], [index for _, index in rest]


def overwrite_accumulated(optimizer: Planned) -> None:
    """Set the variables that `overwrite` handles to the greatest of their gradients since the last update."""
    for variable, greatest in zip(optimizer._trainable_variables, optimizer._slots["gradient_accumulator"]):
        if is_overwritten(variable):
            slots.assign(variable, greatest)
            greatest.zero_()


def updated_indices(optimizer: Planned) -> tuple[int, ...]:
    """The indices of the variables that an update changes: all but those that `overwrite` handles."""
    return tuple(i for i, v in enumerate(optimizer._trainable_variables) if not is_overwritten(v))


def is_overwritten(variable: torch.Tensor) -> bool:
    """Whether the variable takes its gradient as its value."""
    return bool(getattr(variable, "overwrite_with_gradient", False))


def make_plan(optimizer: Planned, indices: tuple[int, ...]) -> Plan:
    """The plan of an update of these variables."""
    everything = optimizer._trainable_variables
    variables = [everything[i] for i in indices]
    shards = local if optimizer.elementwise and not optimizer._uses_update_step else lambda tensor: tensor
    wide = _wide_weights(optimizer, shards)
    targets = [shards(v) for v in everything] if wide is None else wide.all
    accumulators = optimizer._slots.get("gradient_accumulator")
    averages = optimizer._slots.get("average")

    def groups_of(chosen: list[torch.Tensor], indices: Sequence[int], whole: bool = False) -> Iterator[ParameterGroup]:
        for alike in group_by_kernel(chosen, lambda p: optimizer._tk_kind_of(chosen[p])):
            for positions in [alike] if whole else cut_by_bytes(alike, chosen):
                mine = [indices[p] for p in positions]
                group = ParameterGroup(
                    indices=mine,
                    positions=positions,
                    parameters=[targets[i] for i in mine],
                    slots={name: [shards(row[i]) for i in mine] for name, row in optimizer._slots.items()},
                    decays=[optimizer._tk_uses_weight_decay(everything[i]) for i in mine],
                    kind=optimizer._tk_kind_of(everything[mine[0]]),
                )
                if accumulators is not None:
                    group.accumulators = [local(accumulators[i]) for i in mine]
                if averages is not None:
                    group.averages = [local(averages[i]) for i in mine]
                    group.averaged = [local(targets[i]) for i in mine]
                known = [(i, getattr(everything[i], "constraint", None)) for i in mine]
                held = everything if wide is None else targets
                group.constrained = [(held[i], constraint) for i, constraint in known if constraint is not None]
                yield group

    plan = Plan(indices, variables, list(groups_of(variables, indices)))
    if len(plan.groups) > 1 and wide is None:
        wholes = list(groups_of(variables, indices, whole=True))
        if all(map(optimizer._tk_updates_in_place, wholes)):
            plan.wholes = wholes
    plan.wide = wide
    if wide is not None and optimizer._uses_update_step:  # it is given the target in the place of the variable
        optimizer._index.update((id(target), i) for i, target in enumerate(targets))
    if accumulators is not None:
        plan.accumulators = [local(accumulators[i]) for i in indices]
        plan.all_accumulators = [local(slot) for slot in accumulators]
    if averages is not None:
        others = [i for i in range(len(everything)) if i not in indices and averages[i] is not None]
        plan.idle = list(groups_of([everything[i] for i in others], others))
        for group in plan.idle:
            group.constrained = []
    return plan


def make_masters(optimizer: Planned, variables: list) -> dict[str, list]:
    """The float32 masters of narrow weights, `None` for other weights, as slots of that name, if they are wanted."""
    if optimizer.low_precision_update != "master_weights":
        return {}
    make = optimizer.add_variable_from_reference
    return {"master_weight": [make(v, "master_weight", v) if is_narrow(v) else None for v in variables]}


def _wide_weights(optimizer: Planned, shards: Callable[[Any], Any]) -> WideWeights | None:
    """The float32 values to update, where the optimizer makes such updates and there are narrow weights."""
    weights = optimizer._trainable_variables
    if optimizer.low_precision_update is None or not any(map(is_narrow, weights)):
        return None
    if optimizer.low_precision_update == "stochastic_rounding":
        return WideWeights(weights, None)
    return WideWeights([shards(w) for w in weights], [shards(master) for master in optimizer._slots["master_weight"]])
