"""Models as torch modules: each layer, whole networks, the written source, and what is refused."""

from __future__ import annotations

import copy
import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from tests import fresh_process
from tests.interop.layer_cases import case_id
from tests.saving.plain_torch import torch_networks as nets
from tests.saving.plain_torch.conversion_cases import (
    ATTENTION,
    BIDIRECTIONAL,
    CONVERTED,
    REFUSED,
    ROWS,
    refused_row,
)
from torchkeras import layers, models, ops, saving


def shaken(model):
    """All weights drawn, also those that start as zeros and ones."""
    for weight in model.weights:
        if weight.dtype.is_floating_point:
            wide = torch.rand_like(weight) + 0.5 if "variance" in weight.path else torch.randn_like(weight) * 0.4
            weight.assign(wide)
    return model


def model_of(layer, shape):
    """A model of one layer."""
    if shape[0] == "int":
        inputs = layers.Input(shape[2][1:], dtype="int32")
    elif isinstance(shape, list):
        inputs = [layers.Input(one[1:]) for one in shape]
    else:
        inputs = layers.Input(shape[1:])
    if isinstance(layer, (layers.MultiHeadAttention, layers.GroupQueryAttention)):
        return models.Model(inputs, layer(inputs[0], inputs[-1]))
    return models.Model(inputs, layer(inputs))


def drawn(shape):
    if shape[0] == "int":
        return torch.randint(0, shape[1], shape[2])
    return [torch.randn(one) for one in shape] if isinstance(shape, list) else torch.randn(shape)


def assert_same(model, module, x, turned=False):
    """Compare on inputs of the test's own; images are turned for the module, if it takes them with channels first."""

    def turn(t, back=False):
        if not turned or t.ndim not in (4, 5):
            return t
        return t.movedim(1, -1) if back else t.movedim(-1, 1)

    with torch.no_grad():
        mine = model(x)
        theirs = module(*[turn(t) for t in (x if isinstance(x, list) else [x])])
    mine = mine if isinstance(mine, (list, tuple)) else [mine]
    theirs = theirs if isinstance(theirs, (list, tuple)) else [theirs]
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(turn(other, back=True), torch.as_tensor(one), rtol=1e-3, atol=2e-5)


def is_plain(module: nn.Module) -> bool:
    """Whether no class of this package is in it."""
    return not any(type(part).__module__.startswith("torchkeras") for part in module.modules())


# ---------------------------------------------------------------------------- single layers


def test_all_that_must_convert_has_a_row():
    assert {row[0] for row in ROWS} >= CONVERTED


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("case", ROWS, ids=case_id)
def test_layers(case, data_format):
    name, kwargs, shape = case
    model = shaken(model_of(getattr(layers, name)(**kwargs), shape))
    words = refused_row(case)
    if words is not None:
        with pytest.raises(ValueError, match=rf"(?s)no counterpart.*{name}.*{words}"):
            saving.to_torch(model, data_format)
        return
    try:
        module = saving.to_torch(model, data_format)
    except ValueError as error:
        assert name not in CONVERTED and "no counterpart" in str(error) and name in str(error)
        return
    assert is_plain(module)
    own = kwargs.get("data_format", "channels_last")
    if own == data_format or data_format == "channels_last" and own == "channels_last":
        assert_same(model, module, drawn(shape))


@pytest.mark.parametrize("case", ATTENTION, ids=str)
def test_attention(case):
    name, kwargs, shape = case
    model = shaken(model_of(getattr(layers, name)(**kwargs), shape))
    assert_same(model, saving.to_torch(model), drawn(shape))


@pytest.mark.parametrize(("kind", "sequences", "mode"), BIDIRECTIONAL)
def test_bidirectional(kind, sequences, mode):
    layer = layers.Bidirectional(getattr(layers, kind)(4, return_sequences=sequences), merge_mode=mode)
    model = shaken(model_of(layer, (2, 6, 3)))
    module = saving.to_torch(model)
    assert any(getattr(part, "bidirectional", False) for part in module.modules())
    assert_same(model, module, drawn((2, 6, 3)))


