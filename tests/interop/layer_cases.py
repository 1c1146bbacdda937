"""Rows for the comparison of layers with Keras: class, arguments, input shape (`int` first: integers below that)."""

from __future__ import annotations

from typing import Any

Case = tuple[str, dict[str, Any], Any]

CORE: list[Case] = [
    ("Dense", {"units": 4}, (3, 5)),
    ("Dense", {"units": 4, "activation": "relu", "use_bias": False}, (2, 3, 5)),
    (
        "Dense",
        {"units": 2, "activation": "softmax", "kernel_regularizer": "l2", "bias_initializer": "ones"},
        (3, 2, 2, 5),
    ),
    ("Embedding", {"input_dim": 7, "output_dim": 3}, ("int", 7, (2, 4))),
    ("Embedding", {"input_dim": 7, "output_dim": 3, "mask_zero": True}, ("int", 7, (4,))),
    ("ReversibleEmbedding", {"input_dim": 7, "output_dim": 3}, ("int", 7, (2, 4))),
    (
        "ReversibleEmbedding",
        {"input_dim": 7, "output_dim": 3, "tie_weights": False, "mask_zero": True, "logit_soft_cap": 2.0},
        ("int", 7, (2, 4)),
    ),
    ("Identity", {}, (2, 3)),
    ("Masking", {"mask_value": 0.0}, (2, 4, 3)),
    ("Activation", {"activation": "tanh"}, (2, 3)),
    ("ReLU", {}, (3, 4)),
    ("ReLU", {"max_value": 0.8, "negative_slope": 0.2, "threshold": 0.1}, (3, 4)),
    ("LeakyReLU", {}, (3, 4)),
    ("LeakyReLU", {"negative_slope": 0.1}, (3, 4)),
    ("ELU", {"alpha": 0.7}, (3, 4)),
    ("PReLU", {"alpha_initializer": "ones"}, (3, 4)),
    ("PReLU", {"alpha_initializer": "ones", "shared_axes": [1, 2]}, (2, 3, 4, 5)),
    ("Softmax", {}, (3, 4)),
    ("Softmax", {"axis": 1}, (3, 4, 2)),
    ("Softmax", {"axis": [1, 2]}, (3, 4, 2)),
    ("Rescaling", {"scale": 0.5, "offset": -1.0}, (2, 3)),
    ("Rescaling", {"scale": [0.5, 2.0, 3.0]}, (2, 4, 4, 3)),
    ("ActivityRegularization", {"l1": 0.1, "l2": 0.2}, (2, 3)),
]

