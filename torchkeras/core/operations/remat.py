"""Rematerialization: the backward pass computes intermediate results again, instead of keeping them.

`remat` puts a function under `torch.utils.checkpoint`; `RematScope` chooses the layers that are called so. Torch
restores its own random state for the second run. This file restores the rest: the variables that the call reads or
changes (moving statistics, seeds), which the second run reads as they were and does not change, the state of the
enclosing calls (training flag, autocast), and the choice of kernels.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from torchkeras.core.fast_paths.unseen import is_unseen
from torchkeras.core.state import state
from torchkeras.core.torch_internals import in_functorch_transform
from torchkeras.core.variables.stateless import CallScope
from torchkeras.core.variables.variable import BufferVariable, StatelessScope, Variable

MODES = ("full", "activations", "larger_than", "list_of_layers", None)


class RematMode(NamedTuple):
    """The arguments of a `RematScope`."""

    mode: str | None
    output_size_threshold: int
    layer_names: Any


class _Scopes(threading.local):
    def __init__(self) -> None:
        self.modes: list[RematMode] = []


_scopes = _Scopes()


class RematScope:
    """Rematerialize layers and operations that are made inside: less memory for more time.

    Their calls keep no intermediate results for the backward pass, which computes them again. This holds whenever the
    layers are called, in or out of the scope. Of nested scopes the innermost counts. A model is a layer, too: made
    inside, it is computed again as a whole.

    Args:
        mode: `"full"`: all layers; `"activations"`: only the `activation` of those that have one; `"larger_than"`:
            those whose outputs have more than `output_size_threshold` elements, including the batch's;
            `"list_of_layers"`: those of the given names; `None`: none. Default: `"full"`.
        output_size_threshold: number of elements, for `"larger_than"`. Default: `1024`.
        layer_names: names of layers, for `"list_of_layers"`. Default: `None`.

    Raises:
        ValueError: there is no such mode.

    Example:
        >>> with keras.RematScope(mode="full"):
        ...     layer = keras.layers.Dense(2)
        >>> layer(torch.ones(1, 3)).shape
        torch.Size([1, 2])
    """

    def __init__(self, mode: str | None = "full", output_size_threshold: int = 1024, layer_names: Any = None) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be one of {MODES}; received {mode!r}.")
        self.mode = mode
        self.output_size_threshold = output_size_threshold
        self.layer_names = layer_names or []

    def __enter__(self) -> RematScope:
        _scopes.modes.append(RematMode(self.mode, self.output_size_threshold, self.layer_names))
        return self

    def __exit__(self, *error: Any) -> None:
        _scopes.modes.pop()


def get_current_remat_mode() -> RematMode | None:
    """The arguments of the innermost open `RematScope`; `None` outside of all."""
    return _scopes.modes[-1] if _scopes.modes else None


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that the backward pass computes its intermediate results again instead of keeping them.

    This takes less memory and more time. `f` must compute the same when it is called twice: it may draw random numbers
    and change variables (the second run draws the same and changes nothing), but not depend on Python state that it
    changes. Between the two runs the arguments are kept, and copies of the non-trainable variables that `f` reads.

    If there is nothing to save (no gradients are computed, shapes are inferred, inside a `torch.func` transform or
    `torch.export`), `f` is called as it is.

    Args:
        f: function of tensors.

    Returns:
        A function with the signature of `f`.

    Example:
        >>> x = torch.tensor(2.0, requires_grad=True)
        >>> keras.remat(lambda x: torch.exp(x) * x)(x).backward()
        >>> round(x.grad.item(), 4)  # exp(2) * (2 + 1)
        22.1672
    """

    def rematerialized(*args: Any, **kwargs: Any) -> Any:
        if not _saves_for_backward():
            return f(*args, **kwargs)
        if torch.compiler.is_compiling():  # one traced graph: nothing in Python runs twice
            return checkpoint(f, *args, use_reentrant=False, **kwargs)
        return checkpoint(_Run(f, kwargs), *args, use_reentrant=False)

    if torch.compiler.is_compiling():  # nobody reads its name, and torch 2.15 does not trace the next line
        return rematerialized
    return functools.update_wrapper(rematerialized, f, updated=())


def _saves_for_backward() -> bool:
    if not torch.is_grad_enabled() or state.symbolic:
        return False
    if torch.compiler.is_compiling():
        return not torch.compiler.is_exporting()
    return not in_functorch_transform()


