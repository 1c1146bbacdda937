"""Names that Keras keeps for older code."""

from torchkeras.legacy import saving as saving
