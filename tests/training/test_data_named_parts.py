"""Batches that are dicts: targets by the name that `fit` is given, or by the names of a functional model's outputs."""

import numpy as np
import pytest
import torch

import torchkeras as keras

ROWS = 12


class Rows(torch.utils.data.Dataset):
    """Map-style: a row is a dict."""

    def __init__(self, columns):
        self.columns = columns

    def __len__(self):
        return ROWS

    def __getitem__(self, index):
        return {name: values[index] for name, values in self.columns.items()}


class HuggingFaceLike:
    """No torch Dataset, but what torch's DataLoader batches: rows by `__getitem__`, several by `__getitems__`."""

    def __init__(self, columns):
        self.columns = columns

    def __len__(self):
        return ROWS

    def __getitem__(self, index):
        return {name: values[index] for name, values in self.columns.items()}

    def __getitems__(self, indices):
        return [self[index] for index in indices]


class Batches(keras.utils.PyDataset):
    def __init__(self, columns):
        super().__init__()
        self.columns = columns

    def __len__(self):
        return ROWS // 4

    def __getitem__(self, index):
        return {name: values[4 * index : 4 * index + 4] for name, values in self.columns.items()}


class WithLists(HuggingFaceLike):
    """Rows with lists in the place of arrays, and columns that are read later, as without a format for torch."""

    def __getitem__(self, index):
        if isinstance(index, str):
            return ColumnLike(self, index)
        return {name: value.tolist() for name, value in super().__getitem__(index).items()}


class ColumnLike:
    """A column of a Hugging Face data set: no array, but a list by a slice."""

    def __init__(self, source, name):
        self.source, self.column_name = source, name

    def __len__(self):
        return ROWS

    def __getitem__(self, rows):
        return self.source.columns[self.column_name][rows].tolist()


KINDS = {
    "loader": lambda c: (torch.utils.data.DataLoader(Rows(c), batch_size=4), {}),
    "torch Dataset": lambda c: (Rows(c), {"batch_size": 4, "shuffle": False}),
    "Hugging Face data set": lambda c: (HuggingFaceLike(c), {"batch_size": 4, "shuffle": False}),
    "data set with lists": lambda c: (WithLists(c), {"batch_size": 4, "shuffle": False}),
    "PyDataset": lambda c: (Batches(c), {"shuffle": False}),
    "generator": lambda c: ((Batches(c)[i] for i in [0, 1, 2] * 2), {"steps_per_epoch": 3}),
    "list-like": lambda c: (type("L", (), {"__iter__": lambda self: iter([Batches(c)[i] for i in range(3)])})(), {}),
    "arrays": lambda c: (c, {"batch_size": 4, "shuffle": False}),
}


@pytest.fixture
def columns(rng):
    return {
        "a": rng.normal(size=(ROWS, 3)).astype("float32"),
        "b": rng.normal(size=(ROWS, 2)).astype("float32"),
        "labels": rng.normal(size=(ROWS, 1)).astype("float32"),
        "weight": rng.uniform(size=ROWS).astype("float32"),
    }


def two_inputs(outputs=1):
    keras.utils.set_random_seed(2)
    inputs = {name: keras.Input((size,), name=name) for name, size in [("a", 3), ("b", 2)]}
    joined = keras.layers.Concatenate()(list(inputs.values()))
    made = [keras.layers.Dense(1, name=f"out{i}")(joined) for i in range(outputs)]
    model = keras.Model(inputs, made[0] if outputs == 1 else {f"out{i}": tensor for i, tensor in enumerate(made)})
    model.compile("sgd", "mse", metrics=["mae"] if outputs == 1 else None)
    return model


def trained(model, *args, **kwargs):
    history = model.fit(*args, epochs=2, verbose=0, **kwargs).history
    return history, [weight.tolist() for weight in model.get_weights()]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", list(KINDS))
def test_targets_and_weights_by_name_are_those_given_apart(kind, weighted, columns):
    x = {name: columns[name] for name in "ab"}
    weight = columns["weight"] if weighted else None
    expected = trained(two_inputs(), x, columns["labels"], sample_weight=weight, batch_size=4, shuffle=False)
    data, options = KINDS[kind](columns)
    name = "weight" if weighted else None
    assert trained(two_inputs(), data, y="labels", sample_weight=name, **options) == expected


@pytest.mark.parametrize("kind", ["loader", "torch Dataset", "arrays"])
def test_evaluate_and_validation_take_names(kind, columns):
    data, _ = KINDS[kind](columns)
    model = two_inputs()
    x = {name: columns[name] for name in "ab"}
    expected = model.evaluate(x, columns["labels"], verbose=0)
    np.testing.assert_allclose(model.evaluate(data, y="labels", verbose=0), expected, rtol=1e-5)
    for given in (data, (data, "labels")):
        model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"])
        history = model.fit(data, y="labels", validation_data=given, verbose=0).history
        np.testing.assert_allclose([history["val_loss"][0], history["val_mae"][0]], expected, rtol=1e-5)


