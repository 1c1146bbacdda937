"""Tests that fail on older versions of torch because of torch itself: the first good version of torch, and why."""

from __future__ import annotations

import re

import pytest
import torch

VERSION = tuple(map(int, re.findall(r"\d+", torch.__version__)[:2]))

# Beginning of the test's name: the first version that passes, the reason.
LIMITS = {
    "test_registry.py::test_numbers_are_keras[in_top_k(k=1)": ((2, 10), "Keras's in_top_k fails"),
    "test_registry.py::test_keras_reads_the_graph[in_top_k(k=1)": ((2, 10), "Keras's in_top_k fails"),
    "test_registry.py::test_maps_over_a_batch[view(dtype=int32)": ((2, 10), "vmap has no rule for view.dtype"),
    "test_control.py::test_own_gradients_of_integers_keywords_and_nests[True]": (
        (2, 10),
        "an autograd function that returns other than tensors is not traced",
    ),
    "test_losses.py::test_one_graph[CategoricalCrossentropy logits": (
        (2, 10),
        "torch's cross_entropy of probabilities is compiled for one batch size",
    ),
    "test_jit.py::test_another_compilation_is_reported_once": ((2, 10), "the report of a recompilation has no reason"),
    "test_jit.py::test_a_choice_that_depends_on_data_runs_uncompiled": ((2, 10), "such a choice breaks the graph"),
    "test_export.py::test_an_archive_of_two_endpoints": ((2, 10), "the guards of an exported function name `L`"),
}


def mark_limits(items: list[pytest.Item]) -> None:
    """Expect the failures that the installed torch is known for."""
    for name, (first, reason) in LIMITS.items():
        if first <= VERSION:
            continue
        for item in items:
            if name in item.nodeid:
                item.add_marker(pytest.mark.xfail(reason=f"torch before {first[0]}.{first[1]}: {reason}"))
