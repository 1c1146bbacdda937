"""Promises of the recurrent layers: fused equals loop, torch's transforms, states, dropout, custom cells, errors."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import nn

from torchkeras import layers
from torchkeras.core.fast_paths.switch import use_fast_paths
from torchkeras.layers.recurrent import recurrence

BATCH, TIME, FEATURES, UNITS = 3, 7, 4, 5
KINDS = ["LSTM", "GRU", "SimpleRNN"]
kinds = pytest.mark.parametrize("kind", KINDS)


def make(kind: str, **kwargs: Any) -> Any:
    layer = getattr(layers, kind)(UNITS, **kwargs)
    layer.build((BATCH, TIME, FEATURES))
    for weight in layer.weights:
        weight.assign(torch.randn_like(weight) / 2)
    return layer


def draw() -> torch.Tensor:
    return torch.randn(BATCH, TIME, FEATURES)


def holes() -> torch.Tensor:
    mask = torch.rand(BATCH, TIME) < 0.6
    mask[0] = False
    return mask


def ours_and_torchs(kind: str) -> tuple[Any, nn.Module]:
    layer = make(kind, return_sequences=True)
    twin = {"LSTM": nn.LSTM, "GRU": nn.GRU, "SimpleRNN": nn.RNN}[kind](FEATURES, UNITS, batch_first=True)
    kernel, recurrent, bias = (w.detach().clone() for w in layer.weights)
    if kind == "GRU":

        def in_torchs_order(w: torch.Tensor) -> torch.Tensor:
            z, r, h = w.chunk(3, -1)
            return torch.cat([r, z, h], -1)

        kernel, recurrent, bias = map(in_torchs_order, (kernel, recurrent, bias))
    biases = bias if kind == "GRU" else (bias, torch.zeros_like(bias))
    values = (kernel.t(), recurrent.t(), *biases)
    with torch.no_grad():
        for parameter, value in zip(twin.parameters(), values, strict=True):
            parameter.copy_(value)
    return layer, twin


@kinds
def test_the_fused_form_is_torchs(kind):
    layer, twin = ours_and_torchs(kind)
    x = draw()
    torch.testing.assert_close(layer(x), twin(x)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("zero_output_for_mask", [False, True])
@kinds
def test_fused_equals_loop(kind, zero_output_for_mask, go_backwards, masked):
    options = {"zero_output_for_mask": zero_output_for_mask, "go_backwards": go_backwards, "return_state": True}
    fused = make(kind, return_sequences=True, **options)
    loop = make(kind, return_sequences=True, unroll=True, **options)
    loop.set_weights(fused.get_weights())
    x, mask = draw(), holes() if masked else None
    results = []
    for layer in (fused, loop):
        inputs = x.clone().requires_grad_()
        outputs = layer(inputs, mask=mask)
        loss = sum((o * torch.cos(torch.arange(o.numel()).view_as(o))).sum() for o in outputs)
        results.append([*outputs, *torch.autograd.grad(loss, [inputs, *layer.weights])])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@kinds
def test_what_a_mask_hides_reaches_neither_outputs_nor_gradients(kind):
    layer = make(kind, return_sequences=True, return_state=True)
    x, mask = draw(), holes()
    x[~mask] = float("nan")
    x.requires_grad_()
    outputs = layer(x, mask=mask)
    grads = torch.autograd.grad(sum(o.sum() for o in outputs), [x, *layer.weights])
    assert all(torch.isfinite(t).all() for t in (*outputs, *grads))
    assert not grads[0][~mask].any()


# Weights as float64: the numbers of gradcheck's differences want them.
@pytest.mark.parametrize("masked", [False, True])
@kinds
def test_gradients_are_those_of_the_function(kind, masked):
    layer = make(kind, dtype="float64", return_state=True)
    mask = holes()[:, :4] if masked else None
    x = torch.randn(BATCH, 4, FEATURES, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *weights: layer(x, mask=mask), (x, *layer.weights))


@pytest.mark.parametrize("by_onednn", [False, torch.backends.mkldnn.is_available()])
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("kind", ["GRU", "SimpleRNN"])
def test_steps_of_ours_have_the_numbers_of_torchs(monkeypatch, kind, return_sequences, by_onednn):
    monkeypatch.setattr(recurrence, "_AT_ONCE", 2 * BATCH * UNITS)  # two steps at once
    monkeypatch.setattr(recurrence, "onednn_is_faster_here", lambda: by_onednn)
    monkeypatch.setattr(recurrence, "_LEAST_ROWS", 0)
    monkeypatch.setattr(recurrence, "_LEAST_PRODUCTS", 0)
    for use_bias, frozen in [(True, ()), (False, ()), (True, (0, 2)), (True, (1,))]:
        layer = make(kind, use_bias=use_bias, return_sequences=return_sequences, return_state=True)
        for index in frozen:
            layer.weights[index].requires_grad_(False)
        values, trained = draw(), [weight for weight in layer.weights if weight.requires_grad]
        results = []
        for fast in (True, False):
            before = use_fast_paths(fast)
            x, start = values.clone().requires_grad_(not frozen), torch.ones(BATCH, UNITS, requires_grad=True)
            outputs, state = layer(x, initial_state=[start])
            with torch.no_grad():
                results.append([*layer(x, initial_state=[start])])
            last = state.detach().clone()
            outputs.mul_(2)
            assert torch.equal(state, last)
            weights = torch.linspace(0, 1, outputs.numel()).view_as(
                outputs
            )  # gradients near 1: tolerances are absolute
            loss = (outputs.sin() * weights).sum() + state.square().sum()
            results[-1] += [loss, *torch.autograd.grad(loss, [start, *trained, *([] if frozen else [x])])]
            use_fast_paths(before)
        torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["GRU", "SimpleRNN"])
def test_gradients_of_gradients(kind):
    x = torch.randn(2, 3, FEATURES, dtype=torch.float64, requires_grad=True)
    for return_sequences in (True, False):
        layer = make(kind, dtype="float64", return_sequences=return_sequences, return_state=True)
        assert torch.autograd.gradgradcheck(lambda x, *_: layer(x)[0], (x, *layer.weights), fast_mode=True)
    with torch.autograd.forward_ad.dual_level():
        outputs, _ = layer(torch.autograd.forward_ad.make_dual(x, torch.ones_like(x)))
        assert torch.autograd.forward_ad.unpack_dual(outputs).tangent.any()


FORMS = [
    ("LSTM", {"return_sequences": True, "go_backwards": True}, False),
    ("LSTM", {"return_state": True}, True),
    ("LSTM", {"activation": "relu"}, True),
    ("GRU", {}, False),
    ("GRU", {"return_sequences": True}, True),
    ("SimpleRNN", {}, True),
]


@pytest.mark.parametrize(("kind", "form", "masked"), FORMS, ids=str)
def test_compiles_to_one_graph(kind, form, masked):
    torch._dynamo.reset()
    layer = make(kind, **form)
    x, mask = draw(), holes() if masked else None
    compiled = torch.compile(lambda x: layer(x, mask=mask), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), layer(x, mask=mask))


@kinds
def test_trains_in_one_ahead_of_time_graph(kind):
    torch._dynamo.reset()
    layer, x = make(kind), draw()[:, :3]
    compiled = torch.compile(lambda x: layer(x), fullgraph=True, backend="aot_eager")
    grads = [torch.autograd.grad(call(x).square().sum(), layer.weights) for call in (compiled, layer)]
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


@kinds
def test_exports_with_any_batch_size(kind):
    layer = make(kind, return_sequences=True)
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(layer, (draw(),), dynamic_shapes=({0: batch},))
    x = torch.randn(8, TIME, FEATURES)
    torch.testing.assert_close(program.module()(x), layer(x))


@kinds
def test_is_a_torch_module(kind):
    layer, x = make(kind, return_sequences=True), draw()
    assert list(layer.state_dict()) == ["cell.kernel", "cell.recurrent_kernel", "cell.bias"]
    expected = layer(x)
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    for twin in (copy.deepcopy(layer), torch.load(buffer, weights_only=False)):
        assert torch.equal(twin(x), expected)
        assert not {id(p) for p in twin.parameters()} & {id(p) for p in layer.parameters()}
    zeros = {name: torch.zeros_like(value) for name, value in layer.state_dict().items()}
    assert not torch.func.functional_call(layer, zeros, (x,)).any()
    assert layer.double()(x.double()).dtype == torch.float64


# ---------------------------------------------------------------------- states


@kinds
def test_stateful_batches_are_one_long_sequence(kind):
    stateful = make(kind, stateful=True, return_sequences=True)
    whole = make(kind, return_sequences=True)
    whole.set_weights(stateful.get_weights())
    x = torch.randn(BATCH, 3 * TIME, FEATURES)
    pieces = torch.cat([stateful(piece) for piece in x.split(TIME, 1)], 1)
    torch.testing.assert_close(pieces, whole(x), rtol=1e-5, atol=1e-6)
    stateful.reset_state()
    torch.testing.assert_close(stateful(x[:, :TIME]), whole(x[:, :TIME]), rtol=1e-5, atol=1e-6)


@kinds
def test_gradients_end_at_the_kept_states(kind):
    layer = make(kind, stateful=True)
    for _ in range(3):
        x = draw()
        states = [state.clone() for state in layer.states]
        fresh = make(kind)
        fresh.set_weights(layer.get_weights())
        wanted = torch.autograd.grad(fresh(x, initial_state=states).sum(), fresh.weights)
        grads = torch.autograd.grad(layer(x).sum(), layer.weights)
        torch.testing.assert_close(grads, wanted, rtol=1e-4, atol=1e-5)


@kinds
def test_states_move_with_the_module_and_stay_out_of_its_state_dict(kind):
    layer = make(kind, stateful=True)
    layer(draw())
    assert not any("state" in name for name in layer.state_dict())
    assert len(layer.weights) == 3
    twin = copy.deepcopy(layer)
    for mine, theirs in zip(layer.states, twin.states, strict=True):
        assert torch.equal(mine, theirs)
        assert mine is not theirs
    layer.double()
    assert all(state.dtype == torch.float64 for state in layer.states)
    assert layer(draw().double()).dtype == torch.float64


def test_a_stateful_layer_in_a_graph_keeps_its_states():
    torch._dynamo.reset()
    layer = make("LSTM", stateful=True)
    twin = copy.deepcopy(layer)
    compiled = torch.compile(lambda x: layer(x), fullgraph=True, backend="eager")
    for _ in range(3):
        x = draw()
        torch.testing.assert_close(compiled(x), twin(x))
        torch.testing.assert_close(list(layer.states), list(twin.states))


# ---------------------------------------------------------------------- dropout


@pytest.mark.parametrize("rates", [{"dropout": 0.5}, {"recurrent_dropout": 0.5}], ids=str)
@kinds
def test_dropout_is_the_same_at_all_steps_and_other_in_the_next_call(kind, rates):
    layer = make(kind, return_sequences=True, **rates)
    x = torch.randn(20, TIME, FEATURES)  # so many that no two draws of masks are equal
    assert torch.equal(layer(x), layer(x, training=False))
    assert not torch.equal(layer(x, training=True), layer(x, training=True))
    assert layer.cell._dropout_mask is None
    # With one mask for all steps, the first step's mask explains the last step too.
    cell = layer.cell
    mask = cell.get_dropout_mask(torch.ones(len(x), FEATURES))
    if mask is not None and not isinstance(mask, list):
        plain = make(kind, return_sequences=True)
        plain.set_weights(layer.get_weights())
        got = layer.inner_loop(x, layer.get_initial_state(len(x)), None, training=True)[1]
        torch.testing.assert_close(got, plain(x * mask[:, None]), rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------- cells of other makes


class Minimal(layers.Layer):
    """A user's cell: no initial state, no output size, no `training`."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(self.units, self.units), name="recurrent_kernel")

    def call(self, inputs: torch.Tensor, states: Any) -> Any:
        output = torch.tanh(inputs @ self.kernel + states[0] @ self.recurrent_kernel)
        return output, [output]


