"""Run the quick tests on several Pythons and versions of torch, one environment after another, and print a table.

    python scripts/matrix.py                                  # each Python with the newest torch, then each torch
    python scripts/matrix.py --pairs 3.11:2.9.1 3.13:2.14.1   # these pairs alone
    python scripts/matrix.py --cpu-only                       # without the libraries of CUDA; see cpu_torch.py
    python scripts/matrix.py --environment PATH               # an environment that is there, with torch and pytest

An environment is made in a temporary folder and removed before the next one: torch's CUDA builds take 7 GB each, and
1.5 with --cpu-only. A Python that this machine lacks, or a torch that the registry does not serve for it, is a row that
says so. Exit code 0 if no tests failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cpu_torch

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
TORCHES = ("2.9", "2.10", "2.11", "2.12", "2.13", "2.14", "2.15")
NEWEST = ""
NEEDED = ["numpy", "h5py", "safetensors", "tqdm", "keras==3.15.1", "pandas", "scikit-learn", "pytest", "pytest-xdist"]
QUICK = ["core", "layers_base", "ops", "models", "training", "saving", "torch_promises"]


def main(words: list[str] | None = None) -> int:
    """Run the pairs that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs="+", metavar="PYTHON:TORCH", help="3.12:2.9.1; nothing behind : is the newest")
    parser.add_argument(
        "--environment", type=Path, action="append", default=[], help="run in this one; may be repeated"
    )
    parser.add_argument("--tests", nargs="+", default=QUICK, help="folders of tests/; default: " + " ".join(QUICK))
    parser.add_argument("--cpu-only", action="store_true", help="install torch without the libraries of CUDA")
    given = parser.parse_args(words)
    rows: list[tuple[str, str, str]] = []
    for folder in given.environment:
        rows.append(tested(folder / "bin" / "python", given.tests))
        print(*rows[-1], sep=" | ", flush=True)
    pairs = given.pairs or ([] if given.environment else every_pair())
    for pair in pairs:
        python, _, torch = pair.partition(":")
        rows.append(in_new_environment(python, torch, given.tests, given.cpu_only))
        print(*rows[-1], sep=" | ", flush=True)
    print("\n| Python | torch | quick tests |\n|---|---|---|")
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return int(any("failed" in row[2] or "error" in row[2] for row in rows))


def every_pair() -> list[str]:
    """Each Python with the newest torch; each torch with the oldest Python."""
    return [f"{python}:{NEWEST}" for python in PYTHONS] + [f"{PYTHONS[0]}:{torch}" for torch in TORCHES]


def interpreter(version: str) -> str | None:
    """The path of a Python: on the path or of pyenv."""
    candidates = [shutil.which(f"python{version}")]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [*map(str, pyenv.glob(f"{version}.*/bin/python")), *candidates]
    for path in candidates:
        if path and subprocess.run([path, "--version"], capture_output=True).returncode == 0:
            return path
    return None


def in_new_environment(python: str, torch: str, tests: list[str], cpu_only: bool) -> tuple[str, str, str]:
    """Make an environment, test in it, and remove it."""
    path = interpreter(python)
    if path is None:
        return python, torch or "newest", "not run: this machine has no such Python"
    requirement = f"torch=={torch}" if torch.count(".") > 1 else f"torch=={torch}.*" if torch else "torch"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([path, "-m", "venv", folder], check=True)
        inside = Path(folder) / "bin" / "python"
        try:
            if cpu_only:
                cpu_torch.install(inside, [requirement])
            packages = (
                NEEDED if cpu_only else [requirement, *NEEDED]
            )  # pip adds what an installed torch lacks if it is named
            cpu_torch.output(inside, "-m", "pip", "install", "-q", "--no-cache-dir", *packages)
        except subprocess.CalledProcessError as error:
            return python, torch or "newest", f"not run: {error.stderr.strip().splitlines()[-1][:120]}"
        return tested(inside, tests)


def tested(python: Path, tests: list[str]) -> tuple[str, str, str]:
    """Run the quick tests: the versions of Python and torch, and pytest's last line."""
    ask = "import platform, torch; print(platform.python_version(), torch.__version__)"
    versions = subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    folders = [f"tests/{folder}" for folder in tests]
    line = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *folders]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, env=environment)
    lines = done.stdout.strip().splitlines() or ["no output"]
    for failure in (text for text in lines if text.startswith(("FAILED", "ERROR"))):
        print("   ", failure[:200], file=sys.stderr)
    return versions[0], versions[1], re.sub(r" in [\d.]+s.*|=+ ?", "", lines[-1])


if __name__ == "__main__":
    sys.exit(main())