@pytest.mark.parametrize("name", [name for name in REFUSED if hasattr(layers, name)])
def test_refused_layers(name):
    kwargs, shape, words = REFUSED[name]
    with pytest.raises(ValueError, match=rf"(?s)no counterpart.*{name}.*{words}"):
        saving.to_torch(model_of(getattr(layers, name)(**kwargs), shape))


@pytest.mark.parametrize("causal", [False, True])
def test_causal_attention(causal):
    inputs = layers.Input((5, 12))
    model = models.Model(inputs, layers.MultiHeadAttention(3, 4)(inputs, inputs, use_causal_mask=causal))
    assert_same(model, saving.to_torch(model), drawn((2, 5, 12)))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_masked_sequences(kind, sequences, both):
    inputs = layers.Input((6,), dtype="int32")
    layer = getattr(layers, kind)(4, return_sequences=sequences)
    x = layers.Embedding(5, 3, mask_zero=True)(inputs)
    x = layers.Bidirectional(layer)(x) if both else layer(x)
    if sequences:
        x = layers.GlobalAveragePooling1D()(x)
    model = shaken(models.Model(inputs, layers.Dense(2)(x)))
    tokens = torch.randint(0, 5, (4, 6))
    tokens[:, 0] = 1  # no row without a step that counts
    assert_same(model, saving.to_torch(model, example=tokens), tokens)


def test_one_error_names_all_layers():
    inputs = layers.Input((6, 4))
    x = layers.GaussianNoise(0.1, name="noisy")(inputs)
    x = layers.GRU(4, reset_after=False, name="old_gru")(x)
    with pytest.raises(ValueError, match=r"(?s)'noisy'.*'old_gru': nn.GRU has reset_after=True.*Replace them"):
        saving.to_torch(models.Model(inputs, x))


# ---------------------------------------------------------------------------- networks


def unet():
    inputs = layers.Input((16, 16, 3))
    a = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    b = layers.Conv2D(8, 3, 2, padding="same", activation="relu")(a)
    c = layers.Conv2DTranspose(4, 2, 2)(b)
    x = layers.Concatenate()([a, c])
    x = layers.UpSampling2D(2)(layers.MaxPooling2D()(x))
    return models.Model(inputs, layers.Conv2D(2, 1, activation="softmax")(x))


