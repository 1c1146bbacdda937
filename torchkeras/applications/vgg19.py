"""VGG-19 (Simonyan and Zisserman, 2014)."""

from __future__ import annotations

from torchkeras.applications.building.preprocessing import caffe_preprocessing
from torchkeras.applications.building.vgg import vgg
from torchkeras.applications.imagenet_utils import decode_predictions as decode_predictions

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]

VGG19 = vgg("VGG19", "143.7 million", depths=(2, 2, 4, 4, 4))
preprocess_input = caffe_preprocessing("vgg19")
