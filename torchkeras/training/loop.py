"""The loops of `fit`, `evaluate` and `predict`.

    fit:  join the processes, adapt the data, build, note what trains
          for each epoch:
              reset the metrics
              for each batch: forward, loss, backward, apply, add to the metrics     (training/step.py)
              read the metrics, once; validate; callbacks
    evaluate and predict: the same without the training

Loss and metrics stay on the device until somebody looks: the bar when it redraws, a callback that reads `logs`, the
epoch's end.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from torchkeras.callbacks import CallbackList, ProgbarLogger
from torchkeras.core import tree
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_numpy, convert_to_tensor
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.tensors.dtypes import standardize_dtype
from torchkeras.core.variables.session import max_epochs, max_steps_per_epoch
from torchkeras.distributed import collectives, process
from torchkeras.distributed.rank_share import take_share
from torchkeras.distributed.shared_batches import share_out
from torchkeras.layers.base.building import build_for
from torchkeras.layers.base.layer import Layer
from torchkeras.reporting.logs import Logs
from torchkeras.reporting.progress import announce
from torchkeras.training import step
from torchkeras.training.compile import metric_states
from torchkeras.training.data import make_source, train_validation_split, unpack_x_y_sample_weight
from torchkeras.training.data.array_source import ArraySource


def fit(
    model: Any,
    x: Any,
    y: Any,
    batch_size: int | None,
    epochs: int,
    verbose: Any,
    callbacks: Any,
    validation_split: float,
    validation_data: Any,
    shuffle: Any,
    class_weight: Any,
    sample_weight: Any,
    initial_epoch: int,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    validation_batch_size: int | None,
    validation_freq: Any,
) -> Any:
    """Train; see `Trainer.fit`."""
    _check_frequency(validation_freq)
    process.join()
    device = device_of(model)
    if validation_split and validation_data is None:
        (x, y, sample_weight), validation_data = train_validation_split(
            (x, y, sample_weight), validation_split=validation_split
        )
    source = make_source(
        x,
        y,
        sample_weight=sample_weight,
        batch_size=batch_size,
        steps=steps_per_epoch,
        shuffle=shuffle,
        class_weight=class_weight,
        device=device,
    )
    source = share_out(source, isinstance(source, ArraySource), training=True)
    validation = _validation_source(validation_data, validation_batch_size or batch_size, validation_steps, device)
    build(model, source.peek())
    _same_start(model)
    _tell_batch_sizes(source, verbose)
    if not isinstance(callbacks, CallbackList):
        callbacks = CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0 and process.is_main_process(),
            model=model,
            verbose=verbose,
            epochs=epochs,
            steps=source.num_batches,
        )
    model.stop_training = False
    logs: dict[str, Any] = {}
    place = Place(model, source, initial_epoch)
    callbacks.set_run(place)
    with training(model) as run:
        callbacks.on_train_begin()
        # Rank 0 has a bar and may have callbacks that others lack: whether to ask after each batch is its decision.
        ask = process.broadcast_object(callbacks.watches_train_batches and not callbacks.only_progress_watches)
        first, skip = place.initial_epoch, place.initial_step
        for epoch in range(first, min(epochs, max_epochs() or epochs)):
            model.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            _train_epoch(model, run, source, callbacks, ask, skip)
            skip = 0
            collectives.average_buffers(model)
            logs = Logs(read_metrics(model))
            if validation is not None and _is_due(epoch, validation_freq):
                values = _evaluate(model, validation, callbacks)
                logs = Logs({**logs, **{f"val_{name}": value for name, value in values.items()}})
            callbacks.on_epoch_end(epoch, logs)
            _agree_on_stopping(model)
            if model.stop_training:
                break
        if model.optimizer is not None and epochs > 0:
            model.optimizer.finalize_variable_values(model.trainable_weights)
        callbacks.on_train_end(logs)
    source.close()
    return model.history


class Place:
    """Where a training is: its data, and where it is to begin; see `callbacks.run.Run`."""

    def __init__(self, model: Any, source: Any, initial_epoch: int) -> None:
        self.model = model
        self.source = source
        self.initial_epoch = initial_epoch
        self.initial_step = 0

    def get_state(self) -> dict[str, Any]:
        """The states of the metrics, for a backup in the middle of an epoch."""
        return metric_states.get_states(self.model._tk_compiled, self.model.metrics)

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of `get_state`."""
        metric_states.set_states(self.model._tk_compiled, self.model.metrics, state)


