"""Images: colours, sizes, borders, patches, filters."""

import keras
import numpy as np

from tests.ops.row import Row, floats, ints

FIRST = {"data_format": "channels_first"}
FLOATS = ("float16", "bfloat16", "float64")
INTS = ("uint8", "int32")
WHOLE = "integers"


def unit(*shape):
    """Pixels in [0, 1)."""
    return floats(*shape, low=0.0, high=1.0)


def pixels(*shape, dtype="uint8"):
    """Whole numbers up to 255."""
    return ints(*shape, low=0, high=256 if dtype != "int8" else 128, dtype=dtype)


COLORS = [
    row
    for name in ("image.rgb_to_grayscale", "image.rgb_to_hsv", "image.hsv_to_rgb")
    for row in (
        Row(name, (unit(2, 4, 5, 3),), dtypes=FLOATS),
        Row(name, (floats(4, 5, 3),)),
        Row(name, (unit(2, 3, 4, 5),), FIRST),
        Row(name, (lambda rng: rng.integers(0, 3, (2, 5, 6, 3)).astype("float32") / 2,), gradient="kinks"),
    )
]
GRAY = [
    Row("image.rgb_to_grayscale", (unit(2, 4, 5, 1),)),
    *(Row("image.rgb_to_grayscale", (pixels(9, 8, 3, dtype=dtype),), gradient=WHOLE) for dtype in INTS),
]


def lanczos(images, size, interpolation, antialias):
    """Resizing as scaling without moving."""
    shape = (len(images), *size, images.shape[-1])
    scale = np.array([new / old for new, old in zip(size, images.shape[1:3], strict=True)], "float32")
    return keras.ops.image.scale_and_translate(
        images, shape, scale, np.zeros(2, "float32"), (1, 2), interpolation, antialias
    )


RESIZED = [
    *(
        Row(
            "image.resize",
            (unit(2, 9, 7, 3),),
            {"size": size, "interpolation": how, "antialias": smooth},
            dtypes=FLOATS[2:] if smooth else FLOATS,
        )
        for how in ("nearest", "bilinear", "bicubic")
        for smooth in (False, True)
        for size in ((4, 5), (11, 10))
    ),
    *(
        Row("image.resize", (unit(*shape, 2),), {"size": size, flag: True, "fill_value": fill})
        for shape in ((9, 7), (8, 13))
        for size in ((5, 5), (3, 10), (12, 4))
        for flag, fill in (("crop_to_aspect_ratio", 0.0), ("pad_to_aspect_ratio", 0.5))
    ),
    Row("image.resize", (unit(2, 3, 9, 7),), {"size": (4, 5), **FIRST}),
    Row("image.resize", (unit(3, 9, 7),), {"size": (4, 5), "pad_to_aspect_ratio": True, **FIRST}),
    *(
        Row("image.resize", (pixels(2, 6, 5, 3, dtype=dtype),), {"size": (9, 4), "interpolation": how}, gradient=WHOLE)
        for dtype in (*INTS, "int64")
        for how in ("nearest", "bilinear", "bicubic")
    ),
    *(
        Row(
            "image.resize",
            (unit(2, *shape, 3),),
            {"size": (7, 5), "interpolation": how, "antialias": True},
            keras="Keras has Lanczos's kernels in scale_and_translate alone",
            reference=lanczos,
        )
        for how in ("lanczos3", "lanczos5")
        for shape in ((12, 4), (3, 9))
    ),
    Row(
        "image.resize",
        (pixels(6, 5, 3),),
        {"size": (4, 4), "pad_to_aspect_ratio": True, "fill_value": 7},
        gradient=WHOLE,
    ),
]


SCALED = [
    *(
        Row(
            "image.scale_and_translate",
            (unit(2, 6, 7, 3), (2, 5, 9, 3), floats(2, low=0.4, high=1.8), floats(2)),
            {"spatial_dims": (1, 2), "method": method, "antialias": smooth},
            gradient="kinks",
            rtol=1e-4,
        )
        for method in ("linear", "cubic", "lanczos3", "lanczos5")
        for smooth in (True, False)
    ),
    Row(
        "image.scale_and_translate",
        (pixels(6, 7), (6, 9), floats(1, low=1.4, high=1.8), floats(1, low=0.0, high=0.4)),
        {"spatial_dims": (1,), "method": "trilinear"},
        gradient=WHOLE,
    ),
]