CONVOLUTIONAL: list[Case] = [
    ("Conv1D", {"filters": 4, "kernel_size": 3}, (2, 8, 3)),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}, (2, 8, 3)),
    ("Conv1D", {"filters": 4, "kernel_size": 2, "padding": "causal", "strides": 3}, (2, 8, 3)),
    ("Conv1D", {"filters": 4, "kernel_size": 4, "padding": "same", "strides": 2, "activation": "relu"}, (2, 9, 3)),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "padding": "SAME", "data_format": "channels_first"}, (2, 3, 8)),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "groups": 2, "use_bias": False}, (2, 8, 6)),
    ("Conv2D", {"filters": 4, "kernel_size": 3}, (2, 6, 7, 3)),
    ("Conv2D", {"filters": 4, "kernel_size": (3, 2), "padding": "same"}, (2, 6, 7, 3)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same", "strides": 2}, (2, 6, 7, 3)),
    ("Conv2D", {"filters": 4, "kernel_size": 2, "padding": "same", "strides": (3, 1)}, (2, 7, 5, 3)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "dilation_rate": (1, 2), "activation": "tanh"}, (2, 6, 7, 3)),
    ("Conv2D", {"filters": 6, "kernel_size": 3, "groups": 3, "padding": "same"}, (2, 6, 7, 3)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "data_format": "channels_first", "strides": 2}, (2, 3, 6, 7)),
    ("Conv3D", {"filters": 4, "kernel_size": 2}, (2, 4, 5, 4, 3)),
    ("Conv3D", {"filters": 4, "kernel_size": (2, 3, 1), "padding": "same", "strides": 2}, (2, 4, 5, 4, 3)),
    ("Conv3D", {"filters": 4, "kernel_size": 3, "data_format": "channels_first", "padding": "same"}, (2, 3, 4, 5, 4)),
    ("Conv1DTranspose", {"filters": 4, "kernel_size": 3}, (2, 5, 3)),
    ("Conv1DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}, (2, 5, 3)),
    ("Conv1DTranspose", {"filters": 4, "kernel_size": 2, "strides": 3, "data_format": "channels_first"}, (2, 3, 5)),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2}, (2, 4, 5, 3)),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": 4, "strides": 2, "padding": "same"}, (2, 4, 5, 3)),
    (
        "Conv2DTranspose",
        {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 1},
        (2, 4, 5, 3),
    ),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": 3, "dilation_rate": 2, "activation": "relu"}, (2, 4, 5, 3)),
    ("Conv3DTranspose", {"filters": 2, "kernel_size": 2, "strides": 3, "padding": "same"}, (2, 2, 3, 2, 3)),
    ("DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"}, (2, 8, 3)),
    ("DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "padding": "same"}, (2, 6, 7, 3)),
    ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 3, "data_format": "channels_first"}, (2, 3, 6, 7)),
    ("SeparableConv1D", {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}, (2, 8, 3)),
    ("SeparableConv2D", {"filters": 4, "kernel_size": 3, "depth_multiplier": 2, "activation": "relu"}, (2, 6, 7, 3)),
]

POOLING: list[Case] = [
    *((f"{kind}Pooling1D", {"pool_size": k, "strides": s, "padding": p}, (2, 9, 3))
      for kind in ("Max", "Average") for k, s, p in [(2, None, "valid"), (3, 2, "same"), (3, 1, "same"), (4, 3, "same"),
                                                     (4, 1, "same"), (2, 3, "same")]),
    ("MaxPooling1D", {"data_format": "channels_first"}, (2, 3, 8)),
    *((f"{kind}Pooling2D", {"pool_size": k, "strides": s, "padding": p}, (2, 7, 8, 3))
      for kind in ("Max", "Average") for k, s, p in [((2, 2), None, "valid"), (3, 2, "same"), ((2, 3), 1, "same"),
                                                     (4, (3, 2), "same"), (1, 2, "same")]),
    ("AveragePooling2D", {"pool_size": 3, "data_format": "channels_first", "padding": "same"}, (2, 3, 7, 8)),
    *((f"{kind}Pooling3D", {"pool_size": k, "padding": p}, (2, 4, 5, 6, 3))
      for kind in ("Max", "Average") for k, p in [(2, "valid"), ((2, 3, 2), "same")]),
    *((f"Global{kind}Pooling{rank}D", {"keepdims": keepdims, "data_format": data_format}, (2, *range(4, 4 + rank), 3))
      for kind in ("Max", "Average") for rank in (1, 2, 3) for keepdims in (False, True)
      for data_format in ("channels_last", "channels_first")),
    *((f"Adaptive{kind}Pooling{rank}D", {"output_size": 3}, (2, *range(5, 5 + rank), 3))
      for kind in ("Max", "Average") for rank in (1, 2, 3)),
]  # fmt: skip

