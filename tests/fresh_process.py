"""Scripts in processes of their own, in which torch is imported and nothing of this package or of Keras.

They are forks of one process, since importing torch takes most of the time of a short script.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 300  # seconds after which a script is ended by a signal


def run(script: str, *arguments: object, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, with this process's environment and more variables."""
    return run_together([script], *arguments, cwd=cwd, **environment)[0]


def run_together(
    scripts: list[str], *arguments: object, cwd: Path = ROOT, without: tuple[str, ...] = (), **environment: str
) -> list[subprocess.CompletedProcess[str]]:
    """Run scripts at the same time; variables in `without` are left out of their environment."""
    variables = {name: value for name, value in os.environ.items() if name not in without} | environment
    server = _server()
    assert server.stdin is not None and server.stdout is not None
    request = {"scripts": scripts, "argv": ["-c", *map(str, arguments)], "cwd": str(cwd), "environment": variables}
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    answer = server.stdout.readline()
    assert answer, "the process that forks the scripts ended"
    return [subprocess.CompletedProcess(script, *row) for script, row in zip(scripts, json.loads(answer), strict=True)]


@cache
def _server() -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from tests.fresh_process import serve; serve()"]
    server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)  # the end of its input is its end
    return server


def serve() -> None:
    """Answer the requests of `run` until there are no more."""
    import h5py  # noqa: F401
    import torch

    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            names = [f"{folder}/{i}" for i in range(len(request["scripts"]))]
            children = [_fork(script, request, name) for script, name in zip(request["scripts"], names, strict=True)]
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
            rows = [
                (code, Path(f"{name}.out").read_text(), Path(f"{name}.err").read_text())
                for code, name in zip(codes, names, strict=True)
            ]
        answers.write(json.dumps(rows) + "\n")
        answers.flush()


def _fork(script: str, request: dict, name: str) -> int:
    """Start a script, whose output goes to files of that name; the process's id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        signal.alarm(LIMIT)
        for number, ending in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{name}.{ending}", os.O_WRONLY | os.O_CREAT), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = request["argv"]
        exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