def mobile():
    return models.Sequential(
        [
            layers.Input((15, 17, 3)),
            layers.Rescaling(1 / 255, -0.5),
            layers.Conv2D(4, 3, 2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.SeparableConv2D(6, 3, padding="same", strides=2),
            layers.GlobalAveragePooling2D(keepdims=True),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(3, activation="softmax"),
        ]
    )


def squeeze_and_excite():
    inputs = layers.Input((8, 8, 6))
    scale = layers.GlobalAveragePooling2D()(inputs)
    scale = layers.Dense(6, "sigmoid")(layers.Dense(2, "silu")(scale))
    x = layers.Multiply()([inputs, layers.Reshape((1, 1, 6))(scale)])
    return models.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


def two_inputs_two_outputs():
    a, b = layers.Input((4,), name="left"), layers.Input((3,), name="right")
    shared = layers.Dense(5, "tanh", name="shared")
    x = layers.Concatenate()([shared(a), layers.Dense(5)(b)])
    y = layers.Subtract()([shared(a * 2.0), layers.Dense(5)(b)])
    return models.Model([a, b], [layers.Dense(2)(x), y])


def nested():
    encoder = models.Sequential([layers.Input((12, 12, 3)), layers.Conv2D(4, 3), layers.ReLU()], name="encoder")
    inputs = layers.Input((12, 12, 3))
    x = layers.MaxPooling2D()(encoder(inputs))
    y = encoder(layers.ZeroPadding2D(1)(layers.Cropping2D(1)(inputs)))
    return models.Model(inputs, [x, y])


def seq2seq():
    source, target = layers.Input((5, 3)), layers.Input((4, 3))
    _, h, c = layers.LSTM(4, return_state=True)(source)
    x = layers.LSTM(4, return_sequences=True)(target, initial_state=[h, c])
    return models.Model([source, target], layers.TimeDistributed(layers.Dense(2))(x))


def transformer():
    inputs = layers.Input((6,), dtype="int32")
    x = layers.Embedding(9, 8)(inputs)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(2, 4)(y, y, use_causal_mask=True)
        y = layers.Dense(8)(layers.Dense(16, "gelu")(layers.LayerNormalization()(x)))
        x = x + y
    return models.Model(inputs, layers.Dense(9)(ops.mean(x, axis=1)))


def text_cnn():
    inputs = layers.Input((20,), dtype="int32")
    x = layers.Embedding(30, 8)(inputs)
    parts = [layers.GlobalMaxPooling1D()(layers.Conv1D(4, k, activation="relu")(x)) for k in (2, 3, 4)]
    return models.Model(inputs, layers.Dense(1, "sigmoid")(layers.Concatenate()(parts)))


class Residual(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second = layers.Dense(6, "relu"), layers.Dense(6)

    def build(self, shape):
        self.first.build(shape)
        self.second.build((*shape[:-1], 6))

    def call(self, x):
        return x + self.second(self.first(x))


class Scaled(layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(name="factor", shape=(shape[-1],), initializer="normal")

    def call(self, x):
        return x * self.factor


def own_layers():
    return models.Sequential([layers.Input((6,)), Residual(name="block"), Scaled(name="scaled"), layers.Dense(2)])


def ops_of_all_kinds():
    inputs = layers.Input((6, 4))
    x = ops.transpose(ops.reshape(inputs, (-1, 6, 2, 2)), (0, 2, 1, 3))[:, 0]
    a, b = ops.split(x, 2, axis=-1)
    x = ops.concatenate([ops.exp(a), ops.abs(b), ops.maximum(a, 0.0)], axis=-1)
    x = layers.Lambda(lambda t: ops.relu(t) - ops.mean(t, axis=-1, keepdims=True))(x) + np.ones((3,), "float32")
    x = ops.softmax(ops.matmul(x, ops.transpose(x, (0, 2, 1))) / 2.0)
    return models.Model(inputs, ops.squeeze(ops.sum(ops.expand_dims(x, -1), axis=1), -1))


NETWORKS = {
    "resnet": (nets.keras_resnet, lambda: torch.randn(2, 16, 16, 3)),
    "unet": (unet, lambda: torch.randn(2, 16, 16, 3)),
    "mobile": (mobile, lambda: torch.rand(2, 15, 17, 3) * 255),
    "squeeze": (squeeze_and_excite, lambda: torch.randn(2, 8, 8, 6)),
    "two": (two_inputs_two_outputs, lambda: [torch.randn(2, 4), torch.randn(2, 3)]),
    "nested": (nested, lambda: torch.randn(2, 12, 12, 3)),
    "seq2seq": (seq2seq, lambda: [torch.randn(2, 5, 3), torch.randn(2, 4, 3)]),
    "transformer": (transformer, lambda: torch.randint(0, 9, (2, 6))),
    "text_cnn": (text_cnn, lambda: torch.randint(0, 30, (2, 20))),
    "text_lstm": (nets.keras_text_classifier, lambda: torch.randint(0, 20, (2, 7))),
    "own_layers": (own_layers, lambda: torch.randn(2, 6)),
    "ops": (ops_of_all_kinds, lambda: torch.randn(2, 6, 4)),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_networks(name, data_format):
    make, draw = NETWORKS[name]
    model = shaken(make())
    module = saving.to_torch(model, data_format)
    assert is_plain(module)
    assert_same(model, module, draw(), turned=data_format == "channels_first")


def test_the_sources_run_without_torchkeras(tmp_path):
    wanted = {}
    for name, (make, draw) in NETWORKS.items():
        model, x = shaken(make()), draw()
        saving.to_torch(model, "channels_last", source=tmp_path / f"{name}.py")
        assert "torchkeras" not in (tmp_path / f"{name}.py").read_text()
        torch.save(x if isinstance(x, list) else [x], tmp_path / f"{name}.x")
        y = model(x)
        wanted[name] = [torch.as_tensor(one).detach() for one in (y if isinstance(y, (list, tuple)) else [y])]
    code = (
        "import importlib, sys, torch; sys.modules['torchkeras'] = None; sys.path.insert(0, '')\n"
        "for name in sys.argv[1:]:\n"
        "    y = importlib.import_module(name).load()(*torch.load(name + '.x'))\n"
        "    torch.save(list(y) if isinstance(y, tuple) else [y], name + '.y')"
    )
    done = fresh_process.run(code, *wanted, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name, ys in wanted.items():
        for one, other in zip(ys, torch.load(tmp_path / f"{name}.y"), strict=True):
            torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-5)


def test_names_and_layouts():
    module = saving.to_torch(
        models.Sequential(
            [
                layers.Input((8, 8, 3)),
                layers.Conv2D(4, 3, name="conv1"),
                layers.BatchNormalization(name="bn1"),
                layers.Flatten(),
                layers.Dense(5, name="class"),
            ]
        )
    )
    assert {key: tuple(value.shape) for key, value in module.state_dict().items()} == {
        "conv1.weight": (4, 3, 3, 3),
        "conv1.bias": (4,),
        "bn1.weight": (4,),
        "bn1.bias": (4,),
        "bn1.running_mean": (4,),
        "bn1.running_var": (4,),
        "bn1.num_batches_tracked": (),
        "class_.weight": (5, 144),
        "class_.bias": (5,),
    }


def test_a_saved_model_and_its_weights(tmp_path):
    model = shaken(mobile())
    model.save(tmp_path / "m.keras")
    module = saving.to_torch(tmp_path / "m.keras", "channels_last")
    assert_same(model, module, torch.rand(2, 15, 17, 3))


def test_names_from_a_file_are_never_code(tmp_path):
    name = "x'); import os; os.system('touch sentinel') #"
    model = models.Sequential([layers.Input((3,)), layers.Dense(2, name=name)], name='"""\nimport os\n')
    module = saving.to_torch(model, source=tmp_path / "net.py")
    compile((tmp_path / "net.py").read_text(), "net.py", "exec")
    assert all(key.partition(".")[0].isidentifier() for key in module.state_dict())
    assert not (tmp_path / "sentinel").exists() and not os.path.exists("sentinel")


def test_types():
    model = models.Sequential([layers.Input((3,), dtype="float64"), layers.Dense(2, dtype="float64")])
    assert saving.to_torch(model)(torch.randn(2, 3, dtype=torch.float64)).dtype == torch.float64


def test_a_subclassed_model():
    class Net(models.Model):
        def __init__(self):
            super().__init__()
            self.body, self.head = layers.Dense(4, "relu"), layers.Dense(2)

        def call(self, x):
            return self.head(self.body(x))

    model = Net()
    x = np.random.standard_normal((3, 5)).astype("float32")
    model(x)
    with pytest.raises(ValueError, match="example=inputs"):
        saving.to_torch(model)
    module = saving.to_torch(model, example=x)
    torch.testing.assert_close(module(torch.from_numpy(x)), model(x), rtol=1e-4, atol=1e-5)


def test_calls_of_torch_functions_are_named():
    model = nets.keras_vit()
    with pytest.raises(ValueError, match=r"(?s)no counterpart.*ClassToken.*calls of layers and ops"):
        saving.to_torch(model)


def test_a_wrong_conversion_is_noticed(monkeypatch):
    from torchkeras.saving.plain_torch import source

    monkeypatch.setitem(source.EMITTERS, layers.ReLU, lambda layer, w, x: x.of(f"{x.code} * 1.01"))
    with pytest.raises(RuntimeError, match="does not compute what the model does"):
        saving.to_torch(models.Sequential([layers.Input((3,)), layers.ReLU()]))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"data_format": "NCHW"}, "channels_first"), ({"source": "model.txt"}, r"\.py")],
)
def test_wrong_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        saving.to_torch(mobile(), **arguments)


