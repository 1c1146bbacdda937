"""Facts of the backend, under the names of Keras's private modules: PyTorch, dense tensors."""

from __future__ import annotations

from torchkeras.core import settings_file
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.variables.seeds import torch_generator

IS_THREAD_SAFE = True
SUPPORTS_SPARSE_TENSORS = False
SUPPORTS_RAGGED_TENSORS = False
SUPPORTS_COMPLEX_DTYPES = True

# Keras's torch backend has no library of distributions: code asks for it before it uses one.
distribution_lib = None

BOOL_TYPES = ("bool",)
INT_TYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
FLOAT_TYPES = ("bfloat16", "float16", "float32", "float64")
FLOAT8_TYPES = ("float8_e4m3fn", "float8_e5m2")
COMPLEX_TYPES = ("complex64", "complex128")
ALLOWED_DTYPES = (*FLOAT_TYPES, *INT_TYPES, *BOOL_TYPES, "string", *FLOAT8_TYPES, *COMPLEX_TYPES)

torch_seed_generator = torch_generator


def random_seed_dtype() -> str:
    """The type of seeds."""
    return "int64"


def get_device() -> str:
    """The device on which tensors are made, as torch writes it."""
    return str(current_device())


def keras_home() -> str:
    """The folder of `keras.json`, datasets and models."""
    return str(settings_file.keras_home())


def set_nnx_enabled(value: bool) -> None:
    """Refuse to use Flax's modules, which JAX has.

    Raises:
        ValueError: `value` is true.
    """
    if value:
        raise ValueError("NNX is Flax's, on JAX; this package computes with PyTorch.")


def in_tf_graph() -> bool:
    """Whether TensorFlow records a graph: never."""
    return False


def in_grain_data_pipeline() -> bool:
    """Whether Grain runs the code in a pipeline of data: never, so that layers may make tensors."""
    return False
