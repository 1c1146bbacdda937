"""Calls that all ranks must make: each begins with a meeting, in which a rank that is alone learns who is missing.

A meeting is three small messages of each rank to the group's store, none to the other ranks. Each rank notes there
which call it makes, and counts itself; the last one to come compares the calls. A rank that waits looks from time to
time at where the others are.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

from torch import distributed

from torchkeras.core.tensors.sharded import is_sharded, meet_by
from torchkeras.distributed import process
from torchkeras.distributed.process import RankError, is_joined, is_main_process, left, rank, world_size

_SECONDS_TO_MEET = 30.0  # in which all ranks must come to a file that is written; elsewhere they are waited for longer
_PATIENCE = 0.9
_LOOK = 0.5  # seconds between two looks of a rank that waits at where the others are
_SHORTEST, _LONGEST = 0.0005, 0.05  # seconds between two questions whether all have come: short at first
_ADVICE = (
    "All ranks must make the same calls in the same order, so none may stand under `if is_main_process():`. What one "
    "rank shall do by itself belongs into `with keras.distributed.single_process():`."
)
_writes: Counter[str] = Counter()
_TIME_TO_READ = 1.0  # seconds
_logger = logging.getLogger("torchkeras")


class AloneError(RankError):
    """This rank makes a call that another rank does not make."""

    is_published = False


class _Position(NamedTuple):
    """Where a rank is.

    Attributes:
        meetings: how many meetings it came to.
        calls: the calls in progress, the outermost first.
        passed: how many places of a training it has passed, see `note_passed`.
    """

    meetings: int
    calls: list[str]
    passed: int

    def __str__(self) -> str:
        return " in ".join(reversed(self.calls))


class _Rank:
    """This rank's position, and its connection to the store."""

    def __init__(self) -> None:
        self.meetings = 0
        self.calls: list[str] = []
        self.passed = 0
        self.is_together = False
        self._store: tuple[Any, Any] = (None, None)

    def store(self) -> Any:
        """A connection of its own to the group's store, so that nobody else's waiting delays it."""
        default = process.words()
        if self._store[0] is not default:
            self._store = (default, default.clone())
        return self._store[1]

    def publish(self) -> None:
        """Tell the others where this rank is."""
        position = json.dumps([self.meetings, self.calls, self.passed])
        self.store().set(_at(rank()), position)


_here = _Rank()


def _at(rank: int) -> str:
    return f"torchkeras/at/{rank}"


# ---------------------------------------------------------------------------- meetings


@contextmanager
def made(call: str, meets: bool = True) -> Iterator[None]:
    """Inside, this rank is in a call that all ranks must make; they meet at its beginning.

    Args:
        call: the name of the call, for messages; the same on all ranks.
        meets: whether the ranks meet.

    Raises:
        AloneError: another rank makes another call, or none.
    """
    _here.calls.append(call)
    passed, _here.passed = _here.passed, 0 if len(_here.calls) == 1 else _here.passed
    try:
        if meets:
            _meet()
        yield
    finally:
        _here.calls.pop()
        _here.passed = passed


def meet(call: str, seconds: float | None = None) -> None:
    """Wait until every rank makes this call.

    Args:
        call: the name of the call, for messages; the same on all ranks.
        seconds: how long to wait. Default: `None`, the timeout of the group of processes.

    Raises:
        RankError: another rank makes another call, or none.

    Example:
        >>> keras.distributed.calls.meet("my call")  # does nothing in a process of its own
    """
    _here.calls.append(call)
    try:
        _meet(seconds)
    finally:
        _here.calls.pop()


@contextmanager
def together(call: str, seconds: float | None = None) -> Iterator[None]:
    """Inside, all ranks work on tensors in parts; they meet at the beginning and not for each tensor.

    Args:
        call: the name of the call, for messages; the same on all ranks.
        seconds: how long to wait. Default: `None`, the timeout of the group of processes.

    Raises:
        RankError: another rank makes another call, or none.
    """
    if not _here.is_together:
        meet(call, seconds)
    before, _here.is_together = _here.is_together, True
    try:
        yield
    finally:
        _here.is_together = before


def on_parts(tensors: Iterable[Any], call: str) -> AbstractContextManager[None]:
    """`together`, if one of the tensors lies in parts on several ranks."""
    return together(call) if any(map(is_sharded, tensors)) else nullcontext()


