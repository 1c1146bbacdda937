"""The calls of a functional model in the order in which they run, with neighbours joined where nobody looks between."""

from __future__ import annotations

from typing import Any, NamedTuple

from torchkeras.core.operations.op import OPS
from torchkeras.core.operations.op_def import OpDef
from torchkeras.layers.base.joined import join_hard_sigmoid


class Slot(NamedTuple):
    """The place of a tensor in a plan's memory."""

    index: int  # type: ignore[assignment]


class Step(NamedTuple):
    """One call of a plan: with a single tensor in and out where `template` is `None`."""

    operation: Any
    source: int
    target: int
    template: tuple | None
    targets: tuple[int, ...]
    drop: tuple[int, ...]

    @property
    def listed(self) -> tuple[int, ...] | None:
        """The places of the tensors, if the call takes one list of tensors and nothing else, and gives one tensor."""
        if self.template is None or len(self.targets) != 1:
            return None
        args, kwargs = self.template
        if kwargs or len(args) != 1 or type(args[0]) is not list or not all(type(x) is Slot for x in args[0]):
            return None
        return tuple(slot.index for slot in args[0])


def join_steps(steps: list[Step]) -> list[Step]:
    """The steps, with neighbours in one where the second says that it can do both and nobody else needs the first's."""
    joined: list[Step] = []
    for step in steps:
        alone = getattr(step.operation, "_tk_joined_alone", None)
        operation = None if alone is None else alone()
        joined.append(step if operation is None else step._replace(operation=operation))
        _join_hard_sigmoid(joined)
        _join_last(joined)
    return joined


def _join_last(steps: list[Step]) -> None:
    """Put the last two steps into one, if the last can do the work of the one before."""
    step, before = steps[-1], steps[-2] if len(steps) > 1 else None
    join = getattr(step.operation, "_tk_joined_behind", None)
    if join is None or before is None or step.template is not None or not _is_between(before, step):
        return
    both = join(before.operation)
    if both is None or (before.template is not None and not getattr(both, "takes_any_arguments", False)):
        return
    steps[-2:] = [
        step._replace(operation=both, source=before.source, template=before.template, drop=before.drop + step.drop)
    ]


def _join_hard_sigmoid(steps: list[Step]) -> None:
    """Put the last three steps into one, if they are `relu6(x + 3) * (1 / 6)` or `relu6(x + 3) / 6`."""
    if len(steps) < 3:
        return
    plus, relu, scale = steps[-3:]
    if _constant(plus, "add") != 3 or relu.template is not None:
        return
    if _constant(scale, "multiply") != 1 / 6 and _constant(scale, "divide", "true_divide") != 6:
        return
    if not _is_between(plus, relu) or not _is_between(relu, scale):
        return
    constant = _constant(scale, "multiply", "divide", "true_divide")
    both = join_hard_sigmoid(plus.operation, relu.operation, scale.operation, constant)
    if both is not None:
        source = next(value.index for value in plus.template[0] if isinstance(value, Slot))  # type: ignore[index]
        drop = plus.drop + relu.drop + scale.drop
        steps[-3:] = [Step(both, source, scale.target, None, scale.targets, drop)]
        _join_last(steps)


def _is_between(first: Step, second: Step) -> bool:
    """Whether the result of the first step is one tensor that the second step alone takes."""
    return len(first.targets) == 1 and first.target in second.drop and first.target in _sources(second)


def _sources(step: Step) -> list[int]:
    if step.template is None:
        return [step.source]
    return [value.index for value in step.template[0] if isinstance(value, Slot)]


def _constant(step: Step, *names: str) -> float | None:
    """The number that a step adds to its tensor or the like, if it is one of these ops; for `divide` the divisor."""
    definition: OpDef | None = getattr(step.operation, "definition", None)
    if step.template is None or definition not in [OPS[name] for name in names]:
        return None
    args, kwargs = step.template
    if kwargs or len(args) != 2 or not isinstance(args[0], Slot) or type(args[1]) not in (int, float):
        return None
    return args[1]
