"""Products of matrices in graphs that are compiled for this CPU, by oneDNN where it is the faster library.

Torch's compiler calls MKL for products of float32, as torch does, whatever `linear.py` found out about the CPU. The
pass here puts an operator in the place of each large product, in forward and backward passes. Measured on an AMD CPU,
one thread, oneDNN's time as a part of MKL's: 0.46 for (128, 784) x (784, 512), 0.47 for the gradient of the inputs,
0.49 for that of the kernel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from torchkeras.core.fast_paths.linear import LEAST_PRODUCTS, LEAST_ROWS, onednn_is_faster_here
from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.torch_internals import compiler_pass, onednn_enabled, onednn_linear

_library = torch.library.Library("torchkeras", "FRAGMENT")
_library.define("product(Tensor x, Tensor matrix, Tensor? bias) -> Tensor")


def _product(x: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    return onednn_linear(x, matrix.t(), bias, "none", [], "")


_library.impl("product", _product, "CPU")


@torch.library.register_fake("torchkeras::product", lib=_library)
def _(x: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(x.shape[0], matrix.shape[1])


def product_options() -> dict[str, Any]:
    """Options for torch's compiler by which it takes oneDNN's products; none where they are not the faster ones."""
    if not (fast_paths_enabled() and onednn_is_faster_here() and onednn_enabled()):
        return {}
    if torch.get_float32_matmul_precision() != "highest":  # torch may have something quicker
        return {}
    found = compiler_pass(use_onednn, "torchkeras products 2")
    return {} if found is None else {"post_grad_custom_post_pass": found}


def use_onednn(graph: fx.Graph) -> None:
    """Replace large products of float32 matrices of known sizes.

    Args:
        graph: the graph, of torch's ATen operators, whose nodes know what their results look like.
    """
    for node in list(graph.nodes):
        found = _operands(node)
        if found is None:
            continue
        with graph.inserting_before(node):
            product = graph.call_function(torch.ops.torchkeras.product.default, found)
        product.meta.update(node.meta)
        node.replace_all_uses_with(product)
        graph.erase_node(node)


def _operands(node: fx.Node) -> tuple[fx.Node, fx.Node, fx.Node | None] | None:
    """Inputs, matrix and bias of a product for oneDNN; `None` if the node is anything else."""
    bias: fx.Node | None = None
    if node.target is torch.ops.aten.mm.default:
        x, matrix = node.args
    elif node.target is torch.ops.aten.addmm.default and not node.kwargs:
        bias, x, matrix = node.args  # type: ignore[assignment]
    else:
        return None
    values = [part.meta.get("val") for part in (x, matrix, bias) if part is not None]  # type: ignore[union-attr]
    if not all(isinstance(v, Tensor) and v.dtype is torch.float32 and v.device.type == "cpu" for v in values):
        return None
    sizes = (*values[0].shape, values[1].shape[1])
    if not all(isinstance(size, int) for size in sizes):
        return None
    rows, inputs, outputs = sizes
    if rows < LEAST_ROWS or rows * inputs * outputs < LEAST_PRODUCTS:
        return None
    if bias is not None and tuple(values[2].shape) != (outputs,):
        return None
    return x, matrix, bias  # type: ignore[return-value]
