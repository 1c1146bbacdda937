"""Convolutions."""

from tests.ops.row import Row, floats

TYPES = ("float16", "bfloat16", "float64")
WINDOW = "a window of unknown size"
# What Keras makes of our graphs is what it makes of its own.
CRASH = "Keras crashes in its graphs of conv_transpose"
GROUPS = "Keras refuses groups in its graphs"


def row(name, inputs, *kernels, channels_first=False, dtypes=(), **config):
    """A row for inputs `(batch, *spatial, channels)` or, if `channels_first`, `(batch, channels, *spatial)`."""
    n, *spatial, c = inputs
    grouped = name == "conv" and kernels[0][-2] != c
    if channels_first:
        inputs, config = (n, c, *spatial), config | {"data_format": "channels_first"}
    return Row(
        name,
        (floats(*inputs), *(floats(*kernel) for kernel in kernels)),
        config,
        dtypes,
        unknown=WINDOW,
        reads=CRASH if name == "conv_transpose" else GROUPS if grouped else True,
        rtol=1e-4,
    )


ROWS = [
    row("conv", (2, 5, 6, 3), (2, 3, 3, 4), dtypes=TYPES),
    row("conv", (2, 8, 3), (3, 3, 4), padding="same"),
    row("conv", (2, 8, 3), (4, 3, 4), padding="same", strides=2),
    row("conv", (2, 8, 3), (2, 3, 4), dilation_rate=3, channels_first=True),
    row("conv", (2, 5, 6, 3), (2, 3, 3, 4), padding="same", strides=(2, 1)),
    row("conv", (2, 5, 6, 4), (3, 3, 2, 6), padding="same", dilation_rate=(1, 2)),
    row("conv", (2, 7, 7, 3), (3, 3, 3, 2), padding="same", strides=2, channels_first=True),
    row("conv", (1, 4, 4, 5, 2), (2, 1, 3, 2, 3), padding="same"),
    row("conv", (1, 4, 4, 5, 2), (2, 1, 3, 2, 3), padding="same", strides=[2, 1, 3], channels_first=True),
    row("depthwise_conv", (2, 5, 6, 3), (2, 3, 3, 2), dtypes=TYPES),
    row("depthwise_conv", (2, 8, 3), (3, 3, 2), padding="same", strides=2),
    row("depthwise_conv", (2, 5, 6, 3), (3, 2, 3, 1), padding="same", strides=2, channels_first=True),
    row("depthwise_conv", (1, 4, 4, 4, 2), (2, 2, 2, 2, 1), dilation_rate=2),
    row("separable_conv", (2, 5, 6, 3), (2, 3, 3, 2), (1, 1, 6, 4), dtypes=TYPES),
    row("separable_conv", (2, 8, 3), (3, 3, 2), (1, 6, 4), padding="same", strides=2),
    row("separable_conv", (2, 5, 6, 3), (2, 2, 3, 1), (1, 1, 3, 4), dilation_rate=2, channels_first=True),
    row("separable_conv", (1, 4, 4, 4, 2), (2, 2, 2, 2, 1), (1, 1, 1, 2, 3), padding="same"),
    row("conv_transpose", (2, 4, 5, 3), (2, 3, 4, 3), dtypes=TYPES),
    row("conv_transpose", (2, 5, 3), (3, 4, 3), strides=2),
    row("conv_transpose", (2, 5, 3), (2, 4, 3), strides=4, padding="same"),
    row("conv_transpose", (2, 5, 3), (3, 4, 3), strides=3, output_padding=2),
    row("conv_transpose", (2, 5, 3), (3, 4, 3), strides=2, output_padding=2),
    row("conv_transpose", (2, 4, 5, 3), (3, 2, 4, 3), strides=2, padding="same", channels_first=True),
    row("conv_transpose", (2, 4, 5, 3), (3, 3, 4, 3), strides=2, padding="same", output_padding=(1, 0)),
    row("conv_transpose", (2, 4, 5, 3), (3, 2, 4, 3), dilation_rate=(2, 1), padding="same"),
    row("conv_transpose", (1, 2, 3, 3, 2), (2, 2, 3, 3, 2), strides=(1, 2, 2), padding="same"),
]