def _train_epoch(model: Any, run: Any, source: Any, callbacks: Any, ask: bool, skip: int = 0) -> None:
    """All batches of an epoch but the first `skip`, `steps_per_execution` of them between two looks of the callbacks.

    With `ask`, rank 0 is asked after each of those looks whether to stop.
    """
    watched = callbacks.watches_train_batches
    group = model.steps_per_execution
    limit = max_steps_per_epoch()
    batches = source.epoch(skip) if limit is None else itertools.islice(source.epoch(skip), limit)
    index, left, result, begun = skip, group, None, False
    for data in batches:
        if watched and not begun:
            callbacks.on_train_batch_begin(index)
            begun = True
        result = run(data)
        left -= 1
        if left:
            continue
        left, begun = group, False
        if watched:
            callbacks.on_train_batch_end(index + group - 1, batch_logs(model, result, callbacks))
        if ask:
            _agree_on_stopping(model)
        index += group
        if model.stop_training and (ask or not process.is_joined()):
            break
    if left != group and watched:  # the rest of a group
        callbacks.on_train_batch_end(index + group - left - 1, batch_logs(model, result, callbacks))
    model.__dict__["_tk_last_result"] = result


def batch_logs(model: Any, result: Any, callbacks: Any) -> Logs:
    """The metrics after a batch: nothing is computed for the bar alone, which looks a few times a second."""
    if isinstance(result, dict):
        return Logs(dict(sorted(flat_logs(result).items())))
    if callbacks.only_progress_watches:
        return Logs.of(lambda: dict(sorted(model.get_metrics_result().items())))
    with torch.no_grad():
        return Logs(dict(sorted(model.get_metrics_result().items())))


def flat_logs(values: dict[str, Any]) -> dict[str, Any]:
    """Logs without nesting: a metric may give a dict of values."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(flat_logs(value)) if isinstance(value, dict) else flat.update({name: value})
    return flat


def read_metrics(model: Any, result: Any = "last") -> dict[str, Any]:
    """The metrics as Python floats, summed over the ranks: the one place where an epoch waits for the device."""
    if result == "last":
        result = model.__dict__.pop("_tk_last_result", None)
    with torch.no_grad(), collectives.reduced(model.metrics):
        values = model.get_metrics_result()
        if isinstance(result, dict):  # a user's step says what is logged; the metrics' state is the epoch's
            own = flat_logs(result)
            others = {name: value for name, value in own.items() if name not in values}
            others = collectives.mean_over_ranks(others, getattr(result, "weight", 1.0))
            values = {name: values[name] if name in values else others[name] for name in own}
        return {name: as_float(value) for name, value in sorted(values.items())}


def as_float(value: Any) -> Any:
    """A Python float of a scalar; arrays of more values become NumPy."""
    if isinstance(value, torch.Tensor):
        return float(value) if value.numel() == 1 else convert_to_numpy(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _check_frequency(frequency: Any) -> None:
    counts = isinstance(frequency, int) and not isinstance(frequency, bool) and frequency > 0
    if not counts and not isinstance(frequency, (list, tuple, set, range)):
        raise ValueError(
            f"validation_freq must be a positive integer or a list of epochs (from 1); received {frequency!r}."
        )


def _is_due(epoch: int, frequency: Any) -> bool:
    if isinstance(frequency, int):
        return (epoch + 1) % frequency == 0
    return epoch + 1 in frequency


def _agree_on_stopping(model: Any) -> None:
    """Rank 0's word on stopping is everybody's."""
    if process.is_joined():
        flag = torch.tensor([int(model.stop_training)], device=device_of(model))
        torch.distributed.broadcast(flag, src=0)
        model.stop_training = bool(flag.item())


def _same_start(model: Any) -> None:
    """All ranks begin with rank 0's weights and optimizer state."""
    if process.is_joined():
        optimizer = model.optimizer
        collectives.broadcast_weights([*model.weights, *(optimizer.variables if optimizer is not None else ())])
        model.__dict__["_tk_is_agreed"] = True


def _same_weights(model: Any) -> None:
    """What each rank made for itself becomes rank 0's, the first time that it is used."""
    if not model.__dict__.get("_tk_is_agreed"):
        _same_start(model)


def _tell_batch_sizes(source: Any, verbose: Any) -> None:
    if process.is_joined() and verbose != 0 and process.is_main_process():
        whole, each = source.batch_sizes()
        announce(f"{process.world_size()} processes: batches of {whole} samples together, {each} each.")