class Doubled(layers.LSTMCell):
    """A user's variant of a cell of ours."""

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        output, states = super().call(inputs, states, training)
        return 2 * output, states


@pytest.mark.parametrize("masked", [False, True])
def test_a_users_cell_runs_step_by_step(masked):
    rnn = layers.RNN(Minimal(UNITS), return_sequences=True)
    x, mask = draw(), holes() if masked else None
    outputs = rnn(x, mask=mask)
    simple = layers.SimpleRNN(UNITS, use_bias=False, return_sequences=True)
    simple.build(x.shape)
    simple.set_weights(rnn.get_weights())
    torch.testing.assert_close(outputs, simple(x, mask=mask), rtol=1e-5, atol=1e-6)
    assert rnn.compute_output_shape((None, None, 4)) == (None, None, UNITS)


def test_a_subclass_of_our_cell_keeps_its_own_call():
    rnn = layers.RNN(Doubled(UNITS), return_sequences=True)
    x = draw()
    outputs = rnn(x)
    plain = layers.LSTM(UNITS, return_sequences=True)
    plain.build(x.shape)
    plain.set_weights(rnn.get_weights())
    torch.testing.assert_close(outputs, 2 * plain(x), rtol=1e-5, atol=1e-6)


def test_users_cells_in_stacks_and_wrappers():
    x = draw()
    stack = layers.RNN([layers.LSTMCell(3), Minimal(4)], return_state=True)
    output, first, second = stack(x)
    assert output.shape == (BATCH, 4)
    assert [tuple(s.shape) for s in first] == [(BATCH, 3), (BATCH, 3)]
    assert tuple(second[0].shape if isinstance(second, list) else second.shape) == (BATCH, 4)
    both = layers.Bidirectional(layers.RNN(Minimal(UNITS), return_sequences=True))
    assert both(x).shape == (BATCH, TIME, 2 * UNITS)


