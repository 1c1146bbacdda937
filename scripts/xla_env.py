"""Make an environment with torch_xla, for `make xla`: python scripts/xla_env.py FOLDER.

Torch's wheel for Linux depends on 4 GB of CUDA libraries, which no part of a run on XLA's CPU device calls. Where a C
compiler is at hand, empty libraries of their names take their places: the environment then needs 2.3 GB instead of 7.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

VERSIONS = ["torch==2.9.0", "torch_xla==2.9.0"]
OTHERS = ["absl-py", "filelock", "fsspec", "jinja2", "networkx", "pyyaml", "requests", "sympy", "typing_extensions"]
OURS = ["h5py", "ml_dtypes", "numpy", "pytest", "safetensors", "tqdm"]
OF_CUDA = re.compile(r"(__)?(cu|nccl|nvrtc|nvshmem)")


def main(folder: Path) -> None:
    """Make the environment, or leave a finished one as it is."""
    done = folder / "installed-xla"
    if done.exists():
        return
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", *VERSIONS], check=True)
    subprocess.run([*pip, *OTHERS, *OURS], check=True)
    if not _works(python):
        if sys.platform == "linux" and shutil.which("cc") and shutil.which("readelf"):
            (library,) = folder.glob("lib/python*/site-packages/torch/lib")
            write_stand_ins(library)
        if not _works(python):
            subprocess.run([*pip, *VERSIONS], check=True)
    done.touch()


def _works(python: Path) -> bool:
    return subprocess.run([str(python), "-c", "import torch"], capture_output=True).returncode == 0


def write_stand_ins(folder: Path) -> None:
    """Write libraries in the places of those of CUDA that torch's libraries in a folder ask for.

    One of them has all the functions, each of which answers 100, CUDA's number for "no device". The others are empty
    and lead to it. (A library that had versioned symbols of its own name without their versions would stop the linker.)
    """
    needed: set[str] = set()
    functions: set[str] = set()
    libraries = sorted(folder.glob("*.so"))
    for library in libraries:
        dynamic = subprocess.run(["readelf", "-dW", library], capture_output=True, text=True, check=True).stdout
        needed |= set(re.findall(r"NEEDED.*\[(lib(?:cu|nccl|nv)[^\]]*)\]", dynamic))
        symbols = subprocess.run(["readelf", "-W", "--dyn-syms", library], capture_output=True, text=True, check=True)
        for line in symbols.stdout.splitlines():
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
    flags = ["-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{target.name}"]
    subprocess.run(["cc", *flags, "-o", target, source, *options], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
