"""`model(x).numpy()`: an array, although `model(x)` is differentiable and may lie on a GPU.

Users of Keras type it, and torch refuses it. The call's result must stay an ordinary tensor, and nothing may be added
to a call, so the method itself is extended: where torch's own `Tensor.numpy()` raises because of a gradient or of a
device, the tensor is detached and copied to the host, which is torch's `numpy(force=True)`. The rest is as before.
"""

from __future__ import annotations

import functools

import numpy as np
import torch

_torch_numpy = torch.Tensor.numpy


@functools.wraps(_torch_numpy)
def numpy(self: torch.Tensor, *, force: bool = False) -> np.ndarray:
    try:
        return _torch_numpy(self, force=force)
    except (RuntimeError, TypeError):
        if force or not (self.requires_grad or self.device.type != "cpu"):
            raise
        return _torch_numpy(self, force=True)


torch.Tensor.numpy = numpy  # type: ignore[method-assign,assignment]