# The numbers of the upper and the left side, then of the lower and the right, then the resulting size.
SIDES = {
    "two sides": lambda kind: {f"{side}_{kind}": i for i, side in enumerate(("top", "left", "bottom", "right"))},
    "before and size": lambda kind: {f"top_{kind}": 1, f"left_{kind}": 0},
    "after and size": lambda kind: {f"bottom_{kind}": 0, f"right_{kind}": 2},
}
BORDERED = [
    Row(f"image.{name}", (draw,), SIDES[way](kind) | (target if way != "two sides" else {}) | extra, gradient=gradient)
    for name, kind, target in (
        ("pad_images", "padding", {"target_height": 9, "target_width": 11}),
        ("crop_images", "cropping", {"target_height": 4, "target_width": 3}),
    )
    for way in SIDES
    for draw, extra, gradient in (
        (floats(2, 6, 7, 3), {}, True),
        (floats(3, 6, 7), FIRST, True),
        (pixels(2, 6, 7, 3), {}, WHOLE),
    )
]
PATCHES = [
    *(
        Row("image.extract_patches", (floats(2, 9, 8, 3),), config | padding, dtypes=FLOATS[2:])
        for config in ({"size": 3}, {"size": (2, 3), "strides": (1, 2)}, {"size": 2, "strides": 1, "dilation_rate": 3})
        for padding in ({}, {"padding": "same"})
    ),
    Row("image.extract_patches", (floats(3, 9, 8),), {"size": (3, 2), "strides": 1, **FIRST}),
    Row(
        "image.reconstruct_patches",
        (floats(2, 3, 2, 12),),
        {"size": 2},
        keras="of Keras 3.16",
        reads="of Keras 3.16",
        reference=lambda x, size: x.reshape(2, 3, 2, 2, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 6, 4, 3),
        unknown="sizes are compared",
    ),
    Row("image.extract_patches", (pixels(2, 9, 8, 3),), {"size": 3}, gradient=WHOLE),
    Row("image.extract_patches", (floats(1, 5, 6, 7, 2),), {"size": (2, 3, 2), "strides": 2, "padding": "same"}),
    Row("image.extract_patches", (floats(2, 5, 6, 7),), {"size": (2, 3, 2), **FIRST}),
    *(
        Row("image.extract_patches_3d", (floats(1, 6, 5, 7, 2),), {"size": 2, "strides": 1} | config)
        for config in ({}, {"padding": "same"}, {"dilation_rate": (2, 1, 3)})
    ),
]


def blurred(images, kernel_size, sigma=(1.0, 1.0), data_format="channels_last"):
    """The blur by its definition in float64: sizes are across and down, zeros lie around."""
    weights = []
    for size, width in zip(kernel_size, sigma, strict=True):
        gauss = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / width) ** 2)
        weights.append(gauss / gauss.sum())
    borders = [((size - 1) // 2, size // 2) for size in kernel_size]
    padded = np.pad(images.astype("float64"), [(0, 0), borders[1], borders[0], (0, 0)])
    height, width = images.shape[1:3]
    windows = [
        weights[1][i] * weights[0][j] * padded[:, i : i + height, j : j + width]
        for i in range(kernel_size[1])
        for j in range(kernel_size[0])
    ]
    return sum(windows)


LAST = {"data_format": "channels_last"}
FILTERED = [
    Row("image.gaussian_blur", (unit(2, 8, 7, 3),), {"kernel_size": (3, 3), **LAST}, dtypes=FLOATS),
    Row("image.gaussian_blur", (unit(8, 7, 3),), {"kernel_size": (5, 5), "sigma": (0.7, 2.0), **LAST}),
    Row("image.gaussian_blur", (unit(3, 8, 7),), {"kernel_size": [5, 5], **FIRST}),
    *(
        Row(
            "image.gaussian_blur",
            (unit(2, 8, 7, 3),),
            {"kernel_size": size, "sigma": (0.7, 2.0)},
            keras="takes channels first unless told, adds to the size for even kernels, mixes up those not square",
            reference=blurred,
        )
        for size in ((3, 5), (4, 3), (2, 6))
    ),
    Row(
        "image.gaussian_blur",
        (pixels(2, 8, 7, 3),),
        {"kernel_size": (3, 5)},
        gradient=WHOLE,
        keras="fails on integers",
        reference=lambda images, kernel_size: blurred(images, kernel_size).round(),
    ),
    Row("image.sobel_edges", (unit(2, 5, 6, 3),), dtypes=FLOATS),
    Row("image.sobel_edges", (unit(2, 3, 5, 6),), FIRST),
    *(Row("image.sobel_edges", (pixels(2, 5, 6, 1, dtype=dtype),), gradient=WHOLE) for dtype in INTS),
    Row("image.ssim", (unit(2, 13, 12, 3), unit(2, 13, 12, 3)), dtypes=FLOATS, rtol=1e-4),
    Row(
        "image.ssim", (unit(13, 12, 3), unit(13, 12, 3)), {"filter_size": 7, "filter_sigma": 1.0, "k1": 0.02}, rtol=1e-4
    ),
    Row("image.ssim", (unit(2, 3, 13, 12), unit(2, 3, 13, 12)), {"max_val": 2.0, "k2": 0.1, **FIRST}, rtol=1e-4),
    Row(
        "image.ssim",
        (pixels(2, 13, 12, 3), pixels(2, 13, 12, 3)),
        {"max_val": 255.0},
        gradient=WHOLE,
        keras="cuts the likeness of integers to an integer",
        reference=lambda a, b, max_val: keras.ops.image.ssim(a.astype("float32"), b.astype("float32"), max_val),
        rtol=1e-3,
    ),
]
ROWS = [*COLORS, *GRAY, *RESIZED, *SCALED, *BORDERED, *PATCHES, *FILTERED]
