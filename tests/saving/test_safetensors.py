"""`.safetensors`: names of `state_dict()`, whole or in several files, read by others and from others."""

from __future__ import annotations

import json
import os
import signal
import time

import numpy as np
import pytest
import safetensors
import torch
from safetensors.torch import load_file, save_file

from tests.saving.test_atomic_writes import make
from torchkeras import layers, models, optimizers, saving
from torchkeras.saving.safety.budget import BadFileError


def network(**options):
    model = models.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 3, **options),
            layers.BatchNormalization(),
            layers.Dropout(0.1),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    model.set_weights([np.random.standard_normal(w.shape) for w in model.get_weights()])
    return model


def assert_equal(mine, theirs):
    for one, other in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.safetensors"


def test_the_file_is_a_state_dict(path):
    model = network()
    model.save_weights(path)
    found = load_file(path)
    wanted = model.state_dict()
    assert set(wanted) <= set(found)
    for key, value in wanted.items():
        assert torch.equal(found[key], value)
    other = network()
    other.load_state_dict({k: v for k, v in found.items() if k in wanted})
    assert_equal(other, model)
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata()["format"] == "pt"


def test_layers_of_other_names_are_found_by_their_place(path):
    model = network()
    model.save_weights(path)
    for twin in (network(), network(name="first")):
        twin.load_weights(path)
        assert_equal(twin, model)
    assert "first.kernel" in twin.state_dict() and "first.kernel" not in load_file(path)


def test_a_file_of_another_program_is_read_by_its_names(path):
    model = network()
    state = {key: torch.randn_like(value) for key, value in model.state_dict().items()}
    save_file(state, path)
    model.compile("adam", "mse")
    model.load_weights(path)
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key])


def test_names_that_are_not_the_models(path):
    model = network()
    before = model.get_weights()
    save_file({"conv.weight": torch.zeros(4, 3, 3, 3)}, path)
    with pytest.raises(ValueError, match=r"conv\.weight.*load_torch_weights"):
        model.load_weights(path)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_optimizer_is_in_it(path):
    model = make(1.0)
    model.compile(optimizers.Adam(0.01), "mse")
    model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)
    model.save_weights(path)
    other = make(2.0)
    other.compile(optimizers.Adam(0.5), "mse")
    other.optimizer.build(other.trainable_variables)
    other.load_weights(path)
    for one, two in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_types_are_kept(path, dtype):
    model, other = network(dtype=dtype), network(dtype=dtype)
    model.save_weights(path)
    assert load_file(path)["conv2d.kernel"].dtype == getattr(torch, dtype)
    other.load_weights(path)
    assert_equal(other, model)


def test_torch_modules_and_shared_weights(path):
    def build():
        shared = layers.Dense(4)
        inputs = layers.Input((4,))
        x = layers.TorchModuleWrapper(torch.nn.Linear(4, 4))(shared(shared(inputs)))
        return models.Model(inputs, x)

    model, other = build(), build()
    model.save_weights(path)
    other.load_weights(path)
    assert_equal(other, model)


def test_by_name(path):
    names = ["a", "b"]
    one = models.Sequential([layers.Input((4,)), *(layers.Dense(4, name=n) for n in names)])
    two = models.Sequential([layers.Input((4,)), *(layers.Dense(4, name=n) for n in reversed(names))])
    one.save_weights(path)
    two.load_weights(path, by_name=True)
    for name in names:
        assert torch.equal(one.get_layer(name).kernel, two.get_layer(name).kernel)


def test_weights_are_not_held_twice(path):
    """The greatest memory of Python and NumPy that loading takes beside the model's is a small part of the weights."""
    import tracemalloc

    model = models.Sequential([layers.Input((512,)), *(layers.Dense(512, use_bias=False) for _ in range(8))])
    model.save_weights(path)
    tracemalloc.start()
    model.load_weights(path)
    model.save_weights(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * 8 * 512 * 512 * 4


# ---------------------------------------------------------------------------- several files


def wide():
    model = models.Sequential([layers.Input((100,)), *(layers.Dense(100) for _ in range(5))])
    model.set_weights([np.random.standard_normal(w.shape) for w in model.get_weights()])
    return model


def test_several_files_as_hugging_face_writes_them(path, tmp_path):
    model = wide()
    model.save_weights(path, max_shard_size=1e-4)
    index = json.loads((tmp_path / "m.safetensors.index.json").read_text())
    files = sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".safetensors")
    assert files == [f"m-0000{i + 1}-of-0000{len(files)}.safetensors" for i in range(len(files))]
    assert len(files) == 3 and all(os.path.getsize(tmp_path / name) < 1.1e5 for name in files)
    whole = {}
    for name in files:
        whole.update(load_file(tmp_path / name))
        assert all(index["weight_map"][key] == name for key in load_file(tmp_path / name))
    assert set(whole) == set(index["weight_map"])
    assert index["metadata"]["total_size"] == sum(t.numel() * t.itemsize for t in whole.values())
    for key, value in model.state_dict().items():
        assert torch.equal(whole[key], value)


