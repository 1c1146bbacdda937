"""Image layers that apply other image layers at random: RandAugment and AugMix."""

from __future__ import annotations

import random as python_random
from collections.abc import Callable
from typing import Any, TypeAlias, Unpack

import torch
from torch import Tensor

from torchkeras.core.types import ArrayLike
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.preprocessing.image.affine import RandomRotation, RandomShear, RandomTranslation
from torchkeras.layers.preprocessing.image.base import (
    BaseImagePreprocessingLayer,
    Data,
    Factor,
    ImageOptions,
    Range,
    Transformation,
    images_of,
)
from torchkeras.layers.preprocessing.image.color import RandomColorDegeneration
from torchkeras.layers.preprocessing.image.histograms import AutoContrast, Equalization
from torchkeras.layers.preprocessing.image.light import (
    RandomBrightness,
    RandomContrast,
    RandomPosterization,
    Solarization,
)
from torchkeras.layers.preprocessing.image.seeded_draws import SeededDraws
from torchkeras.layers.preprocessing.image.sharpness import RandomSharpness

# A value under one layer, with that layer's own parameters.
Apply: TypeAlias = Callable[[BaseImagePreprocessingLayer, Any, Any], Any]


def make_part(name: str, policy: AugmentationPolicy) -> BaseImagePreprocessingLayer:
    """The layer of a name, of the strength and for the images of the policy that it is a part of."""
    factor, common = policy.factor, policy._tk_common()
    geometric = {"interpolation": policy.interpolation, "seed": policy.seed, **common}
    colors = {"value_range": policy.value_range, **common}
    seeded = {"seed": policy.seed, **colors}
    makers: dict[str, Callable[[], BaseImagePreprocessingLayer]] = {
        "random_shear": lambda: RandomShear(x_factor=factor, y_factor=factor, **geometric),
        "random_translation": lambda: RandomTranslation(height_factor=factor, width_factor=factor, **geometric),
        "random_rotation": lambda: RandomRotation(factor=factor, **geometric),
        "random_brightness": lambda: RandomBrightness(factor=factor, **seeded),
        "random_color_degeneration": lambda: RandomColorDegeneration(factor=factor, **seeded),
        "random_contrast": lambda: RandomContrast(factor=factor, **seeded),
        "random_sharpness": lambda: RandomSharpness(factor=factor, **seeded),
        "random_posterization": lambda: RandomPosterization(factor=max(1, int(8 * factor[1])), **seeded),
        "solarization": lambda: Solarization(addition_factor=factor, threshold_factor=factor, **seeded),
        "auto_contrast": lambda: AutoContrast(**colors),
        "equalization": lambda: Equalization(**colors),
    }
    return makers[name]()


