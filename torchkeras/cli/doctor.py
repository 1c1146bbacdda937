"""`doctor`: whether this machine can train on several processes."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys

import numpy as np
import torch
from torch import distributed

from torchkeras.cli.all_reduce import NUMBERS
from torchkeras.cli.registry import DIFFERENT, OK, Command, register
from torchkeras.cli.tables import as_json, fields
from torchkeras.version import __version__

_DESCRIPTION = """Check what training on several processes needs: versions, devices, torch's backends for messages, and
a sum over two processes of this machine by gloo, with its speed.

exit code: 0 if all is well, 1 if something is wrong (it is named), 2 for an error."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _run(given: argparse.Namespace) -> int:
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    kind = "cpu" if accelerator is None else accelerator.type
    count = 1 if accelerator is None else torch.accelerator.device_count()
    problems: list[str] = []
    backends = _backends()
    if "gloo" not in backends:
        problems.append("This torch has no gloo: processes on CPUs can't send messages.")
    if kind == "cuda" and "nccl" not in backends:
        problems.append("There are CUDA devices, and this torch has no NCCL: install a build of torch with it.")
    seconds, problem = _two_processes() if "gloo" in backends else (None, "")
    if problem:
        problems.append(f"Two processes of this machine could not sum a tensor: {problem}")
    report = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "torchkeras": __version__,
        "devices": f"{count} {kind}",
        "cores": os.cpu_count(),
        "backends": ", ".join(backends),
        "two processes": "-" if seconds is None else f"{4 * NUMBERS / seconds / 1e9:.2f} GB/s summed by gloo",
        "problems": problems,
    }
    if given.json:
        print(as_json(report))
    else:
        print(fields([(name, str(value)) for name, value in report.items() if name != "problems"]))
        print("\n".join(problems) or "All is well.")
    return DIFFERENT if problems else OK


def _backends() -> list[str]:
    if not distributed.is_available():
        return []
    known = {"gloo": distributed.is_gloo_available, "nccl": distributed.is_nccl_available}
    return [name for name, is_there in known.items() if is_there()]


def _two_processes() -> tuple[float | None, str]:
    """The seconds of a sum over two processes; or what went wrong."""
    line = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "torchkeras.cli.all_reduce"]
    try:
        done = subprocess.run([sys.executable, *line], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return None, "they did not answer within 120 seconds. Does the name of this host resolve to this machine?"
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "Error" in line]
        return None, errors[0].strip() if errors else done.stderr.strip()[-300:]
    return float(done.stdout.strip().splitlines()[-1]), ""


register(Command("doctor", "check what several processes need", _DESCRIPTION, _arguments, _run))
