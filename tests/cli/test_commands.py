"""`python -m torchkeras`: what each command prints, writes and returns."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.saving.hostile.all_kinds import MAKERS
from torchkeras import layers, models, saving
from torchkeras.cli import registry
from torchkeras.cli.main import main, parser


def network(value: float | None = None):
    model = models.Sequential(
        [layers.Input((6, 6, 3)), layers.Conv2D(4, 3, name="conv"), layers.Flatten(), layers.Dense(2, name="head")],
        name="small",
    )
    for weight in model.weights:
        weight.assign(torch.randn(weight.shape) if value is None else torch.full(weight.shape, value))
    model.compile("adam", "mean_squared_error", metrics=["mae"])
    return model


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A model, which lies as m.keras in the folder in which the commands run."""
    monkeypatch.chdir(tmp_path)
    model = network()
    model.save("m.keras")
    return model


def json_of(capsys, *words):
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


# ---------------------------------------------------------------------------- the table


def test_every_command_is_listed_and_has_help(capsys):
    assert set(registry.COMMANDS) >= {"convert", "inspect", "diff"}
    text = parser().format_help()
    for name, command in registry.COMMANDS.items():
        assert name in text and command.summary in text
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert "exit code" in capsys.readouterr().out


def test_a_name_is_given_once():
    with pytest.raises(ValueError, match="two commands 'inspect'"):
        registry.register(registry.COMMANDS["inspect"])


def test_as_a_process(saved):
    done = subprocess.run(
        [sys.executable, "-m", "torchkeras", "inspect", "m.keras"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0 and "load_model() takes this file" in done.stdout and not done.stderr


@pytest.mark.parametrize("words", [[], ["fly"], ["inspect"]])
def test_wrong_words(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["inspect", "none.keras"], ["diff", "m.keras", "none.h5"], ["convert", "none.h5", "n.keras"]]
)
def test_missing_files(saved, words, capsys):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert "File not found" in captured.err and "Traceback" not in captured.err and not captured.out


# ---------------------------------------------------------------------------- inspect


def test_inspect_tells_of_architecture_weights_and_versions(saved, capsys):
    code, found = json_of(capsys, "inspect", "m.keras")
    assert code == 0 and not found["refused"]
    assert found["model"] == {"class": "Sequential", "name": "small"}
    assert [(row["name"], row["class"], row["output"], row["parameters"]) for row in found["layers"]] == [
        ("conv", "Conv2D", "(None, 4, 4, 4)", 112),
        ("flatten", "Flatten", "(None, 64)", 0),
        ("head", "Dense", "(None, 2)", 130),
    ]
    assert found["compiled"]["optimizer"] == "Adam" and found["compiled"]["loss"] == "mean_squared_error"
    assert found["versions"].keys() >= {"keras_version", "torchkeras_version", "date_saved"}
    assert {"name": "layers/conv2d/vars/0", "shape": [3, 3, 3, 4], "dtype": "float32", "bytes": 432} in found["weights"]
    assert found["weight_bytes"] == sum(row["bytes"] for row in found["weights"])
    assert found["bytes"] == os.path.getsize("m.keras")
    main(["inspect", "m.keras"])
    text = capsys.readouterr().out
    for word in ("small", "Conv2D", "(None, 4, 4, 4)", "layers/dense/vars/0", "432 B", "Adam"):
        assert word in text


@pytest.mark.parametrize(
    "name",
    ["w.weights.h5", "w.safetensors", "w.safetensors.index.json", "w.weights.json", "m.h5", "w.pth", "folder"],
)
def test_inspect_reads_every_format(saved, name, capsys):
    if name == "folder":
        saved.save(name, zipped=False)
    elif name == "m.h5":
        saving.save_model(saved, name)
    elif name == "w.pth":
        saving.save_torch_weights(saved, name)
    elif name.endswith("json"):
        file = {"w.weights.json": "w.weights.json", "w.safetensors.index.json": "w.safetensors"}[name]
        saved.save_weights(file, max_shard_size=1e-6)
    else:
        saved.save_weights(name)
    capsys.readouterr()
    code, found = json_of(capsys, "inspect", name)
    assert code == 0
    total = sum(np.prod(weight.shape, dtype=int) for weight in saved.weights)
    assert sum(np.prod(row["shape"], dtype=int) for row in found["weights"]) >= total


def test_inspect_names_what_would_be_refused(tmp_path, capsys):
    class Mine(layers.Layer):
        def call(self, x):
            return x

    path = str(tmp_path / "m.keras")
    with pytest.warns(UserWarning, match="refuse"):
        models.Sequential(
            [layers.Input((3,)), Mine(name="own"), layers.Lambda(lambda x: x, name="code"), layers.Dense(2)]
        ).save(path)
    code, found = json_of(capsys, "inspect", path)
    assert code == 1
    assert [row["part"] for row in found["refused"]] == ["Mine 'own'", "Lambda 'code'"]
    assert "not registered" in found["refused"][0]["reason"] and "lambda" in found["refused"][1]["reason"]
    assert [row["class"] for row in found["layers"]] == ["InputLayer", "Mine", "Lambda", "Dense"]
    assert main(["inspect", path]) == 1
    assert "would refuse" in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name in MAKERS if not name.startswith("torch_safetensors")])
