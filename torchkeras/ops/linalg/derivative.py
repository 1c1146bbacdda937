"""Derivatives of functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op


@op(name="JVP", file_module="keras.src.ops.linalg", call=("fun",))
def jvp(fun: Callable, primals: list[Tensor], tangents: list[Tensor], has_aux: bool = False) -> Any:
    """Compute the outputs of a function and their derivatives in a direction (forward mode).

    Args:
        fun: function of tensors; with `has_aux` it returns `(outputs, aux)`.
        primals: its arguments.
        tangents: the direction, one tensor for each argument.
        has_aux: whether the function returns auxiliary data. Default: `False`.

    Returns:
        `(outputs, derivatives)`, and `aux` as the third with `has_aux`.

    Example:
        >>> keras.ops.jvp(lambda x: x * x, [np.float32(3.0)], [np.float32(1.0)])[1]
        tensor(6.)
    """
    return torch.func.jvp(fun, tuple(primals), tuple(tangents), has_aux=has_aux)
