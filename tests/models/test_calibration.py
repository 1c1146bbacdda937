"""`Model.quantize("gptq")` and `"awq"`: calibration of a model's blocks on a dataset."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers
from torchkeras.layers.weight_forms.calibrated import CalibratedForm
from torchkeras.models.calibration import windows
from torchkeras.quantizers import AWQConfig, GPTQConfig

LENGTH, WORDS = 6, 30
CONFIGS = {
    "gptq": (GPTQConfig, {"group_size": 8}),
    "gptq8": (GPTQConfig, {"weight_bits": 8, "group_size": -1, "symmetric": True}),
    "gptq3": (GPTQConfig, {"weight_bits": 3, "group_size": 5, "activation_order": True}),
    "awq": (AWQConfig, {"group_size": 8}),
    "awq_whole": (AWQConfig, {"group_size": -1, "num_grid_points": 5}),
}


def block(number: int) -> keras.Sequential:
    up = layers.Dense(15, activation="relu", name=f"up{number}")
    return keras.Sequential([keras.Input((LENGTH, 8)), up, layers.Dense(8, use_bias=False, name=f"down{number}")])


class TwoOutputs(layers.Layer):
    """A block of which the first output goes on."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, x):
        return self.inner(x), None


def made() -> tuple[keras.Model, torch.Tensor]:
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = block(2)(block(1)(layers.Embedding(WORDS, 8)(inputs)))
    model = keras.Model(inputs, layers.Dense(64, name="head")(x))  # so many outputs that their mean error says much
    tokens = torch.arange(WORDS).view(-1, LENGTH)
    for weight in model.weights:
        weight.assign(torch.randn(weight.shape) * 0.5)
    return model, tokens


def config_of(name: str, model: keras.Model, tokens: torch.Tensor):
    cls, options = CONFIGS[name]
    structure = {"pre_block_layers": [model.layers[1]], "sequential_blocks": list(model.layers[2:4])}
    options = {"quantization_layer_structure": structure, **options}
    return cls(dataset=list(tokens.numpy()), tokenizer=str.split, num_samples=5, sequence_length=LENGTH, **options)


@pytest.mark.parametrize("name", CONFIGS)
def test_blocks_are_calibrated_saved_and_read(name, tmp_path, capsys):
    model, tokens = made()
    up, down, head = model.layers[2].layers[0], model.layers[3].layers[1], model.layers[4]
    expected = model(tokens)
    model.quantize(config=config_of(name, model, tokens))
    assert "2/2" in capsys.readouterr().out
    mode = CONFIGS[name][0].__name__.removesuffix("Config").lower()
    assert [layer.quantization_mode for layer in (up, down, head)] == [mode, mode, None]
    assert up.is_gptq_calibrated == (mode == "gptq") != up.is_awq_calibrated
    found = model(tokens)
    off = float(((found - expected).norm() / expected.norm()).detach())
    # Rounding to 3 or 4 bits moves each of four kernels by about a tenth, to 8 bits by a sixteenth of that.
    assert 0 < off < (0.5 / 16 if name == "gptq8" else 0.5)
    assert up.kernel.shape == (8, 15) and not up.kernel.requires_grad
    assert up.quantization_config.dataset is None and up.quantization_config.quantization_layer_structure is None
    assert {w.dtype for w in up.weights} == {torch.float32, torch.uint8}
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    torch.testing.assert_close(loaded(tokens), found)
    again = keras.saving.load_model(tmp_path / "model.keras")
    again.save_weights(tmp_path / "again.weights.h5")
    loaded.load_weights(tmp_path / "again.weights.h5")
    torch.testing.assert_close(loaded(tokens), found)
    with pytest.raises(ValueError, match="already quantized"):
        model.quantize(config=config_of(name, model, tokens))


def test_the_second_block_sees_the_first_outputs_of_the_first_one_quantized():
    model, tokens = made()
    first, second = TwoOutputs(model.layers[2]), model.layers[3]
    config = config_of("gptq", model, tokens)
    config.quantization_layer_structure["sequential_blocks"][0] = first
    seen = []
    second.register_forward_pre_hook(lambda layer, args: seen.append(args[0]))
    model.quantize(config=config)
    torch.testing.assert_close(seen[0], first(model.layers[1](tokens))[0])


