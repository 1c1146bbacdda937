"""The bar and its wording: as Keras prints it, and quiet where nobody can see it move."""

import fcntl
import os
import re
import struct
import sys
import termios
import time

import keras
import pytest
import torch

from torchkeras.callbacks import CallbackList, ProgbarLogger
from torchkeras.reporting import progress
from torchkeras.reporting.logs import Logs
from torchkeras.reporting.progress import Progbar, resolve_verbose

STEPS = 12


def plain(text):
    """Without colours, and with times that two runs can share."""
    text = re.sub(r"\x1b\[\d+m", "", text).replace("\r", "").replace("\x08", "")
    return re.sub(r"\b\d+(s|ms|us)\b", r"T", text)


def feed(module, verbose, target=STEPS, **kwargs):
    bar = module.Progbar(target, verbose=verbose, interval=1e9, **kwargs)
    for step in range(1, STEPS + 1):
        bar.update(step, [("loss", 1 / step), ("tiny", 1e-5 * step), ("down", -2.0)], finalize=False)
    bar.target = STEPS
    bar.update(STEPS, [("loss", 0.25), ("tiny", 1e-5), ("down", -2.0), ("val_loss", 3.0)], finalize=True)


@pytest.mark.parametrize(
    "kwargs", [{}, {"stateful_metrics": ["loss"]}, {"stateless_metrics": ["tiny"]}, {"unit_name": "file"}]
)
@pytest.mark.parametrize("verbose", [0, 1, 2])
@pytest.mark.parametrize("target", [STEPS, None])
def test_the_last_line_is_that_of_keras(verbose, target, kwargs, capsys):
    feed(progress, verbose, target, **kwargs)
    ours = capsys.readouterr().out
    feed(keras.utils, verbose, target, **kwargs)
    theirs = capsys.readouterr().out
    if verbose == 2:  # Keras prints a small negative value in another format there
        theirs = theirs.replace("-2.0000e+00", "-2.0000")
    ours, theirs = (plain(text).rsplit(f"{STEPS}/{STEPS}", 1)[-1] for text in (ours, theirs))
    assert ours == theirs and bool(ours) == bool(verbose)


def test_both_kinds_of_metrics_at_once_are_refused():
    with pytest.raises(ValueError, match="Only one of .* received both"):
        Progbar(3, stateful_metrics=["a"], stateless_metrics=["b"])


def test_averages_and_add(capsys):
    bar = Progbar(3, verbose=2, stateful_metrics=["last"])
    for value in (1.0, 2.0):
        bar.add(1, [("mean", value), ("last", value)])
    assert bar._values["mean"] == (3.0, 2) and bar._values["last"] == (2.0, 1)
    bar.add(1, [("mean", 5.0)])
    assert "3/3" in capsys.readouterr().out


def fit_like(verbose, epochs=2, steps=5, target=5, in_evaluate=False):
    found = CallbackList([ProgbarLogger()], verbose=verbose, epochs=epochs, steps=target)
    if in_evaluate:
        found.on_test_begin()
        for step in range(steps):
            found.on_test_batch_end(step, {"loss": 0.5})
        found.on_test_end({"loss": 0.5})
        return
    found.on_train_begin()
    for epoch in range(epochs):
        found.on_epoch_begin(epoch)
        for step in range(steps):
            found.on_train_batch_end(step, Logs({"loss": torch.tensor(0.5)}))
        found.on_test_begin()
        found.on_test_batch_end(0, {"loss": 9.0})
        found.on_test_end({"loss": 9.0})
        found.on_epoch_end(epoch, Logs({"loss": 0.25, "val_loss": 0.75}))
    found.on_train_end()


def test_a_line_an_epoch_without_a_terminal(capsys):
    fit_like("auto")
    lines = plain(capsys.readouterr().out).splitlines()
    assert lines == [x for e in (1, 2) for x in (f"Epoch {e}/2", "5/5 - T - T/step - loss: 0.2500 - val_loss: 0.7500")]


