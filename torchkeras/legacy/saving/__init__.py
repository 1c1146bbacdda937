"""Configs of objects in the form of Keras 2."""

from torchkeras.saving.legacy.objects import deserialize_keras_object as deserialize_keras_object
from torchkeras.saving.legacy.objects import serialize_keras_object as serialize_keras_object
