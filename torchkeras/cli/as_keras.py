"""`as-keras SCRIPT`: run a script, or a module, in which `keras` is this package."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import traceback
from pathlib import Path

from torchkeras.cli.registry import Command, register
from torchkeras.compat.environment import VARIABLE
from torchkeras.compat.finder import serve
from torchkeras.compat.tensorflow_keras import serve_tensorflow_keras

_DESCRIPTION = """Run a script in which `import keras` imports torchkeras; the processes that it starts see it, too.

  python -m torchkeras as-keras train.py --epochs 3
  python -m torchkeras as-keras --tensorflow old.py     (`from tensorflow import keras` as well)
  python -m torchkeras as-keras -m pytest tests         (a module in the place of a script)
  export PYTHONPATH="$(python -m torchkeras as-keras --path)"     (all Python processes of this shell)

exit code: that of the script, 1 where it ends in an exception; 2 for an error before it starts."""

# Its one package, `keras`, hands over to this package: a folder for PYTHONPATH, which child processes inherit.
FOLDER = Path(__file__).parent.parent / "compat" / "on_path"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tensorflow", action="store_true", help="serve tensorflow.keras, too, in this process")
    parser.add_argument("--path", action="store_true", help="print the folder for PYTHONPATH and end")
    parser.add_argument("-m", dest="module", action="store_true", help="SCRIPT is the name of a module")
    parser.add_argument("script", metavar="SCRIPT", nargs="?", help="the script")
    parser.add_argument("arguments", metavar="ARGUMENT", nargs=argparse.REMAINDER, help="arguments of the script")


def _run(given: argparse.Namespace) -> int:
    if given.path:
        print(FOLDER)
        return 0
    if given.script is None:
        raise ValueError("as-keras needs a script, or --path.")
    if not given.module and not os.path.exists(given.script):
        raise FileNotFoundError(2, "No such file", given.script)
    serve_tensorflow_keras() if given.tensorflow else serve()
    os.environ[VARIABLE] = "tensorflow" if given.tensorflow else "1"
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(FOLDER) if not before else f"{FOLDER}{os.pathsep}{before}"
    sys.argv = [given.script, *given.arguments]
    try:
        if given.module:
            runpy.run_module(given.script, run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, str(Path(given.script).resolve().parent))
            runpy.run_path(given.script, run_name="__main__")
    except Exception:
        traceback.print_exc()
        return 1
    return 0


register(Command("as-keras", "run a script in which keras is this package", _DESCRIPTION, _arguments, _run))
