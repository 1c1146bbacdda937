"""The value of a weight: as a call reads it, as a copy, and set from outside."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from torchkeras.core.state import state
from torchkeras.core.tensors.convert import convert_to_numpy, convert_to_tensor
from torchkeras.core.tensors.sharded import before_message, dtensors, is_sharded, whole_of
from torchkeras.core.types import ArrayLike
from torchkeras.core.variables.variable import BufferVariable, Variable, VariableInfo, as_variable


def read_weight(value: torch.Tensor, info: VariableInfo | None) -> torch.Tensor:
    """A weight as the call in progress wants it: without values, replaced by a stateless scope's, or cast."""
    if state.symbolic:
        meta = torch.empty(value.shape, dtype=value.dtype, device="meta")
        return as_variable(meta, False, info) if isinstance(value, BufferVariable) else meta
    if state.stateless is not None and isinstance(value, Variable):
        replaced = state.stateless.get_current_value(value)
        value = value if replaced is None else replaced
    whole = value
    if state.gathered is not None and is_sharded(value):
        whole = state.gathered.read(value)
    if state.autocast is not None and value.is_floating_point() and value.dtype != state.autocast:
        if (info is None or info.autocast) and isinstance(value, nn.Parameter):
            if state.casts is None or state.stateless is not None or whole is not value:
                return whole.to(state.autocast)
            return state.casts.read(value, state.autocast, None if info is None else info.memory_order)
    return whole


def restore_variables(module: nn.Module, infos: dict[str, VariableInfo]) -> None:
    """Make variables again of the plain tensors that torch makes where it moves weights to another kind of device."""
    for name, info in infos.items():
        for place in (module._parameters, module._buffers):
            tensor = place.get(name)
            if tensor is None or isinstance(tensor, Variable) or is_sharded(tensor):
                continue
            is_parameter = place is module._parameters
            if is_parameter and type(tensor) is not nn.Parameter:
                continue
            variable = as_variable(tensor.detach(), is_parameter, info)
            variable.requires_grad_(tensor.requires_grad)
            place[name] = variable  # type: ignore[assignment]


def copy_of(tensor: torch.Tensor) -> np.ndarray:
    """The value as an array of its own; the whole value of a sharded one."""
    if isinstance(tensor, Variable):
        return tensor.numpy()
    return np.array(convert_to_numpy(whole_of(tensor) if is_sharded(tensor) else tensor))


def assign(tensor: torch.Tensor, value: ArrayLike) -> None:
    """Set the value of a weight of any kind, in place."""
    if isinstance(tensor, Variable):
        tensor.assign(value)
        return
    value = convert_to_tensor(value, tensor.dtype, tensor.device)
    if is_sharded(tensor):  # each rank keeps its part
        before_message("the setting of a weight")
        value = dtensors().distribute_tensor(value, tensor.device_mesh, tensor.placements)  # type: ignore[attr-defined]
    with torch.no_grad():
        tensor.copy_(value)
