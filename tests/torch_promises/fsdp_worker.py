"""Run by two processes: each case under FSDP2's `fully_shard`, compared with the unsharded module.

Writes one JSON object, `{case: error or ""}`, to the path given.
"""

import copy
import json
import os
import sys
import traceback
from pathlib import Path

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

import torchkeras as keras
from tests.torch_promises.cases import LAYERS, MODELS, built

CASES = {row.name: row for row in [*MODELS, *LAYERS]}
TENSOR_PARALLEL = "parallelize_module under torch_view"
NAMES = [row.name for row in MODELS] + ["Dense", "Conv2D", "Embedding", "LayerNormalization", "LSTM", "GRU"]


def broadcast(module: torch.nn.Module) -> None:
    for tensor in (*module.parameters(), *module.buffers()):
        distributed.broadcast(tensor.detach(), src=0)


def compare(name: str) -> None:
    """One step of SGD on halves of a batch gives the weights of one step on the whole batch."""
    rank = distributed.get_rank()
    torch.manual_seed(0)
    row = CASES[name]
    whole = built(row)
    broadcast(whole)
    inputs = row.draw(4)
    half = tuple(_rows(value, slice(2 * rank, 2 * rank + 2)) for value in inputs)

    sharded = copy.deepcopy(whole)
    for child in sharded.layers if isinstance(sharded, keras.Model) else sharded.children():
        if list(child.parameters()):
            fully_shard(child)
    fully_shard(sharded)
    assert all(isinstance(p, DTensor) for p in sharded.parameters())
    sharded(*half).square().mean().backward()
    torch.optim.SGD(sharded.parameters(), lr=0.1).step()

    whole(*inputs).square().mean().backward()
    torch.optim.SGD(whole.parameters(), lr=0.1).step()
    wanted = dict(whole.named_parameters())
    found = dict(sharded.named_parameters())
    assert found.keys() == wanted.keys(), (list(found), list(wanted))
    for key, parameter in found.items():
        torch.testing.assert_close(parameter.full_tensor(), wanted[key].detach().as_subclass(torch.Tensor), msg=key)


def compare_tensor_parallel() -> None:
    """A step with `nn.Linear`s in parts gives the weights of a step of the layers whole."""
    torch.manual_seed(0)
    up, down = keras.layers.Dense(8, activation="relu", name="up"), keras.layers.EinsumDense("ab,bc->ac", 3)
    whole = keras.Sequential([keras.Input((4,)), up, down])
    broadcast(whole)
    x, y = torch.randn(6, 4), torch.randn(6, 3)
    parts = copy.deepcopy(whole)
    view = keras.utils.torch_view(parts)
    mesh = init_device_mesh("cpu", (2,))
    parallelize_module(parts, mesh, dict(zip(view.modules, (ColwiseParallel(), RowwiseParallel()), strict=True)))
    assert [p.to_local().shape for p in parts.parameters()] == [(4, 4), (4,), (3, 4)]
    for model in (whole, parts):
        torch.nn.functional.mse_loss(model(x), y).backward()
        torch.optim.SGD(model.parameters(), lr=0.5).step()
    view.close("merge")
    torch.testing.assert_close([*parts.get_weights()], [*whole.get_weights()])


def _rows(value, rows):
    if isinstance(value, dict):
        return {key: _rows(item, rows) for key, item in value.items()}
    return value[rows]


def main() -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    errors = {}
    for name in [*NAMES, TENSOR_PARALLEL]:
        try:
            compare_tensor_parallel() if name == TENSOR_PARALLEL else compare(name)
            errors[name] = ""
        except Exception:
            errors[name] = traceback.format_exc()
        distributed.barrier()
    if distributed.get_rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(errors))
    distributed.destroy_process_group()
    sys.stderr.flush()
    os._exit(0)  # gloo's threads may outlive the group, and would abort the interpreter that takes them down


if __name__ == "__main__":
    main()
