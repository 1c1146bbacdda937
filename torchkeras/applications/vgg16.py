"""VGG-16 (Simonyan and Zisserman, 2014)."""

from __future__ import annotations

from torchkeras.applications.building.preprocessing import caffe_preprocessing
from torchkeras.applications.building.vgg import vgg
from torchkeras.applications.imagenet_utils import decode_predictions as decode_predictions

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]

VGG16 = vgg("VGG16", "138.4 million", depths=(2, 2, 3, 3, 3))
preprocess_input = caffe_preprocessing("vgg16")
