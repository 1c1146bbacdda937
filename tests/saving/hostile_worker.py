"""Run as a process of its own: load files that others made, and tell what happened, as JSON lines.

Input: a JSON list of `[door, path]` in a file named by the argument. Output: a line for each.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
import time

import torchkeras
from torchkeras import layers, models, saving

EVENTS: list[str] = []
WATCHED = ("open", "os.system", "subprocess.Popen", "socket.connect", "socket.getaddrinfo", "import", "exec")


def watch(event: str, arguments: tuple) -> None:
    if event in WATCHED and WATCHING:
        EVENTS.append(f"{event} {arguments[0]!r}")


WATCHING = False
sys.addaudithook(watch)


def peak() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def reset_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def load(door: str, path: str) -> None:
    if door == "load_model":
        saving.load_model(path)
    elif door in ("load_weights", "load_torch_weights"):
        model = models.Sequential([layers.Input((3,)), layers.Dense(4, name="dense"), layers.Dense(2, name="dense_1")])
        if door == "load_weights":
            model.load_weights(path)
        else:
            saving.load_torch_weights(model, path, verbose=False)
    else:
        with open(path) as file:
            text = file.read()
        load_text(door, text)


def load_text(door: str, text: str) -> None:
    if door == "model_from_json":
        saving.model_from_json(text)
    elif door == "deserialize_keras_object":
        saving.deserialize_keras_object(json.loads(text))
    elif door == "from_config":
        models.Sequential.from_config(json.loads(text)["config"])


def main() -> None:
    global WATCHING
    with open(sys.argv[1]) as file:
        cases = json.load(file)
    load(*cases.pop(0))  # a good one, so that all imports are done
    codecs.lookup("ascii")
    settings = dict(torchkeras.core.settings._settings)
    for door, path in cases:
        EVENTS.clear()
        reset_peak()
        before, start = peak(), time.process_time()
        WATCHING = True
        try:
            load(door, path)
            error, message = None, ""
        except Exception as raised:
            error, message = type(raised).__mro__[0].__name__, str(raised)
            message = message[:2000]
        WATCHING = False
        report = {
            "error": error,
            "message": message,
            "seconds": time.process_time() - start,
            "peak": peak() - before,
            "events": [e for e in EVENTS if not _own(e, path)],
            "settings": settings == torchkeras.core.settings._settings,
        }
        print(json.dumps(report), flush=True)


def _own(event: str, path: str) -> bool:
    """Opens of the file itself, of private temporary places, and of Python's own sources for a traceback."""
    kind, _, what = event.partition(" ")
    what = what.strip("'\"")
    if kind != "open":
        return False
    return what.startswith((path, "/proc/self", os.environ["TMPDIR"])) or what.isdigit()


main()
