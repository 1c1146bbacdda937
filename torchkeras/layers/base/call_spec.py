"""The arguments of a layer's `call`: parsed once per class, not on every call."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

from torchkeras.core import tree

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class CallSpec:
    """The signature of a `call` method, without `self`."""

    __slots__ = (
        "signature", "names", "has_training", "training_default", "training_position", "literal_default", "masks",
        "open", "first",
    )  # fmt: skip

    def __init__(self, call: Callable) -> None:
        signature = inspect.signature(call)
        parameters = list(signature.parameters.values())[1:]
        self.signature = signature.replace(parameters=parameters)
        self.names = [p.name for p in parameters if p.kind not in _VARIADIC]
        self.open = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self.first = self.names[0] if self.names else None
        self.has_training = "training" in self.names
        default = self.signature.parameters["training"].default if self.has_training else None
        self.training_default = default is True
        positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        self.training_position = positional.index("training") if "training" in positional else sys.maxsize
        self.literal_default = default if isinstance(default, bool) else None
        self.masks = tuple(name for name in self.names if name == "mask" or name.endswith("_mask"))

    def bind(self, args: tuple, kwargs: dict) -> dict[str, Any]:
        """The arguments by name, defaults left out."""
        bound = self.signature.bind(*args, **kwargs)
        arguments = dict(bound.arguments)
        for parameter in self.signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments.update(arguments.pop(parameter.name, {}))
            elif parameter.kind is parameter.VAR_POSITIONAL:
                for i, value in enumerate(arguments.pop(parameter.name, ())):
                    arguments[f"{parameter.name}_{i}"] = value
        return arguments

    def says_nothing(self, name: str, value: Any) -> bool:
        """Whether an argument is one that the call finds by itself: no mask, or the default of `training`."""
        if name == "training" and self.has_training:
            return value == self.literal_default
        return name in self.masks and all(mask is None for mask in tree.flatten(value))


def mask_source(mask_name: str, names: list[str]) -> str | None:
    """The argument whose mask an argument of that name takes: `mask` the first's, `key_mask` that of `key`."""
    if mask_name == "mask":
        return names[0] if names else None
    source = mask_name.removesuffix("_mask")
    return source if source in names else None