def partly_frozen():
    inner = models.Sequential(
        [layers.Input((4,)), layers.Dense(4, name="first"), layers.Dense(4, name="second")], name="inner"
    )
    inner.get_layer("first").trainable = False
    x = layers.Input((4,), name="x")
    frozen = layers.BatchNormalization(name="norm", trainable=False)
    return models.Model(x, layers.Dense(2, name="head")(frozen(inner(x))), name="partly_frozen")


FROZEN = {"inner.first.weight", "inner.first.bias", "norm.weight", "norm.bias"}


def test_frozen_layers_stay_frozen(tmp_path):
    model = partly_frozen()
    module = saving.to_torch(model, source=tmp_path / "frozen_net.py")
    assert {name for name, p in module.named_parameters() if not p.requires_grad} == FROZEN
    source = (tmp_path / "frozen_net.py").read_text()
    written: dict = {"__file__": str(tmp_path / "frozen_net.py")}
    exec(source, written)
    loaded = written["load"]()
    assert {name for name, p in loaded.named_parameters() if not p.requires_grad} == FROZEN
    back = saving.from_torch(module, torch.randn(2, 4))
    assert {layer.name for layer in back.layers if layer.weights and not layer.trainable} == {"inner_first", "norm"}
    model.trainable = False
    assert not any(p.requires_grad for p in saving.to_torch(model).parameters())


