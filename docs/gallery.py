"""Draw docs/gallery.png: each layer that transforms images, on a sample image with a bounding box.

    python docs/gallery.py

The sample images are those that scikit-learn ships.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_image

import torchkeras as keras

HEIGHT, WIDTH, TITLE, GAP, COLUMNS = 96, 144, 15, 6, 6
FLOWER_BOX, TEMPLE_BOX = [0.28, 0.19, 0.72, 0.86], [0.08, 0.05, 0.48, 0.72]
YELLOW = (255, 214, 0)

# Name, arguments. The factors are chosen so that the effect is seen.
LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("Resizing", {"height": HEIGHT // 2, "width": WIDTH // 2}),
    ("CenterCrop", {"height": HEIGHT // 2, "width": WIDTH // 2}),
    ("RandomCrop", {"height": HEIGHT * 2 // 3, "width": WIDTH * 2 // 3}),
    ("RandomFlip", {"mode": "vertical"}),
    ("RandomRotation", {"factor": (0.08, 0.1)}),
    ("RandomTranslation", {"height_factor": (0.2, 0.3), "width_factor": (0.2, 0.3)}),
    ("RandomZoom", {"height_factor": (0.4, 0.5)}),
    ("RandomShear", {"x_factor": (0.3, 0.4), "fill_mode": "constant"}),
    ("RandomPerspective", {"scale": 0.6}),
    ("RandomElasticTransform", {"scale": 0.9}),
    ("RandomErasing", {"scale": (0.1, 0.2), "fill_value": 90}),
    ("RandomGaussianBlur", {"kernel_size": 9, "sigma": (1.0, 1.0)}),
    ("RandomBrightness", {"factor": (0.35, 0.35)}),
    ("RandomContrast", {"factor": (0.0, 1.0)}),
    ("RandomInvert", {"factor": (1.0, 1.0)}),
    ("RandomPosterization", {"factor": (2, 2)}),
    ("Solarization", {"threshold_factor": (0.5, 0.5)}),
    ("RandomColorDegeneration", {"factor": (0.8, 0.8)}),
    ("RandomGrayscale", {"factor": 1.0}),
    ("RandomHue", {"factor": (0.6, 0.6)}),
    ("RandomSaturation", {"factor": (0.2, 0.2)}),
    ("RandomColorJitter", {"brightness_factor": (0.1, 0.1), "hue_factor": (0.3, 0.3)}),
    ("RandomSharpness", {"factor": (0.0, 0.0)}),
    ("AutoContrast", {}),
    ("Equalization", {}),
    ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (4, 6)}),
    ("MixUp", {"alpha": 8.0}),
    ("CutMix", {"factor": (1.0, 1.0)}),
    ("Mosaic", {}),
    ("RandAugment", {"num_ops": 3, "factor": 0.4}),
    ("AugMix", {}),
]
# Of the layers that leave images alone at times, a draw that does not.
SEEDS = {"RandomFlip": 0, "RandomPerspective": 0, "RandomErasing": 0, "CutMix": 1}
WITHOUT_BOXES = {"CutMix", "RandomElasticTransform"}


def samples() -> dict[str, Any]:
    """A batch of both sample images, with a box each."""
    images = np.stack([load_sample_image(name) for name in ("flower.jpg", "china.jpg")]).astype("float32")
    images = keras.ops.image.resize(images, (HEIGHT, WIDTH), antialias=True).clamp(0, 255)
    return {
        "images": images,
        "bounding_boxes": {"boxes": np.array([[FLOWER_BOX], [TEMPLE_BOX]], "float32"), "labels": np.array([[0], [1]])},
    }


def transformed(name: str, arguments: dict[str, Any]) -> np.ndarray:
    """The first sample under a layer, with its boxes."""
    keras.utils.set_random_seed(SEEDS.get(name, 4))
    layer, data = getattr(keras.layers, name)(**arguments, bounding_box_format="rel_xyxy"), samples()
    if name in WITHOUT_BOXES:
        del data["bounding_boxes"]
    return with_boxes(layer(data, training=True))


def with_boxes(data: dict[str, Any]) -> np.ndarray:
    if "bounding_boxes" not in data:
        return np.asarray(data["images"][0]).clip(0, 255).astype("uint8")
    return keras.visualization.draw_bounding_boxes(
        data["images"].round(), data["bounding_boxes"], "rel_xyxy", color=YELLOW, line_thickness=1
    )[0]


def main() -> None:
    shown = [("the image", with_boxes(samples()))]
    shown += [(name, transformed(name, arguments)) for name, arguments in LAYERS]
    rows = -(-len(shown) // COLUMNS)
    cell_width, cell_height = WIDTH + GAP, HEIGHT + TITLE + GAP
    page = Image.new("RGB", (COLUMNS * cell_width - GAP, rows * cell_height - GAP), "white")
    drawing = ImageDraw.Draw(page)
    for index, (name, image) in enumerate(shown):
        x, y = index % COLUMNS * cell_width, index // COLUMNS * cell_height
        size = 10 if len(name) < 26 else 7
        drawing.text((x, y + TITLE - 3), name, fill="black", font=ImageFont.load_default(size=size), anchor="ls")
        page.paste(Image.fromarray(image), (x, y + TITLE))
    # A palette makes the file a third as large.
    page.quantize(256, dither=Image.Dither.NONE).save(Path(__file__).with_suffix(".png"), optimize=True)


if __name__ == "__main__":
    main()
