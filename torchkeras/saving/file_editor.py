"""Look into a file of weights, compare it with a model, change it, and save it again."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import torch

from torchkeras.core.types import ArrayLike, Config
from torchkeras.layers.base.layer import Layer
from torchkeras.saving.api import MissingFileError
from torchkeras.saving.formats import keras_zip, weights_h5
from torchkeras.saving.formats.weights_h5 import H5Source, WriteEntry
from torchkeras.saving.safety.budget import readable
from torchkeras.saving.save import save_state
from torchkeras.saving.text_tree import Row, tree_lines

# An object's weights and the objects inside it, by name.
Objects = MutableMapping[str, Any]


class KerasFileEditor:
    """A saved file's weights, to look at, compare with a model, change and save again.

    Use it after the architecture of a model has changed, to fit an old file to the new model. The file itself is only
    read, with the same checks as by `load_weights`; `save` writes another one. A line about the file is printed when it
    is opened.

    Args:
        filepath: a string, the path of a `.keras` or `.weights.h5` file.

    Attributes:
        weights_dict: the weights as dicts within dicts: `weights_dict["layers"]["dense"]["0"]` is an array (a tensor,
            if the weight is of type bfloat16).
        config: the architecture of a `.keras` file, as `get_config()` gives it; `None` for weights alone.
        metadata: the versions and the date in a `.keras` file; `None` for weights alone.

    Raises:
        ValueError: the name has another ending, or the file is missing, corrupt or not allowed.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> model.save_weights("old.weights.h5")
    >>> editor = keras.saving.KerasFileEditor("old.weights.h5")
    Keras weights file 'old.weights.h5': 8 parameters, 32 B
    >>> editor.rename_object("layers/dense", "dense_1")
    >>> editor.add_object("layers/dense", weights={"0": np.ones((3, 3)), "1": np.zeros(3)})
    >>> editor.save("new.weights.h5")
    >>> deeper = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    >>> deeper.load_weights("new.weights.h5")
    """

    def __init__(self, filepath: str | os.PathLike[str]) -> None:
        self.filepath = os.fspath(filepath)
        self.metadata: dict[str, Any] | None = None
        self.config: Config | None = None
        self.weights_dict: Objects = OrderedDict()
        self._names: dict[str, str] = {}
        with ExitStack() as files:
            self._read(self._opened(files))
        print("\n".join(self._about()))

    def _opened(self, files: ExitStack) -> H5Source:
        path = self.filepath
        if not path.endswith((".keras", ".weights.h5")):
            raise ValueError(
                f"Invalid filename: expected a `.keras` `.weights.h5` extension. Received: filepath={path}"
            )
        if not os.path.exists(path):
            raise MissingFileError(2, "File not found: there is no such file", path)
        if path.endswith(".weights.h5"):
            return files.enter_context(weights_h5.read(path, path))
        archive = files.enter_context(keras_zip.read(path, path))
        self.config = archive.config()
        self.metadata = archive.metadata()
        return files.enter_context(archive.weights())

    def _read(self, source: H5Source) -> None:
        self._names = dict(source.names())
        for path in source.objects():
            entry = source.entry(path)
            held = _made(self.weights_dict, path) if len(entry) else {}
            for key in entry:
                value = entry[key]
                held[key] = torch.from_numpy(value).bfloat16() if entry.dtype(key) == "bfloat16" else value

    # ------------------------------------------------------------------ looking

    def summary(self) -> None:
        """Print the objects in the file with their weights: names, shapes, types and sizes.

        Example:

        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        >>> model.save_weights("model.weights.h5")
        >>> keras.saving.KerasFileEditor("model.weights.h5").summary()
        Keras weights file 'model.weights.h5': 8 parameters, 32 B
        Weights structure
        layers
        └─ dense
           ├─ 0  (3, 2)  float32  24 B
           └─ 1  (2,)    float32   8 B
        """
        print("\n".join(["Weights structure", *tree_lines(_rows(self.weights_dict))]))

    weights_summary = summary

    def _about(self) -> Iterator[str]:
        weights = [value for _, held in _walk(self.weights_dict) for value in held.values()]
        count = sum(int(np.prod(value.shape)) for value in weights)
        kind = "model" if self.config is not None else "weights"
        size = readable(sum(_bytes(value) for value in weights))
        yield f"Keras {kind} file {self.filepath!r}: {count:,} parameters, {size}"
        if self.metadata is not None:
            version, date = (self.metadata.get(key, "unknown") for key in ("keras_version", "date_saved"))
            yield f"Saved with Keras {version} - date: {date}"

    def compare(self, reference_model: Layer) -> dict[str, Any]:
        """Print how the file differs from what a model needs, and count.

        Args:
            reference_model: a built model or layer.

        Returns:
            A dict: `"status"` is `"success"` if `reference_model.load_weights()` would take the file, else `"error"`;
            `"error_count"`, the number of differences; `"match_count"`, the number of weights of equal shape.

        Example:

        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        >>> model.save_weights("model.weights.h5")
        >>> other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
        >>> keras.saving.KerasFileEditor("model.weights.h5").compare(other)
        Keras weights file 'model.weights.h5': 8 parameters, 32 B
        Running comparison
        ...Weight shape mismatch for /layers/dense/0
            In reference model: shape=(3, 4)
            In saved file: shape=(3, 2)
        ...Weight shape mismatch for /layers/dense/1
            In reference model: shape=(4,)
            In saved file: shape=(2,)
        Found 2 errors: saved file is not compatible with the reference model
        {'status': 'error', 'error_count': 2, 'match_count': 0}
        """
        print("Running comparison")
        needed = _Shapes()
        save_state(reference_model, needed)  # type: ignore[arg-type]
        result = _Comparison()
        result.compare("", needed.objects, self.weights_dict)
        errors, matches = result.errors, result.matches
        if errors == 0:
            print("Comparison successful: saved file is compatible with the reference model")
            print(f"    Found {matches} matching weight{'' if matches == 1 else 's'}")
        else:
            plural = "" if errors == 1 else "s"
            print(f"Found {errors} error{plural}: saved file is not compatible with the reference model")
        return {"status": "error" if errors else "success", "error_count": errors, "match_count": matches}

    # ------------------------------------------------------------------ changing

    def rename_object(self, object_name: str, new_name: str) -> None:
        """Give an object another name in the place where it is.

        Args:
            object_name: the object's name, or its path (`"layers/dense_2"`) where the name occurs more than once.
            new_name: the new name, without slashes.

        Raises:
            ValueError: there is no such object, there are several, or the new name is taken.
        """
        _check_leaf(new_name)
        place = self._find(object_name)
        if new_name in place.holder:
            raise ValueError(f"Cannot rename {object_name!r} to {new_name!r}: there is an object of that name already.")
        items = [(new_name if key == place.name else key, value) for key, value in place.holder.items()]
        place.holder.clear()
        place.holder.update(items)
        old, new = place.path, f"{place.path.removesuffix(place.name)}{new_name}"
        moved = {path: name for path, name in self._names.items() if f"{path}/".startswith(f"{old}/")}
        for path in moved:
            del self._names[path]
        self._names |= {new + path.removeprefix(old): name for path, name in moved.items()}

    def delete_object(self, object_name: str) -> None:
        """Remove an object, its weights, and the objects inside it.

        Args:
            object_name: the object's name, or its path where the name occurs more than once.

        Raises:
            ValueError: there is no such object, or there are several.
        """
        place = self._find(object_name)
        del place.holder[place.name]
        self._names = {p: n for p, n in self._names.items() if not f"{p}/".startswith(f"{place.path}/")}

    def add_object(self, object_path: str, weights: Mapping[str, ArrayLike]) -> None:
        """Add an object with its weights; one that is at that place already is replaced.

        Args:
            object_path: the full path; what is above the object must be in the file.
            weights: `{"0": array, "1": array, ...}`.

        Raises:
            ValueError: there is no such place, or `weights` is not a dict.
        """
        held = self.weights_dict
        *above, name = object_path.strip("/").split("/")
        for i, part in enumerate(above):
            if not isinstance(held.get(part), MutableMapping):
                raise ValueError(f"Path '{'/'.join(above[: i + 1])}' not found in model.")
            held = held[part]
        held[name] = _checked(weights)

    def add_weights(self, object_name: str, weights: Mapping[str, ArrayLike]) -> None:
        """Add weights to an object; those of the same name are replaced.

        Args:
            object_name: the object's name, or its path where the name occurs more than once.
            weights: `{"2": array, ...}`.

        Raises:
            ValueError: there is no such object, or `weights` is not a dict.
        """
        place = self._find(object_name)
        place.holder[place.name].update(_checked(weights))

    def add_weight(self, object_name: str, weight_name: str, value: ArrayLike) -> None:
        """Add one weight to an object: `add_weights(object_name, {weight_name: value})`."""
        self.add_weights(object_name, {weight_name: value})

    def delete_weight(self, object_name: str, weight_name: str) -> None:
        """Remove a weight of an object.

        Args:
            object_name: the object's name, or its path where the name occurs more than once.
            weight_name: the weight's name in the object: usually `"0"`, `"1"`, ...

        Raises:
            ValueError: there is no such object or weight.
        """
        del self._weights_with(object_name, weight_name)[weight_name]

    def rename_weight(self, object_name: str, weight_name: str, new_name: str) -> None:
        """Give a weight of an object another name.

        Args:
            object_name: the object's name, or its path where the name occurs more than once.
            weight_name: the weight's name in the object.
            new_name: the new name, without slashes.

        Raises:
            ValueError: there is no such object or weight, or the new name is taken.
        """
        _check_leaf(new_name)
        held = self._weights_with(object_name, weight_name)
        if new_name in held:
            raise ValueError(f"Object {object_name!r} has a weight {new_name!r} already.")
        held[new_name] = held.pop(weight_name)

    def _weights_with(self, object_name: str, weight_name: str) -> Objects:
        place = self._find(object_name)
        held = place.holder[place.name]
        if weight_name not in held or isinstance(held[weight_name], MutableMapping):
            found = [key for key, value in held.items() if not isinstance(value, MutableMapping)]
            raise ValueError(f"Weight {weight_name} not found in object {object_name}. Weights found: {found}")
        return held

    def _find(self, name: str) -> _Place:
        """The place of an object, by name or path."""
        by_path = [place for place in _places(self.weights_dict) if place.path == name.strip("/")]
        if "/" in name:
            if not by_path:
                raise ValueError(f"Path '{name}' not found in model.")
            return by_path[0]
        found = [place for place in _places(self.weights_dict) if place.name == name]
        if len(found) > 1:
            raise ValueError(
                f"Name '{name}' occurs more than once in the model; try passing a complete path: "
                f"{', '.join(place.path for place in found)}"
            )
        if not found:
            raise ValueError(
                f"Source name '{name}' does not appear in the model. Use `editor.weights_summary()` to list all "
                f"objects."
            )
        return found[0]

    # ------------------------------------------------------------------ saving

    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Save the weights as they are now. An old file stays until the new one is complete.

        Args:
            filepath: a path that ends in `.weights.h5`.

        Raises:
            ValueError: the name has another ending.
            TypeError: a value is no array of numbers.
            OSError: the file cannot be written; the error names the path.
        """
        path = os.fspath(filepath)
        if not path.endswith(".weights.h5"):
            raise ValueError(
                f"Invalid `filepath` argument: expected a `.weights.h5` extension. Received: filepath={path}"
            )
        with weights_h5.write(path) as target:
            for at, held in _walk(self.weights_dict):
                entry: WriteEntry = target.entry(at, self._names.get(at))
                for key, value in held.items():
                    entry[key] = value

    def resave_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Save the weights as they are now: the same as `save`."""
        self.save(filepath)


# ---------------------------------------------------------------------------- the tree of objects


class _Place(NamedTuple):
    path: str
    name: str
    holder: Objects


def _places(held: Objects, above: str = "") -> Iterator[_Place]:
    """Every object with the dict that holds it."""
    for name, value in held.items():
        if isinstance(value, MutableMapping):
            path = f"{above}/{name}" if above else name
            yield _Place(path, name, held)
            yield from _places(value, path)


def _walk(held: Objects, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object's path and own weights."""
    yield path, {key: value for key, value in held.items() if not isinstance(value, MutableMapping)}
    for key, value in held.items():
        if isinstance(value, MutableMapping):
            yield from _walk(value, f"{path}/{key}" if path else key)


