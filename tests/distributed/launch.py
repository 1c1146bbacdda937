"""Starting workers: alone, and several ranks of one machine, as forks of one process that has imported everything."""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_RANKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


class Done(NamedTuple):
    """How a worker ended, as `subprocess.CompletedProcess` says it."""

    returncode: int
    stdout: str
    stderr: str = ""


def start(script: Path, *arguments: Any, ranks: int = 1, timeout: float = 300) -> Done:
    """Run a script by itself, or on so many ranks of this machine, on the CPU; it sees torchrun's variables."""
    forker = _forker()
    assert forker.stdin is not None and forker.stdout is not None
    request = {"script": str(script), "arguments": list(map(str, arguments)), "ranks": ranks, "timeout": timeout}
    forker.stdin.write(json.dumps({**request, "folder": os.getcwd()}) + "\n")
    forker.stdin.flush()
    answer = forker.stdout.readline()
    assert answer, "the process that forks the workers ended"
    return Done(**json.loads(answer))


def torchrun(script: Path, *arguments: Any, ranks: int, options: tuple[str, ...] = (), timeout: float = 300) -> Done:
    """Run a script on so many ranks under the real torchrun."""
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}", "--standalone", *options]
    command += [str(script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment(script.parent))
    return Done(done.returncode, done.stdout, done.stderr)


def results(
    folder: Path, script: Path, *arguments: Any, ranks: int = 1, by: Callable[..., Done] = start
) -> tuple[list[dict], str]:
    """What each rank wrote to `<folder>/<rank>.json`, and what was printed."""
    folder.mkdir(parents=True, exist_ok=True)
    done = by(script, folder, *arguments, ranks=ranks)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(ranks)], done.stdout + done.stderr


def environment(*folders: Path) -> dict[str, str]:
    """The variables of a process on the CPU that imports this checkout and scripts in the folders."""
    variables = {name: value for name, value in os.environ.items() if name not in _RANKS}
    path = [str(ROOT), *map(str, folders), variables.get("PYTHONPATH", "")]
    return {**variables, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join(path)}


@cache
def _forker() -> subprocess.Popen[str]:
    """The process that forks the workers: imports take longer than most of them."""
    command = [sys.executable, "-c", "from tests.distributed.launch import serve; serve()"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), **pipes)
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait(10)


def serve() -> None:
    """Answer the requests of `start` until there are no more."""
    import torch._dynamo
    import torch.distributed.fsdp
    import torch.distributed.tensor
    import torchmetrics  # noqa: F401

    import torchkeras  # noqa: F401
    from tests.distributed import forked

    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # the modules live to the end: no collection in a worker need look at them
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a module prints is no answer
    for line in sys.stdin:
        request = json.loads(line)
        ranks = request["ranks"]
        with tempfile.TemporaryDirectory() as folder:
            work = partial(_work, request["script"], request["arguments"], request["folder"])
            log = Path(folder) / "log.0"
            log.touch()
            for rank in range(1, ranks):
                os.link(log, f"{folder}/log.{rank}")  # lines of all ranks in the order in which they were printed
            processes = forked.start(work, ranks, f"{folder}/log")
            codes = forked.wait_for_all(processes, request["timeout"])
            printed = log.read_text(errors="replace")
        code = next((code for code in codes if code != 0), 0)
        answers.write(json.dumps({"returncode": -9 if code is None else code, "stdout": printed}) + "\n")
        answers.flush()


def _work(script: str, arguments: list[str], folder: str) -> None:
    os.chdir(folder)
    sys.argv = [script, *arguments]
    sys.path.insert(0, os.path.dirname(script))
    if os.environ["WORLD_SIZE"] == "1":
        for name in _RANKS:
            del os.environ[name]
    runpy.run_path(script, run_name="__main__")
