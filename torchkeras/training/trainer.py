"""`compile`, `fit`, `evaluate`, `predict`: the part of a model that trains it."""

from __future__ import annotations

import warnings
from collections.abc import Container
from typing import TYPE_CHECKING, Any

import torch

from torchkeras.callbacks import Callback, CallbackList, History
from torchkeras.core import tree
from torchkeras.core.operations.tracebacks import filtered
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.types import ArrayLike, Identifier, Nest
from torchkeras.distributed.rank_share import RankBatch, current_share
from torchkeras.distributed.strategies import registry
from torchkeras.layers.base.losses import may_exist as losses_may_exist
from torchkeras.metrics import Metric
from torchkeras.training import on_batch
from torchkeras.training.compile.options import Compiled
from torchkeras.training.compile.snapshot import TrainableSnapshot
from torchkeras.training.data import (
    ask_for_targets,
    make_source,
    named_arrays,
    train_validation_split,
    unpack_x_y_sample_weight,
    with_names,
)
from torchkeras.training.evaluate import evaluate
from torchkeras.training.fit import fit
from torchkeras.training.predict import predict
from torchkeras.training.ready import device_of, names_of_parts
from torchkeras.training.results import as_list, results_by_metric
from torchkeras.training.run import Run, check_validation_freq, evaluation_source
from torchkeras.training.state import TrainingState, compiled_of, state_of
from torchkeras.training.step import EvaluationStep, TrainStep, library_default, own_train_step

if TYPE_CHECKING:
    from torchkeras.layers.base.layer import Layer as _Base
else:
    _Base = object

Callbacks = Callback | list[Callback] | CallbackList | None
Logs = dict[str, float]


