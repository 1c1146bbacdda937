"""Whether a model and a torch module compute the same: random inputs through both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras.core import tree
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.layers import Embedding
from torchkeras.layers.base.layer import Layer

_BATCH = 2
_LENGTHS = {3: 12, 4: 32, 5: 12}  # of sizes that are not known, by rank


def example_inputs(graph: Any) -> Any:
    """Random inputs for a graph: indices where an embedding takes them, and normal numbers elsewhere."""
    limits: dict[int, int] = {}
    _find_indices(graph, {id(t): i for i, t in enumerate(graph.inputs)}, limits)
    made = [_drawn(tensor, limits.get(i)) for i, tensor in enumerate(graph.inputs)]
    return tree.pack_sequence_as(graph.inputs_struct, made)


def _find_indices(graph: Any, inputs: dict[int, int], limits: dict[int, int]) -> None:
    """Note, for inputs that reach an embedding as they are, how many rows it has."""
    for node in graph.nodes:
        if node.is_input:
            continue
        reached = [inputs[id(t)] for t in node.input_tensors if id(t) in inputs]
        inner = getattr(node.operation, "_tk_graph", None)
        if isinstance(node.operation, Embedding):
            for i in reached:
                limits[i] = min(node.operation.input_dim, limits.get(i, 1 << 30))
        elif inner is not None:
            known = [inputs.get(id(t)) for t in node.input_tensors]
            _find_indices(inner, {id(t): i for t, i in zip(inner.inputs, known) if i is not None}, limits)


def _drawn(tensor: Any, limit: int | None) -> Tensor:
    rank = len(tensor.shape)
    shape = [size or (_BATCH if axis == 0 else _LENGTHS.get(rank, 7)) for axis, size in enumerate(tensor.shape)]
    dtype = torch_dtype(tensor.dtype)
    if limit is not None or not dtype.is_floating_point:
        return torch.randint(0, min(limit or 2, 1 << 30), shape).to(dtype)
    return torch.randn(shape).to(dtype)


def check_agreement(
    model: Layer,
    module: nn.Module,
    inputs: Any,
    to_module: Callable[[Tensor], Tensor],
    to_keras: Callable[[Tensor], Tensor],
) -> float:
    """Pass the inputs through both.

    Args:
        inputs: as the model takes them.
        to_module, to_keras: change the order of axes of an input, and of an output on the way back.

    Returns:
        The largest difference, as a fraction of the largest output.

    Raises:
        RuntimeError: the outputs differ by more than rounding.
    """
    device = next((weight.device for weight in model.weights), torch.device("cpu"))
    given = tree.map_structure(lambda x: convert_to_tensor(x).to(device), inputs)
    module.to(device)
    with torch.no_grad():
        wanted = [convert_to_tensor(y) for y in tree.flatten(model(given, **_inference(model)))]
        found = tree.flatten(module(*(to_module(x) for x in tree.flatten(given))))
    if len(wanted) != len(found):
        raise RuntimeError(f"The module has {len(found)} outputs, the model {len(wanted)}.")
    worst = 0.0
    for i, (mine, theirs) in enumerate(zip(wanted, found)):
        theirs = to_keras(theirs)
        if mine.shape != theirs.shape:
            raise RuntimeError(
                f"Output {i} of the torch module has the shape {tuple(theirs.shape)}; the model's is "
                f"{tuple(mine.shape)}."
            )
        worst = max(worst, _difference(mine, theirs))
    limit = 3e-2 if any(y.dtype in (torch.float16, torch.bfloat16) for y in wanted) else 2e-4
    if not worst <= limit:
        raise RuntimeError(
            f"The torch module does not compute what the model does: on a random input their outputs differ by "
            f"{worst:.3g} of the largest output, and at most {limit:.0e} is rounding. Please report the model."
        )
    return worst


def _inference(model: Layer) -> dict[str, bool]:
    return {"training": False} if model._tk_call_spec.has_training else {}


def _difference(mine: Tensor, theirs: Tensor) -> float:
    mine, theirs = (x.detach().as_subclass(Tensor).double() for x in (mine, theirs))
    if not mine.numel() or torch.equal(mine, theirs):
        return 0.0
    if not torch.equal(mine.isnan(), theirs.isnan()):
        return float("nan")
    mine, theirs = mine.nan_to_num(), theirs.nan_to_num()
    return float((mine - theirs).abs().max() / mine.abs().max().clamp(min=1e-6))
