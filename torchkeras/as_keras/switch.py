"""Importing this file switches `keras` to this package."""

from torchkeras.compat.finder import serve

serve()
