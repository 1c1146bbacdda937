"""One switch for CUDA graphs: whether steps on a GPU may be captured once and then replayed."""

from __future__ import annotations

import os

_MODES = ("off", "auto", "always")
_DEFAULT = "auto"  # of processes whose environment says nothing


def _from_environment() -> str:
    given = os.environ.get("TORCHKERAS_CUDA_GRAPHS", _DEFAULT).lower()
    return given if given in _MODES else _DEFAULT


_mode = _from_environment()


def cuda_graphs() -> str:
    """Return the setting of `set_cuda_graphs`.

    Returns:
        `"off"`, `"auto"` or `"always"`.

    Example:
        >>> keras.config.cuda_graphs() in ("off", "auto", "always")
        True
    """
    return _mode


def set_cuda_graphs(mode: str) -> None:
    """Say whether `fit`, `evaluate` and `predict` on a CUDA device replay their steps as CUDA graphs.

    A step in eager mode launches hundreds of kernels, and on a fast GPU the launches take longer than the kernels. With
    CUDA graphs, after a few ordinary steps the kernels of one step are captured; from then on one launch repeats them
    all. Models compiled with `jit_compile="auto"` (the default) or `True` take part, in a single process, where the
    shapes of batches repeat. The learning rate, schedules, weights that callbacks assign, random numbers and
    evaluations in between act as in eager mode. Steps that can't be captured run in eager mode; the logger
    `torchkeras` says why, once. Those of several processes can't: NCCL's error handling would have to be off.

    While several threads of one process train, evaluate or predict at the same time, none of them captures: steps run
    in eager mode until a thread is alone. Graphs captured before are replayed, one at a time. Code of your own in
    another thread must not wait for the whole device (`torch.cuda.synchronize`), free its cache, or draw random
    numbers there during a capture, which torch can't do; `"off"` rules captures out.

    The environment variable `TORCHKERAS_CUDA_GRAPHS` sets the mode that a process starts with; without it, the mode is
    `"auto"`. A profiler shows the kernels of a replayed step without the operations that they belong to.

    Args:
        mode: `"off"`; `"auto"` for models in which only layers, losses, metrics and functions of this library and of
            torch run; `"always"` also for models with your own layers, losses and metrics, whose Python code must then
            do the same in every step, as for `torch.compile`. A `train_step` of your own always runs in eager mode.

    Raises:
        ValueError: another mode.

    Example:
        >>> before = keras.config.cuda_graphs()
        >>> keras.config.set_cuda_graphs("always")
        >>> keras.config.cuda_graphs()
        'always'
        >>> keras.config.set_cuda_graphs(before)
    """
    global _mode
    if mode not in _MODES:
        raise ValueError(f"The mode of CUDA graphs must be one of {_MODES}; received {mode!r}.")
    _mode = mode
