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
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

import torchkeras as keras
from tests.torch_promises.cases import LAYERS, MODELS, built

CASES = {row.name: row for row in [*MODELS, *LAYERS]}
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


def _rows(value, rows):
    if isinstance(value, dict):
        return {key: _rows(item, rows) for key, item in value.items()}
    return value[rows]


def main() -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    errors = {}
    for name in NAMES:
        try:
            compare(name)
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
