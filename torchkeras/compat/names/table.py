"""All tables as one."""

from __future__ import annotations

from collections.abc import Mapping

from torchkeras.compat.names.layers import LAYERS
from torchkeras.compat.names.networks import NETWORKS
from torchkeras.compat.names.parts import PARTS
from torchkeras.compat.names.private import PRIVATE
from torchkeras.saving.formats.keras_zip import KERAS_VERSION as SERVED_VERSION

__all__ = ["PRIVATE_MODULES", "PUBLIC_MODULES", "SERVED_VERSION"]


def _joined(*tables: Mapping[str, str]) -> dict[str, str]:
    rows: dict[str, str] = {}
    for table in tables:
        for module, names in table.items():
            rows[module] = f"{rows[module]}; {names}" if module in rows else names
    return rows


# Module below `keras.src` to what serves it.
PRIVATE_MODULES = _joined(LAYERS, NETWORKS, PARTS, PRIVATE)

# The namespaces of Keras's public API, below `keras`.
PUBLIC_MODULES = frozenset(
    """
    activations applications applications.convnext applications.densenet applications.efficientnet
    applications.efficientnet_v2 applications.imagenet_utils applications.inception_resnet_v2 applications.inception_v3
    applications.mobilenet applications.mobilenet_v2 applications.mobilenet_v3 applications.nasnet applications.resnet
    applications.resnet50 applications.resnet_v2 applications.vgg16 applications.vgg19 applications.xception backend
    callbacks config constraints datasets datasets.boston_housing datasets.california_housing datasets.cifar10
    datasets.cifar100 datasets.fashion_mnist datasets.imdb datasets.mnist datasets.reuters distillation distribution
    dtype_policies export initializers layers legacy legacy.saving losses metrics mixed_precision models ops ops.image
    ops.linalg ops.nn ops.numpy optimizers optimizers.legacy optimizers.schedules preprocessing preprocessing.image
    preprocessing.sequence quantizers random regularizers saving tree utils utils.bounding_boxes utils.legacy
    visualization wrappers
    """.split()
)