NORMALIZATION: list[Case] = [
    ("BatchNormalization", {}, (5, 3)),
    ("BatchNormalization", {"momentum": 0.8, "epsilon": 1e-5, "scale": False}, (4, 6, 3)),
    ("BatchNormalization", {"center": False}, (2, 4, 5, 3)),
    ("BatchNormalization", {"center": False, "scale": False}, (2, 3, 4, 2, 3)),
    ("BatchNormalization", {"axis": 1}, (2, 3, 4, 5)),
    ("BatchNormalization", {"axis": 2}, (2, 3, 4, 5)),
    ("BatchNormalization", {}, (1, 3)),
    ("BatchNormalization", {"trainable": False}, (5, 3)),
    ("BatchNormalization", {"renorm": True, "momentum": 0.9, "renorm_momentum": 0.8, "scale": False}, (5, 3)),
    ("BatchNormalization", {"renorm": True, "renorm_clipping": {"rmax": 1.1, "rmin": 0.9, "dmax": 0.1}}, (2, 4, 5, 3)),
    ("LayerNormalization", {}, (2, 4, 6)),
    ("LayerNormalization", {"axis": [1, 2], "epsilon": 1e-5}, (2, 4, 6)),
    ("LayerNormalization", {"axis": 2, "center": False}, (2, 4, 6)),
    ("LayerNormalization", {"axis": (1, 3), "scale": False}, (2, 4, 3, 6)),
    ("GroupNormalization", {"groups": 2}, (2, 3, 4, 6)),
    ("GroupNormalization", {"groups": -1, "axis": 1, "scale": False}, (2, 6, 4, 3)),
    # Ten values per group: of two that are almost equal Keras computes the variance with an error of 3e-4.
    ("GroupNormalization", {"groups": 3, "center": False}, (2, 5, 6)),
    ("RMSNormalization", {}, (2, 4, 6)),
    ("RMSNormalization", {"axis": [1, 2]}, (2, 4, 6)),
    ("UnitNormalization", {}, (2, 4, 6)),
    ("UnitNormalization", {"axis": (1, 2)}, (2, 4, 6)),
]

