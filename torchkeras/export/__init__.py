"""Artifacts that run without this library (`keras.export`)."""

from torchkeras.export.archive import ExportArchive as ExportArchive
