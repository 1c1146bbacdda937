"""The kinds of devices, a row each, and the questions that the package asks about the one of this machine.

Everything that is the same for all of them goes through `torch.accelerator`. No other file names `torch.cuda` but those
that are about CUDA itself (`training/replay/`), and only `core/xla.py` names torch_xla.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch

from torchkeras.core import xla
from torchkeras.core.torch_internals import is_in_bad_fork

T = TypeVar("T")


class Accelerator(NamedTuple):
    """A kind of device.

    Attributes:
        type: torch's name of it.
        keras_name: its name in Keras's spelling of devices, such as `"gpu:0"`.
        backend: torch's process-group backend for messages between ranks.
        messages_on: the type of the device that the messages' tensors lie on.
        module: the package that teaches torch the device; `None`: torch knows it.
        binds: whether `init_process_group` takes the rank's device, so that errors of messages are seen early.
        has_inference_mode: whether its tensors can be made under `torch.inference_mode()`.
        is_lazy: whether operations are recorded, and run and compiled as one graph when `run_recorded` is called.
        tried: where this package has run on it.
    """

    type: str
    keras_name: str
    backend: str
    messages_on: str
    module: str | None = None
    binds: bool = False
    has_inference_mode: bool = True
    is_lazy: bool = False
    tried: str = "nowhere"


ACCELERATORS = {
    row.type: row
    for row in (
        Accelerator("cpu", "cpu", "gloo", "cpu", tried="1 to 4 ranks"),
        Accelerator("cuda", "gpu", "nccl", "cuda", binds=True, tried="one device"),
        Accelerator("xpu", "xpu", "xccl", "xpu"),
        Accelerator("mps", "mps", "gloo", "cpu"),
        Accelerator("hpu", "hpu", "hccl", "hpu", module="habana_frameworks.torch"),
        Accelerator("tpu", "tpu", "tpu_dist", "tpu", module="torch_tpu"),
        Accelerator(
            "xla",
            "xla",
            "xla",
            "xla",
            module="torch_xla",
            has_inference_mode=False,
            is_lazy=True,
            tried="a CPU, as one device and as four",
        ),
    )
}


def row_of(kind: str) -> Accelerator:
    """The row of a type of device. One that is not in the table has gloo, whose messages lie on the CPU."""
    return ACCELERATORS.get(kind) or Accelerator(kind, kind, "gloo", "cpu")


def find_accelerator() -> Accelerator | None:
    """The kind of accelerator of this process; `None`: there is only the CPU.

    torch_xla is no accelerator of `torch.accelerator`: it is taken where the script has imported it, or where it is
    installed and the environment variable `PJRT_DEVICE` is set. A process that was forked from one that uses CUDA, such
    as a worker of a `DataLoader`, can't use it.
    """
    if xla.is_loaded():
        xla.start()
        return ACCELERATORS["xla"]
    if is_in_bad_fork() or not torch.accelerator.is_available():
        return None
    return row_of(torch.accelerator.current_accelerator().type)  # type: ignore[union-attr]


def count() -> int:
    """How many accelerators of its kind this process sees; 0 without one."""
    found = find_accelerator()
    if found is None:
        return 0
    return xla.count_devices() if found.type == "xla" else torch.accelerator.device_count()


def current_of(kind: Accelerator) -> torch.device:
    """The device of that kind on which torch works now."""
    return xla.device() if kind.type == "xla" else torch.device(kind.type, torch.accelerator.current_device_index())


def is_present(device: torch.device) -> bool:
    """Whether a device is the accelerator of this process, so that `torch.accelerator` can be asked about it."""
    return device.type != "cpu" and torch.accelerator.is_available() and _is_current(device.type)


def _is_current(kind: str) -> bool:
    return torch.accelerator.current_accelerator().type == kind  # type: ignore[union-attr]


def synchronize(device: torch.device | None = None) -> None:
    """Wait until a device (default: the current accelerator, if there is one) has done all of its work."""
    if device is not None and device.type == "xla":
        xla.wait()
    elif torch.accelerator.is_available() and (device is None or _is_current(device.type)):
        torch.accelerator.synchronize(None if device is None else device)


def is_idle(device: torch.device) -> bool:
    """Whether a device has done all of its work. The CPU, which works at once, always has."""
    return not is_present(device) or torch.accelerator.current_stream(device).query()


def name_of(device: torch.device) -> str:
    """The maker's name of a device; empty where none is known."""
    module = torch.get_device_module(device)
    name = getattr(module, "get_device_name", None)
    return "" if name is None else str(name(device))


@functools.cache
def nvidia_capability(device: torch.device) -> tuple[int, int]:
    """The compute capability of an Nvidia GPU; `(0, 0)` of other devices: AMD's GPUs count otherwise."""
    if device.type != "cuda" or torch.version.hip:
        return (0, 0)
    return torch.cuda.get_device_capability(device)


# ---------------------------------------------------------------------------- devices that record operations


def is_lazy(device: torch.device) -> bool:
    """Whether a device records operations, to run and compile them as one graph."""
    return row_of(device.type).is_lazy


def run_recorded(device: torch.device) -> None:
    """Let a device run the operations that it recorded. Other devices run each one at once."""
    if is_lazy(device):
        xla.run_recorded()


