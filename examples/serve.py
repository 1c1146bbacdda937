"""Serving: an HTTP server for any Keras file, which batches requests that arrive together.

    python examples/serve.py model.keras --port 8000
    curl localhost:8000/health
    curl localhost:8000/predict -d '{"inputs": [[0.1, 0.2, 0.3]]}'

`inputs` is a list of samples, or a dict of lists by the inputs' names for a model with several inputs. The answer is
`{"outputs": ...}`. The server takes `.keras` and `.h5` files, and runs no code from them. With `--export` it serves the
program that `torch.export` makes of the model. It needs only Python's standard library beside this package.
"""

import argparse
import json
import queue
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import torchkeras as keras


class HTTPError(Exception):
    """An answer other than 200: its status and a sentence for the client."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Input(NamedTuple):
    """An input of the model; None in the shape is an axis of any length."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    def array(self, value: Any) -> np.ndarray:
        """Samples from JSON as an array.

        Raises:
            HTTPError: 400, if they have another shape, are no numbers (or no strings) or do not fit the type.
        """
        wanted = f"Input '{self.name}' takes {self.dtype} samples of shape {list(self.shape)}"
        try:
            found = np.asarray(value)
        except ValueError:
            raise HTTPError(400, f"{wanted}; the values can't be read as such: lists differ in length.") from None
        is_text = self.dtype == "string"
        if found.size and (found.dtype.kind in "SU") != is_text:
            given = "no strings" if is_text else "no numbers"
            raise HTTPError(400, f"{wanted}; the values can't be read as such: some are {given}.")
        try:
            with np.errstate(over="ignore"):
                array = found.astype(np.str_ if is_text else self.dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise HTTPError(400, f"{wanted}; the values can't be read as such: {error}") from None
        expected = len(self.shape) + 1
        if array.ndim != expected or any(a not in (None, b) for a, b in zip(self.shape, array.shape[1:])):
            hint = " A single sample must be in a list, too." if array.ndim == expected - 1 else ""
            raise HTTPError(400, f"{wanted}; received an array of shape {list(array.shape)}, samples first.{hint}")
        if array.shape[0] == 0:
            raise HTTPError(400, f"{wanted}; received no sample.")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise HTTPError(400, f"{wanted}; a value is too large for the type.")
        return array


class Batcher:
    """A thread that runs the model, on all requests that wait and fit together at once.

    Args:
        run: From a list of arrays, one per input, to the outputs: an array, or a list or dict of arrays.
        max_rows: The most rows in one batch.
        max_wait: Seconds that the first request of a batch waits for others.
        max_waiting: The most requests in the queue; a further one is answered with 503.
    """

    def __init__(self, run, max_rows: int, max_wait: float, max_waiting: int = 1000):
        self.run, self.max_rows, self.max_wait = run, max_rows, max_wait
        self.waiting: queue.Queue = queue.Queue(max_waiting)
        self.batches = self.rows = self.requests = 0
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def __call__(self, arrays: list[np.ndarray]) -> Any:
        """The outputs for these rows, when their batch is done."""
        result: Future = Future()
        try:
            self.waiting.put_nowait((arrays, result))
            self.requests += 1
        except queue.Full:
            raise HTTPError(503, "Too many requests are waiting; try again later.") from None
        return result.result()

    def stop(self) -> None:
        """Finish what waits, then end the thread."""
        self.waiting.put(None)
        self.thread.join()

    def _work(self) -> None:
        first = self.waiting.get()
        while first is not None:
            batch, next_one = self._collect(first)
            self._answer(batch)
            first = next_one if next_one is not ... else self.waiting.get()

    def _collect(self, first: tuple) -> tuple[list, Any]:
        """A batch that starts with this request; and the request (or None to stop) that was taken and did not fit."""
        batch, rows = [first], len(first[0][0])
        shapes = [array.shape[1:] for array in first[0]]
        deadline = time.monotonic() + self.max_wait
        while rows < self.max_rows:
            try:
                request = self.waiting.get(timeout=max(deadline - time.monotonic(), 0))
            except queue.Empty:
                return batch, ...
            if request is None:
                return batch, None
            arrays = request[0]
            if [array.shape[1:] for array in arrays] != shapes or rows + len(arrays[0]) > self.max_rows:
                return batch, request
            batch.append(request)
            rows += len(arrays[0])
        return batch, ...

    def _answer(self, batch: list) -> None:
        try:
            outputs = self.run([np.concatenate(arrays) for arrays in zip(*(arrays for arrays, _ in batch))])
        except Exception as error:  # the clients of this batch get it, the others go on
            for _, result in batch:
                result.set_exception(error)
            return
        start = 0
        self.batches += 1
        for arrays, result in batch:
            end = start + len(arrays[0])
            result.set_result(keras.tree.map_structure(lambda output, s=start, e=end: output[s:e], outputs))
            start = end
        self.rows += start


def load(path: Path, export: bool) -> tuple[list[Input], Any]:
    """The model's inputs, and a function from arrays to outputs."""
    try:
        model = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError) as error:
        raise SystemExit(f"The model can't be loaded. {error}") from None
    try:
        inputs = [Input(x.name, tuple(x.shape[1:]), x.dtype) for x in model.inputs]
    except (AttributeError, ValueError):
        raise SystemExit(f"{path}: a subclassed model does not say what it takes; save a functional one.") from None

    def predict(arrays: list[np.ndarray]) -> Any:
        return model.predict_on_batch(arrays[0] if len(arrays) == 1 else arrays)

    if not export:
        return inputs, predict
    with tempfile.TemporaryDirectory() as folder:
        model.export(Path(folder, "model.pt2"), format="torch", verbose=False)
        program = torch.export.load(Path(folder, "model.pt2")).module()

    def run(arrays: list[np.ndarray]) -> Any:
        tensors = [torch.from_numpy(array) for array in arrays]
        with torch.inference_mode():
            outputs = program(*tensors) if len(tensors) == 1 else program(tensors)
        return keras.tree.map_structure(lambda output: output.cpu().numpy(), outputs)

    return inputs, run


