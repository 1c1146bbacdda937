"""Texts to numbers: tokens by a vocabulary, or vectors that count them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from torchkeras.core import settings
from torchkeras.core.config.serialization import deserialize_keras_object
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Store
from torchkeras.layers.preprocessing.text import tokens as text
from torchkeras.layers.preprocessing.text.adapt_data import adapt_batches
from torchkeras.layers.preprocessing.text.host_layer import HostLayer, strings_of, to_tensor
from torchkeras.layers.preprocessing.text.index_lookup import OUTPUT_MODES
from torchkeras.layers.preprocessing.text.not_compiled import not_compiled
from torchkeras.layers.preprocessing.text.string_lookup import StringLookup

_OWN = "TextVectorization"


class TextVectorization(HostLayer):
    """Turn texts into numbers of their words, or into vectors that count them.

    A text is standardized, split into tokens, its tokens are joined to n-grams where wanted, and each token is looked
    up in a vocabulary that is given or learned by `adapt()`. With `"int"`, 0 is the number of the padding and 1 that of
    unknown tokens; in the other modes 0 is that of unknown tokens.

    Args:
        max_tokens: size of the vocabulary at most, with padding and unknown tokens; `None`: any. Default: `None`.
        standardize: `"lower_and_strip_punctuation"`, `"lower"`, `"strip_punctuation"` (letters and punctuation of
            ASCII), `None`, or a function from an array of `str` to one. Default: `"lower_and_strip_punctuation"`.
        split: `"whitespace"`, `"character"`, `None`, or a function from an array of `str` to rows of tokens. Default:
            `"whitespace"`.
        ngrams: join up to so many neighbouring tokens to one, or exactly the numbers in a tuple. Default: `None`.
        output_mode: form of the outputs. Default: `"int"`.
            `"int"`: the number of each token, rows padded with 0.
            `"multi_hot"`: a vector for each text, with a 1 for each token in it.
            `"count"`: a vector for each text that counts its tokens.
            `"tf_idf"`: as `"count"`, times the inverse document frequencies.
        output_sequence_length: length to which rows of `"int"` are cut or padded; `None`: that of the longest. Default:
            `None`.
        pad_to_max_tokens: whether vectors have `max_tokens` entries, however many terms there are. Default: `False`.
        vocabulary: the terms (list, tuple, array), or the path of a text file with a term per line. Default: `None`.
        idf_weights: inverse document frequency of each term, with `"tf_idf"` and a `vocabulary`. Default: `None`.
        sparse: must be `False`. Default: `False`.
        ragged: must be `False`. Default: `False`.
        encoding: encoding of inputs that are bytes. Default: `"utf-8"`.
        name: name of the layer. Default: `None`.
        **kwargs: other arguments of `Layer`, such as `trainable`.

    Call arguments:
        inputs: texts: a string, a list, an array or a column of pandas or pyarrow.

    Input shape:
        `(batch,)` or `(batch, 1)`; without `split` any.

    Output shape:
        With `"int"` `(batch, output_sequence_length)`, else `(batch, vocabulary size)`.

    Raises:
        ValueError: arguments that do not go together; a vocabulary with repeated terms; at the call: several texts in
            a row.
        RuntimeError: at the call: there is no vocabulary.

    Example:
        >>> layer = keras.layers.TextVectorization(output_sequence_length=4)
        >>> layer.adapt(["foo bar", "bar baz", "baz bada boom"])
        >>> layer(["Foo qux, bar!", "qux baz"]).tolist()
        [[4, 1, 3, 0], [1, 2, 0, 0]]
        >>> layer = keras.layers.TextVectorization(output_mode="count", vocabulary=["earth", "wind"])
        >>> layer(["wind and wind", "earth"]).tolist()
        [[1, 0, 2], [0, 1, 0]]
    """

    _tk_builds_weights = False

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: text.Standardize = "lower_and_strip_punctuation",
        split: text.Split = "whitespace",
        ngrams: int | tuple[int, ...] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Sequence[str] | np.ndarray | str | None = None,
        idf_weights: Sequence[float] | np.ndarray | None = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        for argument, value in (("sparse", sparse), ("ragged", ragged)):
            if value:
                raise ValueError(
                    f"`{argument}=True` can only be used with the TensorFlow backend. With torch, {_OWN} gives dense "
                    f"tensors: {'vectors' if argument == 'sparse' else 'rows padded with 0'}."
                )
        output_mode = {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(output_mode, output_mode)
        _check_choice("standardize", standardize, text.STANDARDIZE, open_to_others=True)
        _check_choice("split", split, text.SPLIT, open_to_others=True)
        _check_choice("output_mode", output_mode, OUTPUT_MODES)
        _check_lengths(ngrams, output_mode, output_sequence_length)
        fixed = kwargs.pop("has_input_vocabulary", vocabulary is not None)
        size = kwargs.pop("vocabulary_size", None)
        super().__init__(name=name, **kwargs)
        self.__dict__["_tk_autocast"] = False
        self.standardize, self.split, self.ngrams = standardize, split, ngrams
        self.output_mode, self.output_sequence_length = output_mode, output_sequence_length
        self.encoding = encoding
        self._tk_widths = range(1, ngrams + 1) if isinstance(ngrams, int) else ngrams
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            pad_to_max_tokens=pad_to_max_tokens,
            mask_token="",
            output_mode=output_mode,
            encoding=encoding,
            has_input_vocabulary=fixed,
            vocabulary_size=size,
        )
        self._lookup_layer.built = True  # its tables are asked, it is never called

    @property
    def compute_dtype(self) -> str:
        """The dtype of the inputs, `"string"`."""
        return "string"

    @property
    def variable_dtype(self) -> str:
        """The dtype of the vocabulary's terms, `"string"`."""
        return "string"

    # ------------------------------------------------------------------ the vocabulary

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary from texts: the tokens by falling count, ties by falling order; the old one is replaced.

        Args:
            data: list, array or column of texts; or batches of them: a torch `DataLoader` or `Dataset`, a `PyDataset`,
                a generator or another iterable (of batches that are tuples the first element counts).
            batch_size: not used. Default: `None`.
            steps: number of batches to read at most; `None`: all. Default: `None`.

        Raises:
            ValueError: the vocabulary was given to the constructor, or the texts hold no tokens.

        Example:
            >>> layer = keras.layers.TextVectorization()
            >>> layer.adapt(batch for batch in (["a b", "b"], ["b c"]))
            >>> layer.get_vocabulary()
            ['', '[UNK]', 'b', 'c', 'a']
        """
        self.reset_state()
        for batch in adapt_batches(data, steps, _OWN):
            self.update_state(batch)
        lookup = self._lookup_layer
        if not lookup._tk_fixed and not lookup._tk_counts.tokens:
            raise ValueError(
                f"{_OWN}.adapt() saw no tokens: the texts must hold at least one. Received: {type(data).__name__}"
            )
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Count the tokens of a batch of texts; `finalize_state()` makes the vocabulary.

        Args:
            data: texts.

        Raises:
            ValueError: the vocabulary was given to the constructor.
        """
        lookup = self._lookup_layer
        lookup._tk_refuse_if_fixed()
        found = self._tk_tokens(strings_of(data, f"{_OWN}.adapt()"))
        lengths = found.lengths
        if lengths is None:
            width = found.shape[-1] if found.shape else 1
            lengths = np.full(len(found.flat) // width if width else 0, width, np.int64)
        lookup._tk_counts.add(found.flat, lengths, bytes.decode)

    def finalize_state(self) -> None:
        """Make the vocabulary of the tokens counted, and forget the counts."""
        self._lookup_layer.finalize_state()

    def reset_state(self) -> None:
        """Forget the counts of `update_state`; a vocabulary that is there stays."""
        self._lookup_layer.reset_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """Return the terms in the order of their numbers.

        Args:
            include_special_tokens: whether padding and unknown tokens come first, so that the place of a term is its
                number. Default: `True`.

        Returns:
            A list of strings.
        """
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """Return the number of terms, with padding and unknown tokens."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(
        self, vocabulary: Sequence[str] | np.ndarray | str, idf_weights: Sequence[float] | np.ndarray | None = None
    ) -> None:
        """Replace the vocabulary, without looking at data.

        Args:
            vocabulary: the terms (list, tuple, array), or the path of a text file with a term per line.
            idf_weights: inverse document frequency of each term; with `"tf_idf"`, and only there. Default: `None`.

        Raises:
            ValueError: a term occurs twice or is reserved; there are none, or more than `max_tokens`; the file does
                not exist; the weights do not fit.
        """
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights=idf_weights)

    # ------------------------------------------------------------------ calling

    def _tk_tokens(self, texts: np.ndarray) -> text.Tokens:
        flat, shape = text.standardized(texts, self.standardize, self.encoding, _OWN)
        found = text.split_texts(flat, shape, self.split, _OWN)
        return found if self._tk_widths is None else text.joined(found, self._tk_widths)

    def call(self, inputs: np.ndarray) -> Tensor:
        self._lookup_layer._tk_check_ready()
        return self._lookup_layer._tk_encoded(self._tk_numbers(inputs))

    @not_compiled
    def _tk_numbers(self, inputs: np.ndarray) -> Tensor:
        """The number of each token, rows padded with the mask's."""
        lookup = self._lookup_layer
        flat, lengths, shape = self._tk_tokens(strings_of(inputs, _OWN))
        numbers = lookup._tk_vocabulary.numbers_of_bytes(flat, len(flat), lookup._tk_default)
        if lengths is None:
            numbers = numbers.reshape(shape)
            width = self.output_sequence_length
            if width is not None and shape:
                numbers = numbers[..., :width]
                missing = width - numbers.shape[-1]
                numbers = np.pad(numbers, [(0, 0)] * (numbers.ndim - 1) + [(0, missing)])
            return to_tensor(numbers, None)
        matrix = text.padded(numbers, lengths, self.output_sequence_length, lookup._tk_mask_number)
        return to_tensor(matrix.reshape(*shape, matrix.shape[1]), None)

    def build(self, input_shape: Any = None) -> None:
        """Do nothing: the layer has no weights."""
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        shape = tuple(input_shape)
        if self.output_mode == "int":
            return (*shape[:1], self.output_sequence_length)
        if self.split is None:
            shape = (*shape, 1) if len(shape) <= 1 else shape
        else:
            shape = (*(shape[:-1] if len(shape) > 1 else shape), None)
        return self._lookup_layer.compute_output_shape(shape)

    def compute_output_spec(self, inputs: KerasTensor) -> KerasTensor:
        dtype = "int64" if self.output_mode == "int" else settings.floatx()
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype)

    # ------------------------------------------------------------------ files

    def save_own_variables(self, store: Store) -> None:
        """Write the inverse document frequencies, if the layer has any.

        Args:
            store: takes an array by key.
        """
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Store) -> None:
        """Read what `save_own_variables` wrote.

        Args:
            store: gives an array by key.
        """
        self._lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path: str) -> None:
        """Write the vocabulary into `vocabulary.txt`, a term per line, unless the config holds it.

        Args:
            dir_path: folder.
        """
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: str) -> None:
        """Read what `save_assets` wrote.

        Args:
            dir_path: folder.
        """
        self._lookup_layer.load_assets(dir_path)

    def get_config(self) -> dict[str, Any]:
        lookup = self._lookup_layer
        return {
            **super().get_config(),
            "max_tokens": lookup.max_tokens,
            "standardize": self.standardize,
            "split": self.split,
            "ngrams": self.ngrams,
            "output_mode": self.output_mode,
            "output_sequence_length": self.output_sequence_length,
            "pad_to_max_tokens": lookup.pad_to_max_tokens,
            "sparse": False,
            "ragged": False,
            "vocabulary": lookup.input_vocabulary,
            "idf_weights": lookup.input_idf_weights,
            "encoding": self.encoding,
            "vocabulary_size": self.vocabulary_size(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TextVectorization:
        """Make a layer of a config; functions are found by their registered names."""
        config = dict(config)
        for name in ("standardize", "split"):
            if isinstance(config.get(name), dict):
                config[name] = deserialize_keras_object(config[name])
        if isinstance(config.get("ngrams"), list):
            config["ngrams"] = tuple(config["ngrams"])
        return cls(**config)


def _check_choice(name: str, value: object, allowed: tuple[str, ...], open_to_others: bool = False) -> None:
    if open_to_others and (value is None or callable(value)):
        return
    if value not in allowed:
        others = ", None, or a function" if open_to_others else ""
        raise ValueError(
            f"Unknown value for `{name}` argument of {_OWN}. Allowed values are: {allowed}{others}. Received: "
            f"{name}={value}"
        )


def _check_lengths(ngrams: object, output_mode: str, output_sequence_length: object) -> None:
    if not (
        ngrams is None
        or isinstance(ngrams, int)
        or (isinstance(ngrams, tuple) and all(isinstance(item, int) for item in ngrams))
    ):
        raise ValueError(f"`ngrams` must be None, an integer, or a tuple of integers. Received: ngrams={ngrams}")
    if output_mode != "int" and output_sequence_length is not None:
        raise ValueError(
            "`output_sequence_length` must not be set if `output_mode` is not 'int'. Received "
            f"output_sequence_length={output_sequence_length}."
        )
    if not (output_sequence_length is None or isinstance(output_sequence_length, int)):
        raise ValueError(
            "`output_sequence_length` must be either None or an integer when `output_mode` is 'int'. Received: "
            f"output_sequence_length={output_sequence_length}"
        )
