"""Tests that fail because of the torch, the Python or the Keras that is installed, and why."""

from __future__ import annotations

import re
import sys

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
    "test_jit.py::test_a_choice_that_depends_on_data_runs_uncompiled": ((2, 12), "such a choice breaks the graph"),
    "test_whole_steps.py::test_checkpoints_keep": ((2, 12), "a compiled graph has no checkpoints"),
    "test_export.py::test_an_archive_of_two_endpoints": ((2, 10), "the guards of an exported function name `L`"),
    **{
        f"test_exports_with_sizes_and_inputs_by_name[{kind}-True]": (
            (2, 10),
            "the guards of an exported function name `L`",
        )
        for kind in ("list", "dict", "subclass")
    },
    "test_containers.py::test_compiles_in_one_graph": (
        (2, 10),
        "its guards can't refer weakly to a tuple of layers, and `reversed` breaks the graph",
    ),
}

# Beginning of the test's name: the first Python that fails, the reason.
PYTHON_LIMITS = {
    f"test_file_editor.py::test_a_session[{writer}-m.keras-keras]": ((3, 12), "Keras's editor can't read .keras files")
    for writer in ("torchkeras", "keras")
}


def mark_limits(items: list[pytest.Item]) -> None:
    """Expect the failures that the installed torch and Python are known for."""
    known = {
        **{name: f"torch before {a}.{b}: {why}" for name, ((a, b), why) in LIMITS.items() if VERSION < (a, b)},
        **{
            name: f"Python from {a}.{b} on: {why}"
            for name, ((a, b), why) in PYTHON_LIMITS.items()
            if sys.version_info >= (a, b)
        },
    }
    for name, reason in known.items():
        for item in items:
            if name in item.nodeid:
                item.add_marker(pytest.mark.xfail(reason=reason))
