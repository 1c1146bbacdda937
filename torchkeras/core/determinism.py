"""Deterministic kernels: the same inputs give the same bits in every run, on CUDA too."""

from __future__ import annotations

import os
from typing import NamedTuple

import torch

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


class _Before(NamedTuple):
    """Torch's settings before the switch was turned on."""

    deterministic: bool
    warn_only: bool
    benchmark: bool
    workspace: str | None


_before: list[_Before] = []


def enable_op_determinism() -> None:
    """Make torch use deterministic kernels only, so that a seeded run on a GPU repeats bit by bit.

    Many CUDA kernels add floats in an order that changes from run to run. This function calls
    `torch.use_deterministic_algorithms(True)`, turns off `torch.backends.cudnn.benchmark`, and sets
    `CUBLAS_WORKSPACE_CONFIG` to `:4096:8` unless the environment has a value. Some operations become slower; one that
    has no deterministic kernel raises a `RuntimeError` by torch. The numbers still depend on the seed (see
    `keras.utils.set_random_seed`), on the device and on the version of torch.

    cuBLAS reads `CUBLAS_WORKSPACE_CONFIG` when it starts: call this function before the first computation on a GPU.

    Example:
        >>> keras.utils.set_random_seed(1337)
        >>> keras.config.enable_op_determinism()
        >>> keras.config.is_op_determinism_enabled()
        True
        >>> keras.config.disable_op_determinism()
    """
    if not _before:
        deterministic = torch.are_deterministic_algorithms_enabled()
        warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        benchmark = torch.backends.cudnn.benchmark
        _before.append(_Before(deterministic, warn_only, benchmark, os.environ.get(_WORKSPACE)))
    os.environ.setdefault(_WORKSPACE, ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)


def disable_op_determinism() -> None:
    """Restore torch's settings from before `enable_op_determinism()`; without that call, do nothing.

    Example:
        >>> keras.config.enable_op_determinism()
        >>> keras.config.disable_op_determinism()
        >>> keras.config.is_op_determinism_enabled()
        False
    """
    if not _before:
        return
    before = _before.pop()
    torch.use_deterministic_algorithms(before.deterministic, warn_only=before.warn_only)
    torch.backends.cudnn.benchmark = before.benchmark
    if before.workspace is None:
        os.environ.pop(_WORKSPACE, None)


def is_op_determinism_enabled() -> bool:
    """Return whether torch raises an error rather than use a kernel that is not deterministic.

    Returns:
        `True` after `enable_op_determinism()` or `torch.use_deterministic_algorithms(True)`.

    Example:
        >>> keras.config.is_op_determinism_enabled()
        False
    """
    return torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()