class Server(ThreadingHTTPServer):
    """A thread per connection reads and answers; the batcher's thread computes."""

    daemon_threads = False  # server_close() waits for the answers that are under way
    request_queue_size = 128  # connections that wait to be accepted; further ones are reset

    def __init__(self, address: tuple[str, int], path: Path, export: bool, max_rows: int, max_wait: float, limit: int):
        self.path, self.limit = path, limit
        super().__init__(address, Handler, bind_and_activate=False)
        try:
            self.server_bind()  # before the model is loaded, which may take long
            self.inputs, run = load(path, export)
            self.server_activate()
        except BaseException:
            self.server_close()
            raise
        self.batcher = Batcher(run, max_rows, max_wait)

    def health(self) -> dict:
        inputs = {x.name: {"shape": list(x.shape), "dtype": x.dtype} for x in self.inputs}
        done = {name: getattr(self.batcher, name) for name in ("requests", "rows", "batches")}
        return {"status": "ok", "model": self.path.name, "inputs": inputs, **done}

    def predict(self, body: bytes) -> dict:
        arrays = self.arrays(body)
        outputs = self.batcher(arrays)
        return {"outputs": keras.tree.map_structure(lambda output: output.tolist(), outputs)}

    def arrays(self, body: bytes) -> list[np.ndarray]:
        """One array per input.

        Raises:
            HTTPError: 400, with a sentence that says what is wrong.
        """
        try:
            request = json.loads(body, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise HTTPError(400, f"The body must be JSON: {error}") from None
        if not isinstance(request, dict) or set(request) != {"inputs"}:
            raise HTTPError(400, 'The body must be {"inputs": ...}, without other keys.')
        values, names = request["inputs"], [x.name for x in self.inputs]
        if not isinstance(values, dict):
            if len(names) > 1:
                raise HTTPError(400, f"'inputs' must be an object with the keys {names}.")
            values = {names[0]: values}
        if set(values) != set(names):
            raise HTTPError(400, f"'inputs' must have the keys {names}; received {sorted(values)}.")
        arrays = [x.array(values[x.name]) for x in self.inputs]
        counts = {x.name: len(array) for x, array in zip(self.inputs, arrays)}
        if len(set(counts.values())) > 1:
            raise HTTPError(400, f"All inputs must have as many samples; received {counts}.")
        return arrays

    def stop(self) -> None:
        """Take no more requests, answer those that are here, end."""
        self.shutdown()
        self.server_close()
        self.batcher.stop()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


class Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 10  # seconds without a byte from the client

    def do_GET(self) -> None:
        if self.place() == "/health":
            self.answer(200, self.server.health())
        else:
            self.missing()

    do_HEAD = do_GET

    def do_POST(self) -> None:
        if self.place() != "/predict":
            return self.missing()
        try:
            status, answer = 200, self.server.predict(self.body())
            json.dumps(answer, allow_nan=False)
        except HTTPError as error:
            status, answer = error.status, {"error": str(error)}
        except Exception as error:
            self.log_error("%s: %s", type(error).__name__, error)
            status, answer = 500, {"error": f"The model failed with {type(error).__name__}; the server's log has more."}
        self.answer(status, answer)

    def place(self) -> str:
        """The path without a query and a slash at the end."""
        return self.path.split("?")[0].rstrip("/")

    def body(self) -> bytes:
        """The bytes of the request, no more than the limit."""
        length = self.headers.get("Content-Length")
        if length is None:
            raise HTTPError(411, "Send a Content-Length.")
        if not length.isdecimal():
            raise HTTPError(400, f"Content-Length must be a number; received {length!r}.")
        if int(length) > self.server.limit:
            # Read some of it away: to a client that still sends, closing would look like a broken connection.
            rest = min(int(length), 10 * self.server.limit)
            while rest and (part := self.rfile.read(min(rest, 65536))):
                rest -= len(part)
            raise HTTPError(413, f"The body has {length} bytes; at most {self.server.limit} are taken.")
        return self.rfile.read(int(length))

    def missing(self) -> None:
        self.answer(404, {"error": f"There is GET /health and POST /predict; not {self.command} {self.path}."})

    do_PUT = do_PATCH = do_DELETE = do_OPTIONS = missing

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer requests that Python's library refuses in JSON, too."""
        self.answer(code, {"error": message or self.responses.get(code, ("Bad request",))[0]})

    def answer(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_request(self, code="-", size="-") -> None:
        """No line per request; errors are logged."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a .keras or .h5 file")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--export", action="store_true", help="serve the program that torch.export makes of the model")
    parser.add_argument("--max-rows", type=int, default=64, help="rows per batch")
    parser.add_argument("--max-wait-ms", type=float, default=2.0, help="how long a batch waits for more requests")
    parser.add_argument("--max-bytes", type=int, default=10_000_000, help="the largest body that is taken")
    given = parser.parse_args(arguments)

    address = (given.host, given.port)
    try:
        server = Server(address, given.model, given.export, given.max_rows, given.max_wait_ms / 1000, given.max_bytes)
    except (OSError, OverflowError) as error:
        place = f"port {given.port} of {given.host}"
        hint = "Give another --host or --port; with --port 0 it takes a free one."
        raise SystemExit(f"The server can't use {place}: {error}. {hint}") from None
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    print(f"Serving {given.model} at http://{given.host}:{server.server_port}", flush=True)
    stop.wait()
    print("Stopping: requests that are here are answered.", flush=True)
    server.stop()
    serving.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