class Runner(layers.Layer):
    """A user's cell whose own method has a name that a cell of the package once used."""

    state_size = FEATURES

    def run(self, x):
        return x

    def call(self, inputs, states):
        return self.run(inputs) + states[0], [inputs + states[0]]


def test_a_users_cell_may_have_a_method_called_run():
    x = draw()
    torch.testing.assert_close(layers.RNN(Runner(), return_sequences=True)(x), x.cumsum(1))


class Centred(layers.Dense):
    """A user's layer whose outputs for a sample depend on the other samples of the batch."""

    def call(self, inputs):
        return super().call(inputs - inputs.mean(0))


# A layer, and whether `TimeDistributed` may put all steps through it in one call.
INNER = {
    "dense": (lambda: layers.Dense(3), True),
    "layers in a list": (lambda: layers.RNN([layers.LSTMCell(2), layers.GRUCell(3)]), True),
    "batch normalization": (layers.BatchNormalization, False),
    "activity": (layers.ActivityRegularization, False),
    "function": (lambda: layers.Lambda(lambda x: x - x.mean(0)), False),
    "torch module": (lambda: layers.TorchModuleWrapper(nn.BatchNorm1d(FEATURES)), False),
    "user's subclass": (lambda: Centred(3), False),
}


@pytest.mark.parametrize("case", INNER)
def test_time_distributed_makes_one_call_where_samples_are_independent(case):
    build, is_one_call = INNER[case]
    inner, calls = build(), []
    inner.register_forward_hook(lambda *_: calls.append(1))
    x = torch.randn(BATCH, TIME, 6, FEATURES) if case == "layers in a list" else draw()
    outputs = layers.TimeDistributed(inner)(x)
    assert len(calls) == (1 if is_one_call else TIME)
    expected = torch.stack([inner(step) for step in x.unbind(1)], 1)
    torch.testing.assert_close(outputs, expected)