def test_calibration_goes_on_where_it_was_interrupted():
    model, tokens = made()
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    config = config_of("gptq", model, tokens)
    (up, down), second = model.layers[2].layers, model.layers[3]

    def interrupt(layer, args):
        if up.is_gptq_calibrated:
            raise KeyboardInterrupt

    hook = second.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.quantize(config=config)
    hook.remove()
    assert down.is_gptq_calibrated and not second.layers[0].is_gptq_calibrated
    assert not second.layers[0]._forward_pre_hooks
    done = up.quantized_kernel.numpy()
    model.quantize(config=config)
    assert (up.quantized_kernel.numpy() == done).all()
    twin.quantize(config=config_of("gptq", twin, tokens))
    torch.testing.assert_close(model(tokens), twin(tokens))


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("name", ["gptq", "awq"])
def test_another_process_goes_on_after_a_kill(name, tmp_path, monkeypatch):
    model, tokens = made()
    floats, folder = model.get_weights(), tmp_path / "calibration"
    twin = keras.models.clone_model(model)
    twin.set_weights(floats)
    child = os.fork()
    if child == 0:  # killed while it calibrates the second block
        model.layers[3].layers[1].register_forward_pre_hook(die)
        model.quantize(config=config_of(name, model, tokens), checkpoint=folder)
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert [path.name for path in folder.iterdir()] == ["block_0.safetensors"]
    calibrated = []
    plain = CalibratedForm.calibrate
    monkeypatch.setattr(CalibratedForm, "calibrate", lambda f, layer, s: (calibrated.append(layer), plain(f, layer, s)))
    model.quantize(config=config_of(name, model, tokens), checkpoint=folder)
    assert calibrated == model.layers[3].layers  # the first block came from its file
    twin.quantize(config=config_of(name, twin, tokens))
    assert torch.equal(model(tokens), twin(tokens))
    other, _ = made()
    for changed in ({}, {"num_samples": 4}):
        other.set_weights(floats if changed else other.get_weights())
        config = config_of(name, other, tokens)
        config.num_samples = changed.get("num_samples", config.num_samples)
        with pytest.raises(ValueError, match=r"block_0.*of other float weights, other settings or other samples"):
            other.quantize(config=config, checkpoint=folder)
        other = made()[0]
    with pytest.raises(ValueError, match="A checkpoint is for the modes"):
        other.quantize("int8", checkpoint=folder)


def test_filters_and_refusals_leave_the_model_as_it_was():
    model, tokens = made()
    before = model(tokens)
    config = config_of("awq", model, tokens)
    for changes, error, words in (
        ({"dataset": None}, ValueError, "requires a dataset and a tokenizer"),
        ({"dataset": "a text"}, TypeError, "must be an iterable"),
        ({"dataset": []}, ValueError, "dataset is empty"),
        ({"quantization_layer_structure": {"sequential_blocks": []}}, ValueError, "No sequential blocks"),
    ):
        broken = config_of("awq", model, tokens)
        vars(broken).update(changes)
        with pytest.raises(error, match=words):
            model.quantize(config=broken)
    plain = keras.Sequential([keras.Input((2,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="For mode='awq', a valid quantization structure"):
        plain.quantize(config=AWQConfig([], str.split))
    torch.testing.assert_close(model(tokens), before)
    model.quantize(config=config, filters="up")
    assert [layer.quantization_mode for layer in model.layers[2].layers] == ["awq", None]


class Tokenizer:
    def tokenize(self, text):
        return [ord(letter) for letter in text]


@pytest.mark.parametrize(
    ("dataset", "tokens"),
    [
        (["abc", "defg"], [97, 98, 99, 100, 101, 102, 103]),
        (iter([np.array([[1, 2]]), torch.tensor([3, 4]), [5]]), [1, 2, 3, 4, 5]),
        (np.arange(12).reshape(3, 4), list(range(12))),
        ((text for text in ("a",)), [97] * 3),
    ],
)
def test_windows_of_each_form_of_a_dataset(dataset, tokens):
    found = windows(dataset, Tokenizer(), 4, 3)
    assert found.dtype == np.int32 and found.shape == (min(4, len(tokens) - 2), 3)
    rows = [tokens[i : i + 3] for i in range(len(tokens) - 2)]
    assert all(list(row) in rows for row in found.tolist()) and found[0].tolist() == rows[0]
    assert (
        found[-1].tolist() == rows[-1]
        and len({tuple(row) for row in found.tolist()}) == len(found)
        or len(set(tokens)) == 1
    )


def test_samples_of_whole_texts_do_not_overlap():
    assert windows(list(np.arange(20).reshape(5, 4)), None, 5, 4).tolist() == np.arange(20).reshape(5, 4).tolist()