class Trainer(_Base):
    """Mixed into `Model`: training, evaluation, prediction, and the steps that users may override."""

    # Properties whose values are saved with a model, under these names.
    _tk_saved_properties = ("optimizer", "loss")

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
        """Say how the model is trained, and note which weights train: later changes of `trainable` need a new compile.

        Args:
            optimizer: a name, an `Optimizer`, a `torch.optim.Optimizer`, or a function of parameters that makes one.
            loss: a name, a `Loss`, a torch loss, a callable `(y_true, y_pred)`, or a list or dict of them by output.
            loss_weights: factors of the outputs' losses in the total, in the same form; default: 1 each.
            metrics: names, `Metric`s, torchmetrics or callables, in lists or dicts by output.
            weighted_metrics: metrics that take sample weights, in the same form.
            run_eagerly: `True` switches compilation off, whatever `jit_compile` says.
            steps_per_execution: batches between two calls of the callbacks.
            jit_compile: `True` compiles forward pass and loss with `torch.compile`; `"auto"` and `False` do not.
            auto_scale_loss: scale the loss under the dtype policy `mixed_float16`, so that gradients do not underflow.
            **kwargs: `experimental_steps_per_execution`, an older name of `steps_per_execution`.

        Raises:
            ValueError: an argument has a wrong value or an unknown name; the model stays as it was.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
            >>> model.compile(optimizer="adam", loss="mse", metrics=["mae"])
            >>> model.optimizer.name, model.compiled
            ('adam', True)
        """
        steps = kwargs.pop("experimental_steps_per_execution", None)
        if kwargs:
            raise ValueError(f"Unknown arguments of compile(): {sorted(kwargs)}.")
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

    @property
    def output_names(self) -> list[str] | None:
        """The names of the outputs, where the model knows them."""
        graph = self.__dict__.get("_tk_graph")
        if graph is None:
            return None
        if isinstance(graph.outputs_struct, dict):
            return sorted(graph.outputs_struct)
        return [t._keras_history.operation.name for t in graph.outputs]

    @property
    def optimizer(self) -> Any:
        """The optimizer that `compile` was given."""
        state = state_of(self)
        if state.optimizer is not None:
            return state.optimizer
        return state.compiled.optimizer if state.compiled is not None else None

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
        """Whether `compile(run_eagerly=True)` was called."""
        return getattr(state_of(self).compiled, "run_eagerly", False)

    @property
    def steps_per_execution(self) -> int:
        """Batches between two calls of the callbacks."""
        return getattr(state_of(self).compiled, "steps_per_execution", 1)

    @property
    def jit_compile(self) -> bool:
        """Whether forward pass and loss are compiled."""
        return getattr(state_of(self).compiled, "jit_compile", False)

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments of `compile()`, JSON-ready; `None` for a model that is not compiled, or not describable."""
        compiled = state_of(self).compiled
        if compiled is None or type(self).compile is not Trainer.compile:
            return None
        return compiled.get_config()

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config()` described.

        Args:
            config: the dict that it returned.
        """
        if type(self).compile is not Trainer.compile:
            warnings.warn(
                f"{type(self).__name__} overrides compile(), so the saved compile configuration can't be applied; "
                f"override compile_from_config() too, or call compile() yourself.",
                stacklevel=2,
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
        own = super().metrics
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
        """The value of each metric by name; a metric may give several."""
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
        """The scalar that training minimizes: the compiled loss plus `self.losses`.

        Args:
            x: the inputs.
            y: the targets.
            y_pred: the model's outputs.
            sample_weight: the weights of the samples.
            training: whether the loss is for a training step.

        Returns:
            A scalar tensor.

        Raises:
            ValueError: there is nothing to minimize.
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
                "There is no loss to compute: give compile(loss=...), call add_loss() in a layer, or override "
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
        """Add a batch to the metrics of `compile`.

        Args:
            x: the inputs.
            y: the targets; without targets nothing is added.
            y_pred: the model's outputs.
            sample_weight: the weights of the samples, for the weighted metrics.

        Returns:
            The values of all metrics so far, by name.
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
        """The outputs for one batch. Override it for a step of your own.

        Args:
            data: the batch as the data source gives it: `x`, `(x, y)` or `(x, y, sample_weight)`.
        """
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)

    @filtered
    def fit(
        self,
        x: Any = None,
        y: Nest[ArrayLike] | None = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Callbacks = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Nest[ArrayLike] | None = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Container[int] = 1,
    ) -> History:
        """Train for a number of epochs.

            build the model for the first batch
            for each epoch:
                reset the metrics
                for each batch: forward, loss, backward, apply, add to the metrics
                read the metrics, once; validate; callbacks

        Args:
            x: arrays or tensors (or nests of them); or a torch DataLoader or Dataset, a PyDataset, a generator, any
                iterable of `(x, y)` or `(x, y, sample_weight)` batches.
            y: the targets, if `x` are arrays; if the batches are dicts, the name of the targets' entry, as in
                `fit(loader, y="labels")`, or names in the targets' structure. The other entries are the inputs; a
                single one stands for itself. Entries called as a functional model's outputs are its targets.
            batch_size: rows per batch, of arrays; default 32. With several processes it is that of all of them.
            epochs: the number of the last epoch.
            verbose: 0 silent, 1 bar, 2 a line per epoch, `"auto"`: 1 on a terminal, else 2.
            callbacks: a `Callback` or a list of them.
            validation_split: fraction of the samples, from the end and before shuffling, to validate on.
            validation_data: `(x_val, y_val)`, with weights `(x_val, y_val, weights)`, or a source like `x`.
            shuffle: whether arrays come in another order each epoch; `"batch"`: only within each batch.
            class_weight: `{class: weight}`.
            sample_weight: a weight for each sample, or each step of each sample; or the name of an entry, as `y`.
            initial_epoch: the epoch to begin with, counted from 0.
            steps_per_epoch: batches per epoch; default: all of the data.
            validation_steps: batches of validation data; default: all.
            validation_batch_size: rows per batch of validation data; default: `batch_size`.
            validation_freq: validate after every so many epochs, or after those listed (from 1).

        Returns:
            The `History` callback, whose `history` has each epoch's values by name.

        Raises:
            ValueError: the model is not compiled, or the data do not fit it.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> history = model.fit(np.ones((8, 3)), np.ones((8, 1)), epochs=2, verbose=0)
            >>> len(history.history["loss"])
            2
        """
        compiled_of(self, "fit")
        check_validation_freq(validation_freq)
        strategy = registry.choose()
        validation_data = with_names(validation_data, y, sample_weight)
        x, y, sample_weight = named_arrays(x, y, sample_weight)
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
            device=device_of(self),
            **names_of_parts(self),
        )
        validation = None
        if validation_data is not None:
            size = validation_batch_size or batch_size
            validation = evaluation_source(self, strategy, validation_data, size, validation_steps, "validation")
        source = strategy.source(source, training=True)
        run = Run(self, strategy, source, epochs, initial_epoch, validation, validation_freq)
        fit(run, callbacks, verbose)
        return self.history  # type: ignore[return-value]

    @filtered
    def evaluate(
        self,
        x: Any = None,
        y: Nest[ArrayLike] | None = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Nest[ArrayLike] | None = None,
        steps: int | None = None,
        callbacks: Callbacks = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> float | list[float] | Logs:
        """The loss and the metrics over the data, with dropout off.

        Args:
            x: as in `fit`.
            y: the targets, if `x` are arrays; names of entries, as in `fit`.
            batch_size: rows per batch, of arrays; default 32.
            verbose: as in `fit`.
            sample_weight: a weight for each sample, or each step of each sample.
            steps: batches; default: all of the data.
            callbacks: a `Callback` or a list of them.
            return_dict: whether to return a dict by name.
            **kwargs: none is known.

        Returns:
            The loss, or a list of loss and metrics; with `return_dict` a dict by name.

        Raises:
            ValueError: the model is not compiled, or the data do not fit it.
            RuntimeError: `fit` trains the model in another thread.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="zeros")])
            >>> model.compile("sgd", "mse", metrics=["mae"])
            >>> model.evaluate(np.ones((8, 3)), 2 * np.ones((8, 1)), verbose=0, return_dict=True)
            {'loss': 4.0, 'mae': 2.0}
        """
        compiled_of(self, "evaluate")
        kwargs.pop("_use_cached_eval_dataset", None)
        if kwargs:
            raise ValueError(f"Unknown arguments of evaluate(): {sorted(kwargs)}.")
        strategy = registry.choose()
        source = evaluation_source(self, strategy, (x, y, sample_weight), batch_size, steps)
        logs = evaluate(Run(self, strategy, source), callbacks, verbose)
        return logs if return_dict else as_list(self, logs)

    @filtered
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Callbacks = None,
    ) -> Any:
        """The outputs for all data, with dropout off.

        Args:
            x: as in `fit`; targets in batches are ignored.
            batch_size: rows per batch, of arrays; default 32.
            verbose: as in `fit`.
            steps: batches; default: all of the data.
            callbacks: a `Callback` or a list of them.

        Returns:
            NumPy arrays, nested as the model's outputs are.

        Raises:
            ValueError: there are no data, or the outputs of the batches differ in more than their rows.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
            >>> model.predict(np.ones((8, 3)), verbose=0).shape
            (8, 2)
        """
        strategy = registry.choose()
        run = Run(self, strategy, evaluation_source(self, strategy, (x, None, None), batch_size, steps))
        return predict(run, callbacks, verbose)

    @filtered
    def train_on_batch(
        self,
        x: Nest[ArrayLike],
        y: Nest[ArrayLike] | None = None,
        sample_weight: Nest[ArrayLike] | None = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | Logs:
        """One training step on one batch.

        Args:
            x: the inputs.
            y: the targets. They may have another number of rows than the inputs, if the model's outputs do.
            sample_weight: a weight for each sample, or each step of each sample.
            class_weight: `{class: weight}`, instead of `sample_weight`.
            return_dict: whether to return a dict by name.

        Returns:
            The batch's loss, or a list of loss and metrics; with `return_dict` a dict by name.

        Raises:
            ValueError: the model is not compiled, or the data do not fit it.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="zeros")])
            >>> model.compile("sgd", "mse")
            >>> model.train_on_batch(np.ones((8, 3)), np.ones((8, 1)))
            1.0
        """
        compiled_of(self, "train_on_batch")
        logs = on_batch.train_on_batch(self, registry.choose(), x, y, sample_weight, class_weight)
        return logs if return_dict else as_list(self, logs)

    @filtered
    def test_on_batch(
        self,
        x: Nest[ArrayLike],
        y: Nest[ArrayLike] | None = None,
        sample_weight: Nest[ArrayLike] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | Logs:
        """Evaluate one batch.

        Args:
            x: the inputs.
            y: the targets, as in `train_on_batch`.
            sample_weight: a weight for each sample, or each step of each sample.
            return_dict: whether to return a dict by name.

        Returns:
            The batch's loss, or a list of loss and metrics; with `return_dict` a dict by name.

        Raises:
            ValueError: the model is not compiled, or the data do not fit it.
        """
        compiled_of(self, "test_on_batch")
        logs = on_batch.test_on_batch(self, registry.choose(), x, y, sample_weight)
        return logs if return_dict else as_list(self, logs)

    @filtered
    def predict_on_batch(self, x: Nest[ArrayLike]) -> Any:
        """The outputs for one batch.

        Args:
            x: the inputs.

        Returns:
            NumPy arrays, nested as the model's outputs are.
        """
        return tree.map_structure(convert_to_numpy, on_batch.predict_on_batch(self, x))