class _Run:
    """One call: run for its outputs first, then, each time that the backward pass asks, as it was that first time."""

    def __init__(self, function: Callable, kwargs: dict[str, Any]) -> None:
        self.function = function
        self.kwargs = kwargs
        self.first: _FirstRun | None = None
        self.tensors: _ModuleTensors | None = None

    def __call__(self, *args: Any) -> Any:
        if self.first is None:
            owner = getattr(self.function, "__self__", self.function)
            self.tensors = _ModuleTensors(owner) if isinstance(owner, nn.Module) else None
            self.first = _FirstRun()
            with self.first:
                return self.function(*args, **self.kwargs)
        if self.tensors is None:
            with _SecondRun(self.first, self):
                return self.function(*args, **self.kwargs)
        with self.tensors, _SecondRun(self.first, self):
            return self.function(*args, **self.kwargs)


class _FirstRun(StatelessScope):
    """Changes are made as ever; what variables held before is noted when they are first read or changed."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[int, tuple[Variable, torch.Tensor]] = {}
        self.calls = (state.training, state.autocast, state.entry)
        self.unseen = is_unseen()

    @property
    def outer(self) -> StatelessScope | None:
        return self._outer

    def get_current_value(self, variable: Variable) -> Any:
        value = self._outer.get_current_value(variable) if self._outer is not None else None
        if isinstance(variable, BufferVariable):
            self._note(variable, value)
        return value

    def add_update(self, update: tuple) -> None:
        variable, value = update
        outer = self._outer
        self._note(variable, outer.get_current_value(variable) if outer is not None else None)
        if outer is not None:
            outer.add_update(update)
            return
        with torch.no_grad():
            variable.copy_(value)

    def _note(self, variable: Variable, value: Any) -> None:
        if id(variable) not in self.before:
            self.before[id(variable)] = (variable, (variable if value is None else value).detach().clone())

    def __enter__(self) -> StatelessScope:
        super().__enter__()
        if self._outer is not None:
            self.collect_losses, self.drops_losses = self._outer.collect_losses, self._outer.drops_losses
        return self

    def add_loss(self, loss: Any) -> None:
        self._outer.add_loss(loss)


class _SecondRun(CallScope):
    """Variables are copies of what they were at first; losses were added then; enclosing calls say what they said."""

    drops_losses = True

    def __init__(self, first: _FirstRun, call: Any) -> None:
        super().__init__((), first.before.values())
        self._around = first.outer
        self._calls = first.calls
        self._unseen = first.unseen
        self._call = call

    def get_current_value(self, variable: Variable) -> Any:
        value = super().get_current_value(variable)
        if value is None and self._around is not None and id(variable) not in self._copies:
            value = self._around.get_current_value(variable)
        return value

    def __enter__(self) -> StatelessScope:
        training, autocast, entry = self._calls
        self._now = (state.training, state.autocast, state.entry, state.unseen)
        # Without an enclosing call, a layer that is called here must not count as the outermost one again.
        state.training, state.entry, state.unseen = training, entry or self._call, self._unseen
        state.set("autocast", autocast)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        state.training, autocast, state.entry, state.unseen = self._now
        state.set("autocast", autocast)


class _ModuleTensors:
    """The tensors of a module and those within at the first run, put in place for the second.

    Buffers that are no variables (those of torch's own modules) come back as copies, for they are changed in place.
    Parameters differ only where somebody had lent others, as `torch.func.functional_call` does.
    """

    def __init__(self, module: nn.Module) -> None:
        self.parameters = [(m._parameters, dict(m._parameters)) for m in module.modules() if m._parameters]
        self.buffers = [
            (m._buffers, name, buffer.detach().clone())
            for m in module.modules()
            for name, buffer in m._buffers.items()
            if buffer is not None and not isinstance(buffer, Variable)
        ]
        self._now: list[tuple[dict, str, Any]] = []

    def __enter__(self) -> None:
        for place, first in self.parameters:
            for name, parameter in first.items():
                if place.get(name) is not parameter and _has_values(parameter):
                    self._put(place, name, parameter)
        for place, name, buffer in self.buffers:
            self._put(place, name, buffer.clone())

    def _put(self, place: dict, name: str, tensor: Any) -> None:
        self._now.append((place, name, place.get(name)))
        place[name] = tensor

    def __exit__(self, *error: Any) -> None:
        while self._now:
            place, name, tensor = self._now.pop()
            place[name] = tensor


def _has_values(tensor: torch.Tensor | None) -> bool:
    """Whether the tensor's memory is there: that of a gathered parameter is given back between the passes."""
    return tensor is not None and (type(tensor).__name__ == "DTensor" or tensor.untyped_storage().size() > 0)
