"""A layer as a torch module: moved, converted and loaded by torch's own methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

import torch
from torch import nn

from torchkeras.core.tensors.dtypes import standardize_dtype
from torchkeras.layers.base import unbuilt
from torchkeras.layers.base.values import restore_variables
from torchkeras.layers.base.weights import WeightOwner


class StatefulModule(WeightOwner):
    """An `nn.Module` whose parameters and buffers are Keras variables."""

    # Whether the class has a build() of its own, which makes weights.
    _tk_builds_weights = False

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        restore_variables(self, self._tk_infos)
        _follow_dtype(self, fn)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set the training mode of the layer and of all layers within, as for any torch module.

        A mode that was set once stays when the layer becomes part of another module.

        Args:
            mode: `True` for training, `False` for evaluation. Default: `True`.

        Returns:
            The layer.
        """
        self.__dict__["_tk_mode_chosen"] = True
        return super().train(mode)

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Module]]:
        """Iterate over the layer and all modules within, as for any torch module.

        `parameters()` of a torch module around the layer does so, too: a layer that has no weights yet warns.

        Args:
            memo: modules that were met already. Default: `None`.
            prefix: name of the layer, before those of its parts. Default: `""`.
            remove_duplicate: whether a module with two names comes once. Default: `True`.

        Returns:
            An iterator of pairs `(name, module)`.
        """
        if memo is None:
            memo = unbuilt.WalkOfLayer()
        elif self.__dict__["built"] is False and type(memo) is not unbuilt.WalkOfLayer:
            unbuilt.warn_in_walk(self, memo)
        return super().named_modules(memo, prefix, remove_duplicate)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        if self.__dict__["built"] is False:
            unbuilt.warn_of_state(self, prefix)
        super()._save_to_state_dict(destination, prefix, keep_vars)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        error = unbuilt.error_of_state(self, prefix, state_dict) if self.__dict__["built"] is False else None
        if error is not None:
            error_msgs.append(error)
            return
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        if local_metadata.get("assign_to_params_buffers"):  # torch put plain tensors in the places of variables
            restore_variables(self, self._tk_infos)
            conversion = _conversion(value for name, value in state_dict.items() if name.startswith(prefix))
            for module in self.modules():  # layers without weights, too
                if isinstance(module, StatefulModule):
                    _follow_dtype(module, conversion)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Set the weights to those of a `state_dict()`, as `torch.nn.Module` does.

        Args:
            state_dict: tensors by dotted name.
            strict: whether the names must be exactly the module's. Default: `True`.
            assign: whether to use the tensors themselves, instead of copying their values. As after `to(dtype)`, the
                dtype policy is then that of the tensors. Default: `False`.

        Returns:
            Torch's named tuple of the missing and the unexpected names.

        Raises:
            ValueError: the layer is not built, so that it has no weights yet.
            RuntimeError: names (if `strict`) or shapes differ.
        """
        if not getattr(self, "built", True) and not set(state_dict) <= _names_of_state(self):
            raise ValueError(
                f"{type(self).__name__} {self.name!r} has no weights yet: build it, or call it on data, before "
                f"load_state_dict()."
            )
        return super().load_state_dict(state_dict, strict=strict, assign=assign)


def _conversion(values: Iterable[Any]) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function that gives tensors the floating type that all tensors of `values` have, if that is one type."""
    dtypes = {value.dtype for value in values if isinstance(value, torch.Tensor) and value.is_floating_point()}
    if len(dtypes) != 1:
        return lambda tensor: tensor
    (dtype,) = dtypes
    return lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor


def _names_of_state(layer: nn.Module) -> set[str]:
    """The keys of `layer.state_dict()` and of the buffers that it leaves out."""
    return {name for name, _ in (*layer.named_parameters(), *layer.named_buffers())}


_FLOATS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}


def _follow_dtype(layer: Any, fn: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """`.half()` and `.to(dtype)` change the layer's dtype policy too."""
    policy = layer.dtype_policy
    if policy.compute_dtype != policy.variable_dtype or policy.variable_dtype not in _FLOATS:
        return
    probe = torch.zeros((), dtype=_FLOATS[policy.variable_dtype])
    try:
        moved = fn(probe)
    except (RuntimeError, NotImplementedError, TypeError):
        return
    if moved.dtype != probe.dtype and moved.is_floating_point():
        quantization, is_quantized, _ = policy.name.partition("_from_")
        layer.dtype_policy = (
            quantization + is_quantized + standardize_dtype(moved.dtype) if is_quantized else moved.dtype
        )
