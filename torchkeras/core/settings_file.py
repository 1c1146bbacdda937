"""The file `keras.json`: where it is, how it is read, how it is written when it is missing."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from torchkeras.core.user_warnings import warn_user


def keras_home() -> Path:
    """The folder of `keras.json`, data sets and models: `$KERAS_HOME`, else `.keras` in the user's home.

    The home is `~`, on Windows `%USERPROFILE%`; if it can't be written, the system's temporary directory.
    """
    if os.environ.get("KERAS_HOME"):
        return Path(os.environ["KERAS_HOME"])
    home = Path(os.path.expanduser("~"))
    base = home if os.access(home, os.W_OK) else Path(tempfile.gettempdir())
    return base / ".keras"


def read(path: Path) -> dict[str, Any] | None:
    """The contents of the file: `None` if there is none, empty (with a warning) if it holds no JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return None
    except ValueError as error:
        found = error
    if isinstance(found, dict):
        return found
    reason = f"it is not valid JSON ({found})" if isinstance(found, ValueError) else "it must hold one JSON object"
    warn_user(f"The settings file {path} is ignored: {reason}. The default settings are used.")
    return {}


def write_if_missing(path: Path, settings: dict[str, Any]) -> None:
    """Write the settings to a file that does not exist yet; do nothing where that is impossible.

    The file appears under its name complete or not at all, and a file that another process wrote first stays.
    """
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps(settings, indent=4) + "\n")
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)  # mkstemp's file is for its owner alone
            _name_if_free(temporary, path)
        finally:
            os.unlink(temporary)


def _name_if_free(temporary: str, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        with open(path, "x", encoding="utf-8") as file:
            file.write(Path(temporary).read_text(encoding="utf-8"))