# ---------------------------------------------------------------------------- the model made ready


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights lie; a model without weights goes by the current device."""
    tensor = next(model.parameters(), None)
    if tensor is None:
        tensor = next(model.buffers(), None)
    return tensor.device if tensor is not None and tensor.device.type != "meta" else current_device()


def build(model: Any, data: Any) -> None:
    """Build the model, its optimizer and (where a user's step reads them) its metrics for data like this batch."""
    x, y, _ = unpack_x_y_sample_weight(data)
    compiled = model.__dict__.get("_tk_compiled")
    own_step = not (step._is_own(model, "train_step") and step._is_own(model, "test_step"))
    needs_metrics = own_step and compiled is not None and compiled.metrics and not compiled.metrics.built
    snapshot = model.__dict__.get("_tk_snapshot")
    outputs = None
    if needs_metrics or not all(layer.built for layer in model._flatten_layers() if isinstance(layer, Layer)):
        with nullcontext() if snapshot is None else snapshot.as_noted(model):
            outputs = _build_layers(model, x)
    if needs_metrics and outputs is not None and y is not None:
        try:
            compiled.metrics.build(y, outputs)
        except ValueError:  # outputs and targets are the user's step's business: no metric is known by their shapes
            pass
        for metric in compiled.metrics.metrics:
            metric.to(device_of(model))
    if model.optimizer is not None and snapshot is not None and not model.optimizer.built:
        model.optimizer.build(snapshot.weights(model))


def _build_layers(model: Any, x: Any) -> Any:
    """The outputs as KerasTensors; running without values builds every layer on the way."""
    try:
        specs = tree.map_structure(_spec, x)
        if not model.built:
            build_for(model, (specs,), {})
        return model.compute_output_spec(specs)
    except NotImplementedError:  # what only runs with values is built by running it
        try:
            with torch.no_grad():
                return model(x)
        except NotImplementedError:  # a model without call(): its own train_step knows what to do
            return None


def _spec(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return KerasTensor((None, *value.shape[1:]) if value.dim() else (), standardize_dtype(value.dtype))


@contextmanager
def training(model: Any) -> Iterator[Any]:
    """The step function of a training, with the right weights trainable and torch's own modules in training mode."""
    snapshot = model._tk_snapshot
    weights = snapshot.enter(model)
    foreign = _foreign_mode(model, True)
    cache, key = model._tk_step_cache, (id(model.optimizer), *map(id, weights))
    if cache.get("key") != key:
        own = step._is_own(model, "train_step")
        cache.update(key=key, train=(step.TrainStep if own else step.OwnTrainStep)(model, weights))
    cache["train"].begin()
    try:
        yield cache["train"]
    finally:
        for module, mode in foreign:
            module.training = mode
        snapshot.leave()


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """No gradients, torch's own modules in evaluation mode."""
    foreign = _foreign_mode(model, False)
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in foreign:
            module.training = mode


def _is_all_library(model: nn.Module) -> bool:
    """Whether all that runs is ours or torch's. A user's layer may keep a tensor, which must be ordinary then."""
    return step._is_own(model, "predict_step") and all(
        type(module).__module__.split(".")[0] in ("torchkeras", "torch") for module in model.modules()
    )


def _foreign_mode(model: nn.Module, mode: bool) -> list[tuple[nn.Module, bool]]:
    """Put plain torch modules, which know no `training` argument, into a mode; returns what they were in."""
    changed = []
    for module in model.modules():
        if not isinstance(module, Layer) and module.training != mode:
            changed.append((module, module.training))
            module.training = mode
    return changed


# ---------------------------------------------------------------------------- evaluate and predict


def _validation_source(data: Any, batch_size: int | None, steps: int | None, device: Any) -> Any:
    if data is None:
        return None
    if isinstance(data, (list, tuple)):
        x, y, sample_weight = unpack_x_y_sample_weight(tuple(data))
    else:
        x, y, sample_weight = data, None, None
    source = make_source(
        x, y, sample_weight=sample_weight, batch_size=batch_size, steps=steps, shuffle=False, device=device
    )
    return share_out(source, isinstance(source, ArraySource))


def evaluate(
    model: Any,
    x: Any,
    y: Any,
    batch_size: int | None,
    verbose: Any,
    sample_weight: Any,
    steps: int | None,
    callbacks: Any,
    **kwargs: Any,
) -> dict[str, Any]:
    """The metrics over the data; see `Trainer.evaluate`."""
    kwargs.pop("_use_cached_eval_dataset", None)
    if kwargs:
        raise ValueError(f"Unknown arguments of evaluate(): {sorted(kwargs)}.")
    process.join()
    source = make_source(
        x, y, sample_weight=sample_weight, batch_size=batch_size, steps=steps, shuffle=False, device=device_of(model)
    )
    source = share_out(source, isinstance(source, ArraySource))
    build(model, source.peek())
    _same_weights(model)
    if not isinstance(callbacks, CallbackList):
        callbacks = CallbackList(
            callbacks,
            add_progbar=verbose != 0 and process.is_main_process(),
            model=model,
            verbose=verbose,
            epochs=1,
            steps=source.num_batches,
        )
    logs = _evaluate(model, source, callbacks)
    source.close()
    return logs


def _evaluate(model: Any, source: Any, callbacks: Any) -> dict[str, Any]:
    callbacks.on_test_begin()
    model.reset_metrics()
    watched = callbacks.watches_test_batches
    result = None
    with evaluating(model):
        for index, data in enumerate(source.epoch()):
            if watched:
                callbacks.on_test_batch_begin(index)
            result = step.test_step(model, data)
            if watched:
                callbacks.on_test_batch_end(index, batch_logs(model, result, callbacks))
            if getattr(model, "stop_evaluating", False) and not process.is_joined():
                break
        logs = read_metrics(model, result)
    callbacks.on_test_end(Logs(logs))
    return logs


def predict(model: Any, x: Any, batch_size: int | None, verbose: Any, steps: int | None, callbacks: Any) -> Any:
    """The outputs for all data; see `Trainer.predict`."""
    process.join()
    source = make_source(x, batch_size=batch_size, steps=steps, shuffle=False, device=device_of(model))
    source = share_out(source, isinstance(source, ArraySource))
    if process.is_joined() and not model.__dict__.get("_tk_is_agreed"):
        build(model, source.peek())
        _same_weights(model)
    if not isinstance(callbacks, CallbackList):
        callbacks = CallbackList(
            callbacks,
            add_progbar=verbose != 0 and process.is_main_process(),
            model=model,
            verbose=verbose,
            epochs=1,
            steps=source.num_batches,
        )
    callbacks.on_predict_begin()
    watched = callbacks.watches_predict_batches
    only_bar = all(isinstance(callback, ProgbarLogger) for callback in callbacks.callbacks)
    parts: list = []
    shares: list = []
    # Each of several processes has a part of the outputs; they are gathered at the end unless somebody looks at once.
    alone = not process.is_joined()
    sharded = getattr(source, "is_sharded", alone)
    at_once = not sharded and process.broadcast_object(watched and not only_bar)
    with evaluating(model), torch.inference_mode(_is_all_library(model)):
        for index, data in enumerate(source.epoch()):
            if watched:
                callbacks.on_predict_batch_begin(index)
            outputs, share = (model.predict_step(data), None) if alone else step.predict_step(model, data)
            if at_once:
                outputs = collectives.gather_rows([outputs], [share])
            parts.append(outputs)
            shares.append(share)
            if watched:
                seen = outputs if only_bar else tree.map_structure(convert_to_numpy, outputs)
                callbacks.on_predict_batch_end(index, {"outputs": seen})
    callbacks.on_predict_end()
    source.close()
    return _joined(parts if sharded or at_once else [collectives.gather_rows(parts, shares)])


def _joined(parts: list) -> Any:
    """The batches' outputs, one behind the other, as NumPy arrays."""

    def join(*leaves: Any) -> Any:
        tensors = [leaf if isinstance(leaf, torch.Tensor) else torch.as_tensor(leaf) for leaf in leaves]
        return convert_to_numpy(torch.cat(tensors) if tensors[0].dim() else torch.stack(tensors))

    return tree.map_structure(join, *parts)


# ---------------------------------------------------------------------------- single batches


def _batch(model: Any, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> Any:
    """Arrays of one batch as the tensors of a step's data."""
    rows = step.rows_of(x) if not isinstance(x, (list, tuple, dict)) else step.rows_of(tree.map_structure(_array, x))
    source = make_source(
        x,
        y,
        sample_weight=sample_weight,
        batch_size=max(rows, 1),
        shuffle=False,
        class_weight=class_weight,
        device=device_of(model),
    )
    return source.peek()


def _array(value: Any) -> Any:
    return value if hasattr(value, "shape") else convert_to_tensor(value)


def _shared(data: Any) -> Any:
    return take_share(data) if process.is_joined() else data


def train_on_batch(model: Any, x: Any, y: Any, sample_weight: Any, class_weight: Any) -> dict[str, Any]:
    if class_weight is not None and sample_weight is not None:
        raise ValueError("Give sample_weight or class_weight, not both.")
    process.join()
    data = _batch(model, x, y, sample_weight, class_weight)
    build(model, data)
    _same_weights(model)
    model.reset_metrics()
    with training(model) as run:
        result = run(_shared(data))
    return read_metrics(model, result)


def test_on_batch(model: Any, x: Any, y: Any, sample_weight: Any) -> dict[str, Any]:
    process.join()
    data = _batch(model, x, y, sample_weight)
    build(model, data)
    _same_weights(model)
    model.reset_metrics()
    with evaluating(model):
        result = step.test_step(model, _shared(data))
        return read_metrics(model, result)


def predict_on_batch(model: Any, x: Any) -> Any:
    data = _batch(model, x, None)
    with evaluating(model):
        return model.predict_step(data)
