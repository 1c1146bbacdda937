"""Rows for conversions: a layer class, arguments, shape of the inputs; and the classes that torch has nothing for."""

from __future__ import annotations

from typing import Any

from tests.interop.layer_cases import ALL, Case

RECURRENT: list[Case] = [
    *(
        (name, {"units": 4, "return_sequences": sequences, **more}, (2, 6, 3))
        for name in ("LSTM", "GRU", "SimpleRNN")
        for sequences in (False, True)
        for more in ({}, {"use_bias": False}, {"go_backwards": True})
    ),
    ("LSTM", {"units": 4, "return_state": True}, (2, 6, 3)),
    ("GRU", {"units": 4, "return_state": True, "return_sequences": True}, (2, 6, 3)),
    ("SimpleRNN", {"units": 4, "activation": "relu"}, (2, 6, 3)),
]

BIDIRECTIONAL = [
    (kind, sequences, mode)
    for kind in ("LSTM", "GRU", "SimpleRNN")
    for sequences in (False, True)
    for mode in ("concat", "sum", "ave", "mul", None)
]

ATTENTION: list[tuple[str, dict[str, Any], Any]] = [
    ("MultiHeadAttention", {"num_heads": 3, "key_dim": 4}, [(2, 5, 12)]),
    ("MultiHeadAttention", {"num_heads": 3, "key_dim": 4}, [(2, 5, 12), (2, 7, 12)]),
    ("MultiHeadAttention", {"num_heads": 3, "key_dim": 4}, [(2, 5, 12), (2, 7, 6)]),
    ("MultiHeadAttention", {"num_heads": 3, "key_dim": 4, "use_bias": False}, [(2, 5, 12)]),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 5, "value_dim": 3, "output_shape": 7}, [(2, 5, 12)]),
    ("GroupQueryAttention", {"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2}, [(2, 5, 12)]),
    ("Attention", {}, [(2, 5, 4), (2, 7, 4)]),
    ("EinsumDense", {"equation": "abc,cd->abd", "output_shape": (None, 7), "bias_axes": "d"}, (2, 5, 4)),
    ("EinsumDense", {"equation": "...x,xyz->...yz", "output_shape": (3, 2)}, (2, 5, 4)),
]

# Layers without a counterpart, with what to_torch says of them.
REFUSED: dict[str, tuple[dict[str, Any], Any, str]] = {
    "GaussianNoise": ({"stddev": 0.3}, (2, 5), "nothing of its kind"),
    "GaussianDropout": ({"rate": 0.3}, (2, 5), "nothing of its kind"),
    "AdditiveAttention": ({}, [(2, 5, 4), (2, 7, 4)], "no products"),
    "StackedRNN": ({}, (2, 6, 3), "cells of their own"),
    "CategoryEncoding": ({"num_tokens": 5, "output_mode": "one_hot"}, ("int", 5, (2, 1)), "nothing of its kind"),
    "Discretization": ({"bin_boundaries": [0.0, 1.0]}, (2, 3), "nothing of its kind"),
}

# Rows of the table of layers that are refused for an argument.
REFUSED_ROWS = {
    ("Dropout", "noise_shape"): "noise_shape",
    ("BatchNormalization", "axis=2"): "axis 2",
    ("BatchNormalization", "renorm=True"): "no renormalization",
    ("LayerNormalization", "(1, 3)"): r"axes \[1, 3\]",
}

# Classes of which each row must convert, unless it is in REFUSED_ROWS. Others may be refused, by name.
CONVERTED = {
    "Dense", "Embedding", "Identity", "Masking", "Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax",
    "Rescaling", "ActivityRegularization", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum",
    "Concatenate", "Dot", "Flatten", "Reshape", "Permute", "RepeatVector", "Dropout", "AlphaDropout", "LSTM", "GRU",
    "SimpleRNN", "BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization",
    "UnitNormalization", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
    *(f"Conv{n}D{kind}" for n in (1, 2, 3) for kind in ("", "Transpose")),
    *(f"{kind}{n}D" for n in (1, 2, 3) for kind in (
        "MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling", "AdaptiveMaxPooling",
        "AdaptiveAveragePooling", "Cropping", "ZeroPadding", "UpSampling", "SpatialDropout")),
}  # fmt: skip

ROWS: list[Case] = [*ALL, *RECURRENT]


def refused_row(case: Case) -> str | None:
    """The words with which a row is refused."""
    name, kwargs, _ = case
    for (one, part), words in REFUSED_ROWS.items():
        if name == one and any(part in f"{key}={value}" for key, value in kwargs.items()):
            return words
    return REFUSED[name][2] if name in REFUSED else None
