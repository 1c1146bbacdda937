"""A family of networks as a table: what its variants share, and the function that each variant becomes.

1. check `weights`, `classes` and the family's own arguments
2. find the shape of the images, and make the input
3. features: the family's own function, with the numbers of the variant
4. the classifier, or a pooling, or nothing
5. the model, and its weights if any are asked for
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

from torchkeras import activations, layers
from torchkeras.applications.building.docstrings import Facts, docstring
from torchkeras.applications.building.input_shapes import ImageShape, image_input, obtain_input_shape, sources
from torchkeras.applications.building.weight_files import WeightFile, check_weights, load
from torchkeras.core import settings
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Identifier
from torchkeras.models.model import Model

Constructor: TypeAlias = Callable[..., Model]

SHARED: dict[str, Any] = {
    "include_top": True,
    "weights": "imagenet",
    "input_tensor": None,
    "input_shape": None,
    "pooling": None,
    "classes": 1000,
    "classifier_activation": "softmax",
    "name": None,
}
ORDER = tuple(SHARED)


@dataclass
class Arguments:
    """The arguments of a call of a variant; `own` has those that only its family takes."""

    include_top: bool
    weights: str | None
    input_tensor: KerasTensor | torch.Tensor | None
    input_shape: ImageShape | None
    pooling: str | None
    classes: int
    classifier_activation: Identifier | None
    name: str | None
    own: dict[str, Any]

    @property
    def pretrained(self) -> bool:
        return self.weights == "imagenet"


@dataclass(frozen=True)
class Variant:
    """One network of a family.

    Args:
        name: name of the function, such as `"ResNet50"`.
        model_name: default name of the model; `None` where the family makes one of the arguments.
        size: height and width of the images that the weights were trained on.
        parameters: number of parameters in words, such as `"25.6 million"`.
        numbers: keyword arguments of the family's `features`.
    """

    name: str
    model_name: str | None
    size: int
    parameters: str
    numbers: Mapping[str, Any]


def dense_classifier(x: KerasTensor, arguments: Arguments, **options: Any) -> KerasTensor:
    """The usual classifier: the mean of each channel, then one dense layer."""
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return layers.Dense(arguments.classes, activation=arguments.classifier_activation, name="predictions", **options)(x)


def named_poolings(x: KerasTensor, arguments: Arguments) -> KerasTensor:
    """The pooling over all pixels that the user asks for, under the name `avg_pool` or `max_pool`."""
    return pooled(x, arguments.pooling, "avg_pool", "max_pool")


def unnamed_poolings(x: KerasTensor, arguments: Arguments) -> KerasTensor:
    """The pooling over all pixels that the user asks for, under an automatic name."""
    return pooled(x, arguments.pooling, None, None)


def pooled(x: KerasTensor, pooling: str | None, average: str | None, maximum: str | None) -> KerasTensor:
    if pooling == "avg":
        return layers.GlobalAveragePooling2D(name=average)(x)
    return layers.GlobalMaxPooling2D(name=maximum)(x) if pooling == "max" else x


@dataclass(frozen=True)
class Family:
    """The parts and the settings that the variants of a family share.

    Args:
        facts: for the docstrings: the paper, the scaling of the pixels, descriptions of own arguments.
        features: `features(image, arguments, **numbers)`: the network without a head.
        weight_file: `weight_file(variant, arguments)`: the published file of weights.
        classifier: `classifier(x, arguments)`: the head of a call with `include_top=True`.
        poolings: `poolings(x, arguments)`: the head of any other call.
        min_size: smallest height and width of an image.
        own: arguments that only this family takes, and their defaults.
        order: all arguments, in Keras's order.
        check: `check(variant, arguments)`: raise for arguments that do not go together, or complete them.
        any_size: whether the classifier takes images of any size.
        default_shape: whether images have the default size also without a classifier.
        channels_last_only: whether the family takes channels-last images alone.
    """

    facts: Facts
    features: Callable[..., KerasTensor]
    weight_file: Callable[[Variant, Arguments], WeightFile]
    classifier: Callable[..., KerasTensor] = dense_classifier
    poolings: Callable[[KerasTensor, Arguments], KerasTensor] = named_poolings
    min_size: int = 32
    own: Mapping[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ORDER
    check: Callable[[Variant, Arguments], None] | None = None
    any_size: bool = False
    default_shape: bool = False
    channels_last_only: bool = False

    def variant(self, name: str, model_name: str | None, size: int, parameters: str, **numbers: Any) -> Constructor:
        """Make the public function of one network; its arguments are those of `Variant`."""
        variant = Variant(name, model_name, size, parameters, numbers)
        known = {**SHARED, **self.own, "name": model_name}
        defaults = {key: known[key] for key in self.order}
        signature = inspect.Signature(
            [
                inspect.Parameter(key, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
                for key, default in defaults.items()
            ]
        )

        def constructor(*args: Any, **kwargs: Any) -> Model:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{name}() {error}. Its arguments: {signature}") from None
            bound.apply_defaults()
            return self.build(variant, bound.arguments)

        constructor.__name__ = constructor.__qualname__ = name
        constructor.__signature__ = signature  # type: ignore[attr-defined]
        constructor.__doc__ = docstring(self.facts, variant.name, variant.size, parameters, self.min_size, defaults)
        return constructor

    def build(self, variant: Variant, given: Mapping[str, Any]) -> Model:
        """Make the model of a variant for the arguments of a call."""
        arguments = Arguments(**{key: given[key] for key in SHARED}, own={key: given[key] for key in self.own})
        if self.channels_last_only and settings.image_data_format() == "channels_first":
            raise ValueError(
                f"{self.facts.title} does not support the `channels_first` image data format. Switch to "
                "`channels_last` by editing your local config file at ~/.keras/keras.json, or by "
                "`keras.config.set_image_data_format('channels_last')`."
            )
        check_weights(arguments.weights, arguments.include_top, arguments.classes)
        if self.check is not None:
            self.check(variant, arguments)
        image = image_input(self._shape(variant, arguments), arguments.input_tensor)
        x = self.features(image, arguments, **variant.numbers)
        if arguments.include_top:
            check_activation(arguments)
            x = self.classifier(x, arguments)
        else:
            x = self.poolings(x, arguments)
        model = Model(sources(image), x, name=arguments.name)
        load(model, arguments.weights, self.weight_file(variant, arguments) if arguments.pretrained else None)
        return model

    def _shape(self, variant: Variant, arguments: Arguments) -> ImageShape:
        return obtain_input_shape(
            arguments.input_shape,
            default_size=variant.size,
            min_size=self.min_size,
            data_format=settings.image_data_format(),
            require_flatten=self.default_shape or arguments.include_top and not self.any_size,
            weights=arguments.weights,
        )


def check_activation(arguments: Arguments) -> None:
    """Check that the activation of a classifier is the one that its weights were trained with.

    Raises:
        ValueError: weights are loaded, and the activation is neither softmax nor none.
    """
    allowed = (None, activations.linear, activations.softmax)
    if arguments.weights is not None and activations.get(arguments.classifier_activation) not in allowed:
        raise ValueError(
            "Only `None` and `softmax` activations are allowed for the `classifier_activation` argument when using "
            "pretrained weights, with `include_top=True`; Received: "
            f"classifier_activation={arguments.classifier_activation}"
        )