def _meet_for_tensor(work: str) -> None:
    if not _here.is_together:
        meet(work)


meet_by(_meet_for_tensor)


def note_passed() -> None:
    """Note that this rank has passed one more of the places of a training at which callbacks make calls."""
    if is_joined():
        _here.passed += 1
        _here.publish()


def _meet(seconds: float | None = None) -> None:
    if not is_joined():
        return
    _here.meetings += 1
    begin = time.monotonic()
    try:
        store = _here.store()
        _here.publish()
        last = store.add(f"torchkeras/met/{_here.meetings}", 1) == world_size()
        verdict = _compare(store) if last else _wait(store, begin, seconds)
    except distributed.DistNetworkError as error:
        process.forget_goodbye()
        raise AloneError(f"{_said()}, but rank 0 has ended, and the ranks' store with it. {_ADVICE}") from error
    if verdict:
        if is_main_process():
            time.sleep(_TIME_TO_READ)  # the store may end with this process
        raise AloneError(verdict)


def _compare(store: Any) -> str:
    """Compare the calls of all ranks, let the others know, and forget the meeting before; the problem, if any."""
    positions = _positions(store)
    names = {other: str(position) for other, position in positions.items()}
    problem = ""
    if len(set(names.values())) > 1:
        shown = ", ".join(f"{name} on rank {other}" for other, name in sorted(names.items())[:8])
        problem = f"The ranks make different calls: {shown}. {_ADVICE}"
    number = _here.meetings
    store.set(f"torchkeras/met/{number}/all", problem)
    try:
        store.delete_key(f"torchkeras/met/{number - 1}")
        store.delete_key(f"torchkeras/met/{number - 1}/all")
    except RuntimeError:  # the rank that has the store has gone on, and come to its end
        pass
    return problem


def _wait(store: Any, begin: float, seconds: float | None) -> str:
    """Wait until the last rank has come; the problem, if any."""
    limit = process.words().timeout.total_seconds() if seconds is None else seconds
    if len(_here.calls) > 1:  # others may be in the call around this one; they shall learn of it before they give up
        limit *= _PATIENCE
    key = f"torchkeras/met/{_here.meetings}/all"
    pause, look, is_said = _SHORTEST, _LOOK, False
    while not store.check([key]):
        waited = time.monotonic() - begin
        if waited > look:
            look = waited + _LOOK
            if problem := _missing(store):
                return problem
        if waited > limit:
            return f"{_said()}; the rank(s) {_behind(store)} did not come within {limit:.0f} seconds. {_ADVICE}"
        if waited > _SECONDS_TO_MEET and not is_said:
            is_said = True
            _logger.warning("%s for the rank(s) %s.", _said(), _behind(store))
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)
    return store.get(key).decode()  # type: ignore[no-any-return]


def _said() -> str:
    return f"Rank {rank()} waits at {_Position(0, _here.calls, 0)}"


def _positions(store: Any) -> dict[int, _Position]:
    """Where the ranks are; those that have been nowhere yet are left out."""
    known = [other for other in range(world_size()) if store.check([_at(other)])]
    texts = store.multi_get([_at(other) for other in known])
    return {other: _Position(*json.loads(text.decode())) for other, text in zip(known, texts)}


def where_others_are() -> str:
    """A sentence on the calls that the other ranks are in, as far as they are known; empty if they are not."""
    try:
        store = _here.store()
        found = {n: f"rank {n} is in {at}" for n, at in _positions(store).items() if at.calls and n != rank()}
        found.update({n: f"rank {n} has {store.get(left(n)).decode()}" for n in found if store.check([left(n)])})
    except RuntimeError:
        return ""
    ends = ", ".join(found.values())
    return f"As far as known, {ends}. " if ends else ""


def _behind(store: Any) -> list[int]:
    """The ranks that have not come to this meeting yet."""
    positions = _positions(store)
    return [n for n in range(world_size()) if n not in positions or positions[n].meetings < _here.meetings]


