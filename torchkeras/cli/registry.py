"""The table of commands: one row for each, which its own file adds."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

# How a command ended, as the exit code of the process.
OK, DIFFERENT, FAILED = 0, 1, 2


@dataclass(frozen=True)
class Command:
    """A command of `python -m torchkeras`.

    Args:
        name: what the user types.
        summary: one line for the list of commands.
        description: what `COMMAND --help` says, with the exit codes.
        arguments: adds the command's arguments to its parser.
        run: does it; returns the exit code. An exception that says what is wrong ends in its message and `FAILED`.
    """

    name: str
    summary: str
    description: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


COMMANDS: dict[str, Command] = {}


def register(command: Command) -> Command:
    """Add a command to the table.

    Raises:
        ValueError: there is one of this name.
    """
    if command.name in COMMANDS:
        raise ValueError(f"There are two commands {command.name!r}.")
    COMMANDS[command.name] = command
    return command