class AugmentationPolicy(BaseImagePreprocessingLayer):
    """An image layer that applies others, its parts, each an attribute of its name."""

    keras_module = None
    _USE_BASE_FACTOR = False
    _FACTOR_BOUNDS = (0, 1)

    value_range: Range
    seed: int | None

    def _tk_common(self) -> dict[str, Any]:
        return {
            "data_format": self.data_format,
            "bounding_box_format": self.bounding_box_format,
            "dtype": self.dtype_policy,
        }

    def _tk_make_parts(self, names: tuple[str, ...]) -> None:
        for name in names:
            setattr(self, name, make_part(name, self))

    def transform_labels(self, labels: ArrayLike, transformation: Any = None, training: bool = True) -> Tensor:
        return self._tk_tensor(labels)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class RandAugment(AugmentationPolicy):
    """Apply some of eleven transformations to images during training, one after another, drawn at random.

    The transformations are shear, translation, rotation, brightness, color degeneration, contrast, sharpness,
    posterization, solarization, automatic contrast and equalization (Cubuk et al., "RandAugment", 2020). All images of
    a batch get the same ones, each with parameters of its own.

    Args:
        value_range: lowest and highest value of the images. Default: `(0, 255)`.
        num_ops: number of transformations. Default: `2`.
        factor: strength of the transformations, one number or two in [0, 1]. Default: `0.5`.
        interpolation: `"nearest"` or `"bilinear"`, for those that move pixels. Default: `"bilinear"`.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `bounding_box_format`, and `name`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and any of `"labels"`, `"bounding_boxes"`, `"segmentation_masks"`. Boxes
            and masks move with their images.
        training: whether to transform. Default: `True`.

    Input shape:
        `(height, width, 3)` or `(batch, height, width, 3)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `factor` is no number, or pair of numbers, in [0, 1].

    Example:
        >>> layer = keras.layers.RandAugment(num_ops=3, factor=0.3, seed=1)
        >>> layer(np.random.randint(0, 256, (2, 8, 8, 3)), training=True).shape
        torch.Size([2, 8, 8, 3])
    """

    _AUGMENT_LAYERS = (
        *("random_shear", "random_translation", "random_rotation", "random_brightness", "random_color_degeneration"),
        *("random_contrast", "random_sharpness", "random_posterization", "solarization", "auto_contrast"),
        "equalization",
    )

    def __init__(
        self,
        value_range: Range = (0, 255),
        num_ops: int = 2,
        factor: Factor = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range = value_range
        self.num_ops = num_ops
        self._set_factor(factor)
        self.interpolation = interpolation
        self.seed = seed
        self.generator = SeedGenerator(seed)
        self._tk_make_parts(self._AUGMENT_LAYERS)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> Transformation | None:
        """Return the numbers of the layers that are chosen, and the parameters of each layer by its name.

        Args:
            data: the images, or the dict with them.
            training: whether the call is one of training. Default: `True`.
            seed: source of the draws; `None` means the layer's own. Default: `None`.
        """
        if not training:
            return None
        source = self.generator if seed is None else seed
        # The host reads which layers are chosen: on the CPU it need not wait. A graph reads nothing.
        is_graph = torch.compiler.is_compiling() or images_of(data).device.type == "meta"
        draws = self._tk_draws(data, source) if is_graph else SeededDraws(source, torch.device("cpu"))
        chosen = draws.integers((self.num_ops,), 0, len(self._AUGMENT_LAYERS))
        parameters = {
            name: getattr(self, name).get_random_transformation(data, training=training, seed=source)
            for name in self._AUGMENT_LAYERS
        }
        return {"transforms": parameters, "layer_idxes": chosen}

    def _tk_apply(self, value: Any, transformation: Transformation, apply: Apply) -> Any:
        """A value under the layers that are chosen, one after another."""
        chosen = self._tk_tensor(transformation["layer_idxes"])
        parts = [(getattr(self, name), parameters) for name, parameters in transformation["transforms"].items()]
        if not torch.compiler.is_compiling() and chosen.device.type != "meta":
            for index in chosen.tolist():
                value = apply(parts[index][0], value, parts[index][1])
            return value
        for step in range(self.num_ops):
            before = value
            for index, (part, parameters) in enumerate(parts):
                after = apply(part, before, parameters)
                value = after if index == 0 else _where(chosen[step] == index, after, value)
        return value

    def transform_images(self, images: ArrayLike, transformation: Any, training: bool = True) -> Tensor:
        images = self._tk_cast(self._tk_tensor(images))
        if not training:
            return images
        return self._tk_apply(images, transformation, lambda part, *given: part.transform_images(*given))

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return bounding_boxes
        return self._tk_apply(
            bounding_boxes, transformation, lambda part, *given: part.transform_bounding_boxes(*given)
        )

    def transform_segmentation_masks(
        self, segmentation_masks: ArrayLike, transformation: Any, training: bool = True
    ) -> Tensor:
        masks = self._tk_tensor(segmentation_masks)
        if not training:
            return masks
        return self._tk_apply(masks, transformation, lambda part, *given: part.transform_segmentation_masks(*given))


def _where(condition: Tensor, first: Any, second: Any) -> Any:
    """The first value or the second, tensors or dicts of them."""
    if isinstance(first, dict):
        return {key: _where(condition, first[key], second[key]) for key in first}
    return torch.where(condition, first, second)


class AugMix(AugmentationPolicy):
    """Mix images with the results of random chains of transformations during training.

    Each chain applies up to `chain_depth` transformations. The chains are mixed by weights of a Dirichlet distribution,
    and the mixture with the images by a weight of a beta distribution, one for the batch (Hendrycks et al., "AugMix",
    2020). Segmentation masks are mixed alike; bounding boxes stay as they are.

    Args:
        value_range: lowest and highest value of the images. Default: `(0, 255)`.
        num_chains: number of chains. Default: `3`.
        chain_depth: number of transformations of a chain, some of which leave the images alone. Default: `3`.
        factor: strength of the transformations, one number or two in [0, 1]. Default: `0.3`.
        alpha: parameter of the two distributions. Default: `1.0`.
        all_ops: whether the transformations of `RandAugment` are used, or only those without brightness, color
            degeneration, contrast and sharpness. Default: `True`.
        interpolation: `"nearest"` or `"bilinear"`, for those that move pixels. Default: `"bilinear"`.
        seed: int that makes the layer's draws repeatable, but for the choice of transformations, which Python's
            generator makes, as in Keras. Without a seed, draws come from torch's global generator. Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None` means `keras.config.image_data_format()`.
            Default: `None`.
        **kwargs: `bounding_box_format`, and `name`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        data: images, or a dict of `"images"` and any of `"labels"`, `"bounding_boxes"`, `"segmentation_masks"`.
        training: whether to transform. Default: `True`.

    Input shape:
        `(height, width, 3)` or `(batch, height, width, 3)`, in the order of `data_format`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `factor` is no number, or pair of numbers, in [0, 1].

    Example:
        >>> layer = keras.layers.AugMix(num_chains=2, factor=0.3, seed=1)
        >>> layer(np.random.randint(0, 256, (2, 8, 8, 3)), training=True).shape
        torch.Size([2, 8, 8, 3])
    """

    _SHAPES_AND_TABLES = (
        *("random_shear", "random_translation", "random_rotation", "random_posterization", "solarization"),
        *("auto_contrast", "equalization"),
    )
    _COLORS = ("random_brightness", "random_color_degeneration", "random_contrast", "random_sharpness")

    def __init__(
        self,
        value_range: Range = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: Factor = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[ImageOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range = value_range
        self.num_chains = num_chains
        self.chain_depth = chain_depth
        self._set_factor(factor)
        self.alpha = alpha
        self.all_ops = all_ops
        self.interpolation = interpolation
        self.seed = seed
        self.generator = SeedGenerator(seed)
        self._tk_part_names = self._SHAPES_AND_TABLES + (self._COLORS if all_ops else ())
        self._tk_make_parts(self._tk_part_names)

    def get_random_transformation(
        self, data: Data, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> Transformation | None:
        """Return the weights, and for each chain the names of its layers with their parameters.

        Args:
            data: the images, or the dict with them.
            training: whether the call is one of training. Default: `True`.
            seed: source of the draws; `None` means the layer's own. Default: `None`.
        """
        if not training:
            return None
        draws = self._tk_draws(data, seed)
        weights = draws.gamma((self.num_chains,), self.alpha)
        return {
            "chain_mixing_weights": weights / weights.sum(-1, keepdim=True),
            "weight_sample": draws.beta((), self.alpha, self.alpha),
            "chain_transforms": [self._tk_draw_chain(data) for _ in range(self.num_chains)],
        }

    def _tk_draw_chain(self, data: Data) -> list[Transformation]:
        chain = []
        for _ in range(self.chain_depth):
            name = python_random.choice([*self._tk_part_names, None])
            if name is not None:
                parameters = getattr(self, name).get_random_transformation(data, seed=self.generator)
                chain.append({"layer_name": name, "transformation": parameters})
        return chain

    def _tk_mixed(self, values: Tensor, transformation: Transformation, apply: Apply) -> Tensor:
        """Values mixed with what the chains make of them."""
        weights = self._tk_tensor(transformation["chain_mixing_weights"]).to(values.dtype)
        share = self._tk_tensor(transformation["weight_sample"]).to(values.dtype)
        mixture = values * share
        for weight, chain in zip(weights.unbind(), transformation["chain_transforms"]):
            augmented = values
            for link in chain:
                augmented = apply(getattr(self, link["layer_name"]), augmented, link["transformation"])
            mixture = torch.addcmul(mixture, augmented, (1 - share) * weight)
        return mixture

    def transform_images(self, images: ArrayLike, transformation: Any, training: bool = True) -> Tensor:
        images = self._tk_cast(self._tk_tensor(images))
        if not training:
            return images
        mixed = self._tk_mixed(images, transformation, lambda part, *given: part.transform_images(*given))
        return mixed.clamp_(*self.value_range)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        return bounding_boxes

    def transform_segmentation_masks(
        self, segmentation_masks: ArrayLike, transformation: Any, training: bool = True
    ) -> Tensor:
        masks = self._tk_tensor(segmentation_masks)
        if not training:
            return masks
        return self._tk_mixed(
            self._tk_cast(masks), transformation, lambda part, *given: part.transform_segmentation_masks(*given)
        )
