"""RemoteMonitor: each epoch's logs sent to a server."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import numpy as np

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.core.user_warnings import warn_user
from torchkeras.distributed import is_main_process

_TIMEOUT = 10.0  # seconds; a monitor that hangs does not hold up training for longer


class RemoteMonitor(Callback):
    """Send the logs of each epoch to a server, by HTTP POST. With several processes the main one sends.

    A server that can't be reached is warned of; training goes on.

    Args:
        root: address of the server. Default: `"http://localhost:9000"`.
        path: path at the server. Default: `"/publish/epoch/end/"`.
        field: name of the form's field that holds the JSON text. Default: `"data"`.
        headers: further HTTP headers, a dict. Default: `None`.
        send_as_json: whether the body is the JSON text itself instead of a form. Default: `False`.

    Example:
        >>> monitor = keras.callbacks.RemoteMonitor(root="http://localhost:9000", send_as_json=True)
        >>> monitor.path
        '/publish/epoch/end/'
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        if not is_main_process():
            return
        text = json.dumps({"epoch": epoch, **{name: _plain(value) for name, value in (logs or {}).items()}})
        if self.send_as_json:
            body, kind = text.encode(), "application/json"
        else:
            body, kind = urllib.parse.urlencode({self.field: text}).encode(), "application/x-www-form-urlencoded"
        headers = {"Content-Type": kind, **(self.headers or {})}
        request = urllib.request.Request(self.root + self.path, body, headers)
        try:
            urllib.request.urlopen(request, timeout=_TIMEOUT).close()
        except (urllib.error.URLError, OSError) as error:
            warn_user(f"Could not reach RemoteMonitor root server at {self.root} ({error})")


def _plain(value: object) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return float(value) if hasattr(value, "__float__") and not isinstance(value, (int, float)) else value
