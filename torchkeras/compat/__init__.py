"""This package under the name `keras`: which names are served, and the import hook that serves them."""

from torchkeras.compat.finder import serve as serve
