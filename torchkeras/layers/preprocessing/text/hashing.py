"""Hashing: bins for strings and integers, without a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
from torch import Tensor

from torchkeras.core import settings
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.tensors.strings import as_bytes, is_string_array
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.preprocessing.encoding import MODES, encode, refuse_sparse
from torchkeras.layers.preprocessing.text.farmhash import fingerprint64
from torchkeras.layers.preprocessing.text.host_layer import HostLayer, array_of_numbers, to_tensor
from torchkeras.layers.preprocessing.text.not_compiled import not_compiled
from torchkeras.layers.preprocessing.text.packed import PackedBytes
from torchkeras.layers.preprocessing.text.siphash import siphash64

_INTEGERS = ("int32", "int64")


class Hashing(HostLayer):
    """Put strings or integers into bins by a hash: `outputs = hash(inputs) % num_bins`.

    The hash is FarmHash64's fingerprint, or with a `salt` SipHash-2-4: the bins are those of Keras and TensorFlow on
    every machine. Integers are hashed as their decimal digits.

    Args:
        num_bins: number of bins, that of the mask among them.
        mask_value: value that gets bin 0, which then no other value gets. Default: `None`, no such value.
        salt: one or two integers that make another hash of the layer's. Default: `None`.
        output_mode: `"int"`: the number of the bin; `"one_hot"`, `"multi_hot"`, `"count"`: as in `CategoryEncoding`.
            Default: `"int"`.
        sparse: must be `False`. Default: `False`.
        **kwargs: `name`, `trainable`, `dtype` (by default int64 with `"int"`, else `keras.config.floatx()`) and the
            other arguments of `Layer`.

    Call arguments:
        inputs: strings (list, array or column), or a tensor, array or list of numbers; floats are cut to integers.

    Input shape:
        Any.

    Output shape:
        With `"int"` the input shape; with `"one_hot"` an axis of size `num_bins` more, or in the place of a last axis
        of size 1; else `(..., num_bins)`.

    Raises:
        ValueError: `num_bins` is not positive; the mode is unknown; the salt is neither an integer nor two; the dtype
            is no integer type with `"int"`.

    Example:
        >>> keras.layers.Hashing(num_bins=3)([["A"], ["B"], ["C"], ["D"], ["E"]]).tolist()
        [[1], [0], [1], [1], [2]]
        >>> keras.layers.Hashing(num_bins=3, mask_value="")([["A"], ["B"], [""], ["C"], ["D"]]).tolist()
        [[1], [1], [0], [2], [2]]
        >>> keras.layers.Hashing(num_bins=3, salt=[133, 137])([["A"], ["B"], ["C"], ["D"], ["E"]]).tolist()
        [[1], [2], [1], [0], [2]]
    """

    def __init__(
        self,
        num_bins: int,
        mask_value: str | int | None = None,
        salt: int | Sequence[int] | None = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if output_mode == "int" else settings.floatx()
        super().__init__(**kwargs)
        if num_bins is None or num_bins <= 0:
            raise ValueError(
                f"The `num_bins` for `Hashing` cannot be `None` or non-positive values. Received: num_bins={num_bins}."
            )
        if output_mode == "int" and self.dtype_policy.name not in _INTEGERS:
            raise ValueError(
                "When `output_mode=\"int\"`, `dtype` should be an integer type, 'int32' or 'int64'. "
                f"Received: dtype={kwargs['dtype']}"
            )
        if output_mode not in MODES:
            raise ValueError(
                f"Invalid value for argument `output_mode`. Expected one of {MODES}. Received: "
                f"output_mode={output_mode}"
            )
        if sparse and output_mode == "int":
            raise ValueError(
                '`sparse` may only be true if `output_mode` is `"one_hot"`, `"multi_hot"`, or `"count"`. '
                f"Received: sparse={sparse} and output_mode={output_mode}"
            )
        refuse_sparse(sparse, "Hashing")
        self.num_bins = num_bins
        self.mask_value = mask_value
        self.salt = None if salt is None else checked_salt(salt, "Hashing", "a tuple of size 2 integers")
        self.output_mode = output_mode
        self.sparse = sparse
        self.__dict__["_tk_autocast"] = False

    def call(self, inputs: Tensor | np.ndarray) -> Tensor:
        return encode(self._bins(inputs), self.output_mode, self.num_bins, self.compute_dtype)

    @not_compiled
    def _bins(self, inputs: Tensor | np.ndarray) -> Tensor:
        masked = None if self.mask_value is None or self.num_bins == 1 else self._masked(inputs)
        bins = hash_bins(inputs, self.num_bins - (masked is not None), self.salt, type(self).__name__)
        if masked is not None:
            bins = np.where(masked, 0, bins + 1)
        return to_tensor(bins, inputs.device if isinstance(inputs, Tensor) else None)

    def _masked(self, inputs: Tensor | np.ndarray) -> np.ndarray:
        """Where the inputs are the mask's value."""
        mask = self.mask_value
        if isinstance(inputs, Tensor):
            return convert_to_numpy(inputs) == mask
        same = mask.encode() if isinstance(mask, str) else mask
        return np.array([item == same for item in as_bytes(inputs, type(self).__name__)], bool).reshape(inputs.shape)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        shape = tuple(input_shape)
        if self.output_mode == "int":
            return shape
        if self.output_mode == "one_hot" and shape and (len(shape) == 1 or shape[-1] != 1):
            return (*shape, self.num_bins)
        return (*shape[:-1], self.num_bins)

    def compute_output_spec(self, inputs: KerasTensor) -> KerasTensor:
        return KerasTensor(self.compute_output_shape(inputs.shape), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "salt": None if self.salt is None else list(self.salt),
            "mask_value": self.mask_value,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
        }


def hash_bins(inputs: Tensor | np.ndarray, bins: int, salt: Sequence[int] | None, owner: str) -> np.ndarray:
    """The bin of each string or integer, as int64 of the inputs' shape.

    Args:
        inputs: array of strings, or tensor of numbers.
        bins: number of bins.
        salt: key of SipHash; `None`: FarmHash.
        owner: class of the layer, for messages.
    """
    words = packed(inputs, owner)
    hashes = fingerprint64(words) if salt is None else siphash64(words, salt)
    return (hashes % np.uint64(bins)).astype(np.int64).reshape(inputs.shape)


def packed(inputs: Tensor | np.ndarray, owner: str) -> PackedBytes:
    """The strings, or the digits of the integers, in one buffer."""
    if is_string_array(inputs) or not isinstance(inputs, Tensor):
        return PackedBytes.of_strings(as_bytes(inputs, owner))  # type: ignore[arg-type]
    numbers = array_of_numbers(inputs)
    if numbers.dtype.kind == "b":
        return PackedBytes.of_strings([b"true" if flag else b"false" for flag in numbers.ravel().tolist()])
    return PackedBytes.of_integers(numbers)


def checked_salt(salt: int | Sequence[int], owner: str, wanted: str) -> list[int]:
    """The two integers of a key.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(salt, int):
        return [salt, salt]
    if isinstance(salt, (tuple, list)) and len(salt) == 2:
        return list(salt)
    raise ValueError(
        f"The `salt` argument for `{owner}` can only be {wanted}, or a single integer. Received: salt={salt}."
    )
