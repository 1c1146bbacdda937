"""Packages that are imported when they are first used."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


class LazyModule:
    """A package that is imported when an attribute is first read.

    Args:
        name: the name to import.
        pip_name: the name to install. Default: `None`, the same.
        import_error_msg: words for the error where it is not installed. Default: `None`, how to install it.
    """

    def __init__(self, name: str, pip_name: str | None = None, import_error_msg: str | None = None) -> None:
        self.name = name
        self.pip_name = pip_name or name
        self.import_error_msg = import_error_msg or (
            f"This requires the {name} module. You can install it via `pip install {self.pip_name}`"
        )
        self.module: ModuleType | None = None

    @property
    def available(self) -> bool:
        """Whether the package can be imported."""
        try:
            self.initialize()
        except ImportError:
            return False
        return True

    def initialize(self) -> None:
        """Import the package.

        Raises:
            ImportError: it is not installed.
        """
        if self.module is None:
            try:
                self.module = importlib.import_module(self.name)
            except ImportError as error:
                raise ImportError(self.import_error_msg) from error

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") or name == "_api_export_path":
            raise AttributeError(name)
        self.initialize()
        return getattr(self.module, name)

    def __repr__(self) -> str:
        return f"LazyModule({self.name})"


tensorflow = LazyModule("tensorflow")
gfile = LazyModule("tensorflow.io.gfile", pip_name="tensorflow")
tensorflow_io = LazyModule("tensorflow_io")
scipy = LazyModule("scipy")
jax = LazyModule("jax")
torch_xla = LazyModule("torch_xla")
optree = LazyModule("optree")
dmtree = LazyModule("tree", pip_name="dm-tree")
h5py = LazyModule("h5py")
grain = LazyModule("grain")
litert = LazyModule("ai_edge_litert", pip_name="ai-edge-litert")
ocp = LazyModule("orbax.checkpoint", pip_name="orbax-checkpoint")
tf2onnx = LazyModule("tf2onnx")
jax2onnx = LazyModule("jax2onnx")
