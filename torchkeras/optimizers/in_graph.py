"""An optimizer's update as one operator of a graph that `torch.compile` makes.

Traced, the update of a large model takes many times as long to compile as the rest of the step. As an operator it runs
as in eager code: one kernel for all weights, after the reduction of the gradients over the ranks.
"""

from __future__ import annotations

import itertools
import operator
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.torch_internals import constant_result, foreach_copy_
from torchkeras.core.variables.variable import Variable
from torchkeras.distributed.gradient_reduction import ReducesGradients, pending_reduction


class _Site:
    """A place in a graph where an optimizer is applied. It lives as long as the optimizer.

    Gradients of a compiled graph have the same shapes, types and strides each time, so they are checked once.

    Args:
        optimizer: the optimizer.
    """

    __slots__ = ("optimizer", "plan", "tensors", "__weakref__")

    def __init__(self, optimizer: AppliesInGraph) -> None:
        self.optimizer = weakref.ref(optimizer)
        self.plan: Any = None
        """The plan of the whole update that the gradients are known to fit, if there is one."""
        self.tensors: tuple[Tensor, ...] = ()
        """The weights and numbers of that update."""


_sites: weakref.WeakValueDictionary[int, _Site] = weakref.WeakValueDictionary()
_numbers = itertools.count()


def apply_as_operator(optimizer: Any, grads: Sequence[Any], trainable_variables: Iterable[Any] | None = None) -> None:
    """Call `optimizer.apply` when the graph that is being traced runs; takes the arguments of `apply`.

    Args:
        optimizer: a built optimizer.
        grads: a tensor for each variable, or `None`.
        trainable_variables: the variables, in the order of the optimizer's. Default: `None`, all of them.

    Raises:
        ValueError: the optimizer is not built, or the variables are not in its order.
    """
    if not optimizer.built:
        raise ValueError("An optimizer must be built before a step with it is compiled.")
    own = optimizer._trainable_variables
    variables = own if trainable_variables is None else list(trainable_variables)
    weights, places = [], []
    place = -1
    for variable in variables:
        place += 1
        while place < len(own) and own[place] is not variable:
            place += 1
        if place == len(own):
            raise ValueError("The variables must be in the order in which the optimizer was built with them.")
        weights.append(own[place])
        places.append(place)
    site = optimizer._tk_note()
    weight = optimizer._tk_batch_weight if optimizer._tk_accumulates else None
    tensor, number = (weight, None) if isinstance(weight, Tensor) else (None, weight)
    numbers = optimizer._tk_numbers()
    with torch.no_grad():  # else the compiler hands over copies of weights
        torch.ops.torchkeras.apply_gradients(site, list(grads), places, number, tensor, weights, numbers)


class AppliesInGraph(ReducesGradients):
    """Base of optimizers: an operator of a compiled graph finds them by a number."""

    _iterations: Variable
    _sites: list[_Site]

    def _tk_numbers(self) -> list[Variable]:
        """The variables without axes that `apply` reads or changes."""
        return [self._iterations]

    def _tk_apply_plan_again(self: Any, plan: Any, grads: list[Tensor]) -> bool:
        """Update all variables by gradients that are known to fit, if a plan is still that of the whole update.

        Args:
            plan: the plan.
            grads: the gradients of all variables.

        Returns:
            Whether it was, and the update is done.
        """
        if plan is not self._plan or not plan.is_current():
            return False
        with torch.no_grad():
            self._apply_plan(plan, grads)
            self._iterations.add_(1 if self._wanted is None else self._wanted)
        return True

    @constant_result
    def _tk_note(self) -> int:
        """Let an operator of compiled code find this optimizer, and return the number for it.

        The numbers of a process count from zero, so that the same program gives the same graphs, which torch compiles
        once and keeps in files.
        """
        number = next(_numbers)
        site = _sites[number] = _Site(self)
        self.__dict__.setdefault("_sites", []).append(site)
        return number


def _apply(
    number: int,
    grads: Sequence[Tensor | None],
    places: Sequence[int],
    batch_weight: float | None,
    batch_weight_tensor: Tensor | None,
    weights: Sequence[Tensor],
    numbers: Sequence[Tensor],
) -> None:
    site = _sites[number]
    found: Any = site.optimizer()
    given = (*weights, *numbers)
    if site.plan is not None and pending_reduction() is None and all(map(operator.is_, site.tensors, given)):
        if found._tk_apply_again(site.plan, grads):
            return
    if found._tk_accumulates:
        found._tk_batch_weight = batch_weight if batch_weight_tensor is None else batch_weight_tensor
    own = found._trainable_variables
    variables = own if len(places) == len(own) else [own[place] for place in places]  # the places are in order
    chosen = None if variables is own else variables
    mine = (*variables, *found._tk_numbers())
    is_same = all(map(operator.is_, mine, given))
    if is_same or all(map(_shares_memory, mine, given)):
        found.apply(grads, chosen)
        if is_same and chosen is None and not found._tk_accumulates and found._tk_apply_again is not None:
            plan = found._plan
            site.plan, site.tensors = (plan, mine) if plan is not None and plan.fits(grads) else (None, ())
        return
    # The compiler handed over copies, since it reads the former values later on.
    with torch.no_grad():
        former = [tensor.detach().clone() for tensor in mine]
        foreach_copy_(mine, given)
        found.apply(grads, chosen)
        foreach_copy_(given, mine)
        foreach_copy_(mine, former)


def _shares_memory(one: Tensor, other: Tensor) -> bool:
    return one is other or one.data_ptr() == other.data_ptr()


# Without `torch.library.custom_op`, whose calls take many times as long for many tensors.
_library = torch.library.Library("torchkeras", "FRAGMENT")
_library.define(
    "apply_gradients(int site, Tensor?[] grads, int[] places, float? batch_weight, Tensor? batch_weight_tensor, "
    "Tensor(a!)[] weights, Tensor(b!)[] numbers) -> ()"
)
_library.impl("apply_gradients", _apply, "CompositeExplicitAutograd")


@torch.library.register_fake("torchkeras::apply_gradients", lib=_library)
def _(*args: Any) -> None:
    return None
