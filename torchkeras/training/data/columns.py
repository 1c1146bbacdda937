"""Columns: one array of the data, in the type and at the place from which batches are cut."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import torch

from torchkeras.core import settings, tree
from torchkeras.core.tensors.copy_stream import beside, pinned, staging
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.tensors.strings import holds_strings, is_string_array, lists_to_arrays, string_array
from torchkeras.training.data.stored import is_stored, stored

_WIDER = {torch.uint16: torch.int32, torch.uint32: torch.int64}  # Keras's choice: torch can do little with these


def is_array(value: Any) -> bool:
    """Whether the value can be one array of the data (`None` is not)."""
    return isinstance(value, (np.ndarray, torch.Tensor)) or hasattr(value, "__array__") or is_sparse(value)


def is_sparse(value: Any) -> bool:
    """Whether the value is a sparse tensor, or a sparse matrix or array of SciPy's, or offers its conversions."""
    return _is_sparse_tensor(value) or (hasattr(value, "tocsr") and hasattr(value, "toarray"))


def _is_sparse_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.layout is not torch.strided


def is_pandas(value: Any, ndim: int) -> bool:
    """Whether the value is a pandas Series (`ndim=1`) or DataFrame (`ndim=2`), or is indexed as they are."""
    return hasattr(value, "iloc") and hasattr(value, "to_numpy") and value.ndim == ndim


def rows_of(value: Any) -> int:
    """How many samples an array holds.

    Raises:
        ValueError: a scalar.
    """
    if not hasattr(value, "shape"):  # a column of pyarrow's
        return len(value)
    if len(value.shape) == 0:
        raise ValueError(f"Each array must have one row a sample; received a scalar: {value!r}.")
    return int(value.shape[0])


def cut(value: Any, start: int, stop: int) -> Any:
    """Rows `start` to `stop` of an array of any kind, without a copy where the kind allows that."""
    if value is None:
        return None
    if hasattr(value, "iloc"):
        return value.iloc[start:stop]
    if is_stored(value):
        return stored(value).cut(start, stop)
    if _is_sparse_tensor(value):
        return _as_coo(value).index_select(0, torch.arange(start, min(stop, len(value)), device=value.device))
    if is_sparse(value):
        return value.tocsr()[start:stop]
    if not isinstance(value, (np.ndarray, torch.Tensor)):
        value = np.asarray(value)
    return value[start:stop]


def as_tensor(value: Any) -> torch.Tensor:
    """A tensor that shares the array's memory where it can.

    Raises:
        ValueError: the array holds no numbers.
    """
    if isinstance(value, torch.Tensor):
        return value.detach()
    array = _to_numpy(value)
    if array.dtype.kind not in "biufc" and array.dtype.name != "bfloat16":
        raise ValueError(
            f"Data must be numbers; received an array of dtype {array.dtype} and shape {array.shape}. Turn strings "
            "or objects into numbers first (StringLookup, TextVectorization, or `astype`)."
        )
    if array.dtype.name == "bfloat16":  # ml_dtypes' type, unknown to torch.from_numpy
        array = array.astype("float32")
    if not array.dtype.isnative or any(step < 0 for step in array.strides):
        array = np.array(array, dtype=array.dtype.newbyteorder("="))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")  # batches are only read
        return torch.from_numpy(array)


def _to_numpy(value: Any) -> np.ndarray:
    if is_pandas(value, 1):
        array = _stacked(_numbers_of_pandas(value, [value.dtype]))
        return array[:, None] if array.ndim == 1 else array
    if is_pandas(value, 2):
        return _numbers_of_pandas(value, value.dtypes)
    return _stacked(np.asarray(value))


def _numbers_of_pandas(value: Any, dtypes: Iterable[Any]) -> np.ndarray:
    """The values; where types are mixed or numbers are missing, floats, with NaN for those."""
    array = value.to_numpy()
    mixed = array.dtype == object and all(dtype.kind in "biuf" for dtype in dtypes)
    return value.to_numpy(dtype=settings.floatx(), na_value=np.nan) if mixed else array


