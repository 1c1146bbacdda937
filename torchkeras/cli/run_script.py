"""`run SCRIPT`: a script on several processes, by torchrun."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys

from torchkeras.cli.registry import Command, register
from torchkeras.distributed.mesh import get_device_count

_DESCRIPTION = """Run a script on several processes, which fit(), evaluate() and predict() join by themselves.

This is torchrun with defaults: a free port, a thread count that shares out the cores, and one process per accelerator.

  python -m torchkeras run --nproc 2 train.py --epochs 3
  python -m torchkeras run --nnodes 2 --node-rank 0 --master host0:29500 train.py     (and --node-rank 1 on the other)

exit code: that of the script; 2 for an error before it starts."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("script", metavar="SCRIPT", help="the script")
    parser.add_argument("arguments", metavar="ARGUMENT", nargs=argparse.REMAINDER, help="arguments of the script")
    parser.add_argument("--nproc", type=int, help="processes on this machine; default: its accelerators, or 1")
    parser.add_argument("--nnodes", type=int, default=1, help="machines; default 1")
    parser.add_argument("--node-rank", type=int, default=0, help="the number of this machine; default 0")
    parser.add_argument("--master", help="host:port of machine 0, where there are several")
    parser.add_argument("--max-restarts", type=int, default=0, help="restarts after a process failed; default 0")
    parser.add_argument("--logs", help="a folder for what each process prints; it is printed as well")
    parser.add_argument("--signals", help="signals that torchrun hands on beside SIGTERM, such as SIGUSR1 of Slurm")
    parser.add_argument("--threads", type=int, help="threads per process; default: the cores, shared out")
    parser.add_argument("--dry-run", action="store_true", help="print the line for torchrun and do nothing")


def _run(given: argparse.Namespace) -> int:
    processes = given.nproc or get_device_count()
    threads = given.threads or max((os.cpu_count() or 1) // processes, 1)
    line = torchrun_line(given, processes)
    if given.dry_run:
        print(f"OMP_NUM_THREADS={threads} {shlex.join(['torchrun', *line])}")
        return 0
    if not os.path.exists(given.script):
        raise FileNotFoundError(2, "No such file", given.script)
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
    return subprocess.call([sys.executable, "-m", "torch.distributed.run", *line], env=environment)


def torchrun_line(given: argparse.Namespace, processes: int) -> list[str]:
    """The arguments of torchrun.

    Raises:
        ValueError: a number is not positive, or several machines have no master.
    """
    if processes < 1 or given.nnodes < 1:
        raise ValueError(f"--nproc and --nnodes must be positive; received {processes} and {given.nnodes}.")
    line = [f"--nproc-per-node={processes}"]
    if given.nnodes == 1:
        line += ["--standalone"]
    elif not given.master:
        raise ValueError("Several machines need --master host:port of machine 0.")
    else:
        address, _, port = given.master.partition(":")
        line += [f"--nnodes={given.nnodes}", f"--node-rank={given.node_rank}"]
        line += [f"--master-addr={address}", f"--master-port={port or 29500}"]
    if given.max_restarts:
        line += [f"--max-restarts={given.max_restarts}"]
    if given.signals:
        line += [f"--signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,{given.signals}"]
    if given.logs:
        line += [f"--log-dir={given.logs}", "--tee=3"]
    return [*line, given.script, *given.arguments]


register(Command("run", "run a script on several processes", _DESCRIPTION, _arguments, _run))
