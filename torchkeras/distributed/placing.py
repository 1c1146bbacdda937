"""`initialize` and `distribute_tensor` of `keras.distribution`."""

from __future__ import annotations

import os
from typing import TypeVar

import torch

from torchkeras.core.accelerators import mark
from torchkeras.core.state import state
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.sharded import dtensors, is_sharded
from torchkeras.distributed import calls, process
from torchkeras.distributed.mesh import TensorLayout

T = TypeVar("T", torch.Tensor, KerasTensor)


def initialize(
    job_addresses: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    timeout: float | None = None,
) -> None:
    """Join the other processes of a job. Under `torchrun` no argument is needed, and `fit` does it by itself.

    Args:
        job_addresses: `"host:port"` of process 0; further ones, joined by commas, are ignored. `None` means the
            environment variable `KERAS_DISTRIBUTION_JOB_ADDRESSES`, else torchrun's variables. Default: `None`.
        num_processes: how many processes there are. `None` means `KERAS_DISTRIBUTION_NUM_PROCESSES`, else torchrun's.
            Default: `None`.
        process_id: the number of this one. `None` means `KERAS_DISTRIBUTION_PROCESS_ID`, else torchrun's.
            Default: `None`.
        timeout: seconds after which a rank that waits for another one gives up with an error. `None` means the
            environment variable `TORCHKERAS_TIMEOUT`, else 600. Default: `None`.

    Raises:
        ValueError: only some of the three are known, or an address has no port.

    Example:
        >>> keras.distribution.initialize()  # a process of its own has nobody to join
    """
    environment = os.environ
    addresses = job_addresses or environment.get("KERAS_DISTRIBUTION_JOB_ADDRESSES")
    if num_processes is None and "KERAS_DISTRIBUTION_NUM_PROCESSES" in environment:
        num_processes = int(environment["KERAS_DISTRIBUTION_NUM_PROCESSES"])
    if process_id is None and "KERAS_DISTRIBUTION_PROCESS_ID" in environment:
        process_id = int(environment["KERAS_DISTRIBUTION_PROCESS_ID"])
    given = {"job_addresses": addresses, "num_processes": num_processes, "process_id": process_id}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 3:
        process.join(timeout)
        return
    if addresses is None or num_processes is None or process_id is None:
        raise ValueError(f"initialize() needs all three arguments, or none under torchrun. Missing: {missing}.")
    host, separator, port = addresses.split(",")[0].strip().rpartition(":")
    if not separator or not port.isdigit():
        raise ValueError(f"job_addresses must begin with 'host:port' of process 0. Received: {addresses!r}")
    wanted = {"MASTER_ADDR": host, "MASTER_PORT": port, "RANK": process_id, "WORLD_SIZE": num_processes}
    environment.update({name: str(value) for name, value in wanted.items()})
    process.join(timeout)


def distribute_tensor(tensor: T, layout: TensorLayout) -> T:
    """Lay a tensor out over the devices of a mesh.

    Within a layer's call in `fit` the strategy decides where activations lie, so that the tensor stays as it is.

    Args:
        tensor: a tensor, the same on every rank, or a `DTensor`. A KerasTensor is returned as it is.
        layout: where its parts shall lie.

    Returns:
        A `DTensor`; in a process of its own the tensor itself, which under SPMD (torch_xla) is marked as split.

    Example:
        >>> mesh = keras.distribution.DeviceMesh((1,), ["model"], ["cpu:0"])
        >>> keras.distribution.distribute_tensor(torch.ones(2), keras.distribution.TensorLayout(["model"], mesh))
        tensor([1., 1.])
    """
    if isinstance(tensor, KerasTensor):
        return tensor
    if layout.device_mesh is not None and layout.device_mesh.is_in_one_process:
        mark(tensor, layout.device_mesh.backend_mesh, layout.axes)
        return tensor
    if state.entry is not None or not process.is_joined():
        return tensor
    calls.meet("distribute_tensor()")
    mesh, placements = layout.backend_layout
    if is_sharded(tensor):
        return tensor.redistribute(mesh, placements)
    return dtensors().distribute_tensor(tensor, mesh, placements)
