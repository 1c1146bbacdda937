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
        """Train the model for a number of epochs.

        An epoch is one pass over the data. The training loop is:

            build the model for the first batch
            for each epoch:
                reset the metrics
                for each batch: forward pass, loss, backward pass, optimizer update, metrics
                validate, run the callbacks

        Args:
            x: the data, one of

                - a NumPy array, tensor or DataFrame, or a list or dict of them for a model with several inputs;
                - an HDF5 dataset, memory map, zarr or dask array, which is read a part at a time;
                - a torch `DataLoader` or `Dataset`, a `keras.utils.PyDataset`, a generator or any iterable of batches
                  `(x, y)` or `(x, y, sample_weight)`.
            y: the targets, if `x` holds arrays. If the batches are dicts, the key of the targets, as in `fit(loader,
                y="labels")`, or several keys, nested as the targets are; the other entries are the inputs. Entries that
                are named as a functional model's outputs are its targets without `y`. Default: `None`.
            batch_size: number of samples per batch, over all processes, if `x` holds arrays. Default: `None`, 32
                samples.
            epochs: index of the last epoch plus one: the number of epochs, if `initial_epoch` is 0. Default: `1`.
            verbose: `0`: print nothing; `1`: a progress bar; `2`: one line per epoch; `"auto"`: 1 in a terminal or
                notebook, 2 elsewhere. Default: `"auto"`.
            callbacks: a `keras.callbacks.Callback` or a list of them. Default: `None`.
            validation_split: fraction of the samples to validate on, from 0 to 1: the last ones, before shuffling; only
                if `x` holds arrays. Default: `0.0`.
            validation_data: data to evaluate after each epoch: `(x_val, y_val)`, `(x_val, y_val, sample_weight_val)`,
                or a loader or dataset as for `x`. Default: `None`.
            shuffle: whether to shuffle the samples of arrays before each epoch; `"batch"` shuffles within each batch
                only. Default: `True`.
            class_weight: weights of the classes in the loss, a dict from class numbers to floats. Default: `None`.
            sample_weight: weights of the samples in the loss, an array `(samples,)`, or `(samples, steps)` for
                sequences; or a key, as for `y`. Default: `None`.
            initial_epoch: index of the first epoch, to continue an earlier training. Default: `0`.
            steps_per_epoch: number of batches per epoch; needed if the data are endless. Default: `None`, all batches.
            validation_steps: number of batches to validate on. Default: `None`, all batches.
            validation_batch_size: number of samples per batch in validation. Default: `None`, as `batch_size`.
            validation_freq: number of epochs from one validation to the next, or a list of the epochs, counted from 1,
                after which to validate. Default: `1`.

        Returns:
            The `History` callback. Its attribute `history` is a dict of lists with the loss and the metrics of each
            epoch.

        Raises:
            ValueError: the model is not compiled, or the data do not fit the model.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
            >>> model.compile("sgd", "mse", metrics=["mae"])
            >>> x, y = np.ones((8, 3)), np.ones((8, 1))
            >>> history = model.fit(x, y, batch_size=4, epochs=2, validation_split=0.25, verbose=0)
            >>> sorted(history.history), len(history.history["loss"])
            (['loss', 'mae', 'val_loss', 'val_mae'], 2)
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
        """Compute the loss and the metrics over data, in inference mode.

        Args:
            x: the data, as in `fit`.
            y: the targets, if `x` holds arrays; or keys, as in `fit`. Default: `None`.
            batch_size: number of samples per batch, if `x` holds arrays. Default: `None`, 32 samples.
            verbose: `0`: print nothing; `1`: a progress bar; `2`: one line; `"auto"`: 1 in a terminal or notebook, 2
                elsewhere. Default: `"auto"`.
            sample_weight: weights of the samples, as in `fit`. Default: `None`.
            steps: number of batches to evaluate. Default: `None`, all batches.
            callbacks: a `keras.callbacks.Callback` or a list of them. Default: `None`.
            return_dict: whether to return a dict from names to values. Default: `False`.
            **kwargs: not used; an unknown argument is an error.

        Returns:
            The loss as a float, if the model has no metrics; else a list of the loss and the metrics. With
            `return_dict=True` a dict.

        Raises:
            ValueError: the model is not compiled, or the data do not fit the model.
            RuntimeError: another thread is training the model.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="zeros")])
            >>> model.compile("sgd", "mse", metrics=["mae"])
            >>> model.evaluate(np.ones((8, 3)), 2 * np.ones((8, 1)), verbose=0)
            [4.0, 2.0]
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
        run = Run(self, strategy, source)
        with run.exits:
            logs = evaluate(run, callbacks, verbose)
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
        """Compute the model's outputs for all data, in batches, in inference mode and without gradients.

        For a single small batch `model(x)` is quicker, and returns tensors.

        Args:
            x: the data, as in `fit`; targets in the batches are ignored.
            batch_size: number of samples per batch, if `x` holds arrays. Default: `None`, 32 samples.
            verbose: as in `evaluate`. Default: `"auto"`.
            steps: number of batches. Default: `None`, all batches.
            callbacks: a `keras.callbacks.Callback` or a list of them. Default: `None`.

        Returns:
            A NumPy array with a row per sample, or a list or dict of arrays, nested as the model's outputs are.

        Raises:
            ValueError: there are no data, or the outputs of two batches differ in more than the number of rows.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
            >>> model.predict(np.ones((8, 3)), verbose=0).shape
            (8, 2)
        """
        strategy = registry.choose()
        run = Run(self, strategy, evaluation_source(self, strategy, (x, None, None), batch_size, steps))
        with run.exits:
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
        """Run one training step on one batch.

        Args:
            x: the inputs: an array or tensor, or a list or dict of them.
            y: the targets. They may have another number of rows than the inputs, if the model's outputs do. Default:
                `None`.
            sample_weight: weights of the samples, as in `fit`. Default: `None`.
            class_weight: weights of the classes, as in `fit`; not together with `sample_weight`. Default: `None`.
            return_dict: whether to return a dict from names to values. Default: `False`.

        Returns:
            The loss as a float, or a list of the loss and the metrics; with `return_dict=True` a dict.

        Raises:
            ValueError: the model is not compiled, or the data do not fit the model.

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
        """Compute the loss and the metrics on one batch, in inference mode.

        Args:
            x: the inputs: an array or tensor, or a list or dict of them.
            y: the targets, as in `train_on_batch`. Default: `None`.
            sample_weight: weights of the samples, as in `fit`. Default: `None`.
            return_dict: whether to return a dict from names to values. Default: `False`.

        Returns:
            The loss as a float, or a list of the loss and the metrics; with `return_dict=True` a dict.

        Raises:
            ValueError: the model is not compiled, or the data do not fit the model.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="zeros")])
            >>> model.compile("sgd", "mse")
            >>> model.test_on_batch(np.ones((8, 3)), np.ones((8, 1)))
            1.0
        """
        compiled_of(self, "test_on_batch")
        logs = on_batch.test_on_batch(self, registry.choose(), x, y, sample_weight)
        return logs if return_dict else as_list(self, logs)

    @filtered
    def predict_on_batch(self, x: Nest[ArrayLike]) -> Any:
        """Compute the model's outputs for one batch, in inference mode and without gradients.

        Args:
            x: the inputs: an array or tensor, or a list or dict of them.

        Returns:
            A NumPy array, or a list or dict of arrays, nested as the model's outputs are.

        Example:
            >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
            >>> model.predict_on_batch(np.ones((4, 3))).shape
            (4, 2)
        """
        return tree.map_structure(convert_to_numpy, on_batch.predict_on_batch(self, x))
