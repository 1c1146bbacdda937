"""`compile`, `fit`, `evaluate`, `predict`: the part of a model that trains it."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from torchkeras.core import tree
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.layers.base.losses import may_exist as losses_may_exist
from torchkeras.training import loop
from torchkeras.training.compile.options import Compiled, TrainableSnapshot
from torchkeras.training.data import unpack_x_y_sample_weight
from torchkeras.training.step import StepCache, rows_of


class Trainer:
    """Mixed into `Model`: training, evaluation, prediction, and the steps that users may override."""

    # Properties whose values are saved with a model, under these names.
    _tk_saved_properties = ("optimizer", "loss")

    def _tk_init_trainer(self) -> None:
        self.__dict__.update(
            _tk_compiled=None,
            _tk_snapshot=None,
            stop_training=False,
            history=None,
            _tk_step_cache=StepCache(),
            compiled=False,
        )

    # ------------------------------------------------------------------ compile

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        **kwargs: Any,
    ) -> None:
        """Say how the model is trained, and note which weights train: later changes of `trainable` need a new compile.

        Args:
            optimizer: a name, an `Optimizer`, a `torch.optim.Optimizer`, or a function of parameters that makes one.
            loss: a name, a `Loss`, a torch loss, a callable `(y_true, y_pred)`, or a list or dict of them by output.
            loss_weights: numbers in the same form.
            metrics, weighted_metrics: names, `Metric`s, torchmetrics or callables, in lists or dicts by output; the
                latter take sample weights.
            run_eagerly: never compile.
            steps_per_execution: batches between two looks of the callbacks.
            jit_compile: `True` compiles forward, loss and backward with `torch.compile`.
            auto_scale_loss: scale losses under `mixed_float16`.

        Raises:
            ValueError: an argument is not what it can be; the model stays as it was.
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
            auto_scale_loss and self.dtype_policy.name == "mixed_float16",  # type: ignore[attr-defined]
            self._tk_output_names(),
        )
        self.__dict__.update(_tk_compiled=compiled, compiled=True, _tk_step_cache=StepCache(), stop_training=False)
        self.__dict__["_tk_snapshot"] = TrainableSnapshot(self)

    def _tk_output_names(self) -> list[str] | None:
        graph = self.__dict__.get("_tk_graph")  # type: ignore[attr-defined]
        if graph is None:
            return None
        if isinstance(graph.outputs_struct, dict):
            return sorted(graph.outputs_struct)
        return [t._keras_history.operation.name for t in graph.outputs]

    @property
    def output_names(self) -> list[str] | None:
        return self._tk_output_names()

    def _tk_need_compiled(self, method: str) -> Compiled:
        compiled = self.__dict__.get("_tk_compiled")
        if compiled is None:
            raise ValueError(f"The model is not compiled: call model.compile(optimizer, loss) before model.{method}().")
        return compiled

    @property
    def optimizer(self) -> Any:
        """The optimizer that `compile` was given."""
        own = self.__dict__.get("_tk_own_optimizer")
        if own is not None:
            return own
        compiled = self.__dict__.get("_tk_compiled")
        return compiled.optimizer if compiled is not None else None

    @optimizer.setter
    def optimizer(self, value: Any) -> None:
        compiled = self.__dict__.get("_tk_compiled")
        if compiled is not None:
            compiled.optimizer = value
        else:
            self.__dict__["_tk_own_optimizer"] = value

    @property
    def loss(self) -> Any:
        """What `compile(loss=...)` was given, or what was set since."""
        if "_tk_own_loss" in self.__dict__:
            return self.__dict__["_tk_own_loss"]
        compiled = self.__dict__.get("_tk_compiled")
        return compiled.config["loss"] if compiled is not None else None

    @loss.setter
    def loss(self, value: Any) -> None:
        self.__dict__["_tk_own_loss"] = value

    @property
    def run_eagerly(self) -> bool:
        return self.__dict__["_tk_compiled"].run_eagerly if self.__dict__.get("_tk_compiled") else False

    @property
    def steps_per_execution(self) -> int:
        return self.__dict__["_tk_compiled"].steps_per_execution if self.__dict__.get("_tk_compiled") else 1

    @property
    def jit_compile(self) -> bool:
        return self.__dict__["_tk_compiled"].jit_compile if self.__dict__.get("_tk_compiled") else False

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments of `compile()`, JSON-ready, or `None`."""
        compiled = self.__dict__.get("_tk_compiled")
        if compiled is None:
            return None
        if type(self).compile is not Trainer.compile:
            return None
        return compiled.get_config()

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config()` described."""
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
        if self.optimizer is not None and self.built:  # type: ignore[attr-defined]
            self.optimizer.build(self.trainable_weights)  # type: ignore[attr-defined]

    # ------------------------------------------------------------------ metrics

    @property
    def metrics(self) -> list:
        """The loss, the metrics of `compile`, and those set as attributes."""
        compiled = self.__dict__.get("_tk_compiled")
        own = super().metrics  # type: ignore[misc]
        if compiled is None:
            return own
        tracked = [compiled.loss_tracker, *compiled.part_trackers.values(), *compiled.metrics.metrics]
        return tracked + [m for m in own if all(m is not known for known in tracked)]

    @property
    def metrics_names(self) -> list[str]:
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Set all metrics back to their start."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The value of each metric by name; a metric may give several."""
        compiled = self.__dict__.get("_tk_compiled")
        results: dict[str, Any] = {}
        named = compiled.metrics.results() if compiled is not None and compiled.metrics.built else {}
        seen = compiled.metrics.metrics if compiled is not None else []
        for metric in self.metrics:
            if all(metric is not known for known in seen):
                results[metric.name] = metric.result()
            else:
                results.update(named)
        flat: dict[str, Any] = {}
        for name, value in results.items():
            flat.update(value) if isinstance(value, dict) else flat.update({name: value})
        return flat

    def _tk_update_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> None:
        if type(self).compute_metrics is Trainer.compute_metrics:
            if y is not None:
                self._tk_compiled.metrics.update_state(y, y_pred, sample_weight)  # type: ignore[attr-defined]
        else:
            self.compute_metrics(x, y, y_pred, sample_weight)

    # ------------------------------------------------------------------ steps, for users to override

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> torch.Tensor:
        """The scalar that training minimizes: the compiled loss plus `self.losses`.

        Raises:
            ValueError: there is nothing to minimize.
        """
        compiled = self.__dict__["_tk_compiled"]
        loss = None
        if compiled is not None and compiled.loss is not None and y is not None:
            loss = compiled.loss(y, y_pred, sample_weight)
        for one in self.losses if losses_may_exist(self) else ():  # type: ignore[attr-defined]
            loss = one if loss is None else loss + one
        if loss is None:
            if compiled is not None and compiled.loss is not None and y is None:
                raise ValueError("The model has a loss, but no targets came with the data: pass y.")
            raise ValueError(
                "There is no loss to compute: give compile(loss=...), call add_loss() in a layer, or override "
                "compute_loss(), train_step() or test_step()."
            )
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Add a batch to the metrics; returns all their values."""
        if y is not None:
            with torch.no_grad():
                self._tk_compiled.metrics.update_state(y, y_pred, sample_weight)  # type: ignore[attr-defined]
        return self.get_metrics_result()

    def train_step(self, data: Any) -> dict[str, Any]:
        """Train on one batch: forward, loss, backward, apply, metrics. Override it for a step of your own."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=True)  # type: ignore[operator]
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)
        self._tk_compiled.track_loss(loss, rows_of(x))  # type: ignore[attr-defined]
        weights = self._tk_snapshot.weights(self)  # type: ignore[attr-defined]
        if weights:
            self.zero_grad()  # type: ignore[attr-defined]
            self.optimizer.scale_loss(loss).backward()
            with torch.no_grad():
                self.optimizer.apply([w.grad for w in weights], weights)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate one batch."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=False)
        self._tk_compiled.track_loss(loss, rows_of(x))  # type: ignore[attr-defined]
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def predict_step(self, data: Any) -> Any:
        """The outputs for one batch."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)  # type: ignore[operator]

    # ------------------------------------------------------------------ fit, evaluate, predict

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> Any:
        """Train for a number of epochs; returns the `History` callback, whose `history` has each epoch's values.

        Args:
            x, y: arrays or tensors (or nests of them), or `x` a DataLoader, a PyDataset, a generator, any iterable of
                `(x, y)` or `(x, y, sample_weight)` batches.
            batch_size: of arrays, default 32. With several processes it is that of all of them together.
            epochs: the number of the last epoch.
            verbose: 0 silent, 1 bar, 2 a line an epoch, "auto": 1 on a terminal, else 2.
            callbacks: `Callback`s.
            validation_split: share of the samples, from the end and before shuffling, to validate on.
            validation_data: `(x_val, y_val)`, with weights `(x_val, y_val, weights)`, or a source like `x`.
            shuffle: arrays anew each epoch.
            class_weight: `{class: weight}`.
            sample_weight: an array.
            initial_epoch: where to go on from.
            steps_per_epoch: batches an epoch, for sources without an end.
            validation_steps, validation_batch_size: likewise for validation.
            validation_freq: validate every so many epochs, or at those listed.

        Raises:
            ValueError: the model is not compiled, or the data do not fit it.
        """
        self._tk_need_compiled("fit")
        return loop.fit(
            self,
            x,
            y,
            batch_size,
            epochs,
            verbose,
            callbacks,
            validation_split,
            validation_data,
            shuffle,
            class_weight,
            sample_weight,
            initial_epoch,
            steps_per_epoch,
            validation_steps,
            validation_batch_size,
            validation_freq,
        )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The loss and the metrics over the data, with dropout off: a number, a list, or a dict by name."""
        self._tk_need_compiled("evaluate")
        logs = loop.evaluate(self, x, y, batch_size, verbose, sample_weight, steps, callbacks, **kwargs)
        return logs if return_dict else self._tk_as_list(logs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs for all data, as NumPy arrays."""
        return loop.predict(self, x, batch_size, verbose, steps, callbacks)

    # ------------------------------------------------------------------ single batches

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """One step on one batch; returns that batch's loss and metrics."""
        self._tk_need_compiled("train_on_batch")
        logs = loop.train_on_batch(self, x, y, sample_weight, class_weight)
        return logs if return_dict else self._tk_as_list(logs)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Evaluate one batch."""
        self._tk_need_compiled("test_on_batch")
        logs = loop.test_on_batch(self, x, y, sample_weight)
        return logs if return_dict else self._tk_as_list(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as NumPy arrays."""
        return tree.map_structure(convert_to_numpy, loop.predict_on_batch(self, x))

    def _tk_as_list(self, logs: dict[str, Any]) -> Any:
        """Keras's order: loss, the metrics that are logged under their own names, then the rest by name."""
        compiled = self._tk_need_compiled("evaluate")
        parts = set(compiled.part_trackers)
        names = [metric.name for metric in self.metrics if metric.name not in parts]
        first = 1 + len(compiled.metrics.metrics)
        names[first:first] = compiled.part_trackers
        names = [name for name in dict.fromkeys(names) if name in logs]
        names += sorted(name for name in logs if name not in names)
        values = [logs[name] for name in names]
        return values[0] if len(values) == 1 else values
