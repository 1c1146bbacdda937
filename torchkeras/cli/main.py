"""From the words on the command line to a command."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

from torchkeras.cli import as_keras as as_keras  # each adds its row to the table
from torchkeras.cli import convert_files as convert_files
from torchkeras.cli import diff_files as diff_files
from torchkeras.cli import doctor as doctor
from torchkeras.cli import inspect_file as inspect_file
from torchkeras.cli import run_script as run_script
from torchkeras.cli.registry import COMMANDS, FAILED
from torchkeras.version import __version__

_PROGRAM = "python -m torchkeras"


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(prog=_PROGRAM, description="Commands of torchkeras: Keras's API on PyTorch alone.")
    top.add_argument("--version", action="version", version=f"torchkeras {__version__}")
    rows = top.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for command in sorted(COMMANDS.values(), key=lambda command: command.name):
        one = rows.add_parser(
            command.name,
            help=command.summary,
            description=command.description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.arguments(one)
        one.set_defaults(run=command.run)
    return top


def main(words: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        words: the command line behind the program's name. Default: that of the process.

    Returns:
        The exit code: 0 for success, 1 for "they differ" or "it would be refused", 2 for an error, whose message is on
        stderr.
    """
    given = parser().parse_args(words)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *rest: print(f"warning: {message}", file=sys.stderr)
            return given.run(given)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        where = f": {error.filename}" if error.filename is not None and error.strerror else ""
        print(f"error: {error.strerror or error}{where}", file=sys.stderr)
        return FAILED
    except (ValueError, TypeError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
