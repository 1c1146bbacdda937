"""The functions of `torch.nn.init`, and others like them, as initializers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import init

from torchkeras.core import registry
from torchkeras.core.types import DTypeLike, Shape
from torchkeras.initializers.initializer import Initializer, place


class TorchInitializer(Initializer):
    """A function that fills a tensor in place, as those of `torch.nn.init` do, as an initializer.

    A function of torch sees the weight in torch's layout `(outputs, inputs, *window)` instead of Keras's
    `(*window, inputs, outputs)`, so that its "fan in" is the same number. Files name the initializer of Keras with the
    same distribution, where there is one. A function of the user gets the weight as it is.

    Args:
        function: the function, or a `functools.partial` of it.
    """

    keras_module = None

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        inner = getattr(function, "func", function)
        self.name = getattr(inner, "__name__", type(inner).__name__)
        self.is_torchs = getattr(init, self.name, None) is inner

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> torch.Tensor:
        shape = tuple(shape)
        turned = self.is_torchs and len(shape) > 1
        value = torch.empty((*shape[:-3:-1], *shape[:-2]) if turned else shape, **place(dtype))
        with torch.no_grad():
            returned = self.function(value)
        value = value if returned is None else returned
        if not turned:
            return value
        window = range(2, len(shape))
        return value.permute(*window, 1, 0).contiguous()

    def clone(self) -> TorchInitializer:
        return TorchInitializer(self.function)

    def __repr__(self) -> str:
        return f"TorchInitializer({self.name})"

    @property
    def _serialized_class(self) -> type | None:
        """The class that files have in this one's place."""
        found = self._keras_equivalent()
        return found and registry.lookup("keras.initializers", found[0])

    def get_config(self) -> dict[str, Any]:
        """The arguments of Keras's initializer of the same distribution.

        Raises:
            ValueError: there is none.
        """
        found = self._keras_equivalent()
        if found is None:
            raise ValueError(
                f"{self.name!r} fills a torch tensor, and no initializer that files can name does the same; use one "
                f"of Keras's, or an Initializer class of your own."
            )
        return found[1]

    def _keras_equivalent(self) -> tuple[str, dict[str, Any]] | None:
        """The name and arguments of Keras's initializer that draws from the same distribution."""
        if not self.is_torchs or self.name not in _EQUIVALENTS:
            return None
        bound = inspect.signature(self.function).bind_partial(None)
        bound.apply_defaults()
        if bound.arguments.get("generator") is not None:
            return None
        return _EQUIVALENTS[self.name](bound.arguments)


def _scaling(gain: float, mode: str, distribution: str) -> tuple[str, dict[str, Any]]:
    return "VarianceScaling", {"scale": gain**2, "mode": mode, "distribution": distribution, "seed": None}


def _kaiming(distribution: str) -> Callable[[dict], tuple[str, dict[str, Any]]]:
    return lambda a: _scaling(init.calculate_gain(a["nonlinearity"], a["a"]), a["mode"], distribution)


def _truncated(a: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Keras's distribution is cut at two standard deviations."""
    if not all(math.isclose(abs(a[end] - a["mean"]), 2 * a["std"]) for end in ("a", "b")):
        return None
    return "TruncatedNormal", {"mean": a["mean"], "stddev": a["std"], "seed": None}


_EQUIVALENTS: dict[str, Callable[[dict], tuple[str, dict[str, Any]] | None]] = {
    "zeros_": lambda a: ("Zeros", {}),
    "ones_": lambda a: ("Ones", {}),
    "constant_": lambda a: ("Constant", {"value": a["val"]}),
    "eye_": lambda a: ("Identity", {"gain": 1.0}),
    "uniform_": lambda a: ("RandomUniform", {"minval": a["a"], "maxval": a["b"], "seed": None}),
    "normal_": lambda a: ("RandomNormal", {"mean": a["mean"], "stddev": a["std"], "seed": None}),
    "trunc_normal_": _truncated,
    "xavier_uniform_": lambda a: _scaling(a["gain"], "fan_avg", "uniform"),
    "xavier_normal_": lambda a: _scaling(a["gain"], "fan_avg", "untruncated_normal"),
    "kaiming_uniform_": _kaiming("uniform"),
    "kaiming_normal_": _kaiming("untruncated_normal"),
    "orthogonal_": lambda a: ("Orthogonal", {"gain": a["gain"], "seed": None}),
}


def takes_a_tensor(function: Callable[..., Any]) -> bool:
    """Whether a function is of `torch.nn.init`'s kind, not Keras's: those are always called with a `dtype`."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    kinds = {p.kind for p in parameters.values()}
    if inspect.Parameter.VAR_KEYWORD in kinds or not parameters:
        return False
    return "dtype" not in parameters and "shape" not in parameters
