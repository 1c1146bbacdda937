"""The definition of an op: what its signature says, and its call in the three cases: eager, symbolic, failed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch import bool as bool_

from torchkeras.core import tree
from torchkeras.core.operations.operation import Operation
from torchkeras.core.symbolic.keras_tensor import any_symbolic
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.tensors.promotion import common, device_of, float_tensor, tensor, with_scalar

Rule = Literal["keep", "float", "common", "common_float", "common_product", "narrow", "narrow_float", "narrow_product"]
# Annotations of inputs; a parameter with any other annotation (`Nest[Tensor]`, `ArrayLike`) is config.
_INPUTS = ("Tensor", "Tensor | None", "list[Tensor]")
_NUMBERS = (bool, int, float)


class OpDef:
    """The definition of an op: its function, the class name that files use, which parameters are tensors.

    `tensors` are the parameters annotated `Tensor`; they and those named in `call` are arguments of the recorded call,
    all others are the operation's `config`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        spec: Callable[..., Any] | None = None,
        dtype: Rule = "keep",
        elementwise: bool = False,
        scalar: bool = False,
        call: tuple[str, ...] = (),
        keep: tuple[str, ...] = (),
        check: Callable[..., Any] | None = None,
        later: tuple[str, ...] = (),
    ) -> None:
        self.function = function
        self.later = later
        self.check = check
        self.name = function.__name__
        self.spec = spec
        self.dtype = dtype
        self.floating = dtype.endswith("float")
        self.narrow = dtype.startswith("narrow")
        self.product = dtype.endswith("product")
        self.elementwise = elementwise
        self.scalar = scalar
        self.keep = keep
        self.call = call
        self.signature = inspect.signature(function)
        parameters = self.signature.parameters
        self.parameters = list(parameters)
        self.tensors = [n for n, p in parameters.items() if p.annotation in _INPUTS]
        self.variadic = next((n for n, p in parameters.items() if p.kind is p.VAR_POSITIONAL), None)
        self.keywords = next((n for n, p in parameters.items() if p.kind is p.VAR_KEYWORD), None)
        self.arguments = [n for n in parameters if n in self.tensors or n in call]
        self.config = [n for n in parameters if n not in self.arguments and n != self.keywords]
        self.defaults = {n: p.default for n, p in parameters.items() if n in self.config and p.default is not p.empty}
        self.lists = [n for n in self.tensors if parameters[n].annotation == "list[Tensor]"]
        # How many arguments stand before all config: so many may be given by position.
        self.leading = next((i for i, n in enumerate(parameters) if n not in self.arguments), len(self.parameters))
        self.dispatcher: Callable = function
        self.positions = [i for i, n in enumerate(parameters) if n in self.tensors]
        self.operation_class: type[Operation] = Operation  # `op` puts a class of the op's own here

    def general(self, values: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """The call in any case: recorded if a KerasTensor is among the values, else run on converted values."""
        if any_symbolic(values, keywords):
            return self.symbolic(values, keywords)
        return self.eager(values, keywords)

    def eager(self, values: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Convert what should be tensors by the rule of promotion, and run the function."""
        try:
            if self.scalar and isinstance(values[0], Tensor) and isinstance(values[1], _NUMBERS):
                x, number = with_scalar(values[0], values[1], self.floating, self.narrow), values[1]
                values = (x, int(number) if number is True and x.dtype is not bool_ else number, *values[2:])
            else:
                values = tuple(self._converted(values))
            return self.function(*values, **keywords)
        except Exception as error:
            result = self.again(error, values, keywords)
            if result is None:
                raise
            return result[0]

    def again(self, error: Exception, values: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any] | None:
        """The result of a second call, after an error, with all tensors on the current device, if they were on several.

        Returns:
            The result in a tuple; `None` if the tensors are on one device, so that the error, explained now, stands.
        """
        moved = _on_one_device(values, keywords) if isinstance(error, RuntimeError) else None
        if moved is None:
            self.explain(error, values, keywords)
            return None
        try:
            return (self.function(*moved[0], **moved[1]),)
        except Exception as second:
            self.explain(second, values, keywords)
            raise

    def _converted(self, values: tuple) -> list:
        if self.variadic in self.tensors:  # the last of the positions stands for all that follow it
            first = self.positions[-1]
            return [*values[:first], *self._promoted(values[first:])]
        result = list(values)
        places: list[tuple[int, int | None]] = []  # (position, index in a list there)
        found: list[Any] = []
        for position in self.positions:
            value = values[position]
            if value is None:
                continue
            name = self.parameters[position]
            if name in self.keep:
                result[position] = tensor(value, device_of(values))
            elif name in self.lists:
                result[position] = list(value)
                places += [(position, index) for index in range(len(value))]
                found += result[position]
            else:
                places.append((position, None))
                found.append(value)
        for (position, index), value in zip(places, self._promoted(found)):
            if index is None:
                result[position] = value
            else:
                result[position][index] = value
        return result

    def _promoted(self, values: Any) -> list[Tensor]:
        if self.dtype in ("keep", "float"):
            device = device_of(values)
            return [tensor(x, device) if self.dtype == "keep" else float_tensor(x, device) for x in values]
        return common(values, self.floating, self.narrow, self.product)

    def symbolic(self, values: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Record the call: the tensors become the node's arguments, the rest the operation's config."""
        bound = self.signature.bind(*values, **keywords)
        bound.apply_defaults()
        extra = bound.arguments.get(self.keywords, {})
        given = bound.arguments | extra
        of_call = extra if self.keywords in self.arguments else {}
        # A symbol among the config (the sizes of a reshape) is an argument of the call: it has its value then.
        calls: dict[str, Any] = {name: given[name] for name in self.config if any_symbolic((given[name],))}
        config = {name: given[name] for name in self.config if name not in calls}
        operation = self.operation_class(**config, **(extra if not of_call else {}))
        inputs: list[Any] = []
        for name in self.arguments:
            if name == self.keywords:
                calls |= of_call
            elif name == self.variadic:
                inputs += given[name]
            elif not calls and self._is_positional(name):
                inputs.append(given[name])
            elif given[name] is not self.signature.parameters[name].default:
                calls[name] = given[name]
        while inputs and inputs[-1] is None and self.arguments[len(inputs) - 1] not in self.call:
            inputs.pop()
        return operation(*inputs, **calls)

    def _is_positional(self, name: str) -> bool:
        before = self.parameters[: self.parameters.index(name)]
        required = self.signature.parameters[name].default is inspect.Parameter.empty
        return name in self.tensors or required or not any(earlier in self.config for earlier in before)

    def explain(self, error: Exception, values: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        """Add a note of the call to the error that came from it; raise what `check` says of it."""
        if torch.compiler.is_compiling() or any_symbolic(values, keywords) or getattr(error, "__notes__", None):
            return
        given = ", ".join(
            [f"{name}={_described(value)}" for name, value in zip(self.parameters, values)]
            + [f"{name}={_described(value)}" for name, value in keywords.items()]
        )
        note = f"In ops.{self.name}({given})."
        if self.check is not None and isinstance(error, (RuntimeError, IndexError, TypeError)):
            try:
                self.check(*values, **keywords)
            except (TypeError, ValueError) as said:
                said.add_note(note)
                raise said from error
        error.add_note(note)


def _on_one_device(values: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[tuple, dict] | None:
    """The arguments with all tensors on the current device; `None` if they lie on one device already."""
    places = {leaf.device for leaf in tree.flatten((values, keywords)) if isinstance(leaf, Tensor)}
    if len(places) < 2 or any(place.type == "meta" for place in places):
        return None
    device = current_device()

    def moved(leaf: Any) -> Any:
        # Torch copies pageable memory before it returns, so that the host need not wait for the device.
        return leaf.to(device, non_blocking=device.type != "cpu") if isinstance(leaf, Tensor) else leaf

    return tree.map_structure(moved, values), tree.map_structure(moved, keywords)


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"<{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}>"
    if isinstance(value, (list, tuple)) and any(isinstance(item, Tensor) for item in value):
        return f"[{', '.join(map(_described, value))}]"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
