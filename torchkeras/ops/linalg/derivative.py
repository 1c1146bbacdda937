"""Derivatives of functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op


@op(name="JVP", file_module="keras.src.ops.linalg", call=("fun",))
def jvp(fun: Callable, primals: list[Tensor], tangents: list[Tensor], has_aux: bool = False) -> Any:
    """The outputs of `fun(*primals)` and their derivatives in the direction `tangents` (forward mode).

    With `has_aux` the function returns `(outputs, aux)`, and `aux` is the third that comes back.
    """
    return torch.func.jvp(fun, tuple(primals), tuple(tangents), has_aux=has_aux)
