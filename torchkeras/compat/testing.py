"""Keras's `TestCase` for packages that test their layers with it: comparisons of arrays, and the rounds of a layer."""

from __future__ import annotations

import json
import shutil
import tempfile
import unittest
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torchkeras import tree
from torchkeras.backend import is_float_dtype, standardize_dtype
from torchkeras.compat.stand_ins.lazy_modules import LazyModule
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import ArrayLike, Nest
from torchkeras.layers import Layer
from torchkeras.models import Model
from torchkeras.ops import convert_to_numpy, convert_to_tensor, shape
from torchkeras.utils import clear_session

_parameterized = LazyModule("absl.testing.parameterized", pip_name="absl-py")
# absl's decorators of parameters work on its own class.
_Base: Any = _parameterized.TestCase if _parameterized.available else unittest.TestCase


class TestCase(_Base):
    """A `unittest.TestCase` that compares tensors and arrays, and runs a layer through what all layers must do."""

    maxDiff = None

    def setUp(self) -> None:
        """Start with fresh names and seeds."""
        clear_session(free_memory=False)
        super().setUp()

    def get_temp_dir(self) -> str:
        """A folder that is removed after the test."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder

    # ------------------------------------------------------------------------ values

    def assertAllClose(
        self, x1: Nest[ArrayLike], x2: Nest[ArrayLike], atol: float = 1e-6, rtol: float = 1e-6,
        tpu_atol: float | None = None, tpu_rtol: float | None = None, msg: str | None = None,
    ) -> None:  # fmt: skip
        """Fail unless the arrays, or nests of them, are close."""
        for one, other in self._pairs(x1, x2):
            np.testing.assert_allclose(one, other, atol=atol, rtol=rtol, err_msg=msg or "")

    def assertNotAllClose(
        self, x1: Nest[ArrayLike], x2: Nest[ArrayLike], atol: float = 1e-6, rtol: float = 1e-6, msg: str | None = None
    ) -> None:
        """Fail if the arrays are close."""
        try:
            self.assertAllClose(x1, x2, atol=atol, rtol=rtol, msg=msg)
        except AssertionError:
            return
        raise AssertionError(msg or f"The values are close: {x1} and {x2}.")

    def assertAllEqual(self, x1: Nest[ArrayLike], x2: Nest[ArrayLike], msg: str | None = None) -> None:
        """Fail unless the arrays, or nests of them, are equal."""
        for one, other in self._pairs(x1, x2):
            np.testing.assert_array_equal(one, other, err_msg=msg or "")

    def assertAlmostEqual(self, x1: Any, x2: Any, decimal: int = 3, **tolerances: Any) -> None:  # type: ignore[override]
        """Fail unless the values are equal to so many decimals."""
        for one, other in self._pairs(x1, x2):
            np.testing.assert_almost_equal(one, other, decimal=decimal, err_msg=str(tolerances.get("msg") or ""))

    def assertLen(self, iterable: Any, expected_len: int, msg: str | None = None) -> None:
        """Fail unless there are so many items."""
        self.assertEqual(len(iterable), expected_len, msg=msg)

    def assertEmpty(self, iterable: Any, msg: str | None = None) -> None:
        """Fail if there are items."""
        self.assertLen(iterable, 0, msg)

    def assertDType(self, x: Any, dtype: Any, msg: str | None = None) -> None:
        """Fail unless the tensor has the type."""
        found, wanted = standardize_dtype(x.dtype), standardize_dtype(dtype)
        self.assertEqual(found, wanted, msg=msg or f"The dtype is {found}, not {wanted}.")

    def assertSparse(self, x: Any, sparse: bool = True) -> None:
        """Fail unless the tensor is sparse or not, as asked."""
        self.assertEqual(bool(getattr(x, "sparse", False) or getattr(x, "is_sparse", False)), sparse)

    def assertRagged(self, x: Any, ragged: bool = True) -> None:
        """Fail unless the tensor is ragged or not, as asked."""
        self.assertEqual(bool(getattr(x, "ragged", False)), ragged)

    def assertFileExists(self, path: str) -> None:
        """Fail unless there is such a file."""
        self.assertTrue(Path(path).is_file(), f"{path} is no file.")

    @staticmethod
    def _pairs(x1: Any, x2: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        if tree.is_nested(x1) and tree.is_nested(x2):
            tree.assert_same_structure(tree.lists_to_tuples(x1), tree.lists_to_tuples(x2))
            return [(_array(one), _array(other)) for one, other in zip(tree.flatten(x1), tree.flatten(x2))]
        return [(_array(x1), _array(x2))]

    # ------------------------------------------------------------------------ objects

    def run_class_serialization_test(self, instance: Any, custom_objects: dict[str, Any] | None = None) -> Any:
        """Make the object again of its config, directly and through JSON; the configs must agree. Returns the copy."""
        cls, config = type(instance), instance.get_config()
        copy = cls.from_config(config)
        self.assertEqual(_as_json(config), _as_json(copy.get_config()))
        again = cls.from_config(json.loads(_as_json(config)))
        self.assertEqual(_as_json(config), _as_json(again.get_config()))
        missing = [name for name in vars(instance) if name not in vars(copy) and not name.startswith("_")]
        self.assertEmpty(missing, f"The copy lacks the attributes {missing}.")
        return copy

    def run_layer_test(
        self,
        layer_cls: Callable[..., Layer],
        init_kwargs: Mapping[str, Any],
        input_shape: Any = None,
        input_dtype: Any = None,
        input_data: Any = None,
        call_kwargs: Mapping[str, Any] | None = None,
        expected_output_shape: Any = None,
        expected_output_dtype: Any = None,
        expected_output: Any = None,
        expected_num_trainable_weights: int | None = None,
        expected_num_non_trainable_weights: int | None = None,
        expected_num_non_trainable_variables: int | None = None,
        expected_num_seed_generators: int | None = None,
        expected_num_losses: int | None = None,
        supports_masking: bool | None = None,
        custom_objects: dict[str, Any] | None = None,
        run_training_check: bool = True,
        run_mixed_precision_check: bool = True,
        **others: Any,
    ) -> None:
        """Run a layer through its rounds: config, symbolic call, call on values, a step of training, mixed precision.

        Args:
            layer_cls: the class.
            init_kwargs: the arguments of its constructor.
            input_shape: shape of the input with its batch, or a nest of shapes: a dict names arguments of `call`.
            input_dtype: type of the input, or a nest of them. Default: `None`, floats.
            input_data: values to call the layer with. Default: `None`, random ones of `input_shape`.
            call_kwargs: further arguments of the call. Default: `None`.
            expected_output_shape: the shape that the outputs must have.
            expected_output_dtype: the type that the outputs must have.
            expected_output: the outputs themselves.
            expected_num_trainable_weights: how many there must be; so for the other numbers.
            expected_num_non_trainable_weights: metrics and seeds do not count.
            expected_num_non_trainable_variables: seeds count.
            expected_num_seed_generators: seed generators of the layer.
            expected_num_losses: losses after a call.
            supports_masking: the value that the layer's attribute must have.
            custom_objects: kept for Keras's signature.
            run_training_check: whether to train for a step. Default: `True`.
            run_mixed_precision_check: whether to call it with `mixed_float16`. Default: `True`.
            **others: further arguments of Keras: what is asked of sparse and ragged tensors has no meaning here.
        """
        counts = {
            "trainable_weights": expected_num_trainable_weights,
            "non_trainable_weights": expected_num_non_trainable_weights,
            "non_trainable_variables": expected_num_non_trainable_variables,
            "losses": expected_num_losses,
        }
        layer = layer_cls(**init_kwargs)
        self.run_class_serialization_test(layer)
        if supports_masking is not None:
            self.assertEqual(layer.supports_masking, supports_masking)
        arguments = dict(call_kwargs or {})
        if input_shape is not None:
            symbols = _map_shapes(KerasTensor, input_shape, input_dtype)
            outputs = _call(layer, symbols, arguments)
            self._check_outputs(outputs, expected_output_shape, expected_output_dtype)
        values = input_data if input_data is not None else _map_shapes(_random, input_shape, input_dtype)
        if values is not None:
            layer = layer_cls(**init_kwargs)
            outputs = _call(layer, values, arguments)
            self._check_outputs(outputs, expected_output_shape, expected_output_dtype)
            if expected_output is not None:
                self.assertAllClose(outputs, expected_output, msg="The outputs differ.")
            for name, expected in counts.items():
                if expected is not None:
                    self.assertLen(getattr(layer, name), expected, f"{name}: {getattr(layer, name)}")
            if expected_num_seed_generators is not None:
                found = [one for part in layer._flatten_layers() for one in part._seed_generators]
                self.assertLen(found, expected_num_seed_generators)
            if run_training_check and layer.weights:
                self._train(layer_cls(**init_kwargs), values, outputs, arguments)
        if run_mixed_precision_check and values is not None and "dtype" not in init_kwargs:
            mixed = layer_cls(**{**init_kwargs, "dtype": "mixed_float16"})
            _call(mixed, values, arguments)
            for weight in mixed.weights:
                if is_float_dtype(weight.dtype):
                    self.assertDType(weight, "float32")

    def _check_outputs(self, outputs: Any, shapes: Any, dtypes: Any) -> None:
        if shapes is not None:
            found = tree.map_structure(lambda x: tuple(shape(x)), outputs)
            self.assertEqual(_as_json(found), _as_json(shapes))
        for output, wanted in zip(tree.flatten(outputs), tree.flatten(dtypes) if dtypes is not None else ()):
            self.assertDType(output, wanted)

    def _train(self, layer: Layer, values: Any, outputs: Any, arguments: dict[str, Any]) -> None:
        targets = [torch.zeros_like(one, dtype=torch.float32) for one in tree.flatten(outputs)]
        model = _OneLayer(layer, arguments)
        model.compile(optimizer="sgd", loss=["mse"] * len(targets))
        model.train_on_batch(values if isinstance(values, dict) else {"": values}, targets)


class _OneLayer(Model):
    """A model of one layer, whose outputs are a list of floats."""

    def __init__(self, layer: Layer, arguments: dict[str, Any]) -> None:
        super().__init__()
        self.layer, self.arguments = layer, arguments

    def call(self, inputs: Any, training: bool | None = None, mask: Any | None = None) -> Any:
        outputs = _call(self.layer, inputs.get("", inputs), self.arguments)
        return [1.0 * one for one in tree.flatten(outputs)]


def _array(value: Any) -> np.ndarray:
    return value if isinstance(value, np.ndarray) else convert_to_numpy(value)


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=lambda other: getattr(other, "tolist", lambda: str(other))())


def _call(layer: Layer, values: Any, arguments: dict[str, Any]) -> Any:
    if isinstance(values, dict):
        return layer(**values, **arguments)
    return layer(values, **arguments)


def _random(shape: Sequence[int], dtype: str) -> torch.Tensor:
    if is_float_dtype(dtype):
        return convert_to_tensor(np.random.uniform(size=shape), dtype=dtype)
    return convert_to_tensor(np.random.randint(0, 2, size=shape), dtype=dtype)


def _map_shapes(make: Callable[[tuple, str], Any], shapes: Any, dtypes: Any) -> Any:
    if shapes is None:
        return None
    if isinstance(shapes, dict):
        named = {name.removesuffix("_shape"): one for name, one in shapes.items()}
        kinds = dtypes if isinstance(dtypes, dict) else dict.fromkeys(named, dtypes)
        kinds = {name.removesuffix("_dtype"): kind for name, kind in kinds.items()}
        return {name: _map_shapes(make, one, kinds.get(name)) for name, one in named.items()}
    if isinstance(shapes, (list, tuple)) and any(isinstance(one, (list, tuple)) for one in shapes):
        kinds = dtypes if isinstance(dtypes, (list, tuple)) else [dtypes] * len(shapes)
        return type(shapes)(_map_shapes(make, one, kind) for one, kind in zip(shapes, kinds))
    return make(tuple(shapes), standardize_dtype(dtypes))


def named_product(*args: Iterable[dict[str, Any]], **kwargs: Iterable[Any]) -> list[dict[str, Any]]:
    """All combinations of the given values as dicts, for absl's `named_parameters`.

    Args:
        *args: lists of dicts, each dict with a `testcase_name`.
        **kwargs: the values of an argument of the test, named by themselves in lower case.

    Returns:
        A dict for each combination, with a `testcase_name` of the names joined by `_`.
    """
    of_values = [
        [{"testcase_name": str(getattr(value, "__name__", value)).lower(), name: value} for value in values]
        for name, values in kwargs.items()
    ]
    tests: list[dict[str, Any]] = [{"testcase_name": ""}]
    for rows in (*args, *of_values):
        tests = [
            {**test, **row, "testcase_name": "_".join(filter(None, (test["testcase_name"], row["testcase_name"])))}
            for row in rows
            for test in tests
        ]
    return tests


def get_test_data(
    train_samples: int, test_samples: int, input_shape: Sequence[int], num_classes: int, random_seed: int | None = None
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Samples that lie around a centre for each class: `(x_train, y_train), (x_test, y_test)`."""
    random = np.random.default_rng(random_seed)
    total = train_samples + test_samples
    centres = 2 * num_classes * random.random((num_classes, *input_shape))
    y = random.integers(0, num_classes, size=total)
    x = (centres[y] + random.normal(scale=1.0, size=(total, *input_shape))).astype("float32")
    return (x[:train_samples], y[:train_samples]), (x[train_samples:], y[train_samples:])


def torch_uses_gpu() -> bool:
    """Whether torch sees a GPU."""
    return torch.cuda.is_available()


uses_gpu = torch_uses_gpu


def jax_uses_gpu() -> bool:
    """Whether JAX computes on a GPU: it is not in use."""
    return False


tensorflow_uses_gpu = jax_uses_gpu
