"""A plain torch module called on a symbolic tensor becomes part of the functional model."""

import copy
import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn.modules import module as torch_module

import torchkeras as keras
from torchkeras.layers.core import torch_call


class Residual(nn.Module):
    """Methods, operators and inner modules."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 6)
        self.last = nn.Linear(6, 2)

    def forward(self, x):
        x = x.flatten(1)
        y = x + torch.relu(self.inner(x)) * 2
        return self.last(y).view(y.size(0), 2, 1) - 1


MODULES = {
    "linear": (lambda: nn.Linear(6, 2), (6,)),
    "sequence": (lambda: nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2)), (6,)),
    "convolution": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2)), (3, 6, 6)),
    "own module": (Residual, (2, 3)),
}


@pytest.mark.parametrize("kind", MODULES)
def test_is_a_layer_of_the_model(kind):
    make, shape = MODULES[kind]
    module = make()
    x = keras.Input(shape)
    y = module(keras.layers.Rescaling(2.0)(x))
    model = keras.Model(x, keras.layers.Rescaling(3.0)(y))
    data = torch.randn(5, *shape)
    expected = module.eval()(data * 2) * 3
    torch.testing.assert_close(model(data), expected)
    assert y.shape == (None, *expected.shape[1:])
    assert {id(p) for p in model.parameters()} == {id(p) for p in module.parameters()}
    assert len(model.layers) == 4
    torch.testing.assert_close(copy.deepcopy(model)(data), expected)


def test_a_module_called_twice_is_one_layer_and_trains():
    module = nn.Linear(4, 4)
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(1)(module(module(x))))
    assert len(model.layers) == 3
    before = module.weight.detach().clone()
    model.compile("sgd", "mse")
    model.fit(torch.randn(16, 4), torch.randn(16, 1), epochs=1, verbose=0)
    assert not torch.equal(module.weight, before)


def test_a_module_is_the_output():
    x = keras.Input((4,))
    model = keras.Model(x, nn.Linear(4, 2)(x))
    assert model.output_shape == (None, 2)
    assert model(torch.ones(3, 4)).shape == (3, 2)


def test_what_is_not_possible_is_said():
    class Two(nn.Module):
        def forward(self, x):
            return torch.relu(x), torch.tanh(x)

    x = keras.Input((5, 4))
    with pytest.raises(TypeError, match="Two gives tuple.*TorchModuleWrapper"):
        Two()(x)
    with pytest.raises(TypeError, match=r"relu.*KerasTensor"):
        torch.relu(x)
    with pytest.raises(AttributeError, match="flatten"):
        x.flatten(1)


class Remembers(nn.Module):
    """A forward pass with a local variable that can be watched."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x):
        local = nn.Identity()
        self.__dict__["watched"] = weakref.ref(local)
        return self.linear(local(x))


def test_nothing_of_a_call_is_kept():
    module = Remembers()
    x = keras.Input((4,))
    y = module(x)
    assert module.__dict__["watched"]() is None
    model = keras.Model(x, y)
    output, module_ref = weakref.ref(y), weakref.ref(module)
    del y
    assert output() is not None  # the model's own
    del model, x, module
    gc.collect()
    assert output() is None and module_ref() is None


def test_torch_watches_modules_only_while_a_graph_is_built():
    hooks = torch_module._global_forward_pre_hooks, torch_module._global_forward_hooks
    x = keras.Input((4,))
    h = nn.Linear(4, 3)(x)
    assert all(hooks)
    model = keras.Model(x, h)
    assert not any(hooks)
    model(torch.ones(2, 4))
    # Whoever asks a model for a symbolic tensor builds upon it.
    other = keras.Model(model.inputs, nn.ReLU()(model.layers[-1].output))
    assert not any(hooks)
    assert (other(torch.randn(8, 4)) >= 0).all()


def test_torch_stops_watching_when_a_graph_is_never_finished():
    hooks = torch_module._global_forward_pre_hooks, torch_module._global_forward_hooks
    dense, module, data = keras.layers.Dense(2), nn.Linear(2, 2), torch.ones(1, 2)
    h = dense(keras.Input((2,)))
    for _ in range(10):
        module(dense(data))
    assert all(hooks) and module(h).shape == (None, 2)  # some calls on data do not end the building
    for _ in range(torch_call._MAX_CALLS_ON_DATA):
        module(data)
    assert not any(hooks)
    model = keras.Model((x := keras.Input((2,))), module(dense(x)))
    assert len(model.layers) == 3 and not any(hooks)


def test_modules_and_layers_in_a_row_are_recorded_one_by_one():
    row = nn.Sequential(nn.Linear(4, 3), keras.layers.Dense(2), nn.ReLU())
    x = keras.Input((4,))
    model = keras.Model(x, row(x))
    assert len(model.layers) == 4
    data = torch.randn(5, 4)
    torch.testing.assert_close(model(data), row.eval()(data))


def test_a_module_called_on_data_while_a_graph_is_built():
    x = keras.Input((4,))
    module, data = nn.Linear(4, 3), torch.randn(2, 4)
    expected = torch.nn.functional.linear(data, module.weight, module.bias)
    y = module(x)
    torch.testing.assert_close(module(data), expected)
    torch.testing.assert_close(keras.Model(x, y)(data), expected)


def test_a_graph_given_up_leaves_no_hooks_after_clear_session():
    keras.layers.Dense(2)(keras.Input((3,)))
    assert torch_module._global_forward_hooks
    keras.utils.clear_session()
    assert not torch_module._global_forward_hooks and not torch_module._global_forward_pre_hooks
    assert nn.Linear(3, 2)(keras.Input((3,))).shape == (None, 2)
