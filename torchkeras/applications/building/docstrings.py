"""One docstring for all networks, filled with the facts of each."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Facts:
    """The facts that the docstrings of a family state.

    Args:
        title: name of the family, such as `"ResNet"`.
        about: one or two sentences on the idea of the networks.
        paper: title, authors, year and arXiv number.
        module: its namespace in `keras.applications`.
        pixels: how pixels must be scaled, a sentence.
        own: for each argument that only the family takes, its description (without the default).
    """

    title: str
    about: str
    paper: str
    module: str
    pixels: str
    own: Mapping[str, str] = field(default_factory=dict)


SHARED = {
    "include_top": "whether the network ends with the classifier; without it, its last features are the output.",
    "weights": (
        '`"imagenet"` loads the weights that Keras publishes, from the cache or the network; `None` starts with '
        "random ones; anything else is the path of a file of weights."
    ),
    "input_tensor": "symbolic tensor to use as the images, such as the output of a layer; `None` makes an input.",
    "input_shape": (
        "sizes of an image, such as `(200, 200, 3)`, at least {least} high and wide; `None` means "
        "`({size}, {size}, 3)` with the classifier and any size without it. The published classifier takes its own "
        "size only."
    ),
    "pooling": (
        'head of a network without the classifier: `"avg"` or `"max"` reduce each channel to its mean or maximum; '
        "`None` keeps the images of features."
    ),
    "classes": "number of classes of the classifier; the published one has 1000.",
    "classifier_activation": (
        "activation of the classifier; `None` returns the logits. With published weights it must be `None` or "
        '`"softmax"`.'
    ),
    "name": "name of the model.",
}

# How the pixels of the images must be scaled.
CAFFE_PIXELS = (
    "Scale pixels of 0 to 255 with `keras.applications.{module}.preprocess_input`: it orders the channels as blue, "
    "green, red and subtracts the mean of ImageNet."
)
TF_PIXELS = "Scale pixels of 0 to 255 with `keras.applications.{module}.preprocess_input`, to values between -1 and 1."
TORCH_PIXELS = (
    "Scale pixels of 0 to 255 with `keras.applications.{module}.preprocess_input`: values of 0 to 1, normalized by "
    "mean and deviation of each channel of ImageNet."
)
RAW_PIXELS = "Give it pixels of 0 to 255: the network has a layer that scales them."

TEMPLATE = """Build the network {name}, with weights from ImageNet or random ones.

{about}

Paper: {paper}.

It has {parameters} parameters with the classifier of 1000 classes, which was trained on images of {size} by {size}
pixels.

{pixels}

To reuse the network for other classes, take it without the classifier, freeze it (`trainable = False`) and call it with
`training=False`, so that its batch normalizations keep their statistics.

Args:
{args}

Returns:
    A functional `keras.Model`. Its layers and weights have the names and the order of Keras's, so that files of
    weights go both ways.

Raises:
    ValueError: `weights` is neither `None`, `"imagenet"` nor a file; `classes` or `classifier_activation` do not fit
        the published classifier; `input_shape` is too small or has not three sizes.
    OSError: the file of weights is neither in the cache (`$KERAS_HOME/models`) nor can it be downloaded; the error
        names the address, the file and the folder.

Example:
    >>> model = keras.applications.{name}(weights=None, input_shape=({example}, {example}, 3), classes=10)
    >>> model.output_shape
    (None, 10)
"""


def docstring(
    facts: Facts, name: str, size: int, parameters: str, min_size: int, defaults: Mapping[str, object]
) -> str:
    """The docstring of one network."""
    described = {**SHARED, **facts.own}
    args = "\n".join(
        _paragraph(f"{key}: {described[key].format(size=size, least=min_size)} Default: `{_literal(defaults[key])}`.")
        for key in defaults
    )
    return TEMPLATE.format(
        name=name,
        about=textwrap.fill(facts.about, 120),
        paper=facts.paper,
        parameters=parameters,
        size=size,
        pixels=textwrap.fill(facts.pixels, 120),
        args=args,
        example=max(min_size, 32),
    )


@functools.cache
def _paragraph(argument: str) -> str:
    """The lines that describe an argument; most networks share them."""
    return textwrap.fill(
        argument,
        116,
        initial_indent="    ",
        subsequent_indent="        ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