def _stacked(array: np.ndarray) -> np.ndarray:
    """A column of arrays or lists, as tables have them, as one array with the rows' axes; other arrays as they are.

    Raises:
        ValueError: the rows have different shapes.
    """
    if array.dtype != object or array.ndim != 1 or not array.size or not isinstance(array[0], (np.ndarray, list)):
        return array
    try:
        return np.stack([_stacked(np.asarray(row)) for row in array])
    except ValueError as error:
        shapes = sorted({np.shape(row) for row in array}, key=str)
        raise ValueError(
            f"The rows of a column of arrays must have the same shape; received the shapes {str(shapes)[:200]}. Pad "
            "the shorter ones, for example with keras.utils.pad_sequences."
        ) from error


def batch_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type in which batches of arrays come: every float type becomes `floatx()`, as in Keras.

    Raises:
        ValueError: a type with which torch can't compute.
    """
    if dtype.is_floating_point:
        return torch_dtype(settings.floatx())
    if dtype == torch.uint64:
        raise ValueError("Data of dtype uint64 is not supported: cast it to int64 first.")
    return _WIDER.get(dtype, dtype)


def _moved(rows: torch.Tensor, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Rows on a device; on the way to an accelerator the host does not wait until they are there."""
    if rows.device.type != "cpu":  # in the stream that made them
        return rows.to(device=device, dtype=dtype, non_blocking=device.type != "cpu")
    if device.type == "cuda":
        return _through_pinned(pinned(rows, device), device, dtype)
    return beside(lambda: rows.to(device=device, dtype=dtype, non_blocking=device.type != "cpu"), device)