@pytest.mark.parametrize("name", ["m.safetensors", "m.safetensors.index.json"])
def test_several_files_are_loaded_by_either_name(path, tmp_path, name):
    model, other = wide(), wide()
    model.save_weights(path, max_shard_size=1e-4)
    other.load_weights(tmp_path / name)
    assert_equal(other, model)


def test_an_index_of_another_program(path, tmp_path):
    model = wide()
    state = {key: torch.randn_like(value) for key, value in model.state_dict().items()}
    names = list(state)
    places = {name: f"part{i % 2}.safetensors" for i, name in enumerate(names)}
    for part in set(places.values()):
        save_file({name: state[name] for name in names if places[name] == part}, tmp_path / part)
    (tmp_path / "m.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    model.load_weights(tmp_path / "m.safetensors.index.json")
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key])


def test_saving_again_leaves_only_the_new_files(path, tmp_path):
    wide().save_weights(path)
    wide().save_weights(path, max_shard_size=1e-4)
    model, other = wide(), wide()
    model.save_weights(path, max_shard_size=5e-5)
    other.load_weights(path)
    assert_equal(other, model)
    index = json.loads((tmp_path / "m.safetensors.index.json").read_text())
    named = {*index["weight_map"].values(), "m.safetensors.index.json"}
    assert {p.name for p in tmp_path.iterdir()} == named


def test_a_file_that_is_missing_or_of_another_save(path, tmp_path):
    wide().save_weights(path, max_shard_size=1e-4)
    shard = tmp_path / "m-00002-of-00003.safetensors"
    good = shard.read_bytes()
    shard.unlink()
    with pytest.raises(BadFileError, match="incomplete"):
        wide().load_weights(path)
    (tmp_path / "other").mkdir()
    models_with_equal_names(tmp_path / "other" / "m.safetensors", good)
    os.replace(tmp_path / "other" / shard.name, shard)
    with pytest.raises(BadFileError, match="two different saves|does not fit"):
        wide().load_weights(path)


def models_with_equal_names(path, data):
    """Another save of tensors of the same names and shapes."""
    from torchkeras.core import naming

    naming.reset_names()
    wide().save_weights(path, max_shard_size=1e-4)


def test_flipped_bits_in_the_index_and_the_files(path, tmp_path, rng):
    model = make(1.0)
    model.save_weights(path, max_shard_size=1e-7)
    for file in list(tmp_path.iterdir()):
        good = file.read_bytes()
        for place in rng.integers(0, len(good) * 8, 120):
            data = bytearray(good)
            data[place // 8] ^= 1 << (place % 8)
            file.write_bytes(data)
            with pytest.raises(BadFileError):
                model.load_weights(path)
        file.write_bytes(good)
    model.load_weights(path)


def test_killed_while_saving_several_files(path, tmp_path, rng):
    def load():
        model = make(-1.0)
        model.load_weights(path)
        values = {float(v) for w in model.get_weights() for v in np.unique(w)}
        assert len(values) == 1, "weights of two saves were mixed"
        return values.pop()

    make(1.0).save_weights(path, max_shard_size=1e-7)
    for _ in range(10):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                trained = [make(1.0), make(2.0)]
                while True:
                    for model in trained:
                        model.save_weights(path, max_shard_size=1e-7)
                        os.write(writer, b".")
            finally:
                os._exit(1)
        os.close(writer)
        assert os.read(reader, 1) == b"."
        time.sleep(rng.uniform(0.0005, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        assert load() in (1.0, 2.0)
    make(3.0).save_weights(path, max_shard_size=1e-7)
    assert load() == 3.0
    index = json.loads((tmp_path / "m.safetensors.index.json").read_text())
    assert {p.name for p in tmp_path.iterdir()} == {*index["weight_map"].values(), "m.safetensors.index.json"}


def test_an_error_leaves_the_old_files(path, tmp_path):
    class Broken(layers.Layer):
        def call(self, x):
            return x

        def save_own_variables(self, store):
            raise RuntimeError("this layer can't be saved")

    make(1.0).save_weights(path, max_shard_size=1e-7)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(RuntimeError, match="can't be saved"):
        models.Sequential([layers.Input((4,)), layers.Dense(8), Broken()]).save_weights(path, max_shard_size=1e-7)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_no_whole_models():
    with pytest.raises(ValueError, match="Invalid filepath extension"):
        saving.save_model(make(), "m.safetensors")


def test_weights_are_no_model(path):
    make().save_weights(path)
    with pytest.raises(BadFileError, match="weights only"):
        saving.load_model(path)


def test_checksums_by_several_threads_are_those_of_one(path):
    import io

    from torchkeras.saving.safety import checksum

    models.Sequential([layers.Input((700,)), layers.Dense(1100)]).save_weights(path)
    with open(path, "rb") as file:
        assert checksum.check(file, "the file") and checksum.check(io.BytesIO(path.read_bytes()), "its bytes")
