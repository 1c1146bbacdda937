"""The loop of `fit`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from torchkeras.callbacks import CallbackList
from torchkeras.core.accelerators import in_executions
from torchkeras.core.variables.session import max_epochs, max_steps_per_epoch
from torchkeras.distributed.rank_share import RankBatch
from torchkeras.reporting.logs import Logs
from torchkeras.reporting.progress import announce
from torchkeras.training import alike
from torchkeras.training.evaluate import StepsOfValidation, evaluate_pass
from torchkeras.training.placing import agree_on_weights
from torchkeras.training.ready import build, device_of, training
from torchkeras.training.replayed import changes_by_itself, replaying
from torchkeras.training.results import PassResults
from torchkeras.training.run import Run
from torchkeras.training.state import state_of
from torchkeras.training.step import OwnStep, TrainStep
from torchkeras.training.waiting import WaitMeter, waits


def fit(run: Run, callbacks: Any = None, verbose: int | str = "auto") -> None:
    """Train.

        build the model for the first batch; give every rank the same weights
        for each epoch:
            reset the metrics
            for each batch: forward, loss, backward, apply, add to the metrics       (step.py)
            read the metrics, once
            validate
            callbacks; stop where one of them says so, or where the data ended

    Loss and metrics stay on the device until somebody looks: the bar when it redraws, a callback that reads `logs`,
    the epoch's end.

    Args:
        run: the model, its data and its strategy.
        callbacks: the callbacks.
        verbose: as in `Model.fit`.
    """
    model, strategy, source = run.model, run.strategy, run.source
    state = state_of(model)
    build(model, source.peek())
    listening = run.add_callbacks(callbacks, verbose, add_history=True)
    alike.check(run, listening)
    agree_on_weights(model, strategy, again=True)
    if state.snapshot is not None:
        state.snapshot.warn_if_changed(model)
    if verbose != 0 and (line := strategy.describe_batches(source)):
        announce(line)
    model.stop_training = False
    logs: dict[str, Any] = {}
    run.results = PassResults(model, strategy)
    with state.in_use("fit", trains=True), training(model, strategy) as step:
        outer, state.run = state.run, run
        try:
            listening._tk_set_run(run)  # type: ignore[arg-type]
            listening._tk_set_exits(run.exits)
            listening.on_train_begin()
            strategy.note_passed()
            run.requests.begin()
            for epoch in range(run.initial_epoch, min(run.epochs, max_epochs() or run.epochs)):
                found = _epoch(run, step, listening, epoch)
                if found is None:
                    break
                logs = found
                if model.stop_training:
                    break
            if model.optimizer is not None and run.epochs > 0:
                model.optimizer.finalize_variable_values(model.trainable_weights)
            listening.on_train_end(logs)
            strategy.note_passed()
        finally:
            state.run = outer
            run.requests.close()
            run.exits.close()
    source.close()


def _epoch(run: Run, step: TrainStep | OwnStep, callbacks: CallbackList, epoch: int) -> dict[str, Any] | None:
    """Train for one epoch and validate.

    Returns:
        The logs. `None` if the data had ended before, which ends the training: an iterator is asked for a batch before
        the epoch begins; of other data, the callbacks get an epoch without logs, as in Keras.
    """
    model, results = run.model, run.results
    assert results is not None
    results.begin()
    skip, run.initial_step = run.initial_step, 0
    batches: Iterator[RankBatch] | None = None
    if run.source.can_end and not skip:
        batches = _batches(run, skip)
        first = next(batches, None)
        if first is None:
            return None
        batches = itertools.chain((first,), batches)
    callbacks.on_epoch_begin(epoch)
    run.strategy.note_passed()
    run.hold_trainable()
    done = _train_batches(run, _batches(run, skip) if batches is None else batches, step, callbacks, skip)
    if not done and not skip:
        callbacks.on_epoch_end(epoch, Logs())
        return None
    run.strategy.average_buffers(model)  # type: ignore[arg-type]
    logs = Logs(results.read())
    if run.is_validation_due(epoch):
        requests = StepsOfValidation(run.requests, done + skip)
        values = evaluate_pass(run.model, run.strategy, run.validation, callbacks, requests)  # type: ignore[arg-type]
        if values is None:  # the data for it ended
            run.validation = None
        logs = Logs({**logs, **{f"val_{name}": value for name, value in (values or {}).items()}})
    callbacks.on_epoch_end(epoch, Logs(logs))  # a copy: values that callbacks add are not those of on_train_end
    run.strategy.note_passed()
    run.strategy.agree_on_stopping(model)
    if run.source.is_used_up(done + skip):
        model.stop_training = True
    return logs


def _batches(run: Run, skip: int) -> Iterator[RankBatch]:
    """All batches of an epoch but the first `skip`."""
    limit = max_steps_per_epoch()
    batches = run.source.epoch(skip)
    if run.waiting is None and waits(source := run.source.source):
        run.waiting = WaitMeter(source, device_of(run.model))
        batches = run.waiting.watched(batches)
    return batches if limit is None else itertools.islice(batches, max(limit - skip, 0))


def _train_batches(
    run: Run, batches: Iterator[RankBatch], step: TrainStep | OwnStep, callbacks: CallbackList, skip: int
) -> int:
    """Train on the batches of an epoch, which are all but its first `skip`; how many there were."""
    model, results = run.model, run.results
    assert results is not None
    acts = callbacks.acts_on_train_batches
    # Code of the user's may run in a step or between two of them, or else only after a request.
    others_act = acts or run.source.runs_other_code
    look = partial(step.check_guards, others_act or changes_by_itself(model, step, "train"))
    look()
    replayed = replaying(model, run.strategy, step, "train", device_of(model), acts, others_act)
    train = run.strategy.runner(replayed, lambda: model.metrics)
    train = in_executions(train, device_of(model), model.steps_per_execution)
    if callbacks.watches_train_batches or run.strategy.is_distributed:
        return _watched_batches(run, batches, train, look, callbacks, skip)
    before, requests = results.batches, run.requests
    for batch in batches:
        logs = train(batch)
        results.batches += 1
        if logs is not None:
            results.add(logs, batch)
        if requests.due:
            requests.after_batch(results.batches - before + skip)
            look()
        if model.stop_training:
            break
    return results.batches - before


def _watched_batches(
    run: Run,
    batches: Iterator[RankBatch],
    train: Callable[[RankBatch], Any],
    look: Callable[[], None],
    callbacks: CallbackList,
    skip: int,
) -> int:
    """Batches with callbacks, `steps_per_execution` of them between two calls; how many there were."""
    model, strategy = run.model, run.strategy
    watched, lazily = callbacks.watches_train_batches, callbacks.only_progress_watches
    # Rank 0 has a bar and may have callbacks that others lack: whether to ask after each batch is its decision.
    ask = strategy.decide(watched and not lazily)
    acts = callbacks.acts_on_train_batches
    group = model.steps_per_execution
    results, requests = run.results, run.requests
    assert results is not None
    index, left, done, begun = skip, group, 0, False
    for batch in batches:
        if watched and not begun:
            callbacks.on_train_batch_begin(index)
            begun = True
            if acts:
                run.hold_trainable()
        found = train(batch)
        results.batches += 1
        if found is not None:
            results.add(found, batch)
        done += 1
        left -= 1
        requests.count_batch()
        if left:
            continue
        left, begun = group, False
        if watched:
            callbacks.on_train_batch_end(index + group - 1, results.batch_logs(lazily))
            if acts:
                run.hold_trainable()
        if requests.due:
            requests.after_batch(skip + done)
            look()
        if ask:
            strategy.agree_on_stopping(model)
        index += group
        if model.stop_training and (ask or strategy.stops_between_batches):
            break
    if left != group and watched:  # the rest of a group
        callbacks.on_train_batch_end(index + group - left - 1, results.batch_logs(lazily))
    return done
