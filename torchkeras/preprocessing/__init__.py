"""Utilities for raw data, under their older names; the same functions are in `keras.utils`."""

from torchkeras.preprocessing import image as image
from torchkeras.preprocessing import sequence as sequence
from torchkeras.utils.loaders.images import image_dataset_from_directory as image_dataset_from_directory
from torchkeras.utils.loaders.texts import text_dataset_from_directory as text_dataset_from_directory
from torchkeras.utils.loaders.timeseries import timeseries_dataset_from_array as timeseries_dataset_from_array
