"""Every kind of device: what a rank takes of it, and that nothing but the table names CUDA. Devices are stand-ins."""

from __future__ import annotations

import ast

import pytest
import torch

import torchkeras as keras
from tests.distributed.launch import start
from tests.package_imports import PACKAGE, imports, source_files
from torchkeras.core import accelerators
from torchkeras.core.tensors import devices
from torchkeras.distributed import process

# The rooms that are about CUDA itself, and those that answer for Keras's own functions of these names.
OF_CUDA = [
    "training/replay/",
    "core/accelerators.py",
    "core/tensors/copy_stream.py",
    "core/tf32.py",
    "compat/",
]


@pytest.fixture(params=[row for row in accelerators.ACCELERATORS.values() if row.type not in ("cpu", "xla", "tpu")])
def kind(request, monkeypatch):
    """A machine with two accelerators of a kind, on which this process is rank 1 of 2."""
    index = [0]
    stand_ins = {
        "is_available": lambda: True,
        "current_accelerator": lambda: torch.device(request.param.type),
        "device_count": lambda: 2,
        "set_device_index": lambda number: index.__setitem__(0, number),
        "current_device_index": lambda: index[0],
    }
    for name, function in stand_ins.items():
        monkeypatch.setattr(torch.accelerator, name, function)
    for name, value in {"_has_looked": False, "_accelerator": None, "has_accelerator": False, "_default": None}.items():
        monkeypatch.setattr(devices, name, value)
    return request.param


@pytest.fixture
def joined(monkeypatch):
    """The arguments with which the process group would be made."""
    found = []
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *args, **kwargs: found.append((args, kwargs)))
    monkeypatch.setattr(process.atexit, "register", lambda function: None)
    for name, value in {"WORLD_SIZE": 4, "RANK": 3, "LOCAL_RANK": 1, "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(name, str(value))
    return found


def test_a_rank_takes_its_device_and_the_backend_of_its_kind(kind, joined):
    before = torch.device(kind.type, 0)
    assert devices.current_device() == before
    process.join()
    ((backend,), options) = joined[0]
    assert backend == kind.backend
    number = 0 if kind.type == "mps" else 1
    assert devices.current_device() == torch.device(kind.type, number)
    assert options.get("device_id") == (torch.device("cuda:1") if kind.type == "cuda" else None)


def test_devices_have_kerass_names(kind, monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert keras.distribution.list_devices() == [f"{kind.keras_name}:{i}" for i in range(2)]
    assert keras.distribution.list_devices(kind.type) == keras.distribution.list_devices(kind.keras_name)
    assert keras.distribution.list_devices("cpu") == ["cpu:0"]


def test_more_processes_than_devices_are_refused(kind, joined, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "2")
    if kind.type == "mps":
        process.join()  # a Mac has one GPU, which its processes share
        return
    with pytest.raises(RuntimeError, match=rf"process 3 of this machine, which has 2 {kind.keras_name.upper()}\(s\)"):
        process.join()


RENAMED = """
import os, torch
torch.utils.rename_privateuse1_backend("tpu")  # as TorchTPU does; it can't be undone in a process
import torchkeras as keras
from torchkeras.core.tensors import devices
index = [0]
torch.accelerator.is_available = lambda: True
torch.accelerator.current_accelerator = lambda: torch.device("tpu")
torch.accelerator.device_count = lambda: 2
torch.accelerator.set_device_index = lambda number: index.__setitem__(0, number)
torch.accelerator.current_device_index = lambda: index[0]
torch.distributed.init_process_group = lambda backend, **options: print("joined by", backend)
os.environ.update(WORLD_SIZE="4", RANK="3", LOCAL_RANK="1", MASTER_ADDR="localhost")
keras.distribution.initialize()
print("on", devices.current_device(), keras.distribution.list_devices()[0])
"""


def test_a_device_that_a_package_brings_along(tmp_path):
    script = tmp_path / "renamed.py"
    script.write_text(RENAMED)
    done = start(script)
    assert done.returncode == 0, done.stdout
    assert "joined by tpu_dist" in done.stdout and "on tpu:1 tpu:0" in done.stdout


def test_without_an_accelerator_ranks_talk_by_gloo(joined, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    process.join()
    assert joined[0][0] == ("gloo",)


def test_questions_about_memory_and_work_have_answers_on_the_cpu():
    cpu = torch.device("cpu")
    assert accelerators.free_memory(cpu) is None and accelerators.peak_memory(cpu) is None
    assert accelerators.is_idle(cpu)
    accelerators.synchronize(cpu)


def test_the_table_says_of_every_kind_where_messages_lie():
    for kind in accelerators.ACCELERATORS.values():
        assert kind.messages_on == ("cpu" if kind.backend == "gloo" else kind.type)
    assert accelerators.row_of("another").backend == "gloo"


def test_torch_xla_is_named_in_one_file():
    allowed = {"core/xla.py", "core/accelerators.py", "compat/stand_ins/lazy_modules.py", "compat/names/private.py"}
    wrong = [
        f"{place}:{node.lineno} names {node.value!r}"
        for path in source_files()
        if (place := path.relative_to(PACKAGE).as_posix()) not in allowed
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("torch_xla")
        if not node.value.startswith("torch_xla ")  # prose
    ]
    imported = [
        f"{path}:{found.line}" for path in source_files() for found in imports(path) if "torch_xla" in found.target
    ]
    assert not wrong and not [line for line in imported if "stand_ins" not in line]


def test_cuda_is_named_in_its_rooms_alone():
    wrong = []
    for path in source_files():
        place = str(path.relative_to(PACKAGE))
        if place.startswith(tuple(OF_CUDA)):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            is_attribute = isinstance(node, ast.Attribute) and node.attr == "cuda"
            is_import = isinstance(node, (ast.Import, ast.ImportFrom)) and "torch.cuda" in ast.unparse(node)
            if is_attribute or is_import:
                wrong.append(f"{place}:{node.lineno}")
    assert not wrong, f"ask core/accelerators.py instead: {wrong}"
