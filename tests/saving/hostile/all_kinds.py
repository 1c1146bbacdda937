"""All hostile files: importing a module registers its makers."""

from tests.saving.hostile import (
    archives,
    configs,
    hdf5,
    legacy,
    pickles,
    requests,
    safetensors,
    slow,
)
from tests.saving.hostile.makers import MAKERS

KINDS = (configs, archives, hdf5, safetensors, pickles, requests, slow, legacy)

__all__ = ["KINDS", "MAKERS"]