def test_a_single_entry_stands_for_itself(columns):
    rows = Rows({"x": columns["a"], "y": columns["labels"]})
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    seen = []
    model.layers[0].register_forward_pre_hook(lambda layer, inputs: seen.append(type(inputs[0])))
    model.fit(torch.utils.data.DataLoader(rows, batch_size=4), y="y", verbose=0)
    assert all(issubclass(kind, torch.Tensor) or "KerasTensor" in kind.__name__ for kind in seen) and seen


def test_several_targets_by_name(columns):
    columns["other"] = columns["labels"] * 2
    model = two_inputs(2)
    x = {name: columns[name] for name in "ab"}
    y = {"out0": columns["labels"], "out1": columns["other"]}
    expected = trained(two_inputs(2), x, y, batch_size=4, shuffle=False)
    del columns["weight"]
    data, _ = KINDS["loader"](columns)
    assert trained(model, data, y={"out0": "labels", "out1": "other"}) == expected
    as_outputs = {**x, **y, "id": np.arange(ROWS)}
    assert trained(two_inputs(2), KINDS["loader"](as_outputs)[0]) == expected
    assert two_inputs(2).predict(KINDS["loader"](as_outputs)[0], verbose=0)["out1"].shape == (ROWS, 1)


def test_entries_called_as_the_outputs_are_the_targets(columns):
    x = {name: columns[name] for name in "ab"}
    expected = trained(two_inputs(), x, columns["labels"], batch_size=4, shuffle=False)
    data, _ = KINDS["loader"]({**x, "out0": columns["labels"]})
    assert trained(two_inputs(), data) == expected
    assert two_inputs().evaluate(data, verbose=0) == pytest.approx(
        two_inputs().evaluate(x, columns["labels"], verbose=0), rel=1e-5
    )


def test_a_step_of_ones_own_gets_the_batches_as_they_are(columns):
    seen = []

    class Own(keras.Model):
        def train_step(self, data):
            seen.append(sorted(data))
            return {"loss": torch.zeros(())}

    inputs = keras.Input((3,), name="a")
    model = Own(inputs, keras.layers.Dense(1, name="labels")(inputs))
    model.compile("sgd", "mse")
    model.fit(KINDS["loader"]({"a": columns["a"], "labels": columns["labels"]})[0], verbose=0)
    assert seen == [["a", "labels"]] * 3


def test_what_cannot_be_taken_apart_is_said(columns):
    model = two_inputs()
    data, _ = KINDS["loader"](columns)
    with pytest.raises(ValueError, match="batches are dicts with the entries.*'labels'.*name the targets' entry"):
        model.fit(data, verbose=0)
    with pytest.raises(ValueError, match="have the entries.*there is no 'target'"):
        model.fit(data, y="target", verbose=0)
    pairs = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 3), torch.ones(4, 1)))
    with pytest.raises(ValueError, match="y='labels' names entries of batches that are dicts; the data gave a"):
        model.fit(pairs, y="labels", verbose=0)
    with pytest.raises(ValueError, match="No entry is left for the inputs"):
        model.fit(KINDS["loader"]({"labels": columns["labels"]})[0], y="labels", verbose=0)


# ---------------------------------------------------------------------------- sizes


def small():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("size", [2.5, -1, True, "8", np.float32(4)])
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_batch_sizes_that_are_no_positive_integers_are_refused(method, size, columns):
    y = () if method == "predict" else (columns["labels"],)
    with pytest.raises(ValueError, match="batch_size should be a positive integer value, but got batch_size="):
        getattr(small(), method)(columns["a"], *y, batch_size=size, verbose=0)


@pytest.mark.parametrize("steps", [1.5, 0, -2, True, "3"])
def test_numbers_of_steps_that_are_no_positive_integers_are_refused(steps, columns):
    with pytest.raises(ValueError, match="number of steps must be a positive integer"):
        small().fit(columns["a"], columns["labels"], steps_per_epoch=steps, verbose=0)


def test_integers_of_numpy_are_sizes(columns):
    model = small()
    model.fit(columns["a"], columns["labels"], batch_size=np.int64(4), steps_per_epoch=np.int32(3), verbose=0)
    assert int(model.optimizer.iterations) == 3


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("kind", ["generator", "loader", "PyDataset"])
def test_batches_without_rows_are_refused(kind, method, columns):
    empty = (columns["a"][:0], columns["labels"][:0])
    data = {
        "generator": lambda: (batch for batch in [empty]),
        "loader": lambda: torch.utils.data.DataLoader([empty], batch_size=None),
        "PyDataset": lambda: type(
            "P", (keras.utils.PyDataset,), {"__len__": lambda s: 1, "__getitem__": lambda s, i: empty}
        )(),
    }[kind]()
    with pytest.raises(ValueError, match=r"at least one sample; received one whose first array has shape \(0, 3\)"):
        getattr(small(), method)(data, verbose=0)


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("kind", ["generator", "loader", "PyDataset"])
def test_data_without_batches_are_refused(kind, method):
    data = {
        "generator": lambda: (batch for batch in []),
        "loader": lambda: torch.utils.data.DataLoader([]),
        "PyDataset": lambda: type("P", (keras.utils.PyDataset,), {"__len__": lambda self: 0})(),
    }[kind]()
    with pytest.raises(ValueError, match="at least one batch"):
        getattr(small(), method)(data, verbose=0)
