"""One step of training, evaluation or prediction: the only definitions of forward, loss, backward, apply, metrics.

`fit` calls `TrainStep` directly; `Model.train_step`, which users override, is made of the same one.
"""

from __future__ import annotations

import inspect
import logging
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import nn

from torchkeras.core.registry import is_own
from torchkeras.core.torch_internals import traces_backward
from torchkeras.core.user_warnings import warn_user
from torchkeras.distributed.rank_share import RankBatch, current_share, rows_of
from torchkeras.distributed.strategies.base import Strategy, TrainedModel
from torchkeras.layers.base import losses
from torchkeras.training.compile.torch_metric import TorchMetric
from torchkeras.training.compiled_blocks import compile_blocks
from torchkeras.training.compiled_calls import CompiledCalls, composite_layers, repeated_blocks
from torchkeras.training.data import unpack_x_y_sample_weight
from torchkeras.training.fused_head import FusedHead, find_head
from torchkeras.training.jit import Jit, WholeJit
from torchkeras.training.one_graph import CantCompileError, Report
from torchkeras.training.own_method import OwnMethod, has_hooks, hooks_of
from torchkeras.training.state import TrainableModel, optimizer_of, state_of

R = TypeVar("R")

logger = logging.getLogger("torchkeras")


def library_default(method: Callable[..., R]) -> Callable[..., R]:
    """Mark a method of `Trainer` that users may override, so that `is_overridden` knows it.

    To type checkers it takes any arguments, so that an override may have others.
    """
    method.is_library_default = True  # type: ignore[attr-defined]
    return method


def is_overridden(model: TrainableModel, name: str) -> bool:
    """Whether the user has a method of their own in place of the library's, in a subclass or on the model itself."""
    return not hasattr(getattr(model, name), "is_library_default")


def training_flag(model: TrainableModel, training: bool) -> dict[str, bool]:
    """The training flag for `compute_loss`; nothing where the user's own method takes none, as in older code."""
    parameters = inspect.signature(model.compute_loss).parameters.values()
    takes = any(one.name == "training" or one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)
    return {"training": training} if takes else {}


class StepOf(Protocol):
    """A step of a model, as a function of a batch."""

    is_own: bool
    """Whether the user wrote it."""

    def __call__(self, batch: RankBatch) -> Any:
        """Do the step for a batch."""


class StepOutputs(NamedTuple):
    """A batch and what the model made of it."""

    x: Any
    y: Any
    y_pred: Any
    sample_weight: Any


