"""The variables of an optimizer's state: making, placing, saving and loading them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchkeras import initializers
from torchkeras.core.accelerators import mark_like
from torchkeras.core.tensors.convert import convert_to_numpy, convert_to_tensor
from torchkeras.core.tensors.dtypes import standardize_dtype
from torchkeras.core.tensors.sharded import dtensors, is_sharded, whole_of
from torchkeras.core.types import ArrayLike, Store
from torchkeras.core.user_warnings import warn_user
from torchkeras.core.variables.variable import Variable, as_variable


def make_slot(reference: torch.Tensor, name: str, initializer: Any = "zeros", dtype: torch.dtype | None = None) -> Any:
    """A variable of the shape, type and place of `reference`, named after it; of a sharded one, sharded alike.

    Args:
        initializer: a name, a callable `(shape, dtype)`, the number to fill it with, or `reference` itself to copy.
        dtype: another type than that of `reference`.
    """
    dtype = dtype or reference.dtype
    fill = 0.0 if isinstance(initializer, str) and initializer == "zeros" else initializer
    if isinstance(fill, (int, float)):
        value = torch.full_like(reference, fill, requires_grad=False, dtype=dtype)
    elif fill is reference:
        value = reference.detach().clone().to(dtype)
    else:
        make = initializers.get(initializer)
        value = make(tuple(reference.shape), dtype=standardize_dtype(dtype))
        value = place_like(convert_to_tensor(value, dtype=dtype), reference)
    if is_sharded(value):  # a wrapper of its own, which can't be a Variable
        return value
    slot = Variable(value.detach().as_subclass(torch.Tensor), trainable=False, name=f"{_flat_name(reference)}_{name}")
    mark_like(slot, reference)
    return slot


def _flat_name(reference: torch.Tensor) -> str:
    path = getattr(reference, "path", None) or getattr(reference, "name", None) or "parameter"
    return str(path).replace("/", "_").replace(":", "_")


def place_like(slot: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """The slot's value on the device of `reference`, and sharded as it is; whole on each rank if the shapes differ."""
    if is_sharded(reference) and not is_sharded(slot):
        plain = slot.detach().as_subclass(torch.Tensor).to(reference.device)
        whole = [dtensors().Replicate()] * reference.device_mesh.ndim
        placements = reference.placements if slot.shape == reference.shape else whole
        return dtensors().distribute_tensor(plain, reference.device_mesh, placements)
    return slot.detach().to(device=reference.device)


def moved(slot: Any, reference: torch.Tensor, dtype: torch.dtype | None = None) -> Any:
    """The slot where `reference` is: itself where that changes nothing."""
    dtype = dtype or slot.dtype
    sharded_alike = is_sharded(slot) == is_sharded(reference)
    if slot.device == reference.device and slot.dtype == dtype and sharded_alike:
        mark_like(slot, reference)
        return slot
    value = place_like(slot, reference).to(dtype)
    if is_sharded(value):
        return value
    variable = as_variable(value, False, slot.info if isinstance(slot, Variable) else None)
    mark_like(variable, reference)
    return variable


def assign(variable: torch.Tensor, value: ArrayLike) -> None:
    """Give a variable, or any other tensor, a value."""
    if isinstance(variable, Variable):
        variable.assign(value)
        return
    with torch.no_grad():
        value = convert_to_tensor(value, dtype=variable.dtype, device=variable.device)
        if value.shape != variable.shape:
            raise ValueError(
                f"A value must have its variable's shape {tuple(variable.shape)}; received {tuple(value.shape)}."
            )
        if is_sharded(variable) and not is_sharded(value):
            value = dtensors().distribute_tensor(value, variable.device_mesh, variable.placements)
        variable.copy_(value)


def whole(variable: Any) -> torch.Tensor:
    """The whole value of a variable of which each rank may have a part."""
    return whole_of(variable) if is_sharded(variable) else variable  # type: ignore[no-any-return]


def save(variables: list, store: Store) -> None:
    """Put the values into a dict-like `store` under "0", "1", ..., as Keras's files have them.

    A store with a true attribute `takes_parts` gets the variables themselves, which it copies.
    """
    as_they_are = getattr(store, "takes_parts", False)
    for i, variable in enumerate(variables):
        # A copy: the next step writes into the variable.
        store[str(i)] = variable if as_they_are else np.array(convert_to_numpy(whole(variable)))


def load(variables: list, store: Store, name: str) -> None:
    """Take the values back from a `store`. One with another number of values is left alone, with a warning.

    Raises:
        ValueError: a value has another shape than its variable; then nothing has been changed.
    """
    count = len(store.keys())
    if count != len(variables):
        hint = " The optimizer has not been built yet: call build() first." if not variables else ""
        warn_user(
            f"The state of the optimizer {name!r} was not loaded: it has {len(variables)} variables, "
            f"the file has {count}.{hint}"
        )
        return
    for i, variable in enumerate(variables):
        if tuple(store[str(i)].shape) != tuple(variable.shape):
            raise ValueError(
                f"Value {i} of the optimizer {name!r} must have the shape {tuple(variable.shape)} of "
                f"{getattr(variable, 'path', 'its variable')!r}; the file has {tuple(store[str(i)].shape)}."
            )
    for i, variable in enumerate(variables):
        assign(variable, store[str(i)])
