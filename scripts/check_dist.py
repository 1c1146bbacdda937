"""Check what `make dist` built: what the files hold, their metadata, and an install in an environment of its own.

    python scripts/check_dist.py dist            # contents and metadata
    python scripts/check_dist.py dist --install  # and install the wheel, then run the README's example

Exit code 0 if all is well; else each problem is a line.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "torchkeras"
IN_SDIST = ("LICENSE", "README.md", "CHANGELOG.md", "Makefile", "constraints.txt", "setup.cfg", "tests/conftest.py")
UNWANTED = re.compile(r"__pycache__|\.py[cod]$|\.h5$|\.keras$|/\.git|\.venv|\.mypy_cache|\.pytest_cache|^build/")


def main(words: list[str] | None = None) -> int:
    """Check the newest wheel and source distribution of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--install", action="store_true", help="install the wheel and run the README's example")
    given = parser.parse_args(words)
    wheel, sdist = newest(given.folder, "*.whl"), newest(given.folder, "*.tar.gz")
    problems = [*wheel_problems(wheel), *sdist_problems(sdist)]
    if given.install and not problems:
        problems = install_problems(wheel)
    print("\n".join(problems) or f"{wheel.name} and {sdist.name}: all is well.")
    return 1 if problems else 0


def newest(folder: Path, pattern: str) -> Path:
    """The file of a pattern that was written last."""
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not found:
        raise SystemExit(f"There is no {pattern} in {folder}; `make dist` builds it.")
    return found[-1]


def wheel_problems(path: Path) -> list[str]:
    """Say what is missing or too much in a wheel."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        info = next(name for name in names if name.endswith(".dist-info/METADATA")).rsplit("/", 1)[0]
        metadata = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode())
    problems = [f"The wheel holds {name}." for name in names if UNWANTED.search(name)]
    problems += [f"The wheel holds {name}." for name in names if not name.startswith((f"{PACKAGE}/", info))]
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / PACKAGE).rglob("*.py")}
    needed = {*ours, f"{PACKAGE}/py.typed", f"{PACKAGE}/ops/__init__.pyi", f"{info}/licenses/LICENSE"}
    problems += [f"The wheel lacks {name}." for name in sorted(needed - set(names))]
    if metadata["License-Expression"] != "Apache-2.0" or metadata["License-File"] != "LICENSE":
        problems.append("The wheel's metadata names no licence (License-Expression, License-File).")
    if metadata["Version"] != version():
        problems.append(f"The wheel is of version {metadata['Version']}, the source of {version()}.")
    return problems


def sdist_problems(path: Path) -> list[str]:
    """Say what is missing or too much in a source distribution."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    problems = [f"The source distribution holds {name}." for name in sorted(names) if UNWANTED.search(name)]
    tests = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py")}
    return problems + [f"The source distribution lacks {name}." for name in sorted({*IN_SDIST, *tests} - names)]


def version() -> str:
    """The version that the source says."""
    text = (ROOT / PACKAGE / "version.py").read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "(.*)"$', text, re.MULTILINE)[0]


def install_problems(wheel: Path) -> list[str]:
    """Install a wheel in a new environment, with the versions of constraints.txt, and run the README's example."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[0]
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "venv" / "bin" / "python"
        for step in (
            [sys.executable, "-m", "venv", f"{folder}/venv"],
            [str(python), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), str(wheel.resolve())],
            [str(python), "-I", "-c", example],
            [str(python), "-I", "-m", PACKAGE, "--version"],
        ):
            done = subprocess.run(step, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                return [f"{' '.join(step)[:200]} failed:\n{done.stderr.strip()[-1500:]}"]
    return []


if __name__ == "__main__":
    sys.exit(main())
