"""The training state of a model, in one object, and the model as the loops see it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import nn

from torchkeras.training.compile.options import Compiled
from torchkeras.training.compile.snapshot import TrainableSnapshot


class TrainableModel(Protocol):
    """The parts of a model that the loops use; `Model` has them all."""

    name: str
    built: bool
    stop_training: bool
    _tk_has_losses: bool
    history: Any
    optimizer: Any

    @property
    def steps_per_execution(self) -> int: ...
    @property
    def metrics(self) -> list[Any]: ...
    @property
    def weights(self) -> list[Any]: ...
    @property
    def trainable_weights(self) -> list[Any]: ...
    @property
    def losses(self) -> list[torch.Tensor]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def modules(self) -> Iterator[nn.Module]: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def buffers(self) -> Iterator[torch.Tensor]: ...
    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any: ...
    def compute_loss(self, **kwargs: Any) -> torch.Tensor: ...
    def compute_metrics(self, *args: Any, **kwargs: Any) -> dict[str, Any]: ...
    def get_metrics_result(self) -> dict[str, Any]: ...
    def reset_metrics(self) -> None: ...
    def train_step(self, data: Any) -> Any: ...
    def test_step(self, data: Any) -> Any: ...
    def predict_step(self, data: Any) -> Any: ...


class TrainingState:
    """The result of `compile()`, and the run in progress.

    Copies and pickles of the model have what `compile()` made; they make their own steps and have no run in progress.
    """

    def __init__(self) -> None:
        self.compiled: Compiled | None = None
        self.snapshot: TrainableSnapshot | None = None
        self.optimizer: Any = None
        """Set as `model.optimizer` before `compile()`."""
        self.loss: Any = None
        """Set as `model.loss`."""
        self.run_eagerly = self.jit_compile = False
        """Set as attributes of the model before `compile()`."""
        self.ranks_agree = False
        """Whether every rank has rank 0's weights."""
        self._start()

    def _start(self) -> None:
        self.train_step: Any = None
        """The step of the last run, for the next one with the same weights and optimizer."""
        self.train_step_key: tuple[int, ...] | None = None
        self.test_step: Any = None
        """The compiled step of evaluation."""
        self.test_step_hooks: tuple[int, ...] = ()
        self.predict_step: Any = None
        """The compiled step of prediction."""
        self.predict_step_hooks: tuple[int, ...] = ()
        self.replayers: dict[str, Any] = {}
        """The steps that are replayed as CUDA graphs, by their purpose."""
        self.active_step: Any = None
        """The step of the training in progress."""
        self.run: Any = None
        """The `Run` of `fit` in progress."""
        self.has_run = False
        """Whether the model was ever made ready for a batch."""
        self.lock = threading.RLock()
        self.training_thread: int | None = None

    def compile(self, compiled: Compiled, snapshot: TrainableSnapshot) -> None:
        """Take what `compile()` made in the place of what was there."""
        self.compiled, self.snapshot = compiled, snapshot
        self.forget_steps()

    def forget_steps(self) -> None:
        """Make the steps again when they are needed."""
        self.train_step = self.train_step_key = self.test_step = self.predict_step = None
        self.replayers = {}

    def __getstate__(self) -> dict[str, Any]:
        left_out = {"train_step", "train_step_key", "test_step", "predict_step", "replayers"}
        left_out |= {"test_step_hooks", "predict_step_hooks"}
        left_out |= {"active_step", "run", "has_run", "lock", "training_thread"}
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def __setstate__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)
        self._start()

    @contextmanager
    def in_use(self, method: str, trains: bool = False) -> Iterator[None]:
        """One thread at a time: calls from other threads wait, or are refused while `fit` runs.

        Raises:
            RuntimeError: the model is being trained by `fit` in another thread.
        """
        mine = threading.get_ident()
        if self.training_thread not in (None, mine):
            raise RuntimeError(
                f"{method}() was called while fit() trains this model in another thread. Loss and metrics are state of "
                "the model, so the two would add to each other: wait until fit() ends, or evaluate a copy "
                "(keras.models.clone_model, then set_weights)."
            )
        with self.lock:
            outer = self.training_thread
            if trains:
                self.training_thread = mine
            try:
                yield
            finally:
                self.training_thread = outer


def state_of(model: Any) -> TrainingState:
    """The training state of a model."""
    state = model.__dict__.get("_tk_training")
    if state is None:
        state = model.__dict__["_tk_training"] = TrainingState()
    return state


def optimizer_of(model: Any) -> Any:
    """The model's optimizer; `None` for a model that was not compiled and was given none."""
    state = state_of(model)
    if state.optimizer is not None:
        return state.optimizer
    return state.compiled.optimizer if state.compiled is not None else None


def compiled_of(model: Any, method: str) -> Compiled:
    """The result of `compile()`.

    Raises:
        ValueError: the model is not compiled.
    """
    compiled = state_of(model).compiled
    if compiled is None:
        raise ValueError(
            "You must call `compile()` before using the model: call model.compile(optimizer, loss) before "
            f"model.{method}()."
        )
    return compiled