def _through_pinned(rows: torch.Tensor, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Rows in pinned memory on a CUDA device: the copy runs behind the computation.

    Torch's allocator does not give the memory out again before the copy is done, whoever drops `rows`. The type changes
    on the device: on the host the result would not be pinned.
    """
    return beside(lambda: rows.to(device=device, non_blocking=True).to(dtype), device)


class Column:
    """A dense array. Arrays that fit are converted and moved once; others a chunk at a time.

    Args:
        value: the array.
        device: where batches are wanted.
        resident: whether the whole array may lie there.
    """

    def __init__(self, value: Any, device: torch.device, resident: bool) -> None:
        tensor = as_tensor(value)
        self.device = device
        self.dtype = batch_dtype(tensor.dtype)
        lazy = not resident or isinstance(value, np.memmap)
        self.tensor = tensor if lazy else tensor.to(device=device, dtype=self.dtype)

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Consecutive rows; a view where nothing has to be converted."""
        return _moved(self.tensor[start:stop], self.device, self.dtype)

    def take(self, index: torch.Tensor) -> torch.Tensor:
        """The rows of an index that lies where `self.tensor` does."""
        tensor = self.tensor
        if tensor.device == self.device or self.device.type != "cuda":
            return tensor.index_select(0, index).to(device=self.device, dtype=self.dtype)
        staged = staging((len(index), *tensor.shape[1:]), tensor.dtype, self.device)
        torch.index_select(tensor, 0, index, out=staged)
        return _through_pinned(staged, self.device, self.dtype)


class StoredColumn:
    """An array in a file, read a chunk of batches at a time.

    Args:
        value: the array.
        device: where batches are wanted.
    """

    def __init__(self, value: Any, device: torch.device) -> None:
        self.matrix = stored(value)
        self.device = device
        self.tensor = torch.empty(0, device="cpu")
        self.dtype = batch_dtype(as_tensor(self.matrix[0:0]).dtype)

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Consecutive rows."""
        return _moved(as_tensor(self.matrix[start:stop]), self.device, self.dtype)

    def take(self, index: torch.Tensor) -> torch.Tensor:
        """The rows of an index on the CPU."""
        return _moved(as_tensor(self.matrix.take(index.numpy())), self.device, self.dtype)


class StringColumn:
    """An array of strings, which stays on the host.

    Args:
        value: array of strings, or a pandas, pyarrow or Polars column or table of them.

    Raises:
        ValueError: values are missing.
    """

    def __init__(self, value: Any) -> None:
        self.matrix = string_array(value, "The data")
        if is_pandas(value, 1):
            self.matrix = self.matrix[:, None]
        self.tensor = torch.empty(0, device="cpu")
        self.dtype = self.matrix.dtype

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Consecutive rows, a view."""
        return self.matrix[start:stop]

    def take(self, index: torch.Tensor) -> np.ndarray:
        """The rows of an index."""
        return self.matrix[index.cpu().numpy()]


AnyColumn: TypeAlias = "Column | StoredColumn | SparseColumn | SparseTensorColumn | StringColumn"


def loaded(data: Any) -> Any:
    """Data with arrays in the place of columns of Hugging Face data sets, which have no shape."""

    def load(value: Any) -> Any:
        if is_array(value) or not (hasattr(value, "column_name") and hasattr(value, "__getitem__")):
            return value
        rows = value[:]
        return rows if is_array(rows) else np.asarray(rows)

    return tree.map_structure(load, data)


def with_columns(x: Any) -> Any:
    """Data with arrays in the place of lists of strings, and in a dict of columns of lists of numbers, too."""
    if type(x) is dict:
        return {name: _list_column(value, name) for name, value in x.items()}
    if type(x) in (list, tuple) and x and holds_strings(x[0] if isinstance(x, tuple) else x):
        return lists_to_arrays(x, "x")
    return x


def _list_column(value: Any, name: str) -> Any:
    if not isinstance(value, list) or not value:
        return value
    if holds_strings(value):
        return string_array(value, f"Column {name!r}")
    return np.asarray(value) if all(isinstance(item, (bool, int, float)) for item in value) else value


def holds_text(value: Any) -> bool:
    """Whether an array of the data, of any kind but torch's, holds strings."""
    if isinstance(value, torch.Tensor) or is_sparse(value):
        return False
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if isinstance(kind, str) and kind in "biufc":
        return False
    return is_string_array(np.asarray(value))


def column_of(value: Any, device: torch.device, resident: bool) -> AnyColumn:
    """The column for an array of any kind.

    Args:
        value: the array.
        device: where batches are wanted.
        resident: whether a whole dense array may lie there.
    """
    if _is_sparse_tensor(value):
        return SparseTensorColumn(value, device)
    if is_stored(value):
        if np.dtype(value.dtype).kind in "OSTU":  # strings stay on the host: they are read once
            return StringColumn(np.asarray(stored(value)[:]))
        return StoredColumn(value, device)
    if holds_text(value):
        return StringColumn(value)
    return SparseColumn(value, device) if is_sparse(value) else Column(value, device, resident)


def _as_coo(value: torch.Tensor) -> torch.Tensor:
    return value.detach().to_sparse_coo().coalesce()


class SparseTensorColumn:
    """A sparse tensor of any layout, made dense a chunk at a time."""

    def __init__(self, value: torch.Tensor, device: torch.device) -> None:
        self.matrix = _as_coo(value)
        self.device = device
        self.tensor = torch.empty(0, device=value.device)
        self.dtype = batch_dtype(value.dtype)

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Consecutive rows."""
        return self.take(torch.arange(start, min(stop, len(self.matrix)), device=self.matrix.device))

    def take(self, index: torch.Tensor) -> torch.Tensor:
        """The rows of an index that lies where the tensor does."""
        return _moved(self.matrix.index_select(0, index).to_dense(), self.device, self.dtype)


class SparseColumn:
    """A SciPy sparse matrix, made dense a chunk at a time."""

    def __init__(self, value: Any, device: torch.device) -> None:
        self.matrix = value.tocsr()
        self.device = device
        self.tensor = torch.empty(0, device="cpu")
        self.dtype = batch_dtype(as_tensor(self.matrix.data).dtype)

    def rows(self, start: int, stop: int) -> torch.Tensor:
        return self._dense(self.matrix[start:stop])

    def take(self, index: torch.Tensor) -> torch.Tensor:
        return self._dense(self.matrix[index.numpy()])

    def _dense(self, part: Any) -> torch.Tensor:
        return _moved(torch.from_numpy(part.toarray()), self.device, self.dtype)
