"""FeatureSpace: columns of a table to vectors, a preprocessing layer for each."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras import layers
from torchkeras.core import naming
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.strings import holds_strings, is_string_array, string_array
from torchkeras.core.types import Config, Store
from torchkeras.layers.base.layer import Layer
from torchkeras.saving import save_model

Column = Tensor | np.ndarray
Values = dict[str, Any]


class Cross(Configurable):
    """Features that are crossed, made by `FeatureSpace.cross`."""

    keras_module = "keras.src.layers.preprocessing.feature_space"

    def __init__(self, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> None:
        _check_mode(output_mode, ("int", "one_hot"), "output_mode")
        self.feature_names = tuple(feature_names)
        self.crossing_dim = crossing_dim
        self.output_mode = output_mode

    @property
    def name(self) -> str:
        """The names of the features, joined by `_X_`."""
        return "_X_".join(self.feature_names)


class Feature(Configurable):
    """A column's dtype, preprocessing layer and encoding, made by `FeatureSpace.feature` and the like."""

    keras_module = "keras.src.layers.preprocessing.feature_space"

    def __init__(self, dtype: str, preprocessor: Layer | Config, output_mode: str) -> None:
        _check_mode(output_mode, ("int", "one_hot", "float"), "output_mode")
        self.dtype = dtype
        self.preprocessor: Any = (
            deserialize_keras_object(preprocessor) if isinstance(preprocessor, dict) else preprocessor
        )
        self.output_mode = output_mode


