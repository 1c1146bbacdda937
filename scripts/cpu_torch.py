"""Install torch for tests on a CPU where the registry serves its CUDA build alone: 1.2 GB in the place of 7.

    python scripts/cpu_torch.py ENVIRONMENT                 # the newest torch
    python scripts/cpu_torch.py ENVIRONMENT "torch==2.14.*"

Torch's wheel for Linux depends on gigabytes of CUDA libraries. It loads them when it is imported, but calls them on a
GPU only. Here empty libraries take their places: torch finds no GPU then, and works on the CPU as always. A C compiler
and readelf (binutils) must be there.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

OF_CUDA = re.compile(r"(__)?(cu|nccl|nvrtc|nvshmem)")
PACKAGES_OF_CUDA = re.compile(r"(nvidia|cuda|triton|pytorch-triton)\b")
REQUIREMENTS = "from importlib.metadata import requires; print(*requires('torch') or [], sep='\\n')"


def main(words: list[str] | None = None) -> int:
    """Install torch in the environment that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", type=Path)
    parser.add_argument("requirement", nargs="?", default="torch")
    given = parser.parse_args(words)
    install(given.environment / "bin" / "python", [given.requirement])
    return 0


def install(python: Path, requirements: list[str]) -> None:
    """Install torch, and packages built on it, without their dependencies on CUDA.

    Args:
        python: The interpreter of the environment.
        requirements: For pip, such as `["torch==2.14.*"]`.

    Raises:
        subprocess.CalledProcessError: If pip, the compiler or `import torch` fails. `stderr` has its words.
    """
    pip = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check"]
    output(*pip, "--no-deps", *requirements)
    output(*pip, *without_cuda(output(python, "-c", REQUIREMENTS).splitlines()))
    if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode:
        folder = output(python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))").strip()
        write_stand_ins(Path(folder) / "torch" / "lib")
        output(python, "-c", "import torch")


def without_cuda(requirements: Iterable[str]) -> list[str]:
    """The requirements of a package without the libraries of CUDA."""
    return [line for line in requirements if "extra ==" not in line and not PACKAGES_OF_CUDA.match(line)]


def write_stand_ins(folder: Path) -> None:
    """Write libraries in the places of those of CUDA that torch's libraries in a folder ask for.

    One of them has all the functions, each of which answers 100, CUDA's number for "no device". The others are empty
    and lead to it. (A library that had versioned symbols of its own name without their versions would stop the linker.)
    """
    needed: set[str] = set()
    functions: set[str] = set()
    for library in sorted(folder.glob("*.so")):
        needed |= set(re.findall(r"NEEDED.*\[(lib(?:cu|nccl|nv)[^\]]*)\]", output("readelf", "-dW", library)))
        for line in output("readelf", "-W", "--dyn-syms", library).splitlines():
            fields = line.split()
            if len(fields) > 7 and fields[6] == "UND" and OF_CUDA.match(fields[7]):
                functions.add(fields[7].split("@")[0])
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "functions.c"
        source.write_text("".join(f"int {name}(void) {{ return 100; }}\n" for name in sorted(functions)))
        _link(source, folder / "libno_cuda.so")
        source.write_text("")
        for name in sorted(needed):
            _link(source, folder / name, "-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed", f"-L{folder}", "-lno_cuda")


def _link(source: Path, target: Path, *options: str) -> None:
    output("cc", "-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{target.name}", "-o", target, source, *options)


def output(*words: str | Path) -> str:
    """The output of a command that must succeed."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