def test_a_bar_is_drawn_once_an_epoch_without_a_terminal(capsys):
    fit_like(1, epochs=1)
    assert plain(capsys.readouterr().out) == f"5/5 {'━' * 20} T T/step - loss: 0.2500 - val_loss: 0.7500\n"


def test_an_unknown_number_of_steps_is_known_in_the_end(capsys):
    fit_like(2, target=None)
    assert plain(capsys.readouterr().out).count("5/5 - T") == 2


def test_evaluate_has_a_bar_of_its_own_and_predict_no_metrics(capsys):
    fit_like(2, in_evaluate=True)
    found = CallbackList([ProgbarLogger()], verbose=2, epochs=1, steps=2)
    found.on_predict_begin()
    for step in range(2):
        found.on_predict_batch_end(step, {"outputs": torch.zeros(3)})
    found.on_predict_end()
    assert plain(capsys.readouterr().out).splitlines() == ["5/5 - T - T/step - loss: 0.5000", "2/2 - T - T/step"]


@pytest.mark.parametrize(
    ("value", "terminal", "found"), [("auto", True, 1), ("auto", False, 2), (1, False, 1), (0, True, 0), (2, True, 2)]
)
def test_auto(value, terminal, found, monkeypatch):
    monkeypatch.setattr(progress, "is_dynamic", lambda: terminal)
    assert resolve_verbose(value) == found


def test_on_a_terminal_the_bar_moves_ten_times_a_second_at_most(capsys, monkeypatch):
    monkeypatch.setattr(progress, "is_dynamic", lambda: True)
    reads = []
    found = CallbackList([ProgbarLogger()], verbose=1, epochs=1, steps=400)
    found.on_train_begin()
    found.on_epoch_begin(0)
    start = time.monotonic()
    for step in range(400):
        time.sleep(0.001)
        found.on_train_batch_end(step, Logs.of(lambda: reads.append(1) or {"loss": torch.tensor(0.5)}))
    looks = (time.monotonic() - start) * 10
    found.on_epoch_end(0, {"loss": 0.25})
    assert 3 <= len(reads) <= looks + 2
    written = capsys.readouterr().out
    assert written.endswith("\n") and written.count("\n") == 1
    assert plain(written.split("\r")[-1]).startswith(f"400/400 {'━' * 20} T T/step - loss: 0.2500")
    assert "loss: 0.5000" in written


@pytest.mark.parametrize("target", [400, None])
@pytest.mark.parametrize("columns", [30, 40, 60, 80, 120])
def test_the_loss_is_never_cut_off(columns, target, monkeypatch):
    """A real pseudo-terminal of so many columns; the lines before the last have no more."""
    main, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(terminal, "w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        bar = Progbar(target, interval=0)
        values = [("accuracy", 0.9), ("loss", 0.25), ("top_k_accuracy", 0.95)]
        for step in (1, 200, 399):
            bar.update(step, values, finalize=False)
        bar.target = 400
        bar.update(400, [*values, ("val_accuracy", 0.5), ("val_loss", 1.5)], finalize=True)
        file.flush()
        written = b""
        while not written.endswith(b"val_loss: 1.5000\r\n"):
            written += os.read(main, 100_000)
        monkeypatch.undo()
    os.close(main)
    *lines, last = [line for line in re.sub(r"\x1b\[\d+m", "", written.decode()).replace("\n", "").split("\r") if line]
    assert len(lines) == 3
    for line in lines:
        assert len(line) < columns and "loss: 0.2500" in line
        assert ("accuracy: 0.9000" in line) == (columns >= 60)
        assert "/step" in line if columns == 120 else columns == 80 or "/step" not in line
    assert f"400/400 {'━' * 20}" in last and last.endswith("- val_accuracy: 0.5000 - val_loss: 1.5000")


@pytest.mark.parametrize("wrong", ["x", "1", None, 1.5, [1]])
def test_a_verbose_of_another_kind_is_refused(wrong):
    with pytest.raises(ValueError, match="verbose must be"):
        CallbackList(add_progbar=True, verbose=wrong)


def test_only_the_main_process_prints(capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    for verbose in (1, 2):
        fit_like(verbose)
    assert capsys.readouterr().out == ""