# ---------------------------------------------------------------------- errors

WRONG = [
    (lambda: layers.LSTM(0), "units"),
    (lambda: layers.GRUCell(-1), "units"),
    (lambda: layers.LSTM(3, use_cudnn="no"), "use_cudnn"),
    (lambda: layers.LSTM(3, use_cudnn=True, recurrent_dropout=0.5)(draw()), "use_cudnn"),
    (lambda: layers.GRU(3, use_cudnn=True, reset_after=False)(draw()), "use_cudnn"),
    (lambda: layers.LSTM(3)(torch.randn(2, 3)), "ndim=3"),
    (lambda: layers.LSTM(3)(torch.randn(2, 0, 3)), "step"),
    (lambda: layers.RNN(3), "call"),
    (lambda: layers.RNN(layers.Dense(3)), "state_size"),
    (lambda: layers.StackedRNNCells([layers.Dense(2)]), "state_size"),
    (lambda: layers.LSTM(3, stateful=True).build((None, 4, 2)), "batch size"),
    (lambda: make("LSTM", stateful=True)(torch.randn(BATCH + 1, TIME, FEATURES)), "batch size"),
    (lambda: layers.Bidirectional(3), "Layer"),
    (lambda: layers.Bidirectional(layers.LSTM(3), merge_mode="max"), "merge mode"),
    (lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3)), "go_backwards"),
    (
        lambda: layers.Bidirectional(
            layers.LSTM(3), backward_layer=layers.LSTM(3, go_backwards=True, return_state=True)
        ),
        "return_state",
    ),
    (lambda: layers.TimeDistributed(3), "Layer"),
    (lambda: layers.TimeDistributed(layers.Dense(3)).build((2, 3)), "at least 3"),
    (lambda: layers.TimeDistributed(layers.Dense(3))(draw(), mask=torch.ones(2, 2)), "mask"),
]


@pytest.mark.parametrize(("act", "message"), WRONG, ids=[message + str(i) for i, (_, message) in enumerate(WRONG)])
def test_errors_say_what_is_wrong(act, message):
    with pytest.raises(ValueError, match=message):
        act()