class TrainStep:
    """forward, loss, backward, apply, add to the metrics.

    Args:
        model: the model.
        weights: the weights that train.
        trained: the model as the strategy has it: its forward pass, backward pass and gradients.
        jit: whether to compile the step: forward pass, loss, backward pass, and the metrics of this library. The
            optimizer's update stays outside: it is one kernel for all weights already.
        head: the model's last layer, where its logits are large and the loss alone needs them. Default: `None`.
        whole: whether all of a compiled step is one graph, if torch can compile it so, with the update as an operator
            in it. Default: `False`.

    Raises:
        ValueError: there are weights and no optimizer.
    """

    is_own = False

    def __init__(
        self,
        model: TrainableModel,
        weights: Sequence[Any],
        trained: TrainedModel,
        jit: bool = False,
        head: FusedHead | None = None,
        whole: bool = False,
    ) -> None:
        self.model = model
        self.head = head
        self.state = state_of(model)
        self.weights = trained.weights
        self._applied_to: Sequence[Any] | None = self.weights
        """The variables to apply gradients to; `None`, all that the optimizer knows, which is quicker to compare."""
        self.trained = trained
        self.optimizer = optimizer_of(model)
        if self.weights and self.optimizer is None:
            raise ValueError("Training needs an optimizer: give compile(optimizer=...), or override train_step().")
        if not self.weights:
            warn_user("The model does not have any trainable weights. Training computes the loss and changes nothing.")
        report = Report(f"the training step of {model.name!r}")
        self._whole = None
        if jit and whole and traces_backward():
            self._whole = WholeJit(self._train_in_graph, None, self._train_uncompiled)
        # Where the step can't be one graph:
        self.jit = Jit(self._outputs_and_loss, report) if jit else None
        # With the metrics in the graph, nothing but the update runs after it.
        self._jit_all = Jit(self._outputs_loss_and_metrics, report) if jit else None
        self.uses_graphs = True
        """Whether calls are compiled, where `jit` says so; not while all of a user's step around them is."""
        self._has_run = False  # no graph can make the variables that the first batch makes
        self.begin()
        self._flag = training_flag(model, True)
        self._computes_metrics = is_overridden(model, "compute_metrics")
        self._always_computes_metrics = self._computes_metrics or is_overridden(model, "compute_loss")

    def begin(self) -> None:
        """Start a run of batches, perhaps of another size."""
        for jit in (self.jit, self._jit_all, self._whole):
            if jit is not None:
                jit.begin()
        if has_hooks(self.trained.parameters):
            self._whole = None  # a graph with the backward pass calls no hooks
        self._is_first = self.uses_graphs or not self._has_run  # a graph around this step reads and changes nothing

    def check_guards(self, each: bool = True) -> None:
        """Look, before the next batch, whether what compiled code depends on is as it was.

        Args:
            each: whether to look before each later batch, too, since code of the user's may run between two batches.
                Default: `True`.
        """
        for jit in (self.jit, self._jit_all, self._whole):
            if jit is not None:
                jit.check_guards(each)

    def __call__(self, batch: RankBatch) -> Mapping[str, Any] | None:
        """Train on one batch and add it to the metrics; the logs of a `compute_metrics` of the user's."""
        if self._whole is not None:
            self.trained.free_gradients()
            try:
                return self._whole(rows_of(batch.data), batch.data)
            except CantCompileError:
                self._whole = None
        return self._train_in_parts(batch)

    def _train_uncompiled(self, data: Any) -> Mapping[str, Any] | None:
        """The first batch, which builds the optimizer, and batches of another size."""
        logs = self._train_in_parts(RankBatch(data, current_share()))
        known = getattr(self.optimizer, "_trainable_variables", [])
        if len(known) == len(self.weights) and all(map(operator.is_, known, self.weights)):
            self._applied_to = None
        return logs

    def _train_in_graph(self, data: Any) -> Mapping[str, Any] | None:
        """All of the step, for torch to trace: it changes nothing in Python."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred, loss = self._outputs_and_loss(x, y, sample_weight)
        self.state.compiled.track_loss(loss, rows_of(x))  # type: ignore[union-attr]
        if self.weights:
            scaled = self.optimizer.scale_loss(loss)
            self.optimizer.apply(self.trained.gradients_of(scaled), self._applied_to)
        with torch.no_grad():
            if self._always_computes_metrics or self.state.compiled.metrics:  # type: ignore[union-attr]
                return add_to_metrics(self.model, StepOutputs(x, y, y_pred, sample_weight), self._computes_metrics)
            return None

    def _train_in_parts(self, batch: RankBatch) -> Mapping[str, Any] | None:
        in_graph = self._jit_all is not None and self._whole is None and takes_metrics_in_graph(self.model)
        done = self._forward_and_backward(batch, in_graph)
        with torch.no_grad():
            if self.weights:
                self.optimizer.apply(self.trained.gradients(), self.weights)
            if not in_graph and (self._always_computes_metrics or self.state.compiled.metrics):  # type: ignore[union-attr]
                return add_to_metrics(self.model, done, self._computes_metrics)
            return None

    def train(self, batch: RankBatch) -> StepOutputs:
        """Train on one batch: forward, loss, backward, apply. The loss is tracked, the metrics are left alone."""
        done = self._forward_and_backward(batch)
        if self.weights:
            with torch.no_grad():
                self.optimizer.apply(self.trained.gradients(), self.weights)
        return done

    def _forward_and_backward(self, batch: RankBatch, metrics_in_graph: bool = False) -> StepOutputs:
        x, y, sample_weight = unpack_x_y_sample_weight(batch.data)
        rows = rows_of(x)
        compiled = self.state.compiled
        run, compiles = self.trained.run, self.trained.can_compile
        self.trained.free_gradients()
        if self.model._tk_has_losses:
            # They hold the graph of the call before, and with it the nodes that add gradients up. A weight that is read
            # meanwhile gets that node again, which computes in the stream of that call: a capture would be lost.
            losses.clear(self.model)
        if metrics_in_graph and self._has_run and compiles:
            y_pred, loss = run(self._jit_all, rows, x, y, sample_weight, rows)  # type: ignore[arg-type]
        elif metrics_in_graph:
            y_pred, loss = run(self._outputs_loss_and_metrics, x, y, sample_weight, rows)
        else:
            if self.jit is None or self._whole is not None or not (compiles and self.uses_graphs):
                y_pred, loss = run(self._outputs_and_loss, x, y, sample_weight)
            else:
                y_pred, loss = run(self.jit, rows, x, y, sample_weight)
            compiled.track_loss(loss, rows)  # type: ignore[union-attr]
        if self._is_first:
            self._is_first = False
            if compiled.loss is not None and y is not None:  # type: ignore[union-attr]
                compiled.loss.check_shapes(y, y_pred)  # type: ignore[union-attr]
            metrics = compiled.metrics  # type: ignore[union-attr]
            if metrics and not metrics.built and y is not None and not self._always_computes_metrics:
                metrics.build(y, y_pred)  # a metric that fits no output is refused before a weight moves
        self._has_run = True
        if self.weights:
            self.trained.backward(self.optimizer.scale_loss(loss), batch)
        return StepOutputs(x, y, y_pred, sample_weight)

    def _outputs_and_loss(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, torch.Tensor]:
        if self.head is not None and isinstance(y, torch.Tensor) and self.head.is_unseen():
            return self._stand_in_and_loss(self.head, x, y, sample_weight)
        y_pred = self.trained(x)
        loss = self.model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, **self._flag)
        return y_pred, loss

    def _stand_in_and_loss(
        self, head: FusedHead, x: Any, y: torch.Tensor, sample_weight: Any
    ) -> tuple[Any, torch.Tensor]:
        """The loss, and the outputs: a stand-in for them where they are large logits."""
        with head.deferring():
            y_pred = self.trained(x)
        product = head.take(y_pred)
        with self.state.compiled.loss.of_product(product):  # type: ignore[union-attr]
            loss = self.model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, **self._flag)
        return y_pred, loss

    def _outputs_loss_and_metrics(self, x: Any, y: Any, sample_weight: Any, rows: int) -> tuple[Any, torch.Tensor]:
        y_pred, loss = self._outputs_and_loss(x, y, sample_weight)
        with torch.no_grad():
            self.state.compiled.track_loss(loss, rows)  # type: ignore[union-attr]
            add_to_metrics(self.model, StepOutputs(x, y, y_pred, sample_weight), False)
        return y_pred, loss


class OwnStep:
    """A `train_step` or `test_step` of the user's, which returns the values to log.

    Args:
        model: the model.
        name: the method's name.
        library_step: the library's step on the same model, which `super().train_step()` runs.
        calls: the layers whose calls are compiled; `None`: none. Default: `None`.
        whole: whether to compile all of the step as one graph, if torch can; else `calls`. Default: `False`.
    """

    is_own = True

    def __init__(
        self,
        model: TrainableModel,
        name: str,
        library_step: TrainStep | None = None,
        calls: CompiledCalls | None = None,
        whole: bool = False,
    ) -> None:
        self.library_step = library_step
        self.method = OwnMethod(model, name, calls, whole, self._compile_librarys_part)
        if library_step is not None:
            library_step.uses_graphs = self.method.graph is None

    def _compile_librarys_part(self) -> None:
        if self.library_step is not None:
            self.library_step.uses_graphs = True

    def begin(self) -> None:
        """Start a run of batches, perhaps of another size."""
        if self.library_step is not None:
            self.library_step.begin()
        self.method.begin()

    def check_guards(self, each: bool = True) -> None:
        """Look, before the next batch, whether what compiled code depends on is as it was; as in `TrainStep`."""
        if self.library_step is not None:
            self.library_step.check_guards(each)
        self.method.check_guards()

    def __call__(self, batch: RankBatch) -> Mapping[str, Any]:
        """The logs that the user's step returned for a batch.

        Raises:
            TypeError: it returned no dict.
        """
        logs = self.method(batch.data)
        if not isinstance(logs, Mapping):
            raise TypeError(
                f"{type(self.method.model).__name__}.{self.method.name}() must return a dict of the values to log, "
                f'such as {{"loss": loss}} or self.get_metrics_result(); it returned {logs!r}'[:400]
                + "."
            )
        return logs


class EvaluationStep:
    """forward, loss, add to the metrics.

    Args:
        model: the model.
        jit: whether to compile them.
    """

    is_own = False

    def __init__(self, model: TrainableModel, jit: bool = False) -> None:
        self.model = model
        self.jit = Jit(self._evaluate, Report(f"the evaluation step of {model.name!r}")) if jit else None
        self._has_run = False
        self._flag = training_flag(model, False)
        self._computes_metrics = is_overridden(model, "compute_metrics")

    def begin(self) -> None:
        """Start a run of batches, perhaps of another size."""
        if self.jit is not None:
            self.jit.begin()

    def check_guards(self, each: bool = True) -> None:
        """Look, before the next batch, whether what compiled code depends on is as it was; as in `TrainStep`."""
        if self.jit is not None:
            self.jit.check_guards(each)

    def __call__(self, batch: RankBatch) -> Mapping[str, Any] | None:
        """Evaluate one batch; the logs of a `compute_metrics` of the user's."""
        if self.jit is not None and takes_metrics_in_graph(self.model):
            x, y, sample_weight = unpack_x_y_sample_weight(batch.data)
            rows = rows_of(x)
            if self._has_run:
                self.jit(rows, x, y, sample_weight, rows)
            else:
                self._evaluate(x, y, sample_weight, rows)
            self._has_run = True
            return None
        return add_to_metrics(self.model, self.evaluate(batch), self._computes_metrics)

    def _evaluate(self, x: Any, y: Any, sample_weight: Any, rows: int) -> None:
        add_to_metrics(self.model, self._outputs_and_loss(x, y, sample_weight, rows), False)

    def evaluate(self, batch: RankBatch) -> StepOutputs:
        """Outputs and loss of one batch. The loss is tracked, the metrics are left alone."""
        x, y, sample_weight = unpack_x_y_sample_weight(batch.data)
        return self._outputs_and_loss(x, y, sample_weight, rows_of(x))

    def _outputs_and_loss(self, x: Any, y: Any, sample_weight: Any, rows: int) -> StepOutputs:
        y_pred = self.model(x, training=False)
        loss = self.model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, **self._flag)
        state_of(self.model).compiled.track_loss(loss, rows)  # type: ignore[union-attr]
        return StepOutputs(x, y, y_pred, sample_weight)


