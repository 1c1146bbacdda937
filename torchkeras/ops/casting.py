"""Types, gradients and conversions."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchkeras.core.dtypes import torch_dtype
from torchkeras.core.op import op


@op(elementwise=True, file_module="keras.src.ops.core")
def cast(x: Tensor, dtype: Any) -> Tensor:
    """`x` in another type."""
    return x.to(torch_dtype(dtype))


@op(elementwise=True, file_module="keras.src.ops.core")
def stop_gradient(variable: Tensor) -> Tensor:
    """`x`, through which no gradient flows."""
    return variable.detach()
