"""The state of metrics over several ranks, and kept apart from what is added in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from torchkeras.distributed.collectives import in_few_messages, plain, summing
from torchkeras.distributed.rank_group import RankGroup


@contextmanager
def of_all_ranks(metrics: Iterable[Any], group: RankGroup) -> Iterator[None]:
    """Inside, the metrics' state is that of all ranks together; afterwards each rank has its own again.

    Args:
        metrics: the metrics.
        group: the ranks that have different rows.
    """
    metrics = list(metrics)
    variables = [v for metric in metrics for v in metric.variables]
    own = [v.detach().clone() for v in variables]
    with ExitStack() as stack, torch.no_grad():
        for metric in metrics:
            if hasattr(metric, "over_ranks"):  # state that is not in variables
                stack.enter_context(metric.over_ranks(group))
        if variables:
            _combine(variables, group)
        try:
            yield
        finally:
            for variable, value in zip(variables, own):
                variable.copy_(value)


def _combine(variables: list, group: RankGroup) -> None:
    values = [plain(v) for v in variables]
    kinds = [getattr(v, "aggregation", "sum") for v in variables]
    for value, kind in zip(values, kinds):
        if kind == "only_first_replica" and group.rank:
            value.zero_()
    in_few_messages(values, summing(group))
    for value, kind in zip(values, kinds):
        if kind == "mean":
            value.div_(group.size)


@contextmanager
def preserved(metrics: Callable[[], Iterable[Any]]) -> Iterator[None]:
    """Afterwards the metrics' state is what it was before; metrics that were made inside start from nothing.

    Args:
        metrics: a function that gives the metrics there are.
    """
    before = {id(metric): [v.detach().clone() for v in metric.variables] for metric in metrics()}
    with ExitStack() as stack:
        for metric in metrics():
            if hasattr(metric, "preserved"):  # state that is not in variables
                stack.enter_context(metric.preserved())
        try:
            yield
        finally:
            with torch.no_grad():
                for metric in metrics():
                    if id(metric) not in before:
                        metric.reset_state()
                        continue
                    for variable, value in zip(metric.variables, before[id(metric)]):
                        variable.data = value.data if variable.shape != value.shape else variable.data
                        variable.copy_(value)
