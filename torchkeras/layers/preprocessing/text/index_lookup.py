"""Numbers for the terms of a vocabulary: the common part of `StringLookup` and `IntegerLookup`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras.core import settings
from torchkeras.core.state import state
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import Store
from torchkeras.layers.preprocessing.encoding import encode, refuse_sparse
from torchkeras.layers.preprocessing.text.adapt_data import adapt_batches
from torchkeras.layers.preprocessing.text.hashing import checked_salt, hash_bins
from torchkeras.layers.preprocessing.text.host_layer import HostLayer
from torchkeras.layers.preprocessing.text.vocabulary import TokenCounts, Vocabulary, read_lines, repeated

OUTPUT_MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
FILE_NAME = "vocabulary.txt"
# Stands for the mask in the modes that drop it; an encoding leaves out negative numbers.
_DROPPED = -1
_UNKNOWN = -2


class IndexLookup(HostLayer):
    """Map terms of a vocabulary to numbers, or back. `StringLookup` and `IntegerLookup` document the arguments."""

    _tk_builds_weights = False
    # Python's type of a term.
    _tk_term: type = str

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: str | int | None,
        oov_token: str | int | None,
        vocabulary_dtype: str,
        vocabulary: Sequence[Any] | np.ndarray | Tensor | str | None = None,
        idf_weights: Sequence[float] | np.ndarray | Tensor | None = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        name: str | None = None,
        salt: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        output_mode = {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(output_mode, output_mode)
        own = type(self).__name__
        _check_arguments(own, max_tokens, num_oov_indices, pad_to_max_tokens, oov_method, output_mode, invert, sparse)
        if salt is not None:
            if vocabulary_dtype != "string" and oov_method != "farmhash":
                raise ValueError(
                    f"`salt` can only be used when `oov_method='farmhash'`. Received: oov_method={oov_method}"
                )
            salt = checked_salt(salt, own, "a tuple of 2 integers")
        if idf_weights is not None and output_mode != "tf_idf":
            raise ValueError(
                f"`idf_weights` should only be set if `output_mode` is `'tf_idf'`. Received: idf_weights={idf_weights} "
                f"and output_mode={output_mode}"
            )
        trainable = kwargs.pop("trainable", True)
        dtype = kwargs.pop("dtype", None)
        vocabulary_size = kwargs.pop("vocabulary_size", None)
        fixed = kwargs.pop("has_input_vocabulary", vocabulary is not None)
        super().__init__(name=name, trainable=trainable, dtype=dtype, autocast=False, **kwargs)
        self.invert = invert
        self.max_tokens = max_tokens
        self.num_oov_indices = num_oov_indices
        self.mask_token = mask_token
        self.oov_token = oov_token
        self.output_mode = output_mode
        self.sparse = sparse
        self.pad_to_max_tokens = pad_to_max_tokens
        self.vocabulary_dtype = vocabulary_dtype
        self.oov_method = oov_method
        self.salt = salt
        self.idf_weights: Tensor | None = None
        is_file = isinstance(vocabulary, (str, os.PathLike))
        # Not attributes that a layer tracks: a vocabulary may be long.
        self.__dict__.update(
            input_vocabulary=None if vocabulary is None or is_file else plain(vocabulary),
            input_idf_weights=None if idf_weights is None else plain(idf_weights),
            _tk_fixed=fixed,
            _tk_size=vocabulary_size,
            _tk_vocabulary=None,
            _tk_counts=TokenCounts(output_mode == "tf_idf"),
            _tk_sorted={},
            _tk_dense={},
        )
        if vocabulary is not None:
            if output_mode == "tf_idf" and idf_weights is None:
                raise ValueError(
                    "When specifying the `vocabulary` argument, in TF-IDF output mode, the `idf_weights` argument must "
                    "also be provided."
                )
            self.set_vocabulary(vocabulary, idf_weights)

    # ------------------------------------------------------------------ types

    @property
    def compute_dtype(self) -> str:
        """The dtype of the vocabulary's terms."""
        return self.vocabulary_dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype of the vocabulary's terms."""
        return self.vocabulary_dtype

    # ------------------------------------------------------------------ the vocabulary

    @property
    def _tk_first_oov(self) -> int:
        return 1 if self.mask_token is not None and self.output_mode == "int" else 0

    @property
    def _tk_first_term(self) -> int:
        return self._tk_first_oov + self.num_oov_indices

    def _tk_special(self) -> list:
        return [self.mask_token] * self._tk_first_oov + [self.oov_token] * self.num_oov_indices

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """Return the terms in the order of their numbers.

        Args:
            include_special_tokens: whether the tokens for masked and unknown inputs come first, so that the place of a
                term is its number. Default: `True`.

        Returns:
            A list.
        """
        terms = [] if self._tk_vocabulary is None else self._tk_vocabulary.terms
        return [*self._tk_special(), *terms] if include_special_tokens else list(terms)

    def vocabulary_size(self) -> int:
        """Return the number of terms, with those for masked and unknown inputs."""
        return self._tk_first_term + (0 if self._tk_vocabulary is None else len(self._tk_vocabulary))

    def set_vocabulary(
        self,
        vocabulary: Sequence[Any] | np.ndarray | Tensor | str,
        idf_weights: Sequence[float] | np.ndarray | Tensor | None = None,
    ) -> None:
        """Replace the vocabulary, without looking at data.

        Args:
            vocabulary: the terms (list, tuple, array or tensor), or the path of a text file with a term per line. The
                tokens for masked and unknown inputs may come first, all or none.
            idf_weights: inverse document frequency of each term; with `"tf_idf"`, and only there. Default: `None`.

        Raises:
            ValueError: a term occurs twice or is reserved; there are none, or more than `max_tokens`; the file does
                not exist; the weights do not fit.
        """
        if self.output_mode == "tf_idf":
            if idf_weights is None:
                raise ValueError("`idf_weights` must be set if output_mode is 'tf_idf'.")
        elif idf_weights is not None:
            raise ValueError(
                f"`idf_weights` should only be set if output_mode is `'tf_idf'`. Received: "
                f"output_mode={self.output_mode} and idf_weights={idf_weights}"
            )
        if isinstance(vocabulary, (str, os.PathLike)):
            given, terms, has_special = (terms := self._tk_from_file(vocabulary)), terms, False
        else:
            given = self._tk_terms(vocabulary)
            special = self._tk_special()
            has_special = given[: len(special)] == special
            terms = given[len(special) :] if has_special else given
        if not given:
            raise ValueError(f"Cannot set an empty vocabulary. Received: vocabulary={vocabulary}")
        self._tk_check_terms(terms)
        self._tk_set_terms(terms)
        if idf_weights is not None:
            self._tk_set_idf(idf_weights, len(given), has_special)

    def _tk_from_file(self, path: str | os.PathLike[str]) -> list:
        if getattr(state, "safe_mode", None):
            raise ValueError(
                "Requested the loading of a vocabulary file outside of the model archive. This carries a potential "
                "risk of loading arbitrary and sensitive files and thus it is disallowed by default. If you trust the "
                "source of the artifact, you can override this error by passing `safe_mode=False` to the loading "
                f"function, or calling `keras.config.enable_unsafe_deserialization(). Vocabulary file: '{path}'"
            )
        lines = read_lines(path, self._tk_file_encoding)
        if self.output_mode == "tf_idf":
            raise ValueError("output_mode `'tf_idf'` does not support loading a vocabulary from file.")
        return self._tk_parsed(lines, path)

    _tk_file_encoding = "utf-8"

    def _tk_parsed(self, lines: list[str], path: str | os.PathLike[str]) -> list:
        """The terms of the lines of a file."""
        if self._tk_term is str:
            return lines
        for number, line in enumerate(lines, 1):
            try:
                int(line)
            except ValueError as error:
                raise ValueError(
                    f"A vocabulary file of {type(self).__name__} must have an integer per line. Received: "
                    f"{line[:60]!r} in line {number} of {path}."
                ) from error
        return [int(line) for line in lines]

    def _tk_terms(self, vocabulary: Sequence | np.ndarray | Tensor) -> list:
        """Given terms as Python's strings or integers."""
        raise NotImplementedError(f"{type(self).__name__} must define _tk_terms().")

    def _tk_check_terms(self, terms: list) -> None:
        doubles = repeated(terms)
        if doubles:
            raise ValueError(
                "The passed vocabulary has at least one repeated term. Please uniquify your dataset. The repeated "
                f"terms are: {doubles[:20]}"
            )
        reserved = [("mask", self.mask_token, True), ("OOV", self.oov_token, self.invert)]
        for kind, token, matters in reserved:
            if matters and token is not None and token in terms:
                raise ValueError(
                    f"Found reserved {kind} token at unexpected location in `vocabulary`. Note that passed "
                    "`vocabulary` does not need to include the OOV and mask tokens. Either remove all mask and OOV "
                    "tokens, or include them only at the start of the vocabulary in precisely this order: "
                    f"{self._tk_special()}. Received: {kind.lower()}_token={token} at vocabulary index "
                    f"{terms.index(token)}"
                )
        size = self._tk_first_term + len(terms)
        if self.max_tokens is not None and size > self.max_tokens:
            raise ValueError(
                "Attempted to set a vocabulary larger than the maximum vocab size. Received vocabulary size is "
                f"{size}; `max_tokens` is {self.max_tokens}."
            )

    def _tk_set_terms(self, terms: list) -> None:
        masked = {} if self.mask_token is None else {self.mask_token: self._tk_mask_number}
        self.__dict__.update(_tk_vocabulary=Vocabulary(terms, self._tk_first_term, masked), _tk_sorted={}, _tk_dense={})
        self._tk_note_size()

    def _tk_note_size(self) -> None:
        size = self.vocabulary_size()
        known = self._tk_size
        if self.output_mode != "int" and not self.pad_to_max_tokens and known is not None and size != known:
            raise RuntimeError(
                f"When using `output_mode={self.output_mode}` and `pad_to_max_tokens=False`, the vocabulary size "
                f"cannot be changed after the layer is called. Old vocab size is {known}, new vocab size is {size}"
            )
        self.__dict__["_tk_size"] = size

    def _tk_set_idf(self, idf_weights: Any, number_given: int, has_special: bool) -> None:
        weights = np.asarray(plain(idf_weights), "float64")
        if len(weights) != number_given:
            raise ValueError(
                f"`idf_weights` must be the same length as vocabulary. len(idf_weights) is {len(weights)}; "
                f"len(vocabulary) is {number_given}"
            )
        if weights.ndim != 1:
            raise ValueError(f"TF-IDF data must be a 1-index array. Received: shape {weights.shape}")
        if not has_special:  # nobody counted the unknown terms: they weigh the average
            weights = np.concatenate([np.full(self._tk_first_term, weights.mean()), weights])
        self._tk_pad_idf(weights)

    def _tk_pad_idf(self, weights: np.ndarray) -> None:
        if self.pad_to_max_tokens and self.max_tokens is not None:
            weights = np.pad(weights, (0, max(0, self.max_tokens - len(weights))))
        self.idf_weights = torch.as_tensor(weights, dtype=torch_dtype(settings.floatx()))

    # ------------------------------------------------------------------ learning it

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary from data: the tokens by falling count, ties by falling order; the old one is replaced.

        Args:
            data: list, array, tensor or column of tokens; or batches of them: a torch `DataLoader` or `Dataset`, a
                `PyDataset`, a generator or another iterable (of batches that are tuples the first element counts).
            steps: number of batches to read at most; `None`: all. Default: `None`.

        Raises:
            ValueError: the vocabulary was given to the constructor, or the data holds no tokens.
        """
        self.reset_state()
        for batch in adapt_batches(data, steps, type(self).__name__):
            self.update_state(batch)
        if not self._tk_fixed and not self._tk_counts.tokens:
            raise ValueError(
                f"{type(self).__name__}.adapt() saw no tokens: the data must hold at least one. Received: "
                f"{type(data).__name__}"
            )
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Count the tokens of a batch; `finalize_state()` makes the vocabulary.

        Args:
            data: tokens; a row is a document, and so are data without rows.

        Raises:
            ValueError: the vocabulary was given to the constructor.
        """
        self._tk_refuse_if_fixed()
        tokens, shape = self._tk_tokens(data)
        width = shape[-1] if shape else 1
        rows = len(tokens) // width if width else 0
        self._tk_counts.add(tokens, np.full(rows, width, np.int64))

    def _tk_refuse_if_fixed(self) -> None:
        if self._tk_fixed:
            raise ValueError(
                f"Cannot adapt layer '{self.name}' after setting a static vocabulary via `vocabulary` argument or "
                "`set_vocabulary()` method."
            )

    def _tk_tokens(self, data: Any) -> tuple[list, tuple[int, ...]]:
        """The tokens of a batch as a flat list, and the shape of the batch."""
        raise NotImplementedError(f"{type(self).__name__} must define _tk_tokens().")

    def finalize_state(self) -> None:
        """Make the vocabulary of the tokens counted, and forget the counts."""
        counts = self._tk_counts
        if self._tk_fixed or not counts.tokens:
            self._tk_note_size()
            return
        limit = None if not self.max_tokens else max(0, self.max_tokens - self._tk_first_term)
        terms = counts.most_frequent({self.mask_token, self.oov_token} - {None}, limit)
        self._tk_set_terms(terms)
        if self.output_mode == "tf_idf":
            weights = counts.idf(terms)
            front = np.full(self._tk_first_term, weights.mean() if len(weights) else 0.0)
            self._tk_pad_idf(np.concatenate([front, weights]))
        self.reset_state()

    def reset_state(self) -> None:
        """Forget the counts of `update_state`; a vocabulary that is there stays."""
        if not self._tk_fixed:
            self.__dict__["_tk_counts"] = TokenCounts(self.output_mode == "tf_idf")

    # ------------------------------------------------------------------ calling

    def call(self, inputs: Tensor | np.ndarray) -> Tensor:
        self._tk_check_ready()
        return self._tk_encoded(self._tk_numbers(inputs))

    def _tk_check_ready(self) -> None:
        """Raise `RuntimeError` if there is no vocabulary yet."""
        if self._tk_vocabulary is None:
            mode = (
                ""
                if self.output_mode == "int" or self.pad_to_max_tokens
                else (f"When using `output_mode={self.output_mode}` and `pad_to_max_tokens=False`, y")
            )
            raise RuntimeError(
                f"{mode or 'Y'}ou must set the layer's vocabulary before calling it. Either pass a `vocabulary` "
                f"argument to the layer, or call `adapt` with some sample data. Received: {type(self).__name__} "
                f"{self.name!r} without a vocabulary."
            )

    def _tk_encoded(self, numbers: Tensor) -> Tensor:
        """The numbers in the form of the output mode."""
        if self.output_mode == "int":
            return numbers
        depth = self.max_tokens if self.pad_to_max_tokens else self._tk_size
        if self.output_mode == "one_hot" or numbers.ndim > 2:
            mode = "count" if self.output_mode == "tf_idf" else self.output_mode
            out = encode(numbers, mode, depth, "int64")  # type: ignore[arg-type]
        else:
            out = bags(numbers, depth)  # type: ignore[arg-type]
            out = out.clamp_(max=1) if self.output_mode == "multi_hot" else out
        if self.output_mode != "tf_idf":
            return out
        weights = self.idf_weights
        if weights is None:
            raise ValueError("When `output_mode` is `'tf_idf'`, `idf_weights` must be provided.")
        return out.to(weights.dtype) * weights.to(out.device)

    def _tk_numbers(self, inputs: Tensor | np.ndarray) -> Tensor:
        """The number of each input."""
        raise NotImplementedError(f"{type(self).__name__} must define _tk_numbers().")

    @property
    def _tk_default(self) -> int:
        """The number of an unknown term where there is one for all of them."""
        return self._tk_first_oov if self.num_oov_indices == 1 else _UNKNOWN

    @property
    def _tk_mask_number(self) -> int:
        return 0 if self.output_mode == "int" else _DROPPED

    def _tk_hash_unknown(self, numbers: np.ndarray, inputs: Tensor | np.ndarray) -> np.ndarray:
        """The numbers, with those of unknown terms found by their hash."""
        unknown = np.flatnonzero(numbers.reshape(-1) == _UNKNOWN)
        if not unknown.size or state.symbolic:
            return numbers
        values = inputs.reshape(-1)[
            torch.from_numpy(unknown).to(inputs.device) if isinstance(inputs, Tensor) else unknown
        ]
        if self.num_oov_indices == 0:
            found = convert_to_numpy(values).ravel().tolist()
            raise ValueError(
                "When `num_oov_indices=0` all inputs should be in vocabulary, found OOV values "
                f"{found[:10]}{' and more' if len(found) > 10 else ''}, consider setting `num_oov_indices=1`."
            )
        if isinstance(values, Tensor) and self.oov_method != "farmhash":
            bins = convert_to_numpy(values) % self.num_oov_indices
        else:
            bins = hash_bins(values, self.num_oov_indices, self.salt, type(self).__name__)
        numbers = numbers.copy()
        numbers.reshape(-1)[unknown] = bins + self._tk_first_oov
        return numbers

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        if self.output_mode == "int":
            return input_shape
        depth = self.max_tokens if self.pad_to_max_tokens else self._tk_size
        shape = tuple(input_shape)
        if self.output_mode == "one_hot" and (len(shape) <= 1 or shape[-1] != 1):
            return (*shape, depth)
        return (*shape[:-1], depth)

    def compute_output_spec(self, inputs: KerasTensor) -> KerasTensor:
        dtype = "int64" if self.output_mode == "int" else settings.floatx()
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype)

    # ------------------------------------------------------------------ files

    def build(self, input_shape: Any = None) -> None:
        """Do nothing: the layer has no weights."""
        self.built = True

    def get_build_config(self) -> dict[str, Any]:
        """Return an empty dict: the layer needs no shapes."""
        return {}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Mark the layer as built.

        Args:
            config: not used.
        """
        self.build(None)

    def save_own_variables(self, store: Store) -> None:
        """Write the inverse document frequencies, if the layer has any.

        Args:
            store: takes an array by key.
        """
        if self.output_mode == "tf_idf" and self.idf_weights is not None:
            store["idf_weights"] = self.idf_weights

    def load_own_variables(self, store: Store) -> None:
        """Read what `save_own_variables` wrote.

        Args:
            store: gives an array by key.
        """
        if self.output_mode == "tf_idf" and "idf_weights" in store:
            self.idf_weights = torch.as_tensor(np.asarray(store["idf_weights"]), dtype=torch_dtype(settings.floatx()))

    def save_assets(self, dir_path: str) -> None:
        """Write the vocabulary into `vocabulary.txt`, a term per line, unless the config holds it.

        Args:
            dir_path: folder.
        """
        if self.input_vocabulary is not None:
            return
        lines = "\n".join(str(term) for term in self.get_vocabulary())
        with open(os.path.join(dir_path, FILE_NAME), "w", encoding="utf-8", newline="\n") as file:
            file.write(lines)

    def load_assets(self, dir_path: str) -> None:
        """Read what `save_assets` wrote.

        Args:
            dir_path: folder.
        """
        path = os.path.join(dir_path, FILE_NAME)
        if self.input_vocabulary is not None or not os.path.exists(path):
            return
        terms = self._tk_parsed_specials(read_lines(path, "utf-8"), path)
        if not terms:
            return
        if self.output_mode == "tf_idf":
            weights = self.idf_weights
            if weights is None:
                return
            self._tk_check_terms(terms)
            self._tk_set_terms(terms)
            self.idf_weights = weights
        else:
            self._tk_check_terms(terms)
            self._tk_set_terms(terms)

    def _tk_parsed_specials(self, lines: list[str], path: str) -> list:
        """The terms of a file that begins with the tokens for masked and unknown inputs."""
        special = [str(token) for token in self._tk_special()]
        if lines[: len(special)] == special:
            lines = lines[len(special) :]
        return self._tk_parsed(lines, path)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "invert": self.invert,
            "max_tokens": self.max_tokens,
            "num_oov_indices": self.num_oov_indices,
            "oov_token": self.oov_token,
            "mask_token": self.mask_token,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "pad_to_max_tokens": self.pad_to_max_tokens,
            "vocabulary_dtype": self.vocabulary_dtype,
            "idf_weights": self.input_idf_weights,
            "vocabulary": self.input_vocabulary,
            "vocabulary_size": self._tk_size,
            "oov_method": self.oov_method,
            "salt": None if self.salt is None else list(self.salt),
        }


def bags(numbers: Tensor, depth: int) -> Tensor:
    """For each row of numbers, how often each number occurs in it; negative ones count as nothing.

    Args:
        numbers: integer tensor `(numbers,)` or `(batch, numbers)`.
        depth: size of the vocabulary.

    Returns:
        An int64 tensor `(depth,)` or `(batch, depth)`.
    """
    rows = numbers.reshape(1, -1) if numbers.ndim < 2 else numbers
    counts = torch.zeros(rows.shape[0], depth + 1, dtype=torch.int64, device=rows.device)
    counts.scatter_add_(1, torch.where(rows < 0, depth, rows), torch.ones_like(rows))
    return counts[0, :depth] if numbers.ndim < 2 else counts[:, :depth]


def plain(values: Any) -> list[Any]:
    """Terms or weights as a list of Python's own values."""
    if isinstance(values, Tensor):
        values = convert_to_numpy(values)
    if hasattr(values, "tolist"):
        return values.tolist()
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def _check_arguments(
    layer: str,
    max_tokens: int | None,
    num_oov_indices: int,
    pad_to_max_tokens: bool,
    oov_method: str,
    output_mode: str,
    invert: bool,
    sparse: bool,
) -> None:
    if max_tokens is not None and max_tokens <= 1:
        raise ValueError(f"If set, `max_tokens` must be greater than 1. Received: max_tokens={max_tokens}")
    if pad_to_max_tokens and max_tokens is None:
        raise ValueError(f"If pad_to_max_tokens is True, must set `max_tokens`. Received: max_tokens={max_tokens}")
    if num_oov_indices < 0:
        raise ValueError(
            f"`num_oov_indices` must be greater than or equal to 0. Received: num_oov_indices={num_oov_indices}"
        )
    choices = (("oov_method", oov_method, ("floormod", "farmhash")), ("output_mode", output_mode, OUTPUT_MODES))
    for name, value, allowed in choices:
        if value not in allowed:
            raise ValueError(
                f"Unknown value for `{name}` argument of {layer}. Allowed values are: {allowed}. Received: "
                f"{name}={value}"
            )
    if invert and output_mode != "int":
        raise ValueError(f"`output_mode` must be `'int'` when `invert` is true. Received: output_mode={output_mode}")
    if sparse and output_mode == "int":
        raise ValueError(
            "`sparse` may only be true if `output_mode` is `'one_hot'`, `'multi_hot'`, `'count'` or `'tf_idf'`. "
            f"Received: sparse={sparse} and output_mode={output_mode}"
        )
    refuse_sparse(sparse, layer)
