"""`doctor`: whether this machine can train on several processes, or what of a script will not work here."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import distributed

from torchkeras.cli.all_reduce import NUMBERS
from torchkeras.cli.registry import DIFFERENT, OK, Command, register
from torchkeras.cli.script_reader import Finding, read_script
from torchkeras.cli.tables import as_json, fields
from torchkeras.core import accelerators
from torchkeras.version import __version__

_DESCRIPTION = """Check what training on several processes needs: versions, devices, torch's backends for messages, and
a sum over two processes of this machine by gloo, with its speed.

With scripts: read them instead, without running them, and say by line what of them will not work with this package
(imports of TensorFlow and JAX, names that Keras 3 does not have, its private modules, arguments of Keras 2), and what
to write. A line marked "note" works, or needs a switch alone. Objects are not followed through a program: a script
without findings may still meet an error.

exit code: 0 if all is well, 1 if something is wrong (it is named), 2 for an error."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help="a Python file to read")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _run(given: argparse.Namespace) -> int:
    return _read(given) if given.scripts else _check(given)


def _read(given: argparse.Namespace) -> int:
    found = {script: read_script(_text(script), script) for script in given.scripts}
    if given.json:
        print(as_json({script: [asdict(finding) for finding in findings] for script, findings in found.items()}))
    else:
        for script, findings in found.items():
            print("\n".join(_lines(script, findings)) or f"{script}: nothing found.")
    return DIFFERENT if any(finding.fatal for findings in found.values() for finding in findings) else OK


def _text(script: str) -> str:
    try:
        return Path(script).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{script} is no text in UTF-8: {error.reason} at byte {error.start}.") from error


def _lines(script: str, findings: list[Finding]) -> Iterator[str]:
    """A line of text for each problem, at its first place in the script; the other places stand at its end."""
    places: dict[tuple[str, str, bool], list[int]] = {}
    for finding in findings:
        places.setdefault((finding.problem, finding.remedy, finding.fatal), []).append(finding.line)
    for (problem, remedy, fatal), (first, *others) in places.items():
        also = f" (Also in {'lines' if len(others) > 1 else 'line'} {', '.join(map(str, others))}.)" if others else ""
        yield f"{script}:{first}: {'' if fatal else 'note: '}{problem} {remedy}{also}"


def _check(given: argparse.Namespace) -> int:
    accelerator = accelerators.find_accelerator() or accelerators.ACCELERATORS["cpu"]
    kind, count = accelerator.type, accelerators.count() or 1
    problems: list[str] = []
    backends = _backends()
    if "gloo" not in backends:
        problems.append("This torch has no gloo: processes on CPUs can't send messages.")
    if accelerator.backend not in backends and kind != "cpu":
        problems.append(
            f"There are {kind.upper()} devices, and this torch has no {accelerator.backend.upper()} for their "
            "messages: install a build of torch with it."
        )
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
    known = dict.fromkeys(row.backend for row in accelerators.ACCELERATORS.values())
    return [name for name in known if distributed.is_backend_available(name)]


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


register(Command("doctor", "check what several processes need, or a script", _DESCRIPTION, _arguments, _run))
