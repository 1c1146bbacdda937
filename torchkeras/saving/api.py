"""Saving and loading by path: the public functions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchkeras.core.user_warnings import warn_user
from torchkeras.saving.formats import registry
from torchkeras.saving.formats.base import Place, WeightsSource, WeightsWriter
from torchkeras.saving.formats.legacy_h5 import LegacyTarget
from torchkeras.saving.formats.safetensors_shards import index_path
from torchkeras.saving.load import load_into, read_model
from torchkeras.saving.safety.budget import BadFileError
from torchkeras.saving.safety.folders import recover
from torchkeras.saving.save import save_state, write_model
from torchkeras.saving.save_legacy import write_legacy

if TYPE_CHECKING:
    from torchkeras.layers.base.layer import Layer

_LEGACY = (".h5", ".hdf5")


class MissingFileError(FileNotFoundError, ValueError):
    """There is no such file. (Keras raises a `ValueError`.)"""


# ---------------------------------------------------------------------------- whole models


def save_model(
    model: Layer, filepath: Place, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any
) -> None:
    """Save a whole model: architecture, weights, compile configuration and optimizer state.

    The file that was there before stays until the new one is complete, so that a crash or a full disk destroys nothing.
    `model.save(filepath)` does the same.

    Args:
        model: the model (or layer) to save. It should be built, else it has no weights yet.
        filepath: a path that ends in `.keras`, the path of a folder if `zipped=False`, or a binary file object. A path
            that ends in `.h5` or `.hdf5` gets the legacy HDF5 format, as Keras 3 writes it, with a warning.
        overwrite: whether to replace an existing file without asking; with `False` the question is asked on the
            terminal. Default: `True`.
        zipped: `True` or `None` for one `.keras` file; `False` for a folder that holds the same parts as files.
            Default: `None`.
        **kwargs: `include_optimizer=False` leaves the compile configuration and the optimizer's state out of a legacy
            HDF5 file. `save_format` is taken with a warning, and has no effect.

    Raises:
        ValueError: the name has another ending, or an argument is unknown.
        TypeError: a config holds what JSON cannot express.
        OSError: the file cannot be written; the error names the path.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> keras.saving.save_model(model, "model.keras")
    >>> loaded = keras.saving.load_model("model.keras")
    >>> bool(torch.equal(loaded(torch.ones(1, 3)), model(torch.ones(1, 3))))
    True
    """
    include_optimizer = kwargs.pop("include_optimizer", True)
    save_format = kwargs.pop("save_format", None)
    if kwargs:
        raise ValueError(f"The following argument(s) are not supported by save_model(): {sorted(kwargs)}.")
    if save_format:
        _refuse_save_format(save_format, filepath)
    if not getattr(model, "built", True):
        warn_user(
            "You are saving a model that has not yet been built: it may have no weights yet. Call it on data first."
        )
    if hasattr(filepath, "write"):
        row = registry.by_suffix(".keras")
    else:
        filepath = os.fspath(filepath)
        row = _format_to_save(filepath, True if zipped is None else zipped)
        if not (overwrite or _may_replace(filepath)):
            return
    if row is registry.LEGACY:
        warn_user(
            "You are saving your model as an HDF5 file via `model.save()` or `keras.saving.save_model(model)`. This "
            "file format is considered legacy. We recommend using instead the native Keras format, e.g. "
            "`model.save('my_model.keras')` or `keras.saving.save_model(model, 'my_model.keras')`."
        )
    with row.model_writer(filepath) as target:  # type: ignore[union-attr,misc]
        if isinstance(target, LegacyTarget):
            write_legacy(model, target, include_optimizer)
        else:
            write_model(model, target)


def _refuse_save_format(save_format: object, filepath: Place) -> None:
    text = (
        f"The `save_format` argument is deprecated: the ending of the name says the format. Remove the argument "
        f"and save to a name that ends in `.keras`. Received: save_format={save_format!r}, filepath={filepath!r}."
    )
    if not str(filepath).endswith((".keras", *_LEGACY)):
        raise ValueError(text)
    warn_user(text)


def _format_to_save(path: str, zipped: bool) -> registry.Format:
    if not zipped:
        if path.endswith(".keras"):
            raise ValueError(f"With zipped=False, filepath is a folder and should not end in `.keras`; got {path!r}.")
        return registry.FOLDER
    row = registry.by_suffix(path)
    if row is not None and row.model_writer is None and path.endswith(_LEGACY):
        row = registry.LEGACY  # Keras, too, writes a whole model to `x.weights.h5`
    if row is None or row.model_writer is None:
        hint = "Use model.export(filepath) for files that other programs run."
        raise ValueError(
            f"Invalid filepath extension for saving. A model is saved to a name that ends in "
            f"{_listed('model_writer')}. {hint} Received: filepath={path!r}."
        )
    return row


def _listed(kind: str) -> str:
    return " or ".join(f"`{suffix}`" for suffix in registry.suffixes(kind))


def _may_replace(path: str) -> bool:
    if not os.path.exists(path):
        return True
    while True:
        try:
            answer = input(f"{path} exists already. Replace it? [y/n] ").strip().lower()
        except EOFError:
            raise FileExistsError(
                f"{path} exists already, and nobody is there to be asked; pass overwrite=True."
            ) from None
        if answer in ("y", "n"):
            return answer == "y"


def load_model(
    filepath: Place, custom_objects: dict[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """Load a model that was saved whole, by torchkeras or by Keras 1, 2 or 3.

    Configs of Keras 1 and 2 are translated: old names of layers and arguments, kernels with the channels first, the
    weights of layers on cuDNN, functions of TensorFlow among the layers. docs/files.md has the table.

    A file is data: nothing that it names is imported and no code in it is run. Its config may name Keras's own classes
    and functions, those that were registered (`register_keras_serializable`), and `custom_objects`.

    Args:
        filepath: a `.keras` file, a legacy HDF5 file (`.h5`, `.hdf5`), a folder saved with `zipped=False`, or a binary
            file object. The content decides about the format, not the name.
        custom_objects: `{"name": class or function}`: objects of your own that the file names. Default: `None`.
        compile: whether to restore the compile configuration and the optimizer too. Default: `True`.
        safe_mode: whether to refuse what would run code from the file. Default: `True`. (A Python lambda's bytecode is
            refused with `False` too.)

    Returns:
        The model. It is compiled if it was compiled when it was saved and `compile=True`.

    Raises:
        TypeError: the file names a class or function that is neither Keras's nor given.
        ValueError: the file is missing (it is a `FileNotFoundError` too), has no model, is truncated or corrupt, or
            holds something that is not allowed.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> model.compile("sgd", "mse")
    >>> model.save("model.keras")
    >>> loaded = keras.models.load_model("model.keras")
    >>> type(loaded.optimizer).__name__, loaded.count_params()
    ('SGD', 8)
    """
    name = "The file"
    if not hasattr(filepath, "read"):
        name = filepath = os.fspath(filepath)
        recover(Path(os.path.realpath(name)))
        _check_is_there(name, "model_reader")
    row = registry.by_content(filepath)
    if row is None:
        _refuse_format(name, "model_reader")
    elif row.model_reader is None:
        raise BadFileError(f"{name} holds weights only: make the model in code, then model.load_weights({name!r}).")
    else:
        with (row.new_model_reader or row.model_reader)(filepath, name) as source:
            return read_model(source, custom_objects, compile, safe_mode)


def _check_is_there(path: str, kind: str) -> None:
    if not os.path.exists(path):
        hint = "" if registry.by_suffix(path) or path.endswith(_LEGACY) else f" ({_not_supported(path, kind)})"
        raise MissingFileError(
            2, f"File not found: there is no such file. Please ensure the file is an accessible one{hint}", path
        )


def _not_supported(path: str, kind: str) -> str:
    return f"File format not supported: filepath={path!r}. The files that can be read end in {_listed(kind)}"


def _refuse_format(path: str, kind: str) -> None:
    raise BadFileError(f"{_not_supported(path, kind)}, and the content is that of none of them.")


# ---------------------------------------------------------------------------- weights alone


def save_weights(
    model: Layer,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    max_shard_size: float | None = None,
    objects_to_skip: Iterable[Any] | None = None,
) -> None:
    """Save the weights, and the optimizer's state if the model is compiled, without the architecture.

    Args:
        model: the model or layer; it must be built.
        filepath: a path that ends in `.weights.h5`, or in `.safetensors` for a file that torch programs read: its
            tensors have the names and layouts of `model.state_dict()`. With `max_shard_size`, a path that ends in
            `.weights.json` or `.safetensors`.
        overwrite: whether to replace an existing file without asking. Default: `True`.
        max_shard_size: a number, the largest size of a file in GB (2**30 bytes). The weights go to as many files as
            they need: `model_00000.weights.h5`, `model_00001.weights.h5`, ... beside an index `model.weights.json`, or
            `model-00001-of-00003.safetensors`, ... beside `model.safetensors.index.json`. Default: `None`, one file.
        objects_to_skip: layers, or other parts of the model, whose weights are left out. Default: `None`.

    Raises:
        ValueError: the name has another ending, the model is not built, or a weight is larger than `max_shard_size`.
        OSError: the file cannot be written; the error names the path.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> keras.saving.save_weights(model, "model.weights.h5")
    >>> twin = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> keras.saving.load_weights(twin, "model.weights.h5")
    >>> bool(torch.equal(twin.layers[0].kernel, model.layers[0].kernel))
    True
    """
    if not getattr(model, "built", True):
        raise ValueError(
            f"You are saving a model that has not yet been built. {model.name!r} has no weights: call it on data first."
        )
    opener, path = _weights_opener(os.fspath(filepath), max_shard_size)
    if not (overwrite or _may_replace(path if max_shard_size is None else index_path(path))):
        return
    with opener(path) as target:
        save_state(model, target, skip=objects_to_skip or ())


def _weights_opener(path: str, max_shard_size: float | None) -> tuple[WeightsWriter, str]:
    """The function that opens the place to write weights to, and its path."""
    row = registry.by_suffix(path)
    if max_shard_size is None:
        if row is None or row.weights_writer is None:
            raise ValueError(f"The filename must end in {_listed('weights_writer')}. Received: filepath={path!r}")
        return row.weights_writer, path
    if row is not None and row.sharded_writer is None:
        path = str(Path(path).with_suffix(".json"))
        row = registry.by_suffix(path)
        if row is not None and row.sharded_writer is not None:
            warn_user(f"Weights in several files are saved to a name that ends in `.json`: to {path!r}.")
    if row is None or row.sharded_writer is None:
        raise ValueError(
            f"The filename must end in {_listed('sharded_writer')} when `max_shard_size` is specified. "
            f"Received: filepath={path!r}"
        )
    return partial(row.sharded_writer, max_bytes=int(float(max_shard_size) * 1024**3)), path


def load_weights(
    model: Layer,
    filepath: str | os.PathLike[str],
    skip_mismatch: bool = False,
    by_name: bool | None = None,
    objects_to_skip: Iterable[Any] | None = None,
    **kwargs: Any,
) -> None:
    """Load weights from a file into a built model. All-or-nothing: on an error no weight changes.

    A `.safetensors` file of another program is read if its tensors have the names of the model's `state_dict()`; see
    `load_torch_weights` for those of a torch model.

    Legacy HDF5 files match layers by their order in `model.layers`, whatever their names, as Keras does; those without
    weights do not count.

    Args:
        model: the model or layer; it must be built.
        filepath: a file of weights (`.weights.h5`, `.safetensors`), the index of several files (`.weights.json`,
            `.safetensors.index.json`; or the name of the one `.safetensors` file that they would be), or a whole model
            (`.keras`, or a folder saved with `zipped=False`), or a legacy HDF5 file of either (`.h5`, `.hdf5`).
        skip_mismatch: whether to leave out layers whose number or shapes of weights differ, with a warning;
            `False` raises an error. Default: `False`.
        by_name: `True` loads only those direct layers of the model whose names are in the file, in whatever order.
            Default: `None`.
        objects_to_skip: layers, or other parts of the model, that keep their weights. Default: `None`.

    Raises:
        ValueError: numbers or shapes of weights differ, the model is not built, an argument is unknown, or the file is
            missing (it is a `FileNotFoundError` too), truncated, corrupt, or not allowed.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> model.save_weights("model.weights.h5")
    >>> longer = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name=model.layers[0].name),
    ...                            keras.layers.Dense(5)])
    >>> keras.saving.load_weights(longer, "model.weights.h5", by_name=True)
    >>> bool(torch.equal(longer.layers[0].kernel, model.layers[0].kernel))
    True
    """
    if kwargs:
        raise ValueError(f"Invalid keyword arguments: {kwargs}")
    path = os.fspath(filepath)
    if registry.by_suffix(path) is None and not path.endswith(_LEGACY) and not os.path.isdir(path):
        raise ValueError(
            f"File format not supported: filepath={path!r}. Weights are read from files that end in "
            f"{_listed('weights_reader')} or {_listed('model_reader')}, and from folders saved with zipped=False."
        )
    index = index_path(path) if path.endswith(".safetensors") else path
    if index != path and not os.path.exists(path) and os.path.exists(index):
        path = index
    _check_is_there(path, "weights_reader")
    if not getattr(model, "built", True):
        raise ValueError(
            f"You are loading weights into a model that has not yet been built. {model.name!r} has none yet: call it "
            f"on data first."
        )
    with _weights_in(path) as source:
        load_into(model, source, skip_mismatch, bool(by_name), objects_to_skip or ())


@contextmanager
def _weights_in(path: str) -> Iterator[WeightsSource]:
    row = registry.by_content(path)
    if row is not None and row.weights_reader is not None:
        with row.weights_reader(path, path) as source:
            yield source
    elif row is not None and row.model_reader is not None:
        with row.model_reader(path, path) as model, model.weights() as source:
            yield source
    else:
        _refuse_format(path, "weights_reader")
