"""Make an environment with torch_xla, for `make xla`: python scripts/xla_env.py FOLDER.

Torch's wheel for Linux depends on 4 GB of CUDA libraries, which no part of a run on XLA's CPU device calls. Where a C
compiler is at hand, `cpu_torch.py` leaves them out: the environment then needs 2.3 GB instead of 7.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import cpu_torch

VERSIONS = ["torch==2.9.0", "torch_xla==2.9.0"]
OTHERS = ["absl-py", "pyyaml", "requests"]  # of torch_xla
OURS = ["h5py", "ml_dtypes", "numpy", "pytest", "safetensors", "tqdm"]


def main(folder: Path) -> None:
    """Make the environment, or leave a finished one as it is."""
    done = folder / "installed-xla"
    if done.exists():
        return
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if sys.platform == "linux" and shutil.which("cc") and shutil.which("readelf"):
        cpu_torch.install(python, VERSIONS)
    else:
        subprocess.run([*pip, *VERSIONS], check=True)
    subprocess.run([*pip, *OTHERS, *OURS], check=True)
    done.touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
