"""The call of a layer on tensors, from the arguments to the outputs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from torch import nn

from torchkeras.core import naming, tree
from torchkeras.core.operations.tracebacks import explain_call, hide_frames
from torchkeras.core.state import state
from torchkeras.core.symbolic.keras_tensor import any_symbolic
from torchkeras.core.tensors import (
    devices,
    numpy_method,  # noqa: F401  importing it gives tensors the method
)
from torchkeras.core.tensors.masks import set_mask
from torchkeras.core.types import Nest
from torchkeras.core.user_warnings import warn_user
from torchkeras.core.variables.deferred import run_deferred
from torchkeras.layers.base import inputs as arguments
from torchkeras.layers.base import losses
from torchkeras.layers.base.building import Locked, build_for
from torchkeras.layers.base.call_spec import CallSpec
from torchkeras.layers.base.input_spec import check_inputs, input_spec_knows
from torchkeras.layers.base.symbolic_masks import MaskWatch
from torchkeras.layers.base.torch_module import StatefulModule
from torchkeras.layers.base.torch_parts import autocast_torch_parts, has_weights_of_torch, in_types


class CallableModule(StatefulModule):
    """A module whose `forward` prepares the arguments, runs `call`, and passes masks on.

    Everything that depends on the class alone is in `_tk_call_spec`, parsed once per class. Everything that depends on
    the dtype policy alone is cached when the policy is set.
    """

    _tk_call_spec: CallSpec
    # Whether the class has a compute_mask() of its own.
    _tk_own_mask_rule = False
    _tk_casts_inputs_when_mixed: bool

    call: Callable[..., Any]
    compute_mask: Callable[..., Any]
    symbolic_call: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if len(args) == 1 and not kwargs and isinstance(args[0], torch.Tensor):  # the common case first
                return nn.Module.__call__(self, args[0])
            if any_symbolic(args, kwargs):
                return self.symbolic_call(*args, **kwargs)
            return nn.Module.__call__(self, *args, **kwargs)
        except Exception as error:
            if not state.symbolic:
                _explain(self, error, args, kwargs)
                hide_frames(error)
            raise

    def _tk_mismatch(self, given: dict[str, Any]) -> str | None:
        """Sentences that say which shapes a call needs, for an error of torch's in it; `None`: there are none to say.

        Args:
            given: the arguments of the call by name.
        """
        return None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run one call on tensors; `layer(inputs)` calls it as in any torch module.

        The arguments become tensors of the layer's dtype; the first call builds the layer; the inputs are checked;
        `training` and masks are filled in; `call` runs; masks go on to the outputs.

        Args:
            *args: positional arguments of `call`.
            **kwargs: arguments of `call` by name.

        Returns:
            The outputs of `call`.
        """
        own, spec = self.__dict__, type(self)._tk_call_spec
        if devices.has_accelerator and state.entry is None:
            args, kwargs = arguments.beside_weights(self, args, kwargs)
        explicit_training = kwargs.get("training") if kwargs else None
        # One tensor and nothing else that could be an array or carry a mask.
        is_single_tensor = (
            len(args) == 1
            and isinstance(args[0], torch.Tensor)
            and (not kwargs or (len(kwargs) == 1 and "training" in kwargs))
        )
        if is_single_tensor:
            x, dtype = args[0], own["_tk_input_type"]
            if dtype is not None and x.dtype is not dtype and x.is_floating_point():
                x = arguments.cast_float(x, dtype)
                args = (x,)
        else:
            args, kwargs = arguments.convert(self, args, kwargs)
            x = arguments.first(args, kwargs)
        if not own["built"]:
            return self._tk_first_call(args, kwargs)

        input_spec = own["input_spec"]
        if input_spec is not None and not (isinstance(x, torch.Tensor) and input_spec_knows(input_spec, x.shape)):
            check_inputs(input_spec, x, own["name"])
        if spec.has_training:
            training = explicit_training
            if training is None:
                training = state.training
                if training is None:
                    training = own["training"] or (spec.training_default and not own.get("_tk_mode_chosen"))
            kwargs = arguments.with_training(spec, args, kwargs, training)
        elif kwargs and "training" in kwargs:
            kwargs = arguments.without_training(kwargs)
        mask = getattr(x, "_keras_mask", None)
        if spec.masks and (mask is not None or not is_single_tensor):
            kwargs = arguments.with_masks(spec, args, kwargs)

        if (
            own["_modules"]
            or own["_tk_autocast_type"] is not state.autocast
            or (explicit_training is not None and self._tk_is_quantized)  # its form asks, where `call` does not
        ):
            outputs = self._tk_call_in_scope(args, kwargs, explicit_training)
        else:
            if own["_tk_losses"]:
                losses.forget_earlier(self)
            outputs = self.call(*args, **kwargs)

        if own["activity_regularizer"] is not None:
            losses.add_activity(self, outputs)
        if own["supports_masking"] or self._tk_own_mask_rule:
            if mask is not None or self._tk_own_mask_rule or not isinstance(x, torch.Tensor):
                self._tk_pass_mask(x, outputs, kwargs.get("mask"))
            elif kwargs and kwargs.get("mask") is not None:
                self._tk_pass_mask(x, outputs, kwargs["mask"])
        elif mask is not None and len(args) == 1 and not spec.masks:
            _warn_lost_mask(self)
        return outputs

    def _tk_call_in_scope(self, args: tuple, kwargs: dict[str, Any], explicit_training: bool | None) -> Any:
        """Run `call` with the training flag, the autocast type and the outermost layer set for the layers within."""
        entry, training, autocast = state.entry, state.training, state.autocast
        own = self.__dict__
        own_autocast = own["_tk_autocast_type"]
        if entry is None:
            state.entry = self
            if own["_tk_has_losses"]:
                losses.clear(self)
        elif own["_tk_losses"]:
            losses.forget_earlier(self)
        # A value that holds already is not set again: a graph being compiled takes no setting inside of a checkpoint.
        sets_training = explicit_training is not None and bool(explicit_training) is not training
        if sets_training:
            state.training = bool(explicit_training)
        if own_autocast is not autocast:
            state.set("autocast", own_autocast)
        try:
            if own_autocast is not None and self._tk_casts_inputs_when_mixed:
                # A parametrized weight is what torch's parametrization computes, which nobody casts. Compiled code
                # calls the forward() of torch's modules directly: there, all of the call is under autocast.
                if autocast_torch_parts(own["_modules"]) and torch.compiler.is_compiling():
                    with torch.autocast(_device_of(self, args), own_autocast):
                        return in_types(self.call(*args, **kwargs), own_autocast)
                if "parametrizations" in own["_modules"]:
                    with torch.autocast(_device_of(self, args), own_autocast):
                        return self.call(*args, **kwargs)
            return self.call(*args, **kwargs)
        finally:
            if entry is None:
                state.entry = None
                if state.deferred is not None:
                    run_deferred()
            if sets_training:
                state.training = training
            if own_autocast is not autocast:
                state.set("autocast", autocast)

    def _tk_first_call(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Build for the arguments, then run the call."""
        spec, own = type(self)._tk_call_spec, self.__dict__
        known = kwargs if spec.has_training else arguments.without_training(kwargs)
        with naming.name_scope(own["name"], caller=self):
            if own["input_spec"] is not None:
                check_inputs(own["input_spec"], arguments.first(args, known), own["name"])
            build_for(self, args, known)
            self.built = True
            with Locked(self):
                if (
                    own["_modules"]
                    and (state.entry is None or state.entry is self)
                    and not torch.compiler.is_compiling()
                ):
                    with MaskWatch():
                        return self.forward(*args, **kwargs)
                return self.forward(*args, **kwargs)

    def _tk_pass_mask(
        self, inputs: Nest[torch.Tensor], outputs: Nest[torch.Tensor], explicit: Nest[torch.Tensor] | None
    ) -> None:
        """Put the masks that `compute_mask` finds, for those of the inputs or for the call's own, onto the outputs."""
        previous = explicit
        if explicit is None:
            previous = tree.map_structure(lambda t: getattr(t, "_keras_mask", None), inputs)
        if not self._tk_own_mask_rule and all(mask is None for mask in tree.flatten(previous)):
            return
        try:
            masks = self.compute_mask(inputs, previous)
        except (TypeError, AttributeError):
            if not state.symbolic:  # a run for shapes alone has no masks to give to a rule that needs one
                raise
            return
        if masks is None:
            return
        flat_masks, flat_outputs = tree.flatten(masks), tree.flatten(outputs)
        if len(flat_masks) == 1 and len(flat_outputs) > 1:
            flat_masks = flat_masks * len(flat_outputs)
        for tensor, mask in zip(flat_outputs, flat_masks):
            if isinstance(tensor, torch.Tensor) and mask is not None:
                set_mask(tensor, mask)

    forward._tk_of_layers = True  # type: ignore[attr-defined]


def with_signature(forward: FunctionType, call: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of `forward` that shows the arguments of `call`, by which `torch.export` names inputs."""
    copy = FunctionType(forward.__code__, forward.__globals__, "forward", None, forward.__closure__)
    functools.update_wrapper(copy, forward)
    del copy.__wrapped__  # type: ignore[attr-defined]
    copy.__signature__ = inspect.signature(call)  # type: ignore[attr-defined]
    return copy


def _device_of(layer: nn.Module, args: tuple) -> str:
    """The type of device on which a call computes."""
    tensor = next((x for x in args if isinstance(x, torch.Tensor)), None)
    return (next(layer.parameters()) if tensor is None else tensor).device.type


def _explain(layer: Any, error: Exception, args: tuple, kwargs: dict[str, Any]) -> None:
    try:
        given = layer._tk_call_spec.bind(args, kwargs)
    except TypeError:
        given = {**{f"argument {i}": value for i, value in enumerate(args)}, **kwargs}
    reason = layer._tk_mismatch(given) if type(error) is RuntimeError else None
    explain_call(error, f"{type(layer).__name__}.call()", getattr(layer, "path", ""), given, reason)
    _advise_autocast(layer, error)


def _advise_autocast(layer: Any, error: Exception) -> None:
    """Note the remedy where a torch module with float32 weights got the compute type of a mixed policy."""
    compute_type = layer.__dict__.get("_tk_autocast_type")
    if compute_type is None or not isinstance(error, RuntimeError) or "dtype" not in str(error):
        return
    modules = layer._modules.items()
    foreign = [name for name, child in modules if child is not None and has_weights_of_torch(child, compute_type)]
    if foreign:
        passed = str(compute_type).removeprefix("torch.")
        error.add_note(
            f"Under the policy {layer.dtype_policy.name!r} layers pass on {passed}, and the torch module "
            f"{foreign[0]!r} of {layer.name!r} has weights of another type. Wrap it, so that it runs under "
            f"torch.autocast: self.{foreign[0]} = keras.layers.TorchModuleWrapper(module)."
        )


def _warn_lost_mask(layer: Any) -> None:
    warn_user(
        f"Layer {layer.name!r} ({type(layer).__name__}) received a mask and does not pass it on: it does not set "
        f"supports_masking. The layers behind it see no mask."
    )