class FeatureSpace(Layer):
    """Encode the columns of a table: each by a preprocessing layer of its own, some of them crossed.

    Args:
        features: dict from the name of a column to a kind by name (`"float"`, `"float_rescaled"`,
            `"float_normalized"`, `"float_discretized"`, `"integer_categorical"`, `"string_categorical"`,
            `"integer_hashed"`, `"string_hashed"`) or a result of the class methods of these names.
        output_mode: `"concat"`: one tensor of all encoded columns, in the order of their names; `"dict"`: a dict of
            them. Default: `"concat"`.
        crosses: tuples of names of columns, or results of `FeatureSpace.cross`. Default: `None`.
        crossing_dim: bins of a cross that is given as a tuple. Default: `32`.
        hashing_dim: bins of columns that are hashed, where the kind is a name. Default: `32`.
        num_discretization_bins: bins of `"float_discretized"`, where the kind is a name. Default: `32`.
        name: name of the layer. Default: `None`.

    Call arguments:
        data: dict from names of columns to arrays, lists or single values, or a DataFrame.

    Raises:
        ValueError: a kind or a mode is unknown, or a cross names an unknown column.

    Example:
        >>> data = {"size": [0.0, 1.0, 2.0], "color": ["red", "blue", "red"], "number": [1, 2, 3]}
        >>> space = keras.utils.FeatureSpace(
        ...     {"size": "float", "color": "string_categorical", "number": "integer_categorical"},
        ...     crosses=[("color", "number")],
        ...     crossing_dim=8,
        ... )
        >>> space.adapt(data)
        >>> space(data).shape
        torch.Size([3, 16])
        >>> space.preprocessors["color"].get_vocabulary()
        ['[UNK]', 'red', 'blue']
    """

    keras_module = "keras.utils"
    _tk_builds_weights = False
    _tk_takes_strings = True

    def __init__(
        self,
        features: Mapping[str, str | Feature | Config],
        output_mode: str = "concat",
        crosses: Sequence[Sequence[str] | Cross | Config] | None = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not features:
            raise ValueError("The `features` argument cannot be None or empty.")
        _check_mode(output_mode, ("dict", "concat"), "output_mode")
        self.crossing_dim, self.hashing_dim = crossing_dim, hashing_dim
        self.num_discretization_bins = num_discretization_bins
        self.output_mode = output_mode
        own = self.__dict__  # not tracked: the layers are found in `preprocessors` and `crossers`
        own["features"] = {key: self._tk_feature(key, value) for key, value in features.items()}
        own["crosses"] = [_cross(cross, crossing_dim, features) for cross in crosses or ()]
        own["inputs"] = {
            key: layers.Input(shape=(1,), dtype=feature.dtype, name=key) for key, feature in own["features"].items()
        }
        self.preprocessors = {key: feature.preprocessor for key, feature in own["features"].items()}
        self.crossers = {
            cross.name: layers.HashedCrossing(cross.crossing_dim, name=cross.name) for cross in own["crosses"]
        }
        own.update(encoded_features=None, _tk_adapted=False, _tk_encoders={})

    # ------------------------------------------------------------------ kinds of features

    @classmethod
    def cross(cls, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """Return a cross of columns.

        Args:
            feature_names: names of the columns.
            crossing_dim: number of bins.
            output_mode: `"one_hot"` or `"int"`. Default: `"one_hot"`.
        """
        return Cross(feature_names, crossing_dim, output_mode=output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Layer, output_mode: str) -> Feature:
        """Return a feature with a preprocessing layer of the user's.

        Args:
            dtype: dtype of the column: `"float32"`, `"int32"`, `"string"`.
            preprocessor: layer; if it has `adapt()`, that is called with the column.
            output_mode: `"float"`: as the layer gives it; `"int"`, or `"one_hot"`, which encodes its integers.
        """
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:  # type: ignore[override]  # it hides torch's cast, as in Keras
        """Return a column of floats that are taken as they are.

        Args:
            name: name of the layer. Default: `None`.
        """
        return Feature("float32", layers.Identity(dtype="float32", name=_layer_name("float", name)), "float")

    @classmethod
    def float_rescaled(
        cls, scale: builtins.float = 1.0, offset: builtins.float = 0.0, name: str | None = None
    ) -> Feature:
        """Return a column of floats for `Rescaling`.

        Args:
            scale: factor. Default: `1.0`.
            offset: summand. Default: `0.0`.
            name: name of the layer. Default: `None`.
        """
        layer = layers.Rescaling(scale=scale, offset=offset, name=_layer_name("float_rescaled", name))
        return Feature("float32", layer, "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Return a column of floats for `Normalization`.

        Args:
            name: name of the layer. Default: `None`.
        """
        return Feature("float32", layers.Normalization(axis=-1, name=_layer_name("float_normalized", name)), "float")

    @classmethod
    def float_discretized(
        cls,
        num_bins: int,
        bin_boundaries: Sequence[builtins.float] | None = None,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Return a column of floats for `Discretization`.

        Args:
            num_bins: number of bins that `adapt()` makes.
            bin_boundaries: boundaries, in the place of `num_bins`. Default: `None`.
            output_mode: `"one_hot"` or `"int"`. Default: `"one_hot"`.
            name: name of the layer. Default: `None`.
        """
        layer = layers.Discretization(
            num_bins=num_bins, bin_boundaries=bin_boundaries, name=_layer_name("float_discretized", name)
        )
        return Feature("float32", layer, output_mode)

    @classmethod
    def integer_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Return a column of integers for `IntegerLookup`.

        Args:
            max_tokens: size of the vocabulary at most. Default: `None`.
            num_oov_indices: how many numbers unknown integers share. Default: `1`.
            output_mode: `"one_hot"` or `"int"`. Default: `"one_hot"`.
            name: name of the layer. Default: `None`.
        """
        layer = layers.IntegerLookup(
            name=_layer_name("integer_categorical", name), max_tokens=max_tokens, num_oov_indices=num_oov_indices
        )
        return Feature("int32", layer, output_mode)

    @classmethod
    def string_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Return a column of strings for `StringLookup`.

        Args:
            max_tokens: size of the vocabulary at most. Default: `None`.
            num_oov_indices: how many numbers unknown strings share. Default: `1`.
            output_mode: `"one_hot"` or `"int"`. Default: `"one_hot"`.
            name: name of the layer. Default: `None`.
        """
        layer = layers.StringLookup(
            name=_layer_name("string_categorical", name), max_tokens=max_tokens, num_oov_indices=num_oov_indices
        )
        return Feature("string", layer, output_mode)

    @classmethod
    def string_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Return a column of strings for `Hashing`.

        Args:
            num_bins: number of bins.
            output_mode: `"one_hot"` or `"int"`. Default: `"one_hot"`.
            name: name of the layer. Default: `None`.
        """
        return Feature("string", layers.Hashing(num_bins, name=_layer_name("string_hashed", name)), output_mode)

    @classmethod
    def integer_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Return a column of integers for `Hashing`.

        Args:
            num_bins: number of bins.
            output_mode: `"one_hot"` or `"int"`. Default: `"one_hot"`.
            name: name of the layer. Default: `None`.
        """
        return Feature("int32", layers.Hashing(num_bins, name=_layer_name("integer_hashed", name)), output_mode)

    def _tk_feature(self, name: str, kind: str | Feature | Config) -> Feature:
        if isinstance(kind, Feature):
            return kind
        if isinstance(kind, dict):
            return deserialize_keras_object(kind)
        sizes = {
            "float_discretized": self.num_discretization_bins,
            "integer_hashed": self.hashing_dim,
            "string_hashed": self.hashing_dim,
        }
        if kind not in _KINDS:
            raise ValueError(f"Invalid feature type: {kind}. It must be one of {_KINDS}, or a Feature.")
        make = getattr(self, kind)
        return make(sizes[kind], name=name) if kind in sizes else make(name=name)

    # ------------------------------------------------------------------ learning

    def adapt(self, dataset: object) -> None:
        """Let the layers of all columns learn from data.

        Args:
            dataset: dict of columns, DataFrame, or batches that are dicts: a torch `Dataset` or `DataLoader`, or any
                iterable (of batches that are tuples the first element counts).

        Raises:
            ValueError: the data are no dicts, or lack a column.
        """
        batches = list(_dicts(dataset))
        if not batches:
            raise ValueError("FeatureSpace.adapt() saw no data: the data set must hold at least one row.")
        for name in self._tk_adaptable():
            missing = next((batch for batch in batches if name not in batch), None)
            if missing is not None:
                raise ValueError(f"FeatureSpace.adapt() needs a column {name!r}. Received: columns {list(missing)}")
            dtype = self.features[name].dtype
            self.preprocessors[name].adapt(iter([_as_rows(_column(batch[name], dtype, name)) for batch in batches]))
        self.__dict__["_tk_adapted"] = True
        self.get_encoded_features()

    def _tk_adaptable(self) -> list[str]:
        """Columns whose layers learn from data."""
        found = []
        for name, layer in self.preprocessors.items():
            fixed = getattr(layer, "input_mean", None) is not None or getattr(layer, "_tk_fixed", False)
            fixed = fixed or (isinstance(layer, layers.TextVectorization) and layer._lookup_layer._tk_fixed)
            fixed = fixed or (isinstance(layer, layers.Discretization) and layer.num_bins is None)
            if hasattr(layer, "adapt") and not fixed:
                found.append(name)
        return found

    def _tk_check_adapted(self) -> None:
        if not self._tk_adapted and self._tk_adaptable():
            raise ValueError("You need to call `.adapt(dataset)` on the FeatureSpace before you can start using it.")

    # ------------------------------------------------------------------ calling

    def get_inputs(self) -> dict[str, KerasTensor]:
        """Return the symbolic inputs by the names of the columns, for a functional model."""
        self._tk_check_adapted()
        return self.inputs

    def get_encoded_features(self) -> Any:
        """Return the encoded features as symbolic tensors: one, or a dict with `output_mode="dict"`."""
        self._tk_check_adapted()
        if self.encoded_features is None:
            self.__dict__["encoded_features"] = self._tk_encode(self.inputs)
            self.built = True
        return self.encoded_features

    def __call__(self, data: Any) -> Any:
        self.get_encoded_features()
        if hasattr(data, "iloc"):
            data = {name: data[name] for name in data.columns}
        if not isinstance(data, dict):
            raise ValueError(f"A FeatureSpace can only be called with a dict. Received: data={data} ({type(data)})")
        missing = [name for name in self.features if name not in data]
        if missing:
            raise ValueError(f"A FeatureSpace needs all of its columns. Received: {list(data)}, without {missing}")
        columns = {name: _column(data[name], self.features[name].dtype, name) for name in self.features}
        single = all(column.ndim == 0 for column in columns.values() if not isinstance(column, KerasTensor))
        merged = self._tk_encode({name: _as_rows(column) for name, column in columns.items()})
        if not single or any(isinstance(column, KerasTensor) for column in columns.values()):
            return merged
        return {name: x[0] for name, x in merged.items()} if isinstance(merged, dict) else merged[0]

    def _tk_encode(self, columns: Values) -> Any:
        done: Values = {name: self.preprocessors[name](columns[name]) for name in self.features}
        crossed = {
            cross.name: self.crossers[cross.name]([done[name] for name in cross.feature_names])
            for cross in self.crosses
        }
        specs: dict[str, Feature | Cross] = {**self.features, **{cross.name: cross for cross in self.crosses}}
        names = [*sorted(done), *sorted(crossed)]
        values = {**done, **crossed}
        encoded = {name: self._tk_one_hot(name, specs[name], values[name]) for name in names}
        if self.output_mode == "dict":
            return encoded
        for name, value in encoded.items():
            kind = value.dtype if isinstance(value, KerasTensor) else str(value.dtype).removeprefix("torch.")
            if specs[name].output_mode == "int" or kind == "string":
                raise ValueError(
                    f"Cannot concatenate features because feature '{name}' has not been encoded (it has dtype {kind}). "
                    "Consider using `output_mode='dict'`."
                )
        values_in_order = [_floats(value) for value in encoded.values()]
        return values_in_order[0] if len(values_in_order) == 1 else _concat(values_in_order, self._tk_encoders)

    def _tk_one_hot(self, name: str, spec: Feature | Cross, value: Any) -> Any:
        if spec.output_mode != "one_hot":
            return value
        if name not in self._tk_encoders:
            layer: Any = self.crossers[name] if isinstance(spec, Cross) else self.preprocessors[name]
            dtype = value.dtype if isinstance(value, KerasTensor) else str(value.dtype).removeprefix("torch.")
            if not dtype.startswith("int"):
                raise ValueError(
                    f"Feature '{name}' has `output_mode='one_hot'`. Thus its preprocessor should return an integer "
                    f"dtype. Instead it returns a {dtype} dtype."
                )
            self._tk_encoders[name] = layers.CategoryEncoding(_cardinality(layer, name), output_mode="multi_hot")
        return self._tk_encoders[name](value)

    # ------------------------------------------------------------------ files

    def save(self, filepath: str) -> None:
        """Save to a `.keras` file, which `keras.models.load_model` reads.

        Args:
            filepath: path of the file.
        """
        save_model(self, filepath)

    def get_config(self) -> dict[str, Any]:
        return {
            "features": serialize_keras_object(self.features),
            "output_mode": self.output_mode,
            "crosses": serialize_keras_object(self.crosses),
            "crossing_dim": self.crossing_dim,
            "hashing_dim": self.hashing_dim,
            "num_discretization_bins": self.num_discretization_bins,
        }

    def get_build_config(self) -> dict[str, Any]:
        """Return the build configs of the columns' layers."""
        return {name: layer.get_build_config() for name, layer in self.preprocessors.items()}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the columns' layers.

        Args:
            config: result of `get_build_config()`.
        """
        for name, inner in config.items():
            if not self.preprocessors[name].built and inner is not None:
                self.preprocessors[name].build_from_config(inner)
        self.__dict__["_tk_adapted"] = True

    def save_own_variables(self, store: Store) -> None:
        """Write nothing: the columns' layers have the state.

        Args:
            store: not used.
        """

    def load_own_variables(self, store: Store) -> None:
        """Read nothing.

        Args:
            store: not used.
        """


_KINDS = (
    "float", "float_rescaled", "float_normalized", "float_discretized", "integer_categorical", "string_categorical",
    "integer_hashed", "string_hashed",
)  # fmt: skip


def _check_mode(value: str, allowed: tuple[str, ...], name: str) -> None:
    if value not in allowed:
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected one of {set(allowed)}. Received: {name}={value}"
        )


def _layer_name(kind: str, name: str | None) -> str:
    return f"{name or naming.auto_name(kind)}_preprocessor"


def _cross(cross: Sequence[str] | Cross | Config, bins: int, known: Collection[str]) -> Cross:
    if isinstance(cross, dict):
        cross = deserialize_keras_object(cross)
    if not isinstance(cross, Cross):
        if not bins:
            raise ValueError(
                "When specifying `crosses`, the argument `crossing_dim` (dimensionality of the crossing space) should "
                "be specified as well."
            )
        cross = Cross(tuple(cross), crossing_dim=bins)
    if any(name not in known for name in cross.feature_names):
        raise ValueError(
            "All features referenced in the `crosses` argument should be present in the `features` dict. Received "
            f"unknown features: {cross.feature_names}"
        )
    return cross


def _cardinality(layer: Layer, name: str) -> int:
    """How many numbers the layer can give."""
    if isinstance(layer, (layers.IntegerLookup, layers.StringLookup)):
        return layer.vocabulary_size()
    if isinstance(layer, layers.CategoryEncoding):
        return layer.num_tokens
    if isinstance(layer, layers.Discretization):
        return layer.num_bins if layer.num_bins is not None else len(layer.bin_boundaries) + 1
    if isinstance(layer, (layers.HashedCrossing, layers.Hashing)):
        return layer.num_bins
    raise ValueError(
        f"Feature '{name}' has `output_mode='one_hot'`. However it isn't a standard feature and the dimensionality of "
        "its output space is not known, thus it cannot be one-hot encoded. Try using `output_mode='int'`."
    )


def _dicts(dataset: Any) -> Iterator[Mapping[str, Any]]:
    """The batches of a data set, each a dict of columns."""
    if hasattr(dataset, "iloc"):
        dataset = {name: dataset[name] for name in dataset.columns}
    if isinstance(dataset, dict):
        yield dataset
        return
    if isinstance(dataset, torch.utils.data.Dataset):
        dataset = torch.utils.data.DataLoader(dataset, batch_size=256)
    if isinstance(dataset, (str, bytes, np.ndarray, Tensor)) or not isinstance(dataset, Iterable):
        raise ValueError(
            "`adapt()` can only be called on a dict of arrays/lists, a DataFrame, or batches that are dicts. Received "
            f"instead: {dataset!r} (of type {type(dataset)})"
        )
    for batch in dataset:
        batch = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
        if not isinstance(batch, dict):
            raise ValueError(f"The batches for `adapt()` must be dicts of columns. Received: {type(batch).__name__}")
        yield batch


def _column(value: object, dtype: str, name: str) -> Any:
    """A column as an array of strings, or as a tensor of the feature's dtype."""
    if isinstance(value, KerasTensor):
        return value
    if dtype == "string":
        return string_array(value, f"Feature {name!r}")
    if holds_strings(value) or is_string_array(value):
        raise ValueError(f"Feature {name!r} takes numbers ({dtype}). Received: strings.")
    tensor = convert_to_tensor(np.asarray(value) if hasattr(value, "iloc") else value)
    return tensor.float() if dtype.startswith("float") else tensor


def _as_rows(column: Any) -> Any:
    if isinstance(column, KerasTensor) or column.ndim > 1:
        return column
    return column.reshape(-1, 1)


def _floats(value: Any) -> Any:
    return value if isinstance(value, KerasTensor) or value.is_floating_point() else value.float()


def _concat(values: list, kept: dict[str, Any]) -> Any:
    layer = kept.setdefault("", layers.Concatenate(axis=-1))
    return layer(values)
