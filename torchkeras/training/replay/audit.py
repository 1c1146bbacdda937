"""An audit of one step: whether a replay of its kernels would do all that the step does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from torchkeras.core import tree
from torchkeras.core.torch_internals import DispatchMode

# Operations whose result the host must know: a value, or the shape of an output.
_READS = frozenset(("_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2", "unique_consecutive"))
# Their seeds lie on the host in eager mode, and on the device while a stream is captured: torch sees to it.
_ATTENTION = ("_scaled_dot_product", "_flash_attention", "_efficient_attention", "_cudnn_attention")
_DRAWS = ("rand", "normal", "bernoulli", "multinomial", "poisson", "exponential", "uniform")


class Audit(DispatchMode):  # type: ignore[misc, valid-type]
    """Watches the operations of a step and notes the first one that a replay would not repeat.

    A replay repeats kernels of one device alone. So a step must not read values of the device, must not use or change
    tensors of the host (constants that it makes there are fine as long as they are not copied to the device), and must
    draw random numbers from torch's generator of the device.

    Args:
        device: the device of the step.
        host: tensors on the host that the step may use, because somebody sees to them between replays.
    """

    def __init__(self, device: torch.device, host: Sequence[torch.Tensor] = ()) -> None:
        super().__init__()
        self.device = device
        self.obstacle: str | None = None
        self._managed = {_address(tensor) for tensor in host}
        self._kept: list[torch.Tensor] = []  # so that no address is given to another tensor meanwhile
        self._constant: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        given = list(_tensors((args, kwargs or {})))
        result = function(*args, **(kwargs or {}))
        if self.obstacle is None:
            name = str(function).split(".")[1]
            draws = name.startswith(_DRAWS) or torch.Tag.nondeterministic_seeded in getattr(function, "tags", ())
            self.obstacle = self._obstacle(name, draws, given, list(_tensors(result)), kwargs or {})
        return result

    def _obstacle(self, name: str, draws: bool, given: list, made: list, kwargs: dict[str, Any]) -> str | None:
        """Why a replay would not repeat an operation."""
        if any(t.device.type == self.device.type and t.device != self.device for t in (*given, *made)):
            return f"it computes on several devices ({name})"
        if kwargs.get("generator") is not None:
            return f"it draws random numbers by a seed of its own ({name})"
        host = [tensor for tensor in given if self._is_host(tensor)]
        if name.startswith(_ATTENTION):
            return None
        if name == "lift_fresh":  # torch.tensor(...)
            self._kept += host
            self._constant.update(map(_address, host))
        here = len(given) - len(host)
        if name in _READS and here:
            return f"it reads values of the device ({name})"
        results = [tensor for tensor in made if self._is_host(tensor)]
        if here and results:
            return f"it copies values to the host ({name})"
        if not here and results and draws:
            return f"it draws random numbers on the host ({name})"
        strange = [t for t in host if _address(t) not in self._managed and _address(t) not in self._constant]
        managed = [t for t in host if _address(t) in self._managed]
        if here and (managed or any(t.dim() for t in host)):
            return f"it copies values from the host ({name})"
        if strange and (here or name.endswith("_") or "out" in kwargs or name in _READS):
            return f"it uses or changes a tensor of the host ({name})"
        if host and made and not here and not results:  # also of constants: a replay would read where they were
            return f"it copies values from the host ({name})"
        for tensor in results:
            self._kept.append(tensor)
            if not strange:
                (self._managed if managed else self._constant).add(_address(tensor))
        return None

    def _is_host(self, tensor: torch.Tensor) -> bool:
        if self.device.type == "cpu":  # a stand-in: the host's tensors are those that were named
            return _address(tensor) in self._managed
        return tensor.device.type == "cpu"


def _tensors(nest: Any) -> Iterator[torch.Tensor]:
    return (leaf for leaf in tree.flatten(nest) if isinstance(leaf, torch.Tensor))


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