class PredictionStep:
    """forward: the model's `predict_step`.

    Args:
        model: the model.
        jit: whether to compile it.
        own: the user's own `predict_step`, if it is compiled. Default: `None`.
    """

    is_own = False

    def __init__(self, model: TrainableModel, jit: bool = False, own: OwnMethod | None = None) -> None:
        self.model = model
        self.jit = Jit(self._outputs, Report(f"the prediction step of {model.name!r}")) if jit else None
        self.own = own

    def begin(self) -> None:
        """Start a run of batches, perhaps of another size."""
        for part in (self.jit, self.own):
            if part is not None:
                part.begin()

    def check_guards(self, each: bool = True) -> None:
        """Look, before the next batch, whether what compiled code depends on is as it was; as in `TrainStep`."""
        if self.jit is not None:
            self.jit.check_guards(each)
        if self.own is not None:
            self.own.check_guards()

    def __call__(self, batch: RankBatch) -> Any:
        """The outputs for one batch."""
        if self.own is not None:
            return self.own(batch.data)
        # No graph can make the weights of layers, which the first batch may do.
        if self.jit is None or not self.model.built or is_overridden(self.model, "predict_step"):
            return self.model.predict_step(batch.data)
        x, _, _ = unpack_x_y_sample_weight(batch.data)
        return self.jit(rows_of(x), x)

    def _outputs(self, x: Any) -> Any:
        return self.model(x, training=False)


