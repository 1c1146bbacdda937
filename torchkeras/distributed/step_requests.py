"""Requests to do something after the running batch: all ranks answer after the same one, without a message per step."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from torchkeras.distributed import process

Answer: TypeAlias = Callable[[str, int], None]  # the reason, and how many batches of the epoch are done

_LOOK = 0.25  # seconds between two looks at the store
_LIMIT = 20.0  # seconds until the ranks must have agreed
_runs = itertools.count()


class StepRequests:
    """Requests of a single process, made by a signal handler or by another thread.

    The loop looks at `due` after each batch, which costs it nothing else, and then calls `after_batch`.
    """

    due = False
    """Whether somebody asked."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self._asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # a signal handler may put into it

    def ask(self, reason: str) -> None:
        """Ask for an answer after the running batch.

        Args:
            reason: it is handed to `answer`.
        """
        self._asked.put(reason)
        self.due = True

    def begin(self) -> None:
        """Start to listen to the other ranks."""

    def count_batch(self) -> None:
        """Count a batch of this rank."""

    def after_batch(self, step: int) -> None:
        """Answer what was asked. Called where `due` is true.

        Args:
            step: how many batches of the epoch are done.
        """
        self.due = False
        while not self._asked.empty():
            self._give(self._asked.get(), step)

    def _give(self, reason: str | None, step: int) -> None:
        if reason is not None and self.answer is not None:
            self.answer(reason, step)

    def close(self) -> None:
        """Stop listening."""


class RankRequests(StepRequests):
    """Requests that any rank may make and that all ranks answer after the same batch.

    A thread of each rank looks at the group's store a few times per second. If it finds a request, it notes how many
    batches its rank has done, lets the loop do at most two more, and publishes the number. When all numbers are there,
    the ranks answer two batches after the largest of them: no rank can have passed that batch.
    """

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._limit: int | None = None  # the batch after which the loop waits until the ranks have agreed
        self._agreed: tuple[int, str] | None = None
        self._problem = ""
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self._number = next(_runs)  # each rank makes as many of these as the others

    def begin(self) -> None:
        if self.answer is not None:
            store = process.words().clone()  # a connection of its own, so that the loop's calls never wait for it
            self._thread = threading.Thread(target=self._listen, args=(store,), daemon=True)
            self._thread.start()

    def ask(self, reason: str) -> None:
        self._asked.put(reason)

    def count_batch(self) -> None:
        self._count += 1

    def after_batch(self, step: int) -> None:
        with self._changed:
            if self._limit is None or self._count < self._limit:
                return
            self._changed.wait_for(lambda: self._agreed is not None or self._problem)
            if self._agreed is None:
                raise RuntimeError(self._problem)
            at, reason = self._agreed
            if self._count < at:
                return
            self._agreed = self._limit = None
            self.due = False
            self._changed.notify_all()
        self._give(reason, step)

    def close(self) -> None:
        self._is_closed = True
        self._asked.put(None)
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    # ------------------------------------------------------------------ the thread

    def _listen(self, store: Any) -> None:
        try:
            self._answer_all(store)
        except RuntimeError as error:  # the store is gone, with the rank that had it
            with self._changed:
                self._problem = f"The ranks can't agree on a batch: {error}"
                self._changed.notify_all()

    def _answer_all(self, store: Any) -> None:
        mine: list[str] = []
        for number in itertools.count():
            name = f"torchkeras/requests/{self._number}/{number}"
            while not store.check([f"{name}/reason"]):
                if mine:
                    store.compare_set(f"{name}/reason", "", mine[0])
                    continue
                try:
                    reason = self._asked.get(timeout=_LOOK)
                    mine += [] if reason is None else [reason]
                except queue.Empty:
                    pass
                if self._is_closed:
                    return
            reason = store.get(f"{name}/reason").decode()
            mine = [other for other in mine if other != reason]
            if not self._agree(store, name, reason):
                return

    def _agree(self, store: Any, name: str, reason: str) -> bool:
        """Agree with the other ranks on a batch, and wait until the loop has answered; whether it has."""
        self.due = True
        with self._changed:
            count = self._count
            self._limit = count + 2
        store.set(f"{name}/done/{process.rank()}", str(count))
        keys = [f"{name}/done/{rank}" for rank in range(process.world_size())]
        end = time.monotonic() + _LIMIT
        while not store.check(keys):
            if self._is_closed:
                return False
            if time.monotonic() > end:
                lost = [rank for rank, key in enumerate(keys) if not store.check([key])]
                with self._changed:
                    self._problem = f"{reason}: the ranks {lost} did not answer within {_LIMIT:.0f} seconds."
                    self._changed.notify_all()
                return False
            time.sleep(_LOOK / 10)
        counts = [int(count) for count in store.multi_get(keys)]
        with self._changed:
            self._agreed = max(counts) + 2, reason
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._agreed is None or self._is_closed)
        return not self._is_closed
