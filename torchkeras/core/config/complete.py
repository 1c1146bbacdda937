"""Imported last by the package: classes made after this are the user's."""

from torchkeras.core import registry

registry.complete()
