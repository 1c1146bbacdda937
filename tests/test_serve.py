"""examples/serve.py, by real sockets: answers equal to the model's, batches, refusals, a clean end."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest

import torchkeras as keras

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "serve.py"
_spec = importlib.util.spec_from_file_location("example_serve", SCRIPT)
serve = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(serve)


def small_model():
    return keras.Sequential(
        [keras.Input((3,), name="x"), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(2)]
    )


@pytest.fixture
def started():
    """A function that starts a server for a model; all are stopped in the end."""
    servers = []

    def start(model, folder, suffix=".keras", export=False, max_wait=0.0, limit=100_000):
        model.save(folder / f"model{suffix}")
        server = serve.Server(("127.0.0.1", 0), folder / f"model{suffix}", export, 8, max_wait, limit)
        servers.append(server)
        threading.Thread(target=server.serve_forever).start()
        return server

    yield start
    for server in servers:
        server.stop()


def ask(port, method, path, body=None, headers=()):
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, dict(headers))
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, content


def predict(server, inputs):
    return ask(server.server_port, "POST", "/predict", json.dumps({"inputs": inputs}))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize("suffix, export", [(".keras", False), (".h5", False), (".keras", True)])
def test_the_answer_is_the_models(started, tmp_path, rng, suffix, export):
    model = small_model()
    server = started(model, tmp_path, suffix, export)
    for rows in (2, 5):
        x = rng.normal(size=(rows, 3)).astype("float32")
        status, answer = predict(server, x.tolist())
        assert status == 200
        np.testing.assert_allclose(answer["outputs"], model.predict(x, verbose=0), atol=1e-5)
    status, health = ask(server.server_port, "GET", "/health")
    assert (status, health["status"], health["rows"]) == (200, "ok", 7)
    assert health["inputs"] == {"x": {"shape": [3], "dtype": "float32"}}


@pytest.mark.parametrize("export", [False, True])
def test_several_inputs_and_outputs(started, tmp_path, rng, export):
    one, two = keras.Input((3,), name="one"), keras.Input((), dtype="int64", name="two")
    h = keras.layers.Concatenate()([one, keras.layers.Embedding(5, 2)(two)])
    model = keras.Model([one, two], [keras.layers.Dense(1)(h), keras.layers.Dense(2)(h)])
    server = started(model, tmp_path, export=export)
    x, k = rng.normal(size=(4, 3)).astype("float32"), rng.integers(0, 5, 4)
    status, answer = predict(server, {"two": k.tolist(), "one": x.tolist()})
    assert status == 200
    for ours, theirs in zip(answer["outputs"], model.predict([x, k], verbose=0), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert predict(server, x.tolist())[1] == {"error": "'inputs' must be an object with the keys ['one', 'two']."}
    status, answer = predict(server, {"two": [1], "one": x.tolist()})
    assert (status, "as many samples" in answer["error"]) == (400, True)


def test_strings(started, tmp_path):
    lookup = keras.layers.StringLookup(vocabulary=["cat", "dog"])
    inputs = keras.Input((1,), dtype="string", name="animal")
    server = started(keras.Model(inputs, lookup(inputs)), tmp_path)
    assert predict(server, [["dog"], ["cat"], ["cow"]]) == (200, {"outputs": [[2], [1], [0]]})
    assert predict(server, [[1]])[0] == 400


def test_requests_that_come_together_are_one_batch(started, tmp_path, rng):
    model = small_model()
    server = started(model, tmp_path, max_wait=30.0)  # batches have 8 rows: full ones do not wait
    x = rng.normal(size=(16, 3)).astype("float32")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda row: predict(server, [row.tolist()]), x))
    assert {status for status, _ in answers} == {200}
    np.testing.assert_allclose([a["outputs"][0] for _, a in answers], model.predict(x, verbose=0), atol=1e-5)
    assert server.batcher.rows == 16 and server.batcher.batches == 2


@pytest.mark.parametrize(
    "body, words",
    [
        ("{", "must be JSON"),
        ("[" * 100_000 + "]" * 100_000, "bytes"),
        ("[" * 20_000 + "]" * 20_000, "must be JSON"),
        ("[[1, 2, 3]]", '{"inputs": ...}'),
        ('{"inputs": [[1, 2, 3]], "more": 1}', "without other keys"),
        ('{"inputs": [[1, 2]]}', "received an array of shape [1, 2]"),
        ('{"inputs": [1, 2, 3]}', "received an array of shape [3]"),
        ('{"inputs": []}', "received an array of shape [0]"),
        ('{"inputs": [[1, 2, 3], [1, 2]]}', "float32 samples of shape [3]"),
        ('{"inputs": [["1", "2", "3"]]}', "float32 samples of shape [3]"),
        ('{"inputs": [[1, null, 3]]}', "float32 samples of shape [3]"),
        ('{"inputs": [[1, 1e300, 3]]}', "too large"),
        ('{"inputs": [[1, NaN, 3]]}', "NaN is no JSON number"),
        ('{"inputs": [[1, ' + "9" * 400 + ", 3]]}", "float32 samples of shape [3]"),
        ('{"inputs": {"y": [[1, 2, 3]]}}', "must have the keys ['x']; received ['y']"),
    ],
    ids=range(15),
)
def test_bad_bodies(one_server, body, words):
    status, answer = ask(one_server.server_port, "POST", "/predict", body)
    assert status == (413 if words == "bytes" else 400) and words in answer["error"], answer
    assert predict(one_server, [[1, 2, 3]])[0] == 200, "the server goes on"


@pytest.fixture(scope="module")
def one_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    small_model().save(folder / "m.keras")
    server = serve.Server(("127.0.0.1", 0), folder / "m.keras", False, 8, 0.0, 100_000)
    threading.Thread(target=server.serve_forever).start()
    yield server
    server.stop()


def test_other_paths_and_lengths(one_server):
    port = one_server.server_port
    assert ask(port, "GET", "/")[0] == ask(port, "POST", "/health", "{}")[0] == 404
    assert ask(port, "POST", "/predict", "{}", {"Content-Length": "-2"})[0] == 400
    with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:
        raw.sendall(b"POST /predict HTTP/1.0\r\n\r\n")
        assert b" 411 " in raw.recv(1000)


def test_refusals_of_pythons_library_are_json_and_paths_may_have_a_query(one_server):
    port = one_server.server_port
    for method in ("PUT", "OPTIONS", "BREW"):
        status, answer = ask(port, method, "/predict", "{}")
        assert status in (404, 501) and answer["error"]
    assert ask(port, "GET", "/health/?x=1")[1]["status"] == "ok"
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("HEAD", "/health")
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read() == b""
    connection.close()


def test_a_start_that_fails_is_one_sentence(one_server, tmp_path):
    (tmp_path / "text.txt").write_text("no model")
    model, taken = str(one_server.path), str(one_server.server_port)
    for arguments, words in [
        ([str(tmp_path / "none.keras"), "--port", "0"], "no such file"),
        ([str(tmp_path / "text.txt"), "--port", "0"], "File format not supported"),
        ([model, "--port", taken], f"can't use port {taken} of 127.0.0.1: .* in use"),
        ([model, "--port", "99999"], "must be 0-65535"),
    ]:
        with pytest.raises(SystemExit, match=words):
            serve.main(arguments)


def test_an_error_of_the_model_is_500_and_the_next_request_works(one_server, monkeypatch, capsys):
    def fail(arrays):
        raise RuntimeError("secret")

    with monkeypatch.context() as patch:
        patch.setattr(one_server.batcher, "run", fail)
        status, answer = predict(one_server, [[1, 2, 3]])
    assert status == 500 and "RuntimeError" in answer["error"] and "secret" not in answer["error"]
    assert "secret" in capsys.readouterr().err
    assert predict(one_server, [[1, 2, 3]])[0] == 200


def test_sigterm_answers_what_is_under_way(tmp_path):
    small_model().save(tmp_path / "m.keras")
    line = [sys.executable, SCRIPT, tmp_path / "m.keras", "--port", "0", "--max-wait-ms", "1500"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(ask, port, "POST", "/predict", '{"inputs": [[1, 2, 3]]}')
            while ask(port, "GET", "/health")[1]["requests"] == 0:  # until the request has come in
                pass
            process.send_signal(signal.SIGTERM)
            status, content = answer.result()
        assert status == 200 and np.shape(content["outputs"]) == (1, 2)
        assert process.wait(timeout=30) == 0
        with pytest.raises(ConnectionRefusedError):
            ask(port, "GET", "/health")
    finally:
        process.kill()
        process.stdout.close()