MERGING: list[Case] = [
    *((name, {}, [(2, 3, 4), (2, 3, 4)]) for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")),
    *((name, {}, [(2, 3, 4), (2, 1, 4), (2, 4)]) for name in ("Add", "Multiply", "Average", "Maximum", "Minimum")),
    ("Concatenate", {}, [(2, 3, 4), (2, 3, 1)]),
    ("Concatenate", {"axis": 1}, [(2, 3, 4), (2, 1, 4), (2, 2, 4)]),
    ("Dot", {"axes": 1}, [(2, 3), (2, 3)]),
    ("Dot", {"axes": (2, 1)}, [(2, 3, 4), (2, 4, 5)]),
    ("Dot", {"axes": -1, "normalize": True}, [(2, 3, 4), (2, 5, 4)]),
    ("Dot", {"axes": (1, 3)}, [(2, 3, 4), (2, 5, 6, 3)]),
]

RESHAPING: list[Case] = [
    ("Flatten", {}, (2, 3, 4)),
    ("Flatten", {"data_format": "channels_first"}, (2, 3, 4, 5)),
    ("Flatten", {}, (2,)),
    ("Reshape", {"target_shape": (2, 6)}, (2, 3, 4)),
    ("Reshape", {"target_shape": [-1, 2, 1]}, (2, 3, 4)),
    ("Permute", {"dims": (2, 1)}, (2, 3, 4)),
    ("RepeatVector", {"n": 3}, (2, 4)),
    ("Cropping1D", {"cropping": (1, 0)}, (2, 5, 3)),
    ("Cropping2D", {"cropping": ((1, 0), (0, 2))}, (2, 5, 6, 3)),
    ("Cropping2D", {"cropping": (1, 2), "data_format": "channels_first"}, (2, 3, 5, 6)),
    ("Cropping3D", {"cropping": 1}, (2, 4, 5, 6, 3)),
    ("ZeroPadding1D", {"padding": (1, 2)}, (2, 5, 3)),
    ("ZeroPadding1D", {"data_format": "channels_first"}, (2, 3, 5)),
    ("ZeroPadding2D", {"padding": ((1, 0), (0, 2))}, (2, 5, 6, 3)),
    ("ZeroPadding2D", {"data_format": "channels_first", "padding": (1, 2)}, (2, 3, 5, 6)),
    ("ZeroPadding3D", {}, (2, 2, 3, 2, 3)),
    ("UpSampling1D", {"size": 3}, (2, 4, 3)),
    ("UpSampling2D", {"size": (2, 3)}, (2, 4, 5, 3)),
    ("UpSampling2D", {"interpolation": "bilinear", "data_format": "channels_first"}, (2, 3, 4, 5)),
    ("UpSampling2D", {"interpolation": "bicubic"}, (2, 4, 5, 3)),
    ("UpSampling3D", {"size": 2}, (2, 2, 3, 2, 3)),
]

REGULARIZATION: list[Case] = [
    ("Dropout", {"rate": 0.4, "seed": 11}, (6, 5)),
    ("Dropout", {"rate": 0.4, "seed": 11, "noise_shape": (None, 1, None)}, (4, 3, 5)),
    ("Dropout", {"rate": 0.0}, (6, 5)),
    ("Dropout", {"rate": 1.0}, (6, 5)),
    ("SpatialDropout1D", {"rate": 0.5, "seed": 3}, (4, 3, 5)),
    ("SpatialDropout2D", {"rate": 0.5, "seed": 3}, (4, 3, 2, 5)),
    ("SpatialDropout2D", {"rate": 0.5, "seed": 3, "data_format": "channels_first"}, (4, 5, 3, 2)),
    ("SpatialDropout3D", {"rate": 0.5, "seed": 3}, (4, 3, 2, 2, 5)),
    ("GaussianNoise", {"stddev": 0.3, "seed": 5}, (6, 5)),
    ("GaussianDropout", {"rate": 0.3, "seed": 5}, (6, 5)),
    ("AlphaDropout", {"rate": 0.3, "seed": 5}, (6, 5)),
]

AUDIO: list[Case] = [
    ("MelSpectrogram", {"fft_length": 64, "sequence_stride": 16, "num_mel_bins": 8}, (2, 200)),
    (
        "MelSpectrogram",
        {
            "fft_length": 64,
            "sequence_length": 40,
            "sequence_stride": 20,
            "num_mel_bins": 5,
            "sampling_rate": 8000,
            "max_freq": 3000.0,
            "power_to_db": False,
            "mag_exp": 1.0,
            "window": "hamming",
        },
        (2, 128),
    ),
    (
        "MelSpectrogram",
        {"fft_length": 64, "num_mel_bins": 4, "top_db": 10.0, "ref_power": 2.0, "window": None},
        (3, 90),
    ),
    *(
        ("STFTSpectrogram", {"mode": mode, "frame_length": 16, "frame_step": 5, **more}, (2, 50, 3))
        for mode in ("log", "magnitude", "psd", "real", "imag", "stft")
        for more in ({}, {"expand_dims": True, "padding": "same"})
    ),
    *(
        (
            "STFTSpectrogram",
            {"frame_length": 12, "data_format": "channels_first", "scaling": scaling, **more},
            (2, 3, 40),
        )
        for scaling in ("spectrum", None)
        for more in ({"window": None}, {"expand_dims": True, "fft_length": 32, "periodic": True})
    ),
]

ALL = [*CORE, *AUDIO, *CONVOLUTIONAL, *POOLING, *NORMALIZATION, *MERGING, *RESHAPING, *REGULARIZATION]


def case_id(case: Case) -> str:
    name, kwargs, shape = case
    return f"{name}-{'-'.join(f'{k}={v}' for k, v in kwargs.items())}-{shape}".replace(" ", "")


def shapes(shape: Any) -> Any:
    """The shape, or list of shapes, of a row's inputs."""
    return shape[2] if shape[0] == "int" else shape


def draw_inputs(shape: Any, rng: Any) -> Any:
    """Random inputs of a row, as NumPy arrays."""
    if shape[0] == "int":
        return rng.integers(0, shape[1], shape[2])
    if isinstance(shape, list):
        return [rng.normal(size=one).astype("float32") for one in shape]
    return rng.normal(size=shape).astype("float32")
