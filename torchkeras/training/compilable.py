"""`compile`, the metrics, and the steps that users may override: how a model is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from torchkeras.callbacks import History
from torchkeras.core.config.keywords import keywords_of
from torchkeras.core.nearest_names import candidates
from torchkeras.core.operations.tracebacks import filtered
from torchkeras.core.types import Identifier, Nest
from torchkeras.core.user_warnings import warn_user
from torchkeras.distributed.rank_share import RankBatch, current_share
from torchkeras.layers.base.losses import may_exist as losses_may_exist
from torchkeras.layers.base.weights import held_metrics
from torchkeras.metrics import Metric
from torchkeras.training.compile.options import Compiled, check_jit_compile
from torchkeras.training.compile.snapshot import TrainableSnapshot
from torchkeras.training.data import ask_for_targets, unpack_x_y_sample_weight
from torchkeras.training.placing import place_at_compile
from torchkeras.training.results import results_by_metric
from torchkeras.training.state import TrainingState, compiled_of, optimizer_of, state_of
from torchkeras.training.step import EvaluationStep, TrainStep, library_default, own_train_step

if TYPE_CHECKING:
    from torchkeras.layers.base.layer import Layer as _Base
else:
    _Base = object


class Compilable(_Base):
    """Mixed into `Model` by `Trainer`: `compile` and its values, the metrics, and the steps that users may override."""

    # Properties whose values are saved with a model, under these names.
    _tk_saved_properties: tuple[str, ...] = ("optimizer", "loss")

    stop_training: bool
    """Set to `True` (by a callback, say) to end `fit` after the batch or epoch."""
    history: History | None
    """The `History` of the last `fit`."""
    compiled: bool

    def _tk_init_trainer(self) -> None:
        self.__dict__.update(_tk_training=TrainingState(), stop_training=False, history=None, compiled=False)

    # ------------------------------------------------------------------ compile

    @filtered
    def compile(
        self,
        optimizer: Identifier | Any = "rmsprop",
        loss: Nest[Identifier] | Any = None,
        loss_weights: Nest[float] | None = None,
        metrics: Nest[Identifier] | Any = None,
        weighted_metrics: Nest[Identifier] | Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str | None = "auto",
        auto_scale_loss: bool = True,
        **kwargs: Any,
    ) -> None:
        """Set the optimizer, the loss and the metrics with which the model is trained and evaluated.

        Compile again after a change of `trainable`: `compile` decides which weights are trained.

        Args:
            optimizer: a name such as `"adam"`, a `keras.optimizers.Optimizer`, a `torch.optim.Optimizer`, or a function
                that makes one of a list of parameters. Default: `"rmsprop"`.
            loss: a name such as `"mse"`, a `keras.losses.Loss`, a loss module of torch, or a function `(y_true,
                y_pred)`; for several outputs a list or dict of them. Default: `None`.
            loss_weights: factors of the outputs' losses in the total loss, a list or dict. Default: `None`, 1 for each.
            metrics: list of metrics: names such as `"accuracy"`, `keras.metrics.Metric` objects, metrics of
                torchmetrics, or functions `(y_true, y_pred)`; for several outputs a list or dict of lists. Default:
                `None`.
            weighted_metrics: metrics that take `sample_weight` and `class_weight` into account, in the same form.
                Default: `None`.
            run_eagerly: whether to switch compilation off, whatever `jit_compile` is. Default: `False`.
            steps_per_execution: number of batches between two calls of the batch callbacks. Default: `1`.
            jit_compile: whether to compile the steps with `torch.compile`. Default: `"auto"`.

                - `True`: forward pass, loss, backward pass and metrics become graphs. A `train_step`, `test_step` or
                  `predict_step` of your own becomes one graph, if torch can trace it; else the calls of the model and
                  its blocks become graphs.
                - `"regional"`: only the layers that repeat in the model, such as the blocks of a transformer, are
                  compiled, once for all: 24 blocks take the time of two. Files keep it as `True`.
                - `"auto"`, `False`: nothing is compiled. On a GPU the step may still be replayed as a CUDA graph; see
                  `keras.config.set_cuda_graphs`. `False` rules that out.

                The first batch, and batches of another size than the first, run uncompiled. The logger `torchkeras`
                reports a graph that breaks or is compiled again.
            auto_scale_loss: whether to scale the loss under the dtype policy `"mixed_float16"`, so that small gradients
                do not vanish. Default: `True`.
            **kwargs: `experimental_steps_per_execution`, an older name of `steps_per_execution`.

        Raises:
            TypeError: an argument has an unknown name; the model stays as it was.
            ValueError: an argument has a wrong value; the model stays as it was.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
            >>> model.compile(optimizer="adam", loss="mse", metrics=["mae"])
            >>> model.optimizer.name, model.compiled
            ('adam', True)
        """
        steps = kwargs.pop("experimental_steps_per_execution", None)
        if kwargs:
            hint = candidates(kwargs, keywords_of(type(self).compile))
            raise TypeError(f"compile() got an unexpected keyword argument {min(kwargs)!r}. {hint}")
        compiled = Compiled(
            optimizer,
            loss,
            loss_weights,
            metrics,
            weighted_metrics,
            run_eagerly,
            steps or steps_per_execution,
            jit_compile,
            auto_scale_loss and self.dtype_policy.name == "mixed_float16",
            self.output_names,
        )
        state_of(self).compile(compiled, TrainableSnapshot(self))
        self.__dict__.update(compiled=True, stop_training=False)
        place_at_compile(self)

    @property
    def output_names(self) -> list[str] | None:
        """The names of the layers that the outputs come from, where the model knows them."""
        graph = self.__dict__.get("_tk_graph")
        return None if graph is None else [t._keras_history.operation.name for t in graph.outputs]

    @property
    def optimizer(self) -> Any:
        """The optimizer that `compile` was given; a model that was not compiled has no such attribute."""
        optimizer = optimizer_of(self)
        if optimizer is None and state_of(self).compiled is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute 'optimizer': it is not compiled.")
        return optimizer

    @optimizer.setter
    def optimizer(self, value: Any) -> None:
        state = state_of(self)
        if state.compiled is not None:
            state.compiled.optimizer = value
        else:
            state.optimizer = value

    @property
    def loss(self) -> Any:
        """The value that `compile(loss=...)` was given, or that was set since."""
        state = state_of(self)
        if state.loss is not None:
            return state.loss
        return state.compiled.config["loss"] if state.compiled is not None else None

    @loss.setter
    def loss(self, value: Any) -> None:
        state_of(self).loss = value

    @property
    def run_eagerly(self) -> bool:
        """Whether steps run uncompiled, whatever `jit_compile` says: as `compile()` was told, or as set since."""
        state = state_of(self)
        return state.run_eagerly if state.compiled is None else state.compiled.run_eagerly

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        state = state_of(self)
        if state.compiled is None:
            state.run_eagerly = bool(value)
            return
        state.compiled.set_run_eagerly(bool(value))
        state.forget_steps()

    @property
    def steps_per_execution(self) -> int:
        """Batches between two calls of the callbacks."""
        return getattr(state_of(self).compiled, "steps_per_execution", 1)

    @property
    def jit_compile(self) -> bool:
        """Whether the steps of `fit`, `evaluate` and `predict` are compiled."""
        state = state_of(self)
        return state.jit_compile if state.compiled is None else state.compiled.jit_compile

    @jit_compile.setter
    def jit_compile(self, value: bool | str) -> None:
        check_jit_compile(value)
        state = state_of(self)
        if state.compiled is None:
            state.jit_compile = value in (True, "regional")
            return
        state.compiled.set_jit_compile(value)
        state.forget_steps()

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments of `compile()`, JSON-ready; `None` for a model that is not compiled, or not describable."""
        compiled = state_of(self).compiled
        if compiled is None:
            return None
        return compiled.get_config()

    @property
    def _compile_config(self) -> dict[str, Any]:
        """Keras's name of the result of `get_compile_config()`, which a model has once it is compiled."""
        if state_of(self).compiled is None:
            raise AttributeError("The model is not compiled.")
        return self.get_compile_config() or {}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config()` described.

        Args:
            config: the dict that it returned.
        """
        if type(self).compile is not Compilable.compile:
            warn_user(
                f"`compile()` was not called as part of model loading because the model's `compile()` method is "
                f"custom. All subclassed Models that have `compile()` overridden should also override "
                f"`get_compile_config()` and `compile_from_config(config)`; {type(self).__name__} does not. "
                f"Or call `compile()` after loading."
            )
            return
        if not config:
            return
        self.compile(**Compiled.arguments(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_weights)

    # ------------------------------------------------------------------ metrics

    @property
    def metrics(self) -> list[Metric]:
        """The loss, the metrics of `compile`, and those set as attributes."""
        compiled = state_of(self).compiled
        own = held_metrics(self)
        if compiled is None:
            return own
        tracked = [compiled.loss_tracker, *compiled.part_trackers.values(), *compiled.metrics.metrics]
        return tracked + [m for m in own if all(m is not known for known in tracked)]

    @property
    def metrics_names(self) -> list[str]:
        """The names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Set all metrics back to their start."""
        for metric in self.metrics:
            metric.reset_state()

    @library_default
    def get_metrics_result(self) -> dict[str, Any]:
        """Return the value of each metric by name; a metric may give several."""
        results: dict[str, Any] = {}
        for _, named in results_by_metric(self):
            results.update(named)
        return results

    # ------------------------------------------------------------------ steps, for users to override

    @library_default
    def compute_loss(
        self,
        x: Nest[torch.Tensor] | None = None,
        y: Nest[torch.Tensor] | None = None,
        y_pred: Nest[torch.Tensor] | None = None,
        sample_weight: Nest[torch.Tensor] | None = None,
        training: bool = True,
    ) -> torch.Tensor:
        """Compute the scalar that training minimizes: the loss of `compile` plus `self.losses`.

        Override it for a loss that needs more than targets and predictions.

        Args:
            x: the inputs of the batch. Default: `None`.
            y: the targets. Default: `None`.
            y_pred: the model's outputs. Default: `None`.
            sample_weight: weights of the samples. Default: `None`.
            training: whether the loss is for a training step. Default: `True`.

        Returns:
            A scalar tensor.

        Raises:
            ValueError: there is nothing to minimize: `compile` was given no loss, and no layer added one.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
            >>> model.compile("sgd", loss="mse")
            >>> model.compute_loss(y=torch.ones(2, 1), y_pred=torch.zeros(2, 1)).item()
            1.0
        """
        compiled = state_of(self).compiled
        loss = None
        if compiled is not None and compiled.loss is not None and y is not None:
            loss = compiled.loss(y, y_pred, sample_weight)
        for one in self.losses if losses_may_exist(self) else ():
            loss = one if loss is None else loss + one
        if loss is None:
            if compiled is not None and compiled.loss is not None and y is None:
                raise ValueError(f"The model has a loss, but no targets came with the data: {ask_for_targets(x)}.")
            raise ValueError(
                "No loss to compute. Provide a `loss` argument in `compile()`, call add_loss() in a layer, or override "
                "compute_loss(), train_step() or test_step()."
            )
        return loss

    @library_default
    def compute_metrics(
        self,
        x: Nest[torch.Tensor],
        y: Nest[torch.Tensor] | None,
        y_pred: Nest[torch.Tensor],
        sample_weight: Nest[torch.Tensor] | None = None,
    ) -> dict[str, Any]:
        """Add a batch to the metrics of `compile`, and return their values.

        Args:
            x: the inputs of the batch.
            y: the targets; if `None`, nothing is added.
            y_pred: the model's outputs.
            sample_weight: weights of the samples, for the weighted metrics. Default: `None`.

        Returns:
            The values of all metrics since the last reset, by name.
        """
        if y is not None:
            with torch.no_grad():
                compiled_of(self, "compute_metrics").metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    @library_default
    def train_step(self, data: Any) -> dict[str, Any]:
        """Train on one batch: forward, loss, backward, apply, metrics. Override it for a step of your own.

        Args:
            data: the batch as the data source gives it: `x`, `(x, y)` or `(x, y, sample_weight)`.

        Returns:
            The values to log, by name. Of a metric that the step updates, the epoch's value is logged; a value under
            the name of a metric that was not updated is averaged over the epoch's rows; others are those of the last
            batch.

        Example:
            >>> class Clipped(keras.Model):
            ...     def train_step(self, data):
            ...         x, y = data
            ...         loss = self.compute_loss(x, y, self(x, training=True))
            ...         self.zero_grad()
            ...         loss.backward()
            ...         torch.nn.utils.clip_grad_norm_(self.parameters(), 1.0)
            ...         self.optimizer.apply([w.grad for w in self.trainable_weights], self.trainable_weights)
            ...         return {"loss": loss}
            >>> inputs = keras.Input((3,))
            >>> model = Clipped(inputs, keras.layers.Dense(1)(inputs))
            >>> model.compile("sgd", "mse")
            >>> list(model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0).history)
            ['loss']
        """
        compiled_of(self, "train_step")
        done = self._tk_library_step().train(RankBatch(data, current_share()))
        return self.compute_metrics(*done)

    def _tk_library_step(self) -> TrainStep:
        """The library's step for a `train_step` of the user's: that of the run in progress, or a new one."""
        state = state_of(self)
        step = getattr(state.active_step, "library_step", None)
        if step is None or step.optimizer is not self.optimizer:
            step = own_train_step(self, state.snapshot.weights(self))  # type: ignore[union-attr]
        return step

    @library_default
    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate one batch. Override it for a step of your own.

        Args:
            data: the batch as the data source gives it: `x`, `(x, y)` or `(x, y, sample_weight)`.

        Returns:
            The values to log, by name.
        """
        compiled_of(self, "test_step")
        return self.compute_metrics(*EvaluationStep(self).evaluate(RankBatch(data, current_share())))

    @library_default
    def predict_step(self, data: Any) -> Nest[torch.Tensor]:
        """Return the outputs for one batch. Override it for a step of your own.

        Args:
            data: the batch as the data source gives it: `x`, `(x, y)` or `(x, y, sample_weight)`.
        """
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)
