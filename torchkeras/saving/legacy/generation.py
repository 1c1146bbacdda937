"""The generation of Keras that wrote a config: 1, 2 or 3."""

from __future__ import annotations

from collections.abc import Iterator

from torchkeras.saving.legacy.types import Config

# Arguments that only layers of Keras 1 have.
_KERAS_1 = frozenset(
    "nb_filter nb_row nb_col border_mode subsample dim_ordering W_regularizer b_regularizer inner_activation "
    "dropout_W input_dtype subsample_length pool_length init".split()
)


def generation(config: Config, keras_version: str | None = None) -> int:
    """The major version of the Keras that wrote a config.

    Args:
        config: the serialized model.
        keras_version: the version that the file states, such as `"2.4.0"`. Default: the config's own `keras_version`
            if it has one; else the spelling decides.
    """
    stated = keras_version or config.get("keras_version")
    if isinstance(stated, str) and stated[:1].isdigit():
        return min(max(int(stated.split(".")[0][:3] or 1), 1), 3)
    spelled = {_spelling(row) for row in _rows(config)}
    return next((number for number in (1, 2) if number in spelled), 3)


def _rows(config: Config) -> Iterator[Config]:
    """The serialized layers: of a model its direct ones, else the object itself."""
    inner = config.get("config")
    yield config
    rows = inner.get("layers") if isinstance(inner, dict) else inner
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            yield row


def _spelling(row: Config) -> int:
    """The Keras that a layer's spelling is of, as far as it shows; 3 where it shows nothing."""
    inner = row.get("config")
    if isinstance(inner, list):
        return 2
    names = set(inner) if isinstance(inner, dict) else set()
    if names & _KERAS_1 or row.get("class_name") == "Merge":
        return 1
    nodes = row.get("inbound_nodes")
    has_lists = isinstance(nodes, list) and any(isinstance(node, list) for node in nodes)
    return 2 if has_lists or "batch_input_shape" in names or _is_old_module(row.get("module")) else 3


def _is_old_module(module: object) -> bool:
    """Whether it is where Keras 2 kept its models."""
    return isinstance(module, str) and ".engine." in module