def test_hostile_files_are_refused_at_this_door_too(name, tmp_path, capsys):
    door, path = MAKERS[name][0](tmp_path)
    if door == "model_from_json":
        path = str(tmp_path / "model.json")
        (tmp_path / "model.json").write_text("{}")
    code = main(["inspect", path])
    captured = capsys.readouterr()
    needs_model = door in ("load_weights", "load_torch_weights") or name == "h5_no_config"  # it holds weights alone
    if needs_model and code == 0:  # whether weights fit is known with a model alone
        assert "Weights" in captured.out or name == "h5_weight_of_another_shape"
    else:
        assert code in (1, 2), captured
        assert "Traceback" not in captured.err
    assert not (tmp_path / "sentinel").exists()


# ---------------------------------------------------------------------------- diff


def test_the_same(saved, capsys):
    saved.save("n.keras")
    assert main(["diff", "m.keras", "n.keras"]) == 0
    assert "They are the same" in capsys.readouterr().out


@pytest.mark.parametrize("other", ["n.h5", "n.safetensors"])
def test_the_same_in_another_format(saved, other, capsys):
    (saving.save_model if other.endswith("h5") else saving.save_weights)(saved, other)
    capsys.readouterr()
    code, found = json_of(capsys, "diff", "m.keras", other)
    assert (code, found["same"], found["equal"]) == (0, True, 4), found


def test_values_that_differ(saved, capsys):
    saved.get_layer("head").bias.assign(saved.get_layer("head").bias + torch.tensor([0.0, 0.25]))
    saved.save("n.keras")
    code, found = json_of(capsys, "diff", "m.keras", "n.keras")
    assert code == 1 and not found["architecture"]
    (row,) = found["differ"]
    assert (row["name"], row["what"], row["unequal"], row["of"]) == ("layers/dense/vars/1", "values", 1, 2)
    assert row["largest"] == pytest.approx(0.25, abs=1e-6)
    assert main(["diff", "m.keras", "n.keras", "--tolerance", "0.3"]) == 0
    capsys.readouterr()
    assert main(["diff", "m.keras", "n.keras"]) == 1
    assert "1 of 2 values" in capsys.readouterr().out


def test_architectures_that_differ(saved, capsys):
    other = models.Sequential(
        [layers.Input((6, 6, 3)), layers.Conv2D(5, 3, name="conv"), layers.Flatten(), layers.Dense(2, name="last")],
        name="small",
    )
    other.save("n.keras")
    code, found = json_of(capsys, "diff", "m.keras", "n.keras")
    assert code == 1
    at = {row["at"]: (row["a"], row["b"]) for row in found["architecture"]}
    assert at["config.layers.conv.config.filters"] == (4, 5)
    assert {"config.layers.head", "config.layers.last"} <= set(at)
    assert {"name": "layers/conv2d/vars/1", "what": "shape", "a": [4], "b": [5]} in found["differ"]
    assert main(["diff", "m.keras", "n.keras"]) == 1
    text = capsys.readouterr().out
    assert "config.layers.conv.config.filters" in text and "(4,) and (5,)" in text