def in_executions(step: Callable[..., T], device: torch.device, together: int = 1) -> Callable[..., T]:
    """A step as the loop calls it for each batch: on a device that records operations, it also runs them.

    Args:
        step: the step.
        device: the device of the model's weights.
        together: after how many steps to run what they recorded, as one graph.
    """
    return xla.Executions(step, together) if is_lazy(device) else step


# ---------------------------------------------------------------------------- one process, many devices


def make_mesh(numbers: Sequence[int], shape: Sequence[int], names: Sequence[str]) -> object:
    """A mesh of devices of this process, on which `mark` and `mark_weight` split tensors.

    Args:
        numbers: the numbers of the devices.
        shape: the size of each axis.
        names: the names of the axes.
    """
    return xla.make_mesh(numbers, shape, names)


use_all_devices = xla.use_spmd
mark = xla.mark
mark_weight = xla.mark_weight


def mark_like(tensor: torch.Tensor, weight: torch.Tensor) -> None:
    """Split a tensor over devices of this process as a weight of its shape is split, if it is."""
    if is_lazy(tensor.device):
        xla.mark_like(tensor, weight)


# ---------------------------------------------------------------------------- memory


def free_memory(device: torch.device) -> int | None:
    """The bytes that are free on a device; `None` where that is not known, as on the CPU."""
    if not is_present(device):
        return None
    ask = getattr(torch.accelerator, "get_memory_info", None)  # torch 2.10 and later
    if ask is not None:
        return int(ask(device)[0])
    ask = getattr(torch.get_device_module(device), "mem_get_info", None)
    return None if ask is None else int(ask(device)[0])


def empty_cache() -> None:
    """Give memory that torch keeps for later back to the accelerator, if there is one."""
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()


def begin_peak_memory(device: torch.device) -> None:
    """Let `peak_memory` count from here."""
    if is_present(device):
        torch.accelerator.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """The most bytes that tensors took on a device; `None` for the CPU."""
    return int(torch.accelerator.max_memory_allocated(device)) if is_present(device) else None


# ---------------------------------------------------------------------------- random numbers


def random_states() -> tuple[str, list[torch.Tensor]]:
    """The kind of accelerator and the states of its devices' generators; none where no device is in use yet."""
    found = find_accelerator()
    if found is not None and found.type == "xla":
        return "xla", [xla.random_state()]
    module = None if found is None else getattr(torch, found.type, None)  # no module: torch's package is not loaded
    is_used = getattr(module, "is_initialized", lambda: True)
    if found is None or module is None or not hasattr(module, "get_rng_state") or not is_used():
        return "", []
    get_all = getattr(module, "get_rng_state_all", None)
    return found.type, [module.get_rng_state()] if get_all is None else list(get_all())


def set_random_states(kind: str, states: list[torch.Tensor]) -> None:
    """Put the generators of an accelerator back. On a machine without that kind of device nothing happens."""
    found = find_accelerator()
    if found is None or found.type != kind or not states:
        return
    if kind == "xla":
        xla.set_random_state(states[0])
        return
    module = torch.get_device_module(kind)
    for index, state in enumerate(states[: count()]):
        module.set_rng_state(
            state, *(() if len(states) == 1 and not hasattr(module, "get_rng_state_all") else (index,))
        )


def random_state() -> torch.Tensor | None:
    """The state of the current device's generator; `None` where no accelerator is in use."""
    kind, states = random_states()
    if kind == "xla":
        return states[0]
    return None if not states else torch.get_device_module(kind).get_rng_state()


def set_random_state(state: torch.Tensor) -> None:
    """Set the generator of the current device, where an accelerator is in use."""
    kind, states = random_states()
    if kind == "xla":
        xla.set_random_state(state)
    elif states:
        torch.get_device_module(kind).set_rng_state(state)


def set_seed(seed: int) -> None:
    """Seed the generators that `torch.manual_seed` does not know of."""
    found = find_accelerator()
    if found is not None and found.type == "xla":
        xla.set_seed(seed)


# ---------------------------------------------------------------------------- ranks


def take_device_of_rank(local_rank: int) -> tuple[Accelerator, torch.device]:
    """Make the accelerator with a rank's number on this machine the current one; the CPU where there is none.

    Raises:
        RuntimeError: this machine has fewer accelerators.
    """
    found = find_accelerator()
    if found is None:
        return ACCELERATORS["cpu"], torch.device("cpu")
    if found.type == "xla":
        return found, current_of(found)
    if found.type != "mps" and local_rank >= torch.accelerator.device_count():
        hide = {"gpu": "the GPUs with CUDA_VISIBLE_DEVICES= "}.get(found.keras_name, "them ")
        raise RuntimeError(
            f"Each process needs a {found.keras_name.upper()} of its own: this is process {local_rank + 1} of this "
            f"machine, which has {torch.accelerator.device_count()} {found.keras_name.upper()}(s). Start fewer "
            f"(torchrun --nproc-per-node=N), or hide {hide}to train on the CPU."
        )
    index = 0 if found.type == "mps" else local_rank
    torch.accelerator.set_device_index(index)
    return found, torch.device(found.type, index)
