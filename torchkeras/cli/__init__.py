"""The commands of `python -m torchkeras`."""
