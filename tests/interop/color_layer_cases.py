"""Image layers that change colors or mix images: rows of class, arguments, and arguments for images from 0 to 1."""

from __future__ import annotations

from typing import Any, NamedTuple


class Case(NamedTuple):
    """A layer. `unit` are further arguments for images with values from 0 to 1; `None` if the layer has no range."""

    name: str
    arguments: dict[str, Any]
    unit: dict[str, Any] | None = {"value_range": (0, 1)}
    atol: float = 1e-3

    @property
    def id(self) -> str:
        return "-".join([self.name, *(f"{key}={value}" for key, value in self.arguments.items())])


CASES = [
    Case("RandomBrightness", {"factor": 0.4}),
    Case("RandomBrightness", {"factor": (-0.7, 0.2)}),
    Case("RandomContrast", {"factor": 0.6}),
    Case("RandomContrast", {"factor": (0.1, 0.9)}),
    Case("RandomInvert", {}),
    Case("RandomInvert", {"factor": (0.3, 0.9)}),
    Case("RandomPosterization", {"factor": 6}),
    Case("RandomPosterization", {"factor": (3, 3)}),
    Case("Solarization", {"addition_factor": 0.4, "threshold_factor": (0.2, 0.7)}),
    Case("RandomColorDegeneration", {"factor": 0.8}),
    Case("RandomGrayscale", {"factor": 0.5}, None),
    Case("RandomHue", {"factor": 0.9}, atol=0.02),
    Case("RandomHue", {"factor": (0.2, 0.3)}, atol=0.02),
    Case("RandomSaturation", {"factor": (0.1, 0.9)}, atol=0.02),
    Case("RandomSharpness", {"factor": 0.9}),
    Case("AutoContrast", {}),
    Case("Equalization", {}),
    Case("Equalization", {"bins": 64}),
    Case("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (2, 3)}),
    Case("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (3, 2), "clip_limit": 0.0}),
    Case(
        "RandomColorJitter", {"brightness_factor": 0.3, "hue_factor": 0.4, "saturation_factor": (0.2, 0.8)}, atol=0.02
    ),
    Case("RandomColorJitter", {"contrast_factor": 0.3}),
    Case("MixUp", {"alpha": 0.6}, None),
    Case("CutMix", {}, None),
    Case("CutMix", {"factor": (0.4, 0.8)}, None),
]