@pytest.mark.parametrize("copied", ["deepcopy", "pickle", "torch.save"])
def test_copies_of_modules(copied, tmp_path):
    module = saving.to_torch(partly_frozen())
    if copied == "torch.save":
        torch.save(module, tmp_path / "m.pt")
        other = torch.load(tmp_path / "m.pt", weights_only=False)
    else:
        other = copy.deepcopy(module) if copied == "deepcopy" else pickle.loads(pickle.dumps(module))
    x = torch.randn(3, 4)
    torch.testing.assert_close(other(x), module(x), rtol=0, atol=0)
    assert type(other) is type(module) and other.head.weight is not module.head.weight
    assert {name for name, p in other.named_parameters() if not p.requires_grad} == FROZEN


def test_a_pickled_module_in_another_process(tmp_path):
    module = saving.to_torch(partly_frozen())
    x = torch.randn(3, 4)
    (tmp_path / "m.pickle").write_bytes(pickle.dumps((module, x, module(x))))
    code = (
        "import pickle, sys, torch; m, x, y = pickle.load(open(sys.argv[1], 'rb')); torch.testing.assert_close(m(x), y)"
    )
    done = fresh_process.run(code, tmp_path / "m.pickle")
    assert done.returncode == 0, done.stderr


def wide_table(size, width):
    layer = layers.ReversibleEmbedding(size, width)
    x = layers.Input((3,), dtype="int32")
    return models.Model(x, layer(x))


def model_with(shape, layer):
    return models.Sequential([layers.Input(shape), layer, layers.Flatten()])


TABLE = np.arange(12.0).reshape(4, 3)
LATER = {
    "adapted": lambda: model_with((4, 3), layers.Normalization(name="norm")),
    "given": lambda: model_with((4,), layers.Normalization(mean=[1.0, 2, 3, 4], variance=4.0 * np.ones(4))),
    "given as one number": lambda: model_with((4,), layers.Normalization(mean=3.0, variance=2.0)),
    "of two axes": lambda: model_with((4, 3), layers.Normalization((1, 2), mean=TABLE, variance=TABLE + 1)),
    "spectral": lambda: model_with((4,), layers.SpectralNormalization(layers.Dense(3))),
    "spectral of an image": lambda: model_with((6, 6, 2), layers.SpectralNormalization(layers.Conv2D(3, 2))),
    "table": lambda: wide_table(5, 4),
}


@pytest.mark.parametrize("name", LATER)
def test_layers_with_statistics_and_wrappers(name):
    model = shaken(LATER[name]())
    shape = model.input_shape[1:]
    x = torch.randint(0, 5, (2, *shape)) if name == "table" else torch.randn(2, *shape)
    found = saving.to_torch(model)(x.movedim(-1, 1) if len(shape) == 3 else x)
    torch.testing.assert_close(found, model(x).detach().as_subclass(torch.Tensor), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "make", [lambda: layers.ConvLSTM2D(2, 2), lambda: layers.Resizing(3, 3), lambda: layers.Equalization()]
)
def test_later_layers_without_a_counterpart_are_named(make):
    layer = make()
    shape = (3, 5, 5, 2) if isinstance(layer, layers.ConvLSTM2D) else (5, 5, 3)
    with pytest.raises(ValueError, match=f"(?s)no counterpart in torch.nn.*{type(layer).__name__} '{layer.name}'"):
        saving.to_torch(models.Sequential([layers.Input(shape), layer]))
