"""Numbers for strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.tensors.strings import as_text
from torchkeras.layers.preprocessing.text.host_layer import strings_of, to_tensor
from torchkeras.layers.preprocessing.text.index_lookup import IndexLookup, plain
from torchkeras.layers.preprocessing.text.not_compiled import not_compiled


class StringLookup(IndexLookup):
    """Map strings to numbers by a vocabulary, or with `invert=True` numbers to strings.

    The vocabulary is given, or learned by `adapt()`. Its terms are numbered in order, behind a number for the mask (0,
    with `"int"` and a `mask_token`) and those for unknown strings.

    Args:
        max_tokens: size of the vocabulary at most, with the numbers for masked and unknown strings; `None`: any.
            Default: `None`.
        num_oov_indices: how many numbers unknown ("out of vocabulary") strings share; with more than one they are put
            into them by a hash, with 0 they are an error. Default: `1`.
        mask_token: string that becomes 0 with `"int"` and is left out in the other modes; `None`: no such string.
            Default: `None`.
        oov_token: string that an inverted lookup gives for an unknown number. Default: `"[UNK]"`.
        vocabulary: the terms (list, tuple, array), or the path of a text file with a term per line. Default: `None`.
        idf_weights: inverse document frequency of each term, with `"tf_idf"` and a `vocabulary`. Default: `None`.
        invert: whether to map numbers to strings; only with `"int"`. Default: `False`.
        output_mode: form of the outputs. Default: `"int"`.
            `"int"`: the numbers.
            `"one_hot"`: a vector for each string, with a 1 at its number.
            `"multi_hot"`: a vector for each row, with a 1 for each term in it.
            `"count"`: a vector for each row that counts its terms.
            `"tf_idf"`: as `"count"`, times the inverse document frequencies.
        pad_to_max_tokens: whether vectors have `max_tokens` entries, however many terms there are. Default: `False`.
        sparse: must be `False`. Default: `False`.
        encoding: encoding of inputs that are bytes. Default: `"utf-8"`.
        name: name of the layer. Default: `None`.
        salt: key (an integer, or two) of the hash for unknown strings. Default: `None`.
        **kwargs: `trainable` and `dtype`, which change nothing.

    Call arguments:
        inputs: strings: a list, an array or a column of pandas or pyarrow; with `invert=True` integers.

    Input shape:
        Any.

    Output shape:
        With `"int"` the input shape; with `"one_hot"` an axis of the vocabulary's size more, or in the place of a last
        axis of size 1; else `(..., vocabulary size)`.

    Raises:
        ValueError: arguments that do not go together; a vocabulary with repeated terms; at the call: an unknown string
            with `num_oov_indices=0`.
        RuntimeError: at the call: there is no vocabulary.

    Example:
        >>> layer = keras.layers.StringLookup(vocabulary=["a", "b", "c"])
        >>> layer([["a", "c"], ["z", "b"]]).tolist()
        [[1, 3], [0, 2]]
        >>> layer = keras.layers.StringLookup(output_mode="count")
        >>> layer.adapt(["b", "a", "b"])
        >>> layer.get_vocabulary(), layer([["a", "b", "b"], ["z", "z", "a"]]).tolist()
        (['[UNK]', 'b', 'a'], [[0, 2, 1], [2, 0, 1]])
        >>> keras.layers.StringLookup(vocabulary=["a", "b", "c"], invert=True)([1, 3, 0])
        ['a', 'c', '[UNK]']
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str | None = "[UNK]",
        vocabulary: Sequence[str] | np.ndarray | str | None = None,
        idf_weights: Sequence[float] | np.ndarray | None = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        self.__dict__["encoding"] = encoding
        super().__init__(
            max_tokens=max_tokens,
            num_oov_indices=num_oov_indices,
            mask_token=mask_token,
            oov_token=oov_token,
            vocabulary_dtype="string",
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            invert=invert,
            output_mode=output_mode,
            sparse=sparse,
            pad_to_max_tokens=pad_to_max_tokens,
            name=name,
            salt=salt,
            **kwargs,
        )

    @property
    def _tk_file_encoding(self) -> str:  # type: ignore[override]
        return self.encoding

    def _tk_as_data(self, inputs: Any) -> Any:
        data = super()._tk_as_data(inputs)
        return strings_of(data, "StringLookup") if isinstance(data, Tensor) and not self.invert else data

    def _tk_terms(self, vocabulary: Any) -> list:
        array = strings_of(np.asarray(plain(vocabulary), dtype=object), "A vocabulary")
        return as_text(array, self.encoding, "A vocabulary") if array.size else []

    def _tk_tokens(self, data: Any) -> tuple[list, tuple[int, ...]]:
        array = strings_of(data, "StringLookup.adapt()")
        return as_text(array, self.encoding, "StringLookup.adapt()"), array.shape

    def call(self, inputs: Tensor | np.ndarray) -> Any:
        if not self.invert:
            return super().call(inputs)
        self._tk_check_ready()
        return self._tk_words(inputs)

    @not_compiled
    def _tk_words(self, inputs: Tensor | np.ndarray) -> Any:
        words = np.array([*self.get_vocabulary(), self.oov_token], dtype=object)
        numbers = convert_to_numpy(inputs).astype(np.int64)
        known = (numbers >= 0) & (numbers < len(words) - 1)
        return words[np.where(known, numbers, len(words) - 1)].tolist()

    @not_compiled
    def _tk_numbers(self, inputs: Tensor | np.ndarray) -> Tensor:
        words = strings_of(inputs, "StringLookup")
        items = as_text(words, self.encoding, "StringLookup")
        vocabulary = self._tk_vocabulary
        numbers = vocabulary.numbers(items, len(items), self._tk_default).reshape(words.shape)
        if self.num_oov_indices != 1:
            numbers = self._tk_hash_unknown(numbers, words)
        return to_tensor(numbers, None)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "encoding": self.encoding}
        del config["vocabulary_dtype"]  # it is always "string"
        return config
