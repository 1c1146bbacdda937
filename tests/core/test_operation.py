"""Operations of the user: eager, recorded, described, saved."""

import keras
import numpy as np
import pytest
import torch

import torchkeras


def affine(k):
    class Affine(k.Operation):
        def __init__(self, factor, *, summand=1.0, name=None):
            super().__init__(name=name)
            self.factor = factor
            self.summand = summand

        def call(self, x):
            return self.factor * x + self.summand

        def compute_output_spec(self, x):
            return k.KerasTensor(x.shape, x.dtype)

    return Affine


def unnamed(k):
    class Unnamed(k.Operation):
        def __init__(self, factor=2.0):
            super().__init__()
            self.factor = factor

        def call(self, x, y, z=None):
            return self.factor * x + y if z is None else z

    return Unnamed


def open_ended(k):
    class OpenEnded(k.Operation):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, x):
            return x, x * self.factor

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    return OpenEnded


# (class, constructor's arguments, how many tensors it takes)
CASES = [
    (affine, (0.5,), {"name": "mine"}, 1),
    (affine, (), {"factor": 2, "summand": 0.0}, 1),
    (unnamed, (), {}, 2),
    (open_ended, (3.0,), {"name": "mine"}, 1),
    (open_ended, (3.0,), {}, 1),
]
each = pytest.mark.parametrize("make, args, kwargs, count", CASES)


def pair(make, args, kwargs):
    torchkeras.utils.clear_session()
    keras.utils.clear_session(free_memory=False)
    return make(torchkeras)(*args, **kwargs), make(keras)(*args, **kwargs)


@each
def test_configs_are_keras_and_make_the_operation_again(make, args, kwargs, count):
    ours, theirs = pair(make, args, kwargs)
    assert ours.name == theirs.name
    assert ours.get_config() == theirs.get_config()
    assert type(ours).from_config(ours.get_config()).get_config() == ours.get_config()


@each
def test_they_compute_and_are_recorded(make, args, kwargs, count, rng):
    ours, theirs = pair(make, args, kwargs)
    values = [torch.from_numpy(rng.normal(size=(2, 3)).astype("float32")) for _ in range(count)]
    torch.testing.assert_close(ours(*values), theirs(*values))
    symbols = [torchkeras.Input((3,)) for _ in range(count)]
    outputs = ours(*symbols)
    assert ours.input == (symbols if count > 1 else symbols[0])
    assert ours.output == (list(outputs) if isinstance(outputs, tuple) else outputs)
    model = torchkeras.Model(symbols, outputs)
    torch.testing.assert_close(model(values), ours(*values))


@each
def test_models_made_of_them_are_described_and_saved(make, args, kwargs, count, rng, tmp_path):
    ours, _ = pair(make, args, kwargs)
    symbols = [torchkeras.Input((3,)) for _ in range(count)]
    model = torchkeras.Model(symbols, ours(*symbols))
    model.save(tmp_path / "model.keras")
    again = torchkeras.models.load_model(tmp_path / "model.keras", custom_objects={type(ours).__name__: type(ours)})
    values = [torch.from_numpy(rng.normal(size=(2, 3)).astype("float32")) for _ in range(count)]
    torch.testing.assert_close(again(values), model(values))


def test_reuse_keeps_the_first_call_as_input_and_output():
    operation = affine(torchkeras)(2.0)
    with pytest.raises(AttributeError, match="never called"):
        operation.input  # noqa: B018
    first, second = torchkeras.Input((3,)), torchkeras.Input((4,))
    output = operation(first)
    operation(second)
    assert operation.input is first
    assert operation.output is output


def any_number(k):
    class AnyNumber(k.Operation):
        def __init__(self, *factors, name=None):
            super().__init__(name=name)

    return AnyNumber


@pytest.mark.parametrize("make, args", [(any_number, (1, 2)), (affine, (object(),))])
def test_configs_that_can_not_be_told(make, args):
    for operation in pair(make, args, {}):
        with pytest.raises(NotImplementedError):
            operation.get_config()


@pytest.mark.parametrize("wrong", ["a/b", 3])
def test_names_that_can_not_be(wrong):
    for k in (torchkeras, keras):
        with pytest.raises(ValueError, match="name"):
            affine(k)(1.0, name=wrong)


def test_what_is_not_defined_says_so():
    for k in (torchkeras, keras):
        with pytest.raises(NotImplementedError):
            k.Operation()(np.ones(3))
        with pytest.raises(NotImplementedError):
            k.Operation()(k.KerasTensor((3,)))


def test_a_symbolic_scope_changes_nothing():
    for k in (torchkeras, keras):
        with k.SymbolicScope():
            torch.testing.assert_close(k.ops.add(torch.ones(2), 1), torch.full((2,), 2.0))


def test_sources_of_a_symbol():
    for k in (torchkeras, keras):
        x, y, bare = k.Input((3,)), k.Input((3,)), k.KerasTensor((3,))
        for tensor, sources in [(x, [x]), (bare, [bare]), ((x + y) * 2 - bare, [x, y, bare]), ((x + x) * y, [x, y])]:
            found = k.utils.get_source_inputs(tensor)
            assert [id(t) for t in found] == [id(t) for t in sources]