def takes_metrics_in_graph(model: TrainableModel) -> bool:
    """Whether all metrics are this library's, and nothing of the user's computes with them."""
    if is_overridden(model, "compute_metrics") or is_overridden(model, "compute_loss"):
        return False
    metrics = state_of(model).compiled.metrics.metrics  # type: ignore[union-attr]
    return all(is_own(type(metric)) and not isinstance(metric, TorchMetric) for metric in metrics)


def add_to_metrics(model: TrainableModel, done: StepOutputs, by_compute_metrics: bool) -> Mapping[str, Any] | None:
    """Add a batch to the metrics, by the user's `compute_metrics` if there is one; the logs that it returned."""
    if by_compute_metrics:
        logs = model.compute_metrics(*done)
        return logs if isinstance(logs, Mapping) else None
    metrics = state_of(model).compiled.metrics  # type: ignore[union-attr]
    if done.y is not None and metrics:
        metrics.update_state(done.y, done.y_pred, done.sample_weight)
    return None


class _ByBlocks:
    """A step of the library inside of which the calls of some layers are compiled."""

    calls: CompiledCalls

    def begin(self) -> None:
        """Start a run of batches, perhaps of another size."""
        super().begin()  # type: ignore[misc]
        if "calls" in self.__dict__:
            self.calls.begin()

    def __call__(self, batch: RankBatch) -> Any:
        """Do the step for a batch."""
        with self.calls.during(rows_of(batch.data)):
            return super().__call__(batch)  # type: ignore[misc]


