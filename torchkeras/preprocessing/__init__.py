"""Utilities for raw data, under their older names; the same functions are in `keras.utils`."""

from torchkeras.preprocessing import image as image
from torchkeras.preprocessing import sequence as sequence
