"""ResNet-50 under the name of its first module; everything is in `keras.applications.resnet` too."""

from torchkeras.applications.resnet import ResNet50 as ResNet50
from torchkeras.applications.resnet import decode_predictions as decode_predictions
from torchkeras.applications.resnet import preprocess_input as preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]
