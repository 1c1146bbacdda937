"""A model made ready for a pass over batches: built, with the right weights trainable and torch's modules in mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from torchkeras.core import tree
from torchkeras.core.fast_paths.freed_memory import keep_freed_memory
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors import devices
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.tensors.dtypes import standardize_dtype
from torchkeras.core.tensors.strings import is_string_array
from torchkeras.core.variables.weight_casts import InferenceCasts, casts_weights
from torchkeras.distributed.process import is_single
from torchkeras.distributed.sharded_weights import holds_parts, refuse_parts_alone
from torchkeras.distributed.strategies.base import Strategy
from torchkeras.layers.base.building import build_for
from torchkeras.layers.base.layer import Layer
from torchkeras.training.compiled_blocks import compile_blocks
from torchkeras.training.data import unpack_x_y_sample_weight
from torchkeras.training.dropped_models import free_dropped_models
from torchkeras.training.own_method import hooks_of
from torchkeras.training.replay import threads
from torchkeras.training.replay.graphs import GRAPHS
from torchkeras.training.state import TrainableModel, optimizer_of, state_of
from torchkeras.training.step import OwnStep, TrainStep, is_overridden, make_train_step


def device_of(model: TrainableModel) -> torch.device:
    """The device of the model's weights; a model without weights goes by the current device."""
    tensor: torch.Tensor | None = next(model.parameters(), None)
    if tensor is None:
        tensor = next(model.buffers(), None)
    return tensor.device if tensor is not None and tensor.device.type != "meta" else current_device()


def names_of_parts(model: Any) -> dict[str, Any]:
    """The names of a functional model's inputs and outputs, by which batches that are dicts are taken apart.

    None for other models, and where a step of the user's takes the batches as they are.
    """
    graph = model.__dict__.get("_tk_graph")
    steps = ("train_step", "test_step", "predict_step")
    if graph is None or any(is_overridden(model, name) for name in steps):
        return {}
    inputs = [tensor._keras_history.operation.name for tensor in graph.inputs]
    if isinstance(graph.inputs_struct, dict):
        inputs += list(graph.inputs_struct)
    return {"input_names": inputs, "output_names": list(model.output_names)}


def build(model: Any, data: Any) -> None:
    """Build the model, its optimizer and (where a user's step reads them) its metrics for data like this batch."""
    x, y, _ = unpack_x_y_sample_weight(data)
    state = state_of(model)
    _make_room(model)
    compiled, snapshot = state.compiled, state.snapshot
    own_step = is_overridden(model, "train_step") or is_overridden(model, "test_step")
    needs_metrics = own_step and compiled is not None and compiled.metrics and not compiled.metrics.built
    outputs = None
    if needs_metrics or not all(layer.built for layer in model._flatten_layers() if isinstance(layer, Layer)):
        with nullcontext() if snapshot is None else snapshot.as_noted(model):
            outputs = _build_layers(model, x)
    if compiled is not None and needs_metrics and outputs is not None and y is not None:
        try:
            compiled.metrics.build(y, outputs)
        except ValueError:  # outputs and targets are the user's step's business: no metric is known by their shapes
            pass
        for metric in compiled.metrics.metrics:
            metric.to(device_of(model))
    optimizer = optimizer_of(model)
    if optimizer is not None and snapshot is not None and not optimizer.built:
        optimizer.build(snapshot.weights(model))


def _make_room(model: Any) -> None:
    """Before the first batch of a model, free the models that nobody refers to, and keep memory that steps free."""
    state = state_of(model)
    if not state.has_run:
        state.has_run = True
        free_dropped_models(model)
        keep_freed_memory()


def _build_layers(model: Any, x: Any) -> Any:
    """The outputs as KerasTensors; running without values builds every layer on the way."""
    try:
        if not model.built and any(map(is_string_array, tree.flatten(x))):  # a shape does not say that data are strings
            with torch.no_grad():
                return model(x)
        specs = tree.map_structure(_spec, x)
        if not model.built:
            build_for(model, (specs,), {})
        return model.compute_output_spec(specs)
    except NotImplementedError:  # a model that can only run with values is built by running it
        try:
            with torch.no_grad():
                return model(x)
        except NotImplementedError:  # a model without call(): its own train_step knows what to do
            return None


def _spec(value: Any) -> Any:
    if is_string_array(value):
        return KerasTensor((None, *value.shape[1:]), "string")
    if not isinstance(value, torch.Tensor):
        return value
    return KerasTensor((None, *value.shape[1:]) if value.dim() else (), standardize_dtype(value.dtype))


@contextmanager
def training(model: Any, strategy: Strategy) -> Iterator[TrainStep | OwnStep]:
    """The step of a training; inside, the right weights are trainable and torch's modules are in training mode."""
    refuse_parts_alone(model)
    state = state_of(model)
    assert state.snapshot is not None
    with _pass(model), state.snapshot.applied(model) as weights, _torch_mode(model, True):
        kept = state.train_step, state.train_step_key
        compiles = state.compiled is not None and state.compiled.jit_compile
        hooks = hooks_of(model, strategy) if compiles else ()
        key = (id(optimizer_of(model)), strategy.world_size, *map(id, weights), *hooks)
        if state.train_step_key != key:
            state.train_step, state.train_step_key = make_train_step(model, weights, strategy), key
        state.train_step.begin()
        compile_blocks(model, strategy, trains=True)
        outer, state.active_step = state.active_step, state.train_step
        try:
            yield state.train_step
        finally:
            state.active_step = outer
            if is_single():  # the other ranks have kept their steps, too
                state.train_step, state.train_step_key = kept


@contextmanager
def evaluating(model: TrainableModel) -> Iterator[None]:
    """Inside, there are no gradients, torch's modules are in evaluation mode, and casts of weights are kept."""
    refuse_parts_alone(model)  # type: ignore[arg-type]
    _make_room(model)
    keeps = not holds_parts(model) and casts_weights(model)  # type: ignore[arg-type]
    casts = InferenceCasts() if keeps else nullcontext()
    with _pass(model), _torch_mode(model, False), torch.no_grad(), casts:
        yield


def _pass(model: TrainableModel) -> AbstractContextManager[None]:
    """Inside, this thread computes with batches, so that no other one captures a step; on the CPU it may."""
    on_host = devices.has_accelerator and device_of(model).type not in GRAPHS  # to ask for the device takes long
    return nullcontext() if on_host else threads.in_pass()


@contextmanager
def _torch_mode(model: TrainableModel, training: bool) -> Iterator[None]:
    """Inside, plain torch modules, which know no `training` argument, are in a mode."""
    changed = [
        (module, module.training)
        for module in model.modules()
        if not isinstance(module, Layer) and module.training != training
    ]
    try:
        for module, _ in changed:
            module.training = training
        yield
    finally:
        for module, mode in changed:
            module.training = mode
