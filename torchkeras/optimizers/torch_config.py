"""torch's optimizers and schedulers as plain data and back: classes by name, numbers, no code."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch.optim import lr_scheduler

from torchkeras.core import registry
from torchkeras.core.types import ArrayLike


class DescribedOptimizer:
    """Makes a torch optimizer from a list of parameters and the result of `describe`.

    Args:
        torch_class: name of a class of `torch.optim`, or of a custom object.
        defaults: its arguments.
        groups: the parameter groups: `parameters` by their places in the list, and hyperparameters by name.

    Raises:
        ValueError: there is no such class.
    """

    def __init__(self, torch_class: str, defaults: dict[str, Any], groups: list[dict[str, Any]]) -> None:
        self.cls = optimizer_class(torch_class)
        self.config: dict[str, Any] = {"torch_class": torch_class, "defaults": defaults, "groups": groups}
        self.__name__ = torch_class

    def __call__(self, parameters: Sequence) -> torch.optim.Optimizer:
        groups = []
        for group in self.config["groups"]:
            places = group["parameters"]
            if any(not isinstance(i, int) or not 0 <= i < len(parameters) for i in places):
                raise ValueError(
                    f"The parameter groups of {self.__name__} name the parameters {places}; there are "
                    f"{len(parameters)} to train."
                )
            numbers = {name: value for name, value in group.items() if name != "parameters"}
            groups.append({**numbers, "params": [parameters[i] for i in places]})
        taken = inspect.signature(self.cls).parameters
        return self.cls(groups, **{name: value for name, value in self.config["defaults"].items() if name in taken})


def optimizer_class(name: str) -> type[torch.optim.Optimizer]:
    """The optimizer class of that name: a custom object, else torch's.

    Raises:
        ValueError: there is none.
    """
    found = registry.find_custom(name) or getattr(torch.optim, name, None)
    if isinstance(found, type) and issubclass(found, torch.optim.Optimizer):
        return found
    raise ValueError(f"Unknown torch optimizer {name!r}: pass its class as custom_objects={{{name!r}: {name}}}.")


def describe(optimizer: torch.optim.Optimizer, parameters: Sequence) -> dict[str, Any]:
    """The argument of `DescribedOptimizer`. Parameters that are not in the list are left out: nothing trains them.

    Raises:
        ValueError: a hyperparameter is no plain value.
    """
    places = {id(parameter): i for i, parameter in enumerate(parameters)}
    groups = []
    for group in optimizer.param_groups:
        own = {name: _plain(value, name) for name, value in group.items() if name not in ("params", "param_names")}
        groups.append({"parameters": [places[id(p)] for p in group["params"] if id(p) in places], **own})
    defaults = {name: _plain(value, name) for name, value in optimizer.defaults.items()}
    return {"torch_class": type(optimizer).__name__, "defaults": defaults, "groups": groups}


def describe_scheduler(scheduler: Any) -> dict[str, Any]:
    """The class and the state of a torch learning rate scheduler.

    Raises:
        ValueError: it is not one of torch's, or holds functions or other schedulers.
    """
    name = type(scheduler).__name__
    if name not in lr_scheduler.__all__ or type(scheduler) is not getattr(lr_scheduler, name):
        raise ValueError(f"the scheduler {name} is none of torch.optim.lr_scheduler")
    state = {key: value for key, value in scheduler.__dict__.items() if key != "optimizer"}
    return {"class_name": name, "state": {key: _plain(value, f"{name}.{key}") for key, value in state.items()}}


def make_scheduler(config: dict[str, Any], optimizer: torch.optim.Optimizer) -> Any:
    """The scheduler that `describe_scheduler` described, on an optimizer whose rates are left as they are.

    Raises:
        ValueError: there is no such class.
    """
    name = config["class_name"]
    if name not in lr_scheduler.__all__:
        raise ValueError(f"Unknown torch scheduler {name!r}; there are {', '.join(lr_scheduler.__all__)}.")
    rates = [group["lr"] for group in optimizer.param_groups]
    lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)  # has the optimizer note its steps, which schedulers ask after
    for group, rate in zip(optimizer.param_groups, rates):
        group["lr"] = rate
    scheduler = object.__new__(getattr(lr_scheduler, name))
    scheduler.optimizer = optimizer
    scheduler.__dict__.update({key: _restored(key, value) for key, value in config["state"].items()})
    return scheduler


def _plain(value: ArrayLike, name: str) -> Any:
    """A value that JSON can hold."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.Tensor) and value.dim() == 0:
        return value.item()
    if isinstance(value, Counter):
        return sorted(value.elements())
    if isinstance(value, (list, tuple)):
        return [_plain(item, name) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, name) for key, item in value.items()}
    raise ValueError(f"{name} is {value!r}, which is no plain value")


def _restored(key: str, value: ArrayLike) -> Any:
    return Counter(value) if key == "milestones" else value  # type: ignore[arg-type]