class TrainStepByBlocks(_ByBlocks, TrainStep):
    """`TrainStep` with compiled layers."""


class EvaluationStepByBlocks(_ByBlocks, EvaluationStep):
    """`EvaluationStep` with compiled layers."""


class PredictionStepByBlocks(_ByBlocks, PredictionStep):
    """`PredictionStep` with compiled layers."""


def make_train_step(model: TrainableModel, weights: Sequence[Any], strategy: Strategy) -> TrainStep | OwnStep:
    """The training step of a model: the library's, or the user's."""
    compiled = state_of(model).compiled
    jit = compiled.jit_compile and strategy.compiles_steps(model)  # type: ignore[union-attr, arg-type]
    blocks = _blocks(model) if jit else []
    if is_overridden(model, "train_step"):
        step = own_train_step(model, weights, jit and not blocks, not blocks)
        calls = _calls(model, "train_step()", blocks, True) if jit else None
        return OwnStep(model, "train_step", step, calls, whole=not blocks)
    trained = strategy.trained(model, weights)  # type: ignore[arg-type]
    if blocks:
        trained.cast_one_by_one()
        found = TrainStepByBlocks(model, weights, trained)
        found.calls = _calls(model, "the training step", blocks)
        return found
    overrides = is_overridden(model, "compute_loss") or is_overridden(model, "compute_metrics")
    with_head = type(trained) is TrainedModel and not jit and not overrides
    # On a GPU whole steps were not measured; there the backward pass is a graph of its own.
    whole = type(trained) is TrainedModel and all(weight.device.type == "cpu" for weight in trained.weights)
    return TrainStep(model, weights, trained, jit, find_head(model, compiled) if with_head else None, whole)


