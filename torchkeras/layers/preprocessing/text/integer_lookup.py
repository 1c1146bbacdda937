"""Numbers for integers of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras.core.tensors.convert import convert_to_numpy, convert_to_tensor
from torchkeras.layers.preprocessing.text.host_layer import array_of_numbers, as_data
from torchkeras.layers.preprocessing.text.index_lookup import IndexLookup, plain
from torchkeras.layers.preprocessing.text.not_compiled import not_compiled

# A table of all integers between the terms takes eight bytes for each; up to this many it is made.
_DENSE, _DENSE_PER_TERM = 1 << 16, 32
_INT64 = torch.iinfo(torch.int64)


class IntegerLookup(IndexLookup):
    """Map integers to numbers in a row by a vocabulary, or with `invert=True` back.

    The vocabulary is given, or learned by `adapt()`. Its terms are numbered in order, behind a number for the mask (0,
    with `"int"` and a `mask_token`) and those for unknown integers.

    Args:
        max_tokens: size of the vocabulary at most, with the numbers for masked and unknown integers; `None`: any.
            Default: `None`.
        num_oov_indices: how many numbers unknown ("out of vocabulary") integers share; with more than one they are put
            into them by `oov_method`, with 0 they are an error. Default: `1`.
        mask_token: integer that becomes 0 with `"int"` and is left out in the other modes; `None`: no such integer.
            Default: `None`.
        oov_token: integer that an inverted lookup gives for an unknown number. Default: `-1`.
        vocabulary: the terms (list, tuple, array, tensor), or the path of a text file with a term per line. Default:
            `None`.
        vocabulary_dtype: must be `"int64"`. Default: `"int64"`.
        idf_weights: inverse document frequency of each term, with `"tf_idf"` and a `vocabulary`. Default: `None`.
        invert: whether to map numbers to terms; only with `"int"`. Default: `False`.
        output_mode: `"int"`, `"one_hot"`, `"multi_hot"`, `"count"` or `"tf_idf"`, as in `StringLookup`. Default:
            `"int"`.
        sparse: must be `False`. Default: `False`.
        pad_to_max_tokens: whether vectors have `max_tokens` entries, however many terms there are. Default: `False`.
        oov_method: how unknown integers get one of several numbers: `"floormod"`, by `integer % num_oov_indices`, or
            `"farmhash"`, by a hash, which spreads them evenly. Default: `"floormod"`.
        salt: key (an integer, or two) of the hash; only with `"farmhash"`. Default: `None`.
        name: name of the layer. Default: `None`.
        **kwargs: `trainable` and `dtype`, which change nothing.

    Call arguments:
        inputs: tensor, array or list of integers; floats are cut to integers.

    Input shape:
        Any.

    Output shape:
        With `"int"` the input shape; with `"one_hot"` an axis of the vocabulary's size more, or in the place of a last
        axis of size 1; else `(..., vocabulary size)`.

    Raises:
        ValueError: arguments that do not go together; a vocabulary with repeated terms; at the call: an unknown
            integer with `num_oov_indices=0`.
        RuntimeError: at the call: there is no vocabulary.

    Example:
        >>> layer = keras.layers.IntegerLookup(vocabulary=[12, 36, 1138, 42])
        >>> layer([[12, 1138, 42], [42, 1000, 36]]).tolist()
        [[1, 3, 4], [4, 0, 2]]
        >>> keras.layers.IntegerLookup(vocabulary=[12, 36, 1138, 42], invert=True)([1, 4, 0]).tolist()
        [12, 42, -1]
    """

    _tk_term = int

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int | None = -1,
        vocabulary: Sequence[int] | np.ndarray | Tensor | str | None = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Sequence[float] | np.ndarray | Tensor | None = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: int | Sequence[int] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if max_tokens is not None and max_tokens <= 1:
            raise ValueError(
                "If `max_tokens` is set for `IntegerLookup`, it must be greater than 1. "
                f"Received: max_tokens={max_tokens}"
            )
        if num_oov_indices < 0:
            raise ValueError(
                "The value of `num_oov_indices` argument for `IntegerLookup` must >= 0. Received: "
                f"num_oov_indices={num_oov_indices}"
            )
        if vocabulary_dtype != "int64":
            raise ValueError(
                "Only `vocabulary_dtype='int64'` is supported at this time. Received: "
                f"vocabulary_dtype={vocabulary_dtype}"
            )
        super().__init__(
            max_tokens=max_tokens,
            num_oov_indices=num_oov_indices,
            mask_token=None if mask_token is None else int(mask_token),
            oov_token=None if oov_token is None else int(oov_token),
            vocabulary_dtype=vocabulary_dtype,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            invert=invert,
            output_mode=output_mode,
            sparse=sparse,
            pad_to_max_tokens=pad_to_max_tokens,
            oov_method=oov_method,
            salt=salt,
            name=name,
            **kwargs,
        )

    def _tk_as_data(self, inputs: Any) -> Any:
        data = super()._tk_as_data(inputs)
        if isinstance(data, np.ndarray):
            raise TypeError(
                f"IntegerLookup takes integers. Received: strings, an array of dtype {data.dtype} and shape "
                f"{data.shape}. Use StringLookup for strings."
            )
        return data

    def _tk_terms(self, vocabulary: Any) -> list:
        terms = plain(vocabulary)
        wrong = next((term for term in terms if not isinstance(term, (int, float)) or term != int(term)), None)
        if wrong is not None:
            raise ValueError(f"A vocabulary of IntegerLookup holds integers. Received: {wrong!r}")
        return [int(term) for term in terms]

    def _tk_tokens(self, data: Any) -> tuple[list, tuple[int, ...]]:
        if isinstance(data, np.ndarray) and data.dtype == object:
            data = data.tolist()
        data = as_data(data, "IntegerLookup.adapt()")
        if not isinstance(data, Tensor):
            raise TypeError("IntegerLookup.adapt() takes integers. Received: strings. Use StringLookup for strings.")
        array = array_of_numbers(data)
        return array.ravel().tolist(), array.shape

    def _tk_numbers(self, inputs: Tensor | np.ndarray) -> Tensor:
        assert isinstance(inputs, Tensor)
        integers = inputs.long()
        if self.invert:
            return self._tk_integers(integers)
        found = self._tk_looked_up(integers)
        if self.num_oov_indices == 1:
            return found
        return self._tk_with_unknown(found, integers)

    def _tk_looked_up(self, integers: Tensor) -> Tensor:
        """The numbers of known integers; `_tk_default` for the others."""
        dense = self._tk_dense_table(integers.device)
        if dense is not None:
            smallest, table = dense
            places = (integers - smallest).clamp_(0, len(table) - 1)
            return table.index_select(0, places.reshape(-1)).reshape(integers.shape)
        terms, numbers = self._tk_table(integers.device)
        places = torch.searchsorted(terms, integers).clamp_(max=len(terms) - 1)
        found = torch.where(terms[places] == integers, numbers[places], self._tk_default)
        if self.mask_token is not None:
            found = found.masked_fill(integers.eq(int(self.mask_token)), self._tk_mask_number)
        return found

    @not_compiled
    def _tk_with_unknown(self, found: Tensor, integers: Tensor) -> Tensor:
        numbers = self._tk_hash_unknown(convert_to_numpy(found), integers)
        return convert_to_tensor(numbers, device=found.device)

    def _tk_integers(self, numbers: Tensor) -> Tensor:
        """The term of each number; the mask's and the unknown ones' are the first."""
        words = torch.tensor([*self.get_vocabulary(), self.oov_token or 0], dtype=torch.int64, device=numbers.device)
        last = len(words) - 1
        return words[torch.where((numbers >= 0) & (numbers < last), numbers, last)]

    def _tk_dense_table(self, device: torch.device) -> tuple[int, Tensor] | None:
        """The numbers of all integers from below the smallest term to above the largest, and the first of them.

        `None` if the terms lie too far apart. Kept for each device.
        """
        key = device, self._tk_default, self._tk_mask_number
        if key not in self._tk_dense:
            self._tk_dense[key] = self._tk_made_dense(device)
        return self._tk_dense[key]

    def _tk_made_dense(self, device: torch.device) -> tuple[int, Tensor] | None:
        vocabulary = self._tk_vocabulary
        known = [*vocabulary.terms, *([] if self.mask_token is None else [int(self.mask_token)])]
        smallest, largest = min(known) - 1, max(known) + 1
        if largest - smallest > max(_DENSE, _DENSE_PER_TERM * len(known)) or smallest < _INT64.min:
            return None
        table = torch.full((largest - smallest + 1,), self._tk_default, dtype=torch.int64)
        table[torch.tensor(vocabulary.terms, dtype=torch.int64) - smallest] = torch.arange(
            vocabulary.start, vocabulary.start + len(vocabulary)
        )
        if self.mask_token is not None:
            table[int(self.mask_token) - smallest] = self._tk_mask_number
        return smallest, table.to(device)

    def _tk_table(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The terms in ascending order, and their numbers; kept for each device."""
        if device not in self._tk_sorted:
            vocabulary = self._tk_vocabulary
            terms, order = torch.tensor(vocabulary.terms, dtype=torch.int64, device=device).sort()
            self._tk_sorted[device] = terms, order + vocabulary.start
        return self._tk_sorted[device]