def _made(held: Objects, path: str) -> Objects:
    """The dict of the object at a path, with those above it."""
    for part in path.split("/") if path else ():
        held = held.setdefault(part, OrderedDict())
    return held


def _rows(held: Objects) -> list[Row]:
    rows = []
    for key, value in held.items():
        if isinstance(value, MutableMapping):
            rows.append(Row(key, (), _rows(value)))
        else:
            rows.append(Row(key, (str(tuple(value.shape)), _type_name(value), readable(_bytes(value))), []))
    return rows


def _type_name(value: np.ndarray | torch.Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _bytes(value: np.ndarray | torch.Tensor) -> int:
    return int(np.prod(value.shape)) * value.dtype.itemsize


def _check_leaf(name: str) -> None:
    if "/" in name:
        raise ValueError(
            f"Argument `target_name` should be a leaf name, not a full path name. Received: target_name='{name}'"
        )


def _checked(weights: Mapping[str, ArrayLike]) -> dict[str, Any]:
    if not isinstance(weights, Mapping):
        raise ValueError(
            f"Argument `weights` should be a dict where keys are weight names (usually '0', '1', etc.) and values are "
            f"NumPy arrays. Received: type(weights)={type(weights)}"
        )
    return {key: value if isinstance(value, torch.Tensor) else np.asarray(value) for key, value in weights.items()}


# ---------------------------------------------------------------------------- comparing


class _Shape(NamedTuple):
    shape: tuple[int, ...]


class _Shapes:
    """Takes what a model would save and keeps the shapes."""

    tensor_names = None

    def __init__(self) -> None:
        self.objects: Objects = OrderedDict()

    def entry(self, path: str, name: str | None) -> MutableMapping[str, Any]:
        return _ShapeEntry(lambda: _made(self.objects, path))


class _ShapeEntry(dict[str, Any]):
    """One object's values; the object appears when the first value is put in."""

    def __init__(self, place: Callable[[], Objects]) -> None:
        super().__init__()
        self._place = place

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._place()[key] = _Shape(tuple(np.shape(value)))


class _Comparison:
    """Counts and prints how the objects of a model and of a file differ."""

    def __init__(self) -> None:
        self.errors = self.matches = 0

    def compare(self, path: str, reference: Objects, saved: Objects) -> None:
        """Compare the objects at one place."""
        for key, needed in reference.items():
            at = f"{path}/{key}"
            if key not in saved or isinstance(needed, MutableMapping) != isinstance(saved[key], MutableMapping):
                self._missing(at, needed, "reference model", "saved file")
            elif isinstance(needed, MutableMapping):
                self.compare(at, needed, saved[key])
            elif tuple(saved[key].shape) == needed.shape:
                self.matches += 1
            else:
                self.errors += 1
                print(f"...Weight shape mismatch for {at}")
                print(f"    In reference model: shape={needed.shape}")
                print(f"    In saved file: shape={tuple(saved[key].shape)}")
        for key in saved:
            if key not in reference:
                self._missing(f"{path}/{key}", saved[key], "saved file", "reference model")

    def _missing(self, at: str, value: object, here: str, there: str) -> None:
        self.errors += 1
        if isinstance(value, MutableMapping):
            print(f"...Object {at} present in {here}, missing from {there}")
            print(f"    In {here}, {at} contains the following keys: {list(value)}")
        else:
            print(f"...Weight {at} present in {here}, missing from {there}")