def own_train_step(
    model: TrainableModel, weights: Sequence[Any], jit: bool = False, casts_together: bool = True
) -> TrainStep | None:
    """The library's step for a `train_step` of the user's to call; `None` where the library's could not run."""
    if optimizer_of(model) is None and len(weights):
        return None
    trained = TrainedModel(model, weights)  # type: ignore[arg-type]
    if not casts_together:
        trained.cast_one_by_one()
    return TrainStep(model, weights, trained, jit)


def _blocks(model: TrainableModel) -> list[list[nn.Module]]:
    """The groups of layers to compile in the place of the whole step, under `jit_compile="regional"`."""
    if not state_of(model).compiled.by_blocks:  # type: ignore[union-attr]
        return []
    blocks = repeated_blocks(model)  # type: ignore[arg-type]
    if not blocks:
        logger.info(
            "jit_compile='regional': no layers with sublayers repeat side by side in %r; it is compiled whole.",
            model.name,
        )
    return blocks


def _calls(model: TrainableModel, label: str, blocks: list[list[nn.Module]], is_own: bool = False) -> CompiledCalls:
    """The calls to compile in a step of a model: of the blocks, else of whole layers in a step of the user's."""
    groups = blocks or composite_layers(model)  # type: ignore[arg-type]
    return CompiledCalls(groups, f"{label} of {model.name!r}", outermost=is_own and not blocks)


def make_test_step(model: TrainableModel) -> EvaluationStep | OwnStep:
    """The evaluation step of a model: the library's, or the user's."""
    return OwnStep(model, "test_step") if is_overridden(model, "test_step") else EvaluationStep(model)


def kept_test_step(model: TrainableModel, strategy: Strategy) -> EvaluationStep | OwnStep:
    """The evaluation step of a model; a compiled one is kept until the model is compiled again."""
    state = state_of(model)
    compile_blocks(model, strategy, trains=False)
    if not state.compiled.jit_compile or not strategy.compiles_steps(model):  # type: ignore[union-attr, arg-type]
        return make_test_step(model)
    hooks = hooks_of(model, strategy)  # type: ignore[arg-type]
    if state.test_step is None or state.test_step_hooks != hooks:
        state.test_step_hooks = hooks
        blocks = _blocks(model)
        if is_overridden(model, "test_step"):
            calls = _calls(model, "test_step()", blocks, True)
            state.test_step = OwnStep(model, "test_step", None, calls, whole=not blocks)
        elif blocks:
            state.test_step = EvaluationStepByBlocks(model)
            state.test_step.calls = _calls(model, "the evaluation step", blocks)
        else:
            state.test_step = EvaluationStep(model, jit=True)
    state.test_step.begin()
    return state.test_step


def is_jit_compiled(model: TrainableModel) -> bool:
    """Whether steps of the model are compiled, if its strategy compiles any."""
    state = state_of(model)
    if state.compiled is None:
        return state.jit_compile and not state.run_eagerly
    return state.compiled.jit_compile


def kept_predict_step(model: TrainableModel, strategy: Strategy) -> PredictionStep:
    """The prediction step of a model; a compiled one is kept until the model is compiled again."""
    state = state_of(model)
    compile_blocks(model, strategy, trains=False)
    if not is_jit_compiled(model) or not strategy.compiles_steps(model):  # type: ignore[arg-type]
        return PredictionStep(model)
    hooks = hooks_of(model, strategy)  # type: ignore[arg-type]
    if state.predict_step is None or state.predict_step_hooks != hooks:
        state.predict_step_hooks = hooks
        blocks = _blocks(model) if state.compiled is not None else []
        if is_overridden(model, "predict_step"):
            calls = _calls(model, "predict_step()", blocks, True)
            state.predict_step = PredictionStep(model, own=OwnMethod(model, "predict_step", calls, whole=not blocks))
        elif blocks:
            state.predict_step = PredictionStepByBlocks(model)
            state.predict_step.calls = _calls(model, "the prediction step", blocks)
        else:
            state.predict_step = PredictionStep(model, jit=True)
    state.predict_step.begin()
    return state.predict_step
