"""Logs: a dict that reads its values when they are touched, whatever touches them."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch

from torchkeras.reporting.logs import Logs

EXPECTED = {"acc": 0.5, "loss": 2.0, "n": 3.0, "x": 0.25}


def lazy():
    values = {
        "x": 0.25,
        "loss": torch.tensor(2.0, requires_grad=True),
        "n": lambda: torch.tensor([3]),
        "acc": np.float32(0.5),
    }
    return Logs(values)


TOUCHES = {
    "getitem": lambda logs: {name: logs[name] for name in ("acc", "loss", "n", "x")},
    "get": lambda logs: {name: logs.get(name) for name in ("acc", "loss", "n", "x")},
    "items": lambda logs: dict(logs.items()),
    "values": lambda logs: dict(zip(("acc", "loss", "n", "x"), logs.values(), strict=True)),
    "keys": lambda logs: {name: logs[name] for name in logs.keys()},
    "iter": lambda logs: {name: logs[name] for name in logs},
    "reversed": lambda logs: {name: logs[name] for name in reversed(logs)},
    "dict": dict,
    "stars": lambda logs: dict(**logs),
    "literal": lambda logs: {**logs},
    "copy": lambda logs: logs.copy(),
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda logs: pickle.loads(pickle.dumps(logs)),
    "json": lambda logs: json.loads(json.dumps(logs)),
    "json indented": lambda logs: json.loads(json.dumps(logs, indent=1)),
    "format": lambda logs: json.loads('{{"acc": {acc}, "loss": {loss}, "n": {n}, "x": {x}}}'.format(**logs)),
    "repr": lambda logs: eval(repr(logs)),
    "str": lambda logs: eval(str(logs)),
    "or": lambda logs: logs | {},
    "ror": lambda logs: {} | logs,
    "update": lambda logs: (d := {}, d.update(logs))[0],
    "pop": lambda logs: {name: logs.pop(name) for name in ("acc", "loss", "n", "x")},
    "popitem": lambda logs: dict(logs.popitem() for _ in range(4)),
    "setdefault": lambda logs: {name: logs.setdefault(name, 9) for name in ("acc", "loss", "n", "x")},
}


@pytest.mark.parametrize(
    "make",
    [
        lazy,
        lambda: Logs.of(
            lambda: dict(zip(["x", "loss", "n", "acc"], [0.25, torch.tensor(2.0), 3, lambda: 0.5], strict=True))
        ),
    ],
    ids=["values", "later"],
)
@pytest.mark.parametrize("touch", list(TOUCHES))
def test_whatever_touches_gets_floats(touch, make):
    found = TOUCHES[touch](make())
    assert found == EXPECTED
    assert all(type(value) in (float, int) for value in found.values())


def test_only_what_is_touched_is_read_and_once():
    reads = []
    logs = Logs({name: lambda name=name: reads.append(name) or 1.0 for name in "abc"})
    assert len(logs) == 3 and "a" in logs and list(logs) == ["a", "b", "c"] and bool(logs) and reads == []
    assert logs["b"] == logs["b"] == 1.0 and reads == ["b"]
    assert logs == {"a": 1.0, "b": 1.0, "c": 1.0} and sorted(reads) == ["a", "b", "c"]


def test_later_is_asked_once_and_not_before():
    asked = []
    logs = Logs.of(lambda: asked.append(1) or {"loss": torch.tensor(1.5)})
    assert asked == []
    assert "loss" in logs and logs["loss"] == 1.5 and len(logs) == 1 and asked == [1]


def test_keys_are_sorted_and_what_is_set_later_comes_behind():
    logs = Logs({"val_loss": 1, "loss": torch.tensor(2), "z": {"b": 3, "a": 4}})
    logs["learning_rate"] = 0.5
    assert list(logs.items()) == [("a", 4.0), ("b", 3.0), ("loss", 2.0), ("val_loss", 1.0), ("learning_rate", 0.5)]
    logs.update({"c": torch.tensor(1.0)}, d=2)
    logs |= {"e": 1}
    del logs["val_loss"]
    assert list(logs) == ["a", "b", "loss", "learning_rate", "c", "d", "e"] and logs["c"] == 1.0


def test_what_is_no_single_number_stays():
    logs = Logs({"matrix": torch.eye(2), "text": "x", "array": np.arange(3), "none": None})
    assert torch.equal(logs["matrix"], torch.eye(2)) and logs["text"] == "x" and logs["none"] is None
    assert logs["array"].tolist() == [0, 1, 2]


def test_missing_keys():
    logs = lazy()
    assert logs.get("other") is None and logs.get("other", 5) == 5 and logs.pop("other", 6) == 6 and "other" not in logs
    with pytest.raises(KeyError):
        logs["other"]


def test_all_scalars_are_read_with_one_copy(monkeypatch):
    copies = []
    original = torch.stack
    monkeypatch.setattr(torch, "stack", lambda tensors: copies.append(len(tensors)) or original(tensors))
    monkeypatch.setattr(torch.Tensor, "item", None)
    assert dict(Logs({str(i): torch.tensor(float(i)) for i in range(9)}).items())["7"] == 7.0
    assert copies == [9]