def _missing(store: Any) -> str:
    """Why this meeting will never take place; empty where it still may."""
    positions, behind = _positions(store), _behind(store)
    gone = {other: store.get(left(other)).decode() for other in behind if store.check([left(other)])}
    if gone:
        ends = ", ".join(f"rank {other} has {how}" for other, how in gone.items())
        return f"{_said()}, but {ends} without it. {_ADVICE}"
    mine = _Position(_here.meetings, _here.calls, _here.passed)
    elsewhere = {
        other: str(position)
        for other, position in positions.items()
        if position.meetings == _here.meetings and str(position) != str(mine)
    }
    if elsewhere:
        ends = ", ".join(f"{name} on rank {other}" for other, name in elsewhere.items())
        return f"The ranks make different calls: {mine} on rank {rank()}, {ends}. {_ADVICE}"
    ahead = [n for n in behind if n in positions and len(mine.calls) > 1 and positions[n].passed > mine.passed]
    if ahead:
        return f"{_said()}; the rank(s) {ahead} went on with the training without it. {_ADVICE}"
    return ""


# ---------------------------------------------------------------------------- messages of users


def barrier() -> None:
    """Wait for all processes.

    Raises:
        RankError: another rank does not come.

    Example:
        >>> keras.distributed.barrier()  # does nothing in a process of its own
    """
    meet("barrier()")


def broadcast_object(value: Any) -> Any:
    """Return rank 0's value on all ranks.

    Args:
        value: small picklable value; those of other ranks are ignored.

    Returns:
        The value of rank 0.

    Raises:
        RankError: another rank does not come.

    Example:
        >>> keras.distributed.broadcast_object({"seed": 3})
        {'seed': 3}
    """
    meet("broadcast_object()")
    return process.broadcast_object(value)


def gather_objects(value: Any) -> list[Any]:
    """Collect the values of all ranks on every rank.

    Args:
        value: small picklable value.

    Returns:
        A list with a value for each rank, in their order.

    Raises:
        RankError: another rank does not come.

    Example:
        >>> keras.distributed.gather_objects("mine")
        ['mine']
    """
    meet("gather_objects()")
    return process.gather_objects(value)


# ---------------------------------------------------------------------------- files


def write_once(path: str, write: Callable[[], None]) -> None:
    """Let rank 0 write a file; the others wait until it is there.

    Rank 0 waits for no other rank, so that scripts in which it alone calls this (`if rank == 0: model.save(...)`) go
    on, too.

    Args:
        path: path of the file, the same on all ranks.
        write: function without arguments that writes it.

    Raises:
        OSError: (on the other ranks) rank 0 failed.
        RankError: (on the other ranks) rank 0 did not begin to write within 30 seconds.

    Example:
        >>> keras.distributed.write_once("a.txt", lambda: open("a.txt", "w").close())
    """
    if not is_joined():
        if is_main_process():
            write()
        return
    _writes[path] += 1
    store = process.words()
    key = f"torchkeras/written/{_writes[path]}/{path}"
    if not is_main_process():
        _await_ranks(store, f"{key}/begun", [0], f"Rank {rank()} waits for {path}, which rank 0 writes")
        store.wait([key])
        if problem := store.get(key).decode():
            raise OSError(f"Rank 0 could not write {path}: {problem}")
        return
    store.set(f"{key}/begun/0", "")
    try:
        write()
    except BaseException as error:
        store.set(key, f"{type(error).__name__}: {error}")
        raise
    store.set(key, "")


def writing_together(path: str) -> AbstractContextManager[None]:
    """Inside, all ranks write a file for which weights are gathered from all of them.

    Args:
        path: the file.

    Raises:
        RankError: a rank did not come within 30 seconds.
    """
    return together(f"Saving {path}", _SECONDS_TO_MEET)


def _await_ranks(store: Any, key: str, ranks: Iterable[int], situation: str) -> None:
    """Wait until ranks have set their keys.

    Raises:
        RankError: some have not, within 30 seconds.
    """
    keys = {other: f"{key}/{other}" for other in ranks}
    end = time.monotonic() + _SECONDS_TO_MEET
    while not store.check(list(keys.values())):
        missing = [other for other, name in keys.items() if not store.check([name])]
        gone = [other for other in missing if store.check([left(other)])]
        if gone:
            raise RankError(f"{situation}; the rank(s) {gone} have ended without it. {_ADVICE}")
        if time.monotonic() > end:
            raise RankError(
                f"{situation}; the rank(s) {missing} did not come within {_SECONDS_TO_MEET:.0f} seconds. All ranks "
                "must call it. If one of them has other work to do before, let the others wait for it: "
                "keras.distributed.barrier()."
            )
        time.sleep(0.005)
