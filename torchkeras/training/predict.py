"""The loop of `predict`."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.callbacks import ProgbarLogger
from torchkeras.core import tree
from torchkeras.core.accelerators import free_memory, in_executions, is_lazy, row_of
from torchkeras.core.library_code import runs_library_code_only
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.distributed.rank_share import RankBatch
from torchkeras.training.placing import agree_on_weights
from torchkeras.training.ready import build, device_of, evaluating
from torchkeras.training.replayed import changes_by_itself, replaying
from torchkeras.training.run import Run
from torchkeras.training.state import TrainableModel
from torchkeras.training.step import is_overridden, kept_predict_step


def predict(run: Run, callbacks: Any = None, verbose: int | str = "auto") -> Any:
    """The outputs for all data, as NumPy arrays.

        for each batch: forward
        join the outputs of the batches (and, with several ranks, of the ranks)

    Args:
        run: the model, its data and its strategy.
        callbacks: the callbacks.
        verbose: as in `Model.predict`.

    Raises:
        ValueError: there is no batch, or the outputs of the batches can't be joined.
    """
    model, strategy, source = run.model, run.strategy, run.source
    if strategy.is_distributed:
        build(model, source.peek())
        agree_on_weights(model, strategy)
    listening = run.add_callbacks(callbacks, verbose)
    listening._tk_set_exits(run.exits)
    vars(model).pop("stop_predicting", None)
    listening.on_predict_begin()
    watched = listening.watches_predict_batches
    only_bar = all(isinstance(callback, ProgbarLogger) for callback in listening.callbacks)
    parts: list[Any] = []
    batches: list[RankBatch] = []
    # Each of several ranks has a part of the outputs; they are gathered at the end unless somebody looks at once.
    at_once = not source.is_sharded and strategy.decide(watched and not only_bar)
    compiled = kept_predict_step(model, strategy)
    acts = watched and not only_bar
    compiled.check_guards(acts or source.runs_other_code or changes_by_itself(model, compiled, "predict"))
    step = replaying(model, strategy, compiled, "predict", device_of(model), acts, source.runs_other_code)
    group = model.steps_per_execution
    run_step = in_executions(step, device_of(model), group)

    def end_of_batches(count: int) -> None:
        """Call the callbacks after the last `count` batches, with their outputs."""
        if watched:
            seen = parts[-1] if count == 1 or only_bar else _joined(parts[-count:])
            seen = seen if only_bar else tree.map_structure(convert_to_numpy, seen)
            listening.on_predict_batch_end(len(parts) - 1, {"outputs": seen})

    with evaluating(model), torch.inference_mode(keeps_no_tensors(model)):
        for index, batch in enumerate(source.epoch()):
            if watched and not index % group:
                listening.on_predict_batch_begin(index)
            outputs = run_step(batch)
            if at_once:
                (outputs,) = strategy.gather([outputs], [batch])
            parts.append(outputs)
            batches.append(RankBatch(None, batch.share))
            if len(parts) % group:
                continue
            end_of_batches(group)
            if getattr(model, "stop_predicting", False) and strategy.stops_between_batches:
                break
        if len(parts) % group:  # the rest of a group
            end_of_batches(len(parts) % group)
    listening.on_predict_end()
    if not parts:
        raise ValueError(
            f"The data must give at least one batch; the {source.source.describe()} gave none, so predict() has no "  # type: ignore[attr-defined]
            "outputs to return."
        )
    source.close()
    return _joined(parts if source.is_sharded or at_once else strategy.gather(parts, batches))


def keeps_no_tensors(model: TrainableModel) -> bool:
    """True if no code of the user's runs, which may keep a tensor: that must be an ordinary one then."""
    if not row_of(device_of(model).type).has_inference_mode:
        return False
    return not is_overridden(model, "predict_step") and runs_library_code_only(model)  # type: ignore[arg-type]


def _joined(parts: list[Any]) -> Any:
    """The outputs of the batches, one behind the other, as NumPy arrays."""

    def join(*leaves: Any) -> Any:
        tensors = [leaf if isinstance(leaf, torch.Tensor) else torch.as_tensor(leaf) for leaf in leaves]
        if len({tuple(tensor.shape[1:]) for tensor in tensors}) > 1:
            raise ValueError(_different_shapes([tuple(tensor.shape) for tensor in tensors]))
        # To join them on a lazy device would be a graph of its own for each number of batches.
        if is_lazy(tensors[0].device) or not _fit_again(tensors):
            tensors = [tensor.cpu() for tensor in tensors]
        return convert_to_numpy(torch.cat(tensors) if tensors[0].dim() else torch.stack(tensors))

    return tree.map_structure(join, *parts)


_SMALL = 64 * 2**20  # bytes for which nobody asks a device for its free memory


def _fit_again(tensors: list[torch.Tensor]) -> bool:
    """Whether their device has memory for a copy of all of them."""
    taken = sum(tensor.nbytes for tensor in tensors)
    if taken <= _SMALL:
        return True
    free = free_memory(tensors[0].device)
    return free is None or taken < free


def _different_shapes(shapes: list[tuple[int, ...]]) -> str:
    index = next(i for i, shape in enumerate(shapes) if shape[1:] != shapes[0][1:])
    return (
        "predict() joins the outputs of all batches along the first axis, so their other axes must agree; batch 0 gave "
        f"the shape {shapes[0]}, batch {index} the shape {shapes[index]}. Pad the inputs to one length, or call "
        "predict_on_batch() for each batch."
    )
