"""`fit`, `evaluate`, `predict` and their forms for one batch: the part of a model that trains it."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from torchkeras.callbacks import Callback, CallbackList, History
from torchkeras.core import tree
from torchkeras.core.config.keywords import keywords_of
from torchkeras.core.nearest_names import candidates
from torchkeras.core.operations.tracebacks import filtered
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.types import ArrayLike, Nest
from torchkeras.distributed import failures
from torchkeras.distributed.strategies import registry
from torchkeras.training import on_batch
from torchkeras.training.compilable import Compilable
from torchkeras.training.data import make_source, named_arrays, train_validation_split, with_names
from torchkeras.training.evaluate import evaluate
from torchkeras.training.fit import fit
from torchkeras.training.predict import predict
from torchkeras.training.ready import device_of, names_of_parts
from torchkeras.training.results import as_list
from torchkeras.training.run import Run, check_validation_freq, evaluation_source
from torchkeras.training.state import compiled_of

Callbacks = Callback | list[Callback] | CallbackList | None
Logs = dict[str, float]


class Trainer(Compilable):
    """Mixed into `Model`: training, evaluation and prediction, over all data or one batch."""

    @filtered
    @failures.shared("fit")
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
            x: arrays or tensors (or nests of them; HDF5 datasets, zarr and dask arrays and memmaps are read a part at a
                time); or a torch DataLoader or Dataset, a PyDataset, a generator, any
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
    @failures.shared("evaluate")
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
            hint = candidates(kwargs, keywords_of(type(self).evaluate))
            raise ValueError(f"Unknown arguments of evaluate(): {sorted(kwargs)}. {hint}")
        strategy = registry.choose()
        source = evaluation_source(self, strategy, (x, y, sample_weight), batch_size, steps)
        logs = evaluate(Run(self, strategy, source), callbacks, verbose)
        return logs if return_dict else as_list(self, logs)

    @filtered
    @failures.shared("predict")
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
    @failures.shared("train_on_batch", on_batch=True)
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
    @failures.shared("test_on_batch", on_batch=True)
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