# ---------------------------------------------------------------------------- convert


def inputs():
    return torch.randn(2, 6, 6, 3)


@pytest.mark.parametrize("new", ["n.keras", "n.h5"])
def test_convert_models(saved, new, capsys):
    code, found = json_of(capsys, "convert", "m.keras", new)
    assert code == 0 and found["written"] == [{"file": new, "bytes": os.path.getsize(new)}]
    x = inputs()
    assert torch.equal(saving.load_model(new)(x), saved(x))


@pytest.mark.parametrize("new", ["n.weights.h5", "n.safetensors"])
def test_convert_to_weights(saved, new, capsys):
    assert main(["convert", "m.keras", new]) == 0
    other = network(0.0)
    other.load_weights(new)
    x = inputs()
    assert torch.equal(other(x), saved(x))


@pytest.mark.parametrize(("new", "more"), [("n.pt", []), ("n.safetensors", ["--torch"])])
def test_convert_to_torch_weights_and_back(saved, new, more, capsys):
    assert main(["convert", "m.keras", new, *more]) == 0
    state = load_file(new) if new.endswith("safetensors") else torch.load(new)
    assert tuple(state["conv.weight"].shape) == (4, 3, 3, 3)
    network(0.0).save("zeros.keras")
    assert main(["convert", new, "back.keras", "--model", "zeros.keras", *more]) == 0
    x = inputs()
    assert torch.equal(saving.load_model("back.keras")(x), saved(x))


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_convert_to_source(saved, data_format, capsys, monkeypatch):
    assert main(["convert", "m.keras", "converted_net.py", "--data-format", data_format]) == 0
    monkeypatch.syspath_prepend(os.getcwd())
    monkeypatch.delitem(sys.modules, "converted_net", raising=False)
    import converted_net

    x = inputs()
    given = x.movedim(-1, 1) if data_format == "channels_first" else x
    torch.testing.assert_close(converted_net.load()(given), saved(x), rtol=1e-4, atol=1e-5)


def test_convert_weights_for_a_model(saved, capsys):
    saved.save_weights("w.weights.h5")
    network(0.0).save("zeros.keras")
    assert main(["convert", "w.weights.h5", "n.safetensors", "--model", "zeros.keras"]) == 0
    assert torch.equal(load_file("n.safetensors")["head.bias"], saved.get_layer("head").bias)


def test_convert_leaves_the_training_out(saved, capsys):
    assert main(["convert", "m.keras", "n.keras", "--no-compile"]) == 0
    assert not saving.load_model("n.keras").compiled


def test_convert_replaces_nothing_unasked(saved, capsys):
    network(0.0).save("n.keras")
    before = open("n.keras", "rb").read()
    assert main(["convert", "m.keras", "n.keras"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert open("n.keras", "rb").read() == before
    assert main(["convert", "m.keras", "n.keras", "--overwrite"]) == 0
    assert open("n.keras", "rb").read() != before


def test_convert_says_what_it_can_write(saved, capsys):
    assert main(["convert", "m.keras", "n.onnx"]) == 2
    assert ".safetensors" in capsys.readouterr().err


def test_convert_says_that_weights_need_a_model(saved, capsys):
    saved.save_weights("w.weights.h5")
    assert main(["convert", "w.weights.h5", "n.keras"]) == 2
    assert "weights only" in capsys.readouterr().err


def test_convert_names_what_torch_lacks(tmp_path, capsys):
    path = str(tmp_path / "m.keras")
    models.Sequential([layers.Input((3,)), layers.GaussianNoise(0.1, name="noise")]).save(path)
    assert main(["convert", path, str(tmp_path / "n.py")]) == 2
    assert "'noise'" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]
