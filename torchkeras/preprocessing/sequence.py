"""Sequences of several lengths."""

from torchkeras.utils.sequences import pad_sequences as pad_sequences
