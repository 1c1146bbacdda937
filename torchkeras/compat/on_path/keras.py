"""The `keras` of a `PYTHONPATH` that starts with this folder: it puts the served module in its own place."""

import importlib
import sys

del sys.modules[__name__]  # first, since importing torchkeras may look for a `keras` that is there already
importlib.import_module("torchkeras.compat.finder").take_over()
