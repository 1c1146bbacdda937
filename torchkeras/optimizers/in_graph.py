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
from torchkeras.distributed.gradient_reduction import ReducesGradients

_optimizers: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
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
    number_of_optimizer = optimizer._tk_note()
    weight = optimizer._tk_batch_weight if optimizer._tk_accumulates else None
    tensor, number = (weight, None) if isinstance(weight, Tensor) else (None, weight)
    numbers = optimizer._tk_numbers()
    with torch.no_grad():  # else the compiler hands over copies of weights
        torch.ops.torchkeras.apply_gradients(number_of_optimizer, list(grads), places, number, tensor, weights, numbers)


class AppliesInGraph(ReducesGradients):
    """Base of optimizers: an operator of a compiled graph finds them by a number."""

    _iterations: Variable
    _number: int | None = None

    def _tk_numbers(self) -> list[Variable]:
        """The variables without axes that `apply` reads or changes."""
        return [self._iterations]

    @constant_result
    def _tk_note(self) -> int:
        """Let operators of compiled code find this optimizer, and return the number for them.

        The numbers of a process count from zero, so that the same program gives the same graphs, which torch compiles
        once and keeps in files.
        """
        if self._number is None or _optimizers.get(self._number) is not self:
            self._number = next(_numbers)
            _optimizers[self._number] = self
        return self._number


def _apply(
    optimizer: int,
    grads: Sequence[Tensor | None],
    places: Sequence[int],
    batch_weight: float | None,
    batch_weight_tensor: Tensor | None,
    weights: Sequence[Tensor],
    numbers: Sequence[Tensor],
) -> None:
    found = _optimizers[optimizer]
    if found._tk_accumulates:
        found._tk_batch_weight = batch_weight if batch_weight_tensor is None else batch_weight_tensor
    own = found._trainable_variables
    variables = own if len(places) == len(own) else [own[place] for place in places]  # the places are in order
    chosen = None if variables is own else variables
    mine, given = (*variables, *found._tk_numbers()), (*weights, *numbers)
    if all(map(operator.is_, mine, given)) or all(map(_shares_memory, mine, given)):
        found.apply(grads, chosen)
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
    "apply_gradients(int optimizer, Tensor?[] grads, int[] places, float? batch_weight, Tensor? batch_weight_tensor, "
    "Tensor(a!)[] weights, Tensor(b!)[] numbers) -> ()"
)
_library.impl("apply_gradients", _apply, "CompositeExplicitAutograd")


@torch.library.register_fake("torchkeras::apply_gradients", lib=_library)
def _(*args: Any) -> None:
    return None
