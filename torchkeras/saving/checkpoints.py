"""Writing checkpoints: each rank its parts, at once or in the background."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

from torchkeras.core.config.serialization import serialize_keras_object
from torchkeras.distributed import process
from torchkeras.layers.base.layer import Layer
from torchkeras.saving.formats.checkpoint import ASSETS, CONFIG, write_index
from torchkeras.saving.formats.parts import SUFFIX, PartsTarget
from torchkeras.saving.json import dumped
from torchkeras.saving.safety.atomic import new_file
from torchkeras.saving.save import save_state
from torchkeras.saving.walk import saveables

_LIMIT = timedelta(minutes=10)
_PATIENCE = 10.0  # seconds
_numbers = itertools.count()


class CheckpointWriter:
    """Writes checkpoints of a model, each rank the parts that lie on it.

    Args:
        background: whether training goes on while the files are written. The weights are copied before, which is all
            that the training waits for; it waits for the checkpoint before, too, if that is not done yet. The memory of
            the copies is kept for the next ones.
    """

    def __init__(self, background: bool = False) -> None:
        self.background = background
        self._running: Future[None] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._buffers: dict[str, torch.Tensor] | None = {} if background else None

    def write(self, model: Any, make: Callable[[], Path], finish: Callable[[Path], None], whole: bool = False) -> None:
        """Write a checkpoint. Every rank must call this.

        Args:
            model: the model.
            make: makes the folder to write to, on rank 0.
            finish: called on rank 0 with that folder when everything is in it, to put it in its place.
            whole: whether to write the config and the assets too.

        Raises:
            OSError: this rank, or another one, can't write; also for the checkpoint before, if it was written in the
                background.
        """
        self.wait()
        folder = Path(process.on_main_process(lambda: os.fspath(make()), "The folder of the checkpoint"))
        target = PartsTarget(process.rank() if process.is_joined() else 0, self._buffers)
        save_state(model, target)
        if whole and process.is_main_process():
            _write_model(model, folder)
        store = process.words().clone() if process.is_joined() else None
        number = next(_numbers) if process.is_joined() else 0
        job = lambda: _write(target, folder, finish, store, f"torchkeras/checkpoint/{number}")
        if not self.background:
            job()
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "torchkeras-checkpoint")
        self._running = self._thread.submit(job)

    def wait(self) -> None:
        """Wait until the checkpoint that is being written is done.

        Raises:
            OSError: it could not be written.
        """
        running, self._running = self._running, None
        if running is not None:
            running.result()


def _write_model(model: Layer, folder: Path) -> None:
    (folder / CONFIG).write_bytes(dumped(serialize_keras_object(model)).encode())
    for path, obj in saveables(model):
        if hasattr(obj, "save_assets"):
            own = folder / ASSETS / path
            own.mkdir(parents=True, exist_ok=True)
            obj.save_assets(str(own))


def _write(target: PartsTarget, folder: Path, finish: Callable[[Path], None], store: Any, key: str) -> None:
    """Write this rank's file; rank 0 waits for the others and finishes, the others wait for rank 0."""
    rank, ranks = (process.rank(), process.world_size()) if store is not None else (0, 1)
    name = f"weights-{rank + 1:05}-of-{ranks:05}{SUFFIX}"
    problem = ""
    try:
        if target.tensors:
            with new_file(folder / name, folder / name) as file:
                target.write(file, target.tensors)
                file.finish()
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        if store is None:
            raise
    finally:
        target.close()
    if store is None:
        write_index(folder)
        finish(folder)
        return
    if rank:
        store.set(f"{key}/{rank}", problem)
        answer = _answer(store, f"{key}/done")
        store.set(f"{key}/{rank}/heard", "")
        _raise_if(answer, 0)
        return
    try:
        _raise_if(problem, 0)
        for other in range(1, ranks):
            _raise_if(_answer(store, f"{key}/{other}"), other)
        write_index(folder)
        finish(folder)
    except BaseException as error:
        store.set(f"{key}/done", f"{type(error).__name__}: {error}")
        _await_all(store, key, ranks)
        raise
    store.set(f"{key}/done", "")
    _await_all(store, key, ranks)


def _await_all(store: Any, key: str, ranks: int) -> None:
    """Wait until the others have read the answer: the store may end with this process."""
    keys = [f"{key}/{rank}/heard" for rank in range(1, ranks)]
    end = time.monotonic() + _PATIENCE
    while not store.check(keys) and time.monotonic() < end:
        time.sleep(0.01)


def _answer(store: Any, key: str) -> str:
    """Another rank's message, polled: a thread that waits in the store would delay the interpreter's end."""
    end = time.monotonic() + _LIMIT.total_seconds()
    while not store.check([key]):
        if time.monotonic() > end:
            return f"no answer within {_LIMIT.total_seconds():.0f} seconds"
        time.sleep(0.01)
    return store.get(key).decode()  # type: ignore[no-any-return]


def _raise_if(problem: str, rank: int) -> None:
    if problem:
        raise OSError(f"Rank {rank} could not write its part of the checkpoint: {problem}")
