"""Arrays as sources: what a step receives, shuffling, lengths, weights; against the formulas and against Keras."""

import itertools

import keras
import numpy as np
import pandas
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import torchkeras
from torchkeras.core import tree
from torchkeras.training.data import array_source, make_source, train_validation_split, unpack_x_y_sample_weight

oracle_adapters = pytest.importorskip("keras.src.trainers.data_adapters")


def all_rows(source, part=0):
    return torch.cat([unpack_x_y_sample_weight(data)[part] for data in source.epoch()])


def described(data):
    """Structure, types and shapes, with torch's and Keras's names alike."""
    return tree.map_structure(lambda t: None if t is None else (str(t.dtype), tuple(t.shape)), data)


def structures(rng, n=7):
    x, y, w = rng.normal(size=(n, 3)), rng.integers(0, 4, n), rng.random(n)
    frame = pandas.DataFrame({"a": x[:, 0], "b": y})
    return {
        "x": (x,),
        "list": ([x, x],),
        "tuple": ((x, y),),
        "dict": ({"b": x, "a": y},),
        "x, y": (x, y),
        "x, y, w": (x, y, w),
        "x, w": (x, None, w),
        "two outputs": (x, [y, x]),
        "two outputs, one weight": (x, [y, x], w),
        "two outputs, weights": (x, {"a": y, "b": x}, {"a": w, "b": None}),
        "no target for one": (x, [y, None]),
        "float16, bool": (x.astype("float16"), y > 1),
        "small ints": ([y.astype(t) for t in ("uint8", "int8", "int16", "uint16", "int32", "uint32")], y),
        "complex": (x.astype("complex64"), y),
        "torch float64": (torch.tensor(x), torch.tensor(y)),
        "torch bfloat16": (torch.tensor(x, dtype=torch.bfloat16), y),
        "pandas": (frame, frame["b"]),
        "pandas ints": (frame[["b"]], frame["a"]),
        "fortran order": (np.asfortranarray(x), y[::-1]),
    }


@pytest.mark.parametrize("name", list(structures(np.random.default_rng(0))))
def test_batches_are_those_of_keras(name, rng):
    arrays = structures(rng)[name]
    ours = list(make_source(*arrays, batch_size=3, shuffle=False).epoch())
    adapter = oracle_adapters.get_data_adapter(*arrays, batch_size=3, shuffle=False)
    theirs = list(adapter.get_torch_dataloader())
    assert len(ours) == len(theirs) == 3
    for mine, oracle in zip(ours, theirs, strict=True):
        assert described(mine) == described(oracle)
        for a, b in zip(tree.flatten(mine), tree.flatten(oracle), strict=True):
            assert a is b is None or torch.equal(a, b.cpu())


@pytest.mark.parametrize("shuffle", [True, "batch", False])
@pytest.mark.parametrize(("samples", "batch"), [(1, 32), (10, 3), (33, 32), (64, 32), (5000, 7)])
def test_every_sample_once_an_epoch_and_rows_stay_together(samples, batch, shuffle, monkeypatch):
    monkeypatch.setattr(array_source, "CPU_CHUNK_BYTES", 900)  # many chunks
    x = np.arange(samples)
    source = make_source([x, np.stack([x, -x], 1)], x * 2, batch_size=batch, shuffle=shuffle)
    for _ in range(2):
        batches = list(source.epoch())
        assert [len(y) for _, y in batches] == [min(batch, samples - i) for i in range(0, samples, batch)]
        first = torch.cat([a for (a, _), _ in batches])
        assert torch.equal(torch.cat([b for (_, b), _ in batches]), torch.stack([first, -first], 1))
        assert torch.equal(torch.cat([y for _, y in batches]), first * 2)
        assert torch.equal(first.sort().values, torch.arange(samples))
        if shuffle == "batch":
            whole = first[: samples // batch * batch].view(-1, batch)
            assert torch.equal(whole // batch, torch.arange(samples // batch)[:, None].expand_as(whole))


def test_shuffling_differs_each_epoch_and_repeats_with_the_seed():
    source = make_source(np.arange(100), batch_size=10)
    torch.manual_seed(5)
    first, second = all_rows(source), all_rows(source)
    torch.manual_seed(5)
    again = all_rows(make_source(np.arange(100), batch_size=10))
    assert not torch.equal(first, second)
    assert torch.equal(first, again)


def test_unshuffled_batches_are_views(rng):
    x = rng.normal(size=(10, 3)).astype("float32")
    for data in make_source(x, batch_size=4, shuffle=False).epoch():
        assert torch.from_numpy(x).untyped_storage().data_ptr() == data.untyped_storage().data_ptr()


def test_peeking_loses_nothing_and_draws_nothing():
    source = make_source(np.arange(10), np.arange(10), batch_size=4)
    torch.manual_seed(1)
    source.peek()
    seen = all_rows(source)
    torch.manual_seed(1)
    assert torch.equal(seen, all_rows(make_source(np.arange(10), np.arange(10), batch_size=4)))


def test_skip_leaves_out_the_first_batches():
    source = make_source(np.arange(10), batch_size=3, shuffle=False)
    assert torch.cat(list(source.epoch(skip=2))).tolist() == [6, 7, 8, 9]


@pytest.mark.parametrize(
    ("samples", "batch_size", "steps", "batch", "batches"),
    [(24, None, 5, 5, 5), (24, None, None, 32, 1), (24, 10, None, 10, 3), (24, 10, 2, 10, 2), (24, 0, None, 32, 1)],
)
def test_sizes(samples, batch_size, steps, batch, batches):
    source = make_source(np.zeros(samples), batch_size=batch_size, steps=steps)
    assert (source.num_samples, source.batch_size, source.num_batches) == (samples, batch, batches)


@pytest.mark.filterwarnings("ignore:Your input ran out")
@pytest.mark.parametrize(("samples", "steps"), list(itertools.product([4, 6, 10], [1, 2, 3, 5])))
def test_steps_carry_on_as_in_keras(samples, steps):
    x = np.arange(samples)
    ours = make_source(x, batch_size=2, steps=steps, shuffle=False)
    theirs = keras.src.backend.torch.trainer.TorchEpochIterator(x, batch_size=2, steps_per_epoch=steps)
    for _ in range(5):
        expected = [data[0].tolist() for _, _, data in theirs]
        assert [data.tolist() for data in ours.epoch()] == expected


def test_running_out_of_data_warns():
    source = make_source(np.arange(4), batch_size=2, steps=3)
    with pytest.warns(UserWarning, match="ran out of data"):
        assert len(list(source.epoch())) == 2


CLASSES = {
    "ints": lambda y: y,
    "column": lambda y: y[:, None],
    "one hot": lambda y: np.eye(5)[y],
    "floats": lambda y: y + 0.1,
}


@pytest.mark.parametrize("form", list(CLASSES))
def test_class_weight_becomes_sample_weight_as_in_keras(form, rng):
    y = CLASSES[form](rng.integers(0, 5, 20))
    weights = {0: 0.5, 2: 3.0, 4: 0.0}
    source = make_source(np.zeros(20), y, class_weight=weights, shuffle=False)
    theirs = oracle_adapters.data_adapter_utils.class_weight_to_sample_weights(y, weights)
    weight = all_rows(source, 2)
    assert weight.dtype == torch.float32
    np.testing.assert_array_equal(weight.numpy(), theirs)


X, Y = np.zeros((4, 3)), np.zeros(4)
REFUSED = {
    "lengths": ({"x": [X, X[:2]], "y": Y[:3]}, r"'x' sizes: 4, 2; 'y' sizes: 3"),
    "empty": ({"x": X[:0], "y": Y[:0]}, "at least one sample"),
    "scalar": ({"x": np.array(3.0)}, "scalar"),
    "strings": ({"x": X[:2], "y": np.array(["a", "b"])}, "must be numbers"),
    "missing strings": ({"x": np.array(["a", None])}, "missing values"),
    "objects": ({"x": np.array([None, 1], dtype=object)}, "must be numbers"),
    "uint64": ({"x": Y.astype("uint64")}, "uint64"),
    "list of numbers": ({"x": [[1.0, 2.0]], "y": [1]}, "np.array"),
    "list of targets": ({"x": X, "y": [1, 2, 3, 4]}, r"y=\[1, 2, 3, 4\] \(list\).*np.array\(y\)"),
    "list of weights": ({"x": X, "y": Y, "sample_weight": [1.0] * 4}, "sample_weight must be an array"),
    "rows of several shapes": ({"x": pandas.Series([[1, 2], [3]])}, r"same shape.*\(1,\), \(2,\)"),
    "nothing": ({"x": None}, "Unrecognized"),
    "batch size": ({"x": X, "batch_size": -1}, "batch_size"),
    "steps": ({"x": X, "steps": -1}, "steps"),
    "both weights": ({"x": X, "y": Y, "sample_weight": Y, "class_weight": {0: 1}}, "not both"),
    "class weight, two outputs": ({"x": X, "y": [Y, Y], "class_weight": {0: 1}}, "single output"),
    "class weight, no targets": ({"x": X, "class_weight": {0: 1}}, "y=None"),
    "class weight, list": ({"x": X, "y": Y, "class_weight": [1, 2]}, "must be a dict"),
    "weights, structure": ({"x": X, "y": [Y, Y], "sample_weight": [Y]}, "one array an output"),
    "weights, shared matrix": ({"x": X, "y": [Y, Y], "sample_weight": X}, "one number a sample"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_refused(name):
    arguments, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        make_source(**arguments)


def test_columns_of_tables(rng):
    """Missing numbers, and rows that are arrays or lists, as tables have them."""
    rows = rng.normal(size=(4, 3)).astype("float32")
    objects = np.empty(4, dtype=object)
    objects[:] = list(rows)  # a list column of pyarrow, as NumPy has it
    for column in (objects, pandas.Series(list(rows)), pandas.Series(rows.tolist())):
        np.testing.assert_array_equal(all_rows(make_source(column, shuffle=False)).numpy(), rows)
    for missing in ([1.0, None], [True, None], [3, None]):
        column = pandas.Series(missing).convert_dtypes()
        for value in (column, column.to_frame()):
            found = all_rows(make_source(value, shuffle=False)).numpy()
            np.testing.assert_array_equal(found, [[float(missing[0])], [np.nan]])


def test_memory_maps_are_not_read_whole(tmp_path):
    file = np.memmap(tmp_path / "x", dtype="float64", mode="w+", shape=(100, 2))
    file[:] = np.arange(200).reshape(100, 2)
    source = make_source(np.memmap(tmp_path / "x", dtype="float64", mode="r", shape=(100, 2)), batch_size=8)
    (column,) = source._columns()
    assert column.tensor.dtype == torch.float64  # the file itself, converted a chunk at a time
    seen = all_rows(source)
    assert (
        seen.dtype == torch.float32 and torch.equal(seen[:, 1], seen[:, 0] + 1) and len(set(seen[:, 0].tolist())) == 100
    )


def test_sparse_matrices_come_dense(rng):
    sparse = pytest.importorskip("scipy.sparse")
    dense = rng.integers(0, 2, (20, 5)) * rng.normal(size=(20, 5))
    tensor = torch.from_numpy(dense)
    for value in (sparse.coo_matrix(dense), tensor.to_sparse(), tensor.to_sparse_csr(), tensor.to_sparse_csc()):
        for shuffle in (False, True):
            source = make_source(value, np.arange(20), batch_size=6, shuffle=shuffle)
            for x, y in source.epoch():
                np.testing.assert_allclose(x, dense[y].astype("float32"))


def test_sparse_tensors_of_more_dimensions(rng):
    dense = torch.from_numpy(rng.integers(0, 2, (20, 5, 3)))
    (x, _), (_, last) = train_validation_split((dense.to_sparse(), np.arange(20)), validation_split=0.5)
    assert torch.equal(x.to_dense(), dense[:10]) and last[0] == 10
    found = [x for x, _ in make_source(dense.to_sparse(), np.arange(20), batch_size=6, shuffle=False).epoch()]
    assert torch.equal(torch.cat(found), dense)


@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr"])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_model_trains_on_sparse_tensors_as_on_dense_ones(layout, sparse, rng):
    x, y = rng.integers(0, 2, (12, 5)).astype("float32"), rng.normal(size=(12, 1))
    losses = []
    for data in (x, getattr(torch.from_numpy(x), layout)()):
        model = torchkeras.Sequential(
            [torchkeras.Input((5,), sparse=sparse), torchkeras.layers.Dense(1, kernel_initializer="ones")]
        )
        model.compile("sgd", "mse")
        history = model.fit(data, y, batch_size=4, shuffle=False, verbose=0, validation_split=0.5, epochs=2).history
        values = [*history["loss"], *history["val_loss"], model.evaluate(data, y, verbose=0)]
        losses.append([*values, model.train_on_batch(data, y), model.predict(data, verbose=0).sum()])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_rows_are_gathered_in_chunks_not_in_batches():
    """Shuffled batches are views of a few gathered chunks."""

    class Gathers(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.count += function in (torch.ops.aten.index_select.default, torch.ops.aten.index.Tensor)
            return function(*args, **(kwargs or {}))

    source = make_source(torch.rand(50_000, 10), torch.zeros(50_000, dtype=torch.int64), batch_size=16)
    with Gathers() as gathers:
        batches = sum(1 for _ in source.epoch())
    assert batches == 3125
    assert 0 < gathers.count < 20


@pytest.mark.cuda
@pytest.mark.parametrize("resident", [True, False])
def test_on_cuda_an_epoch_never_waits(resident, monkeypatch, rng):
    monkeypatch.setattr(array_source, "_fits", lambda arrays, device: resident)
    monkeypatch.setattr(array_source, "DEVICE_CHUNK_BYTES", 10_000)
    x, y = rng.normal(size=(1000, 5)), np.arange(1000)
    x[:, 0] = y
    source = make_source(x, y, batch_size=8, device="cuda")
    for _ in range(2):
        torch.cuda.set_sync_debug_mode("error")
        try:
            batches = list(source.epoch())
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert all(part.is_cuda for data in batches for part in data)
        assert torch.equal(torch.cat([a[:, 0] for a, _ in batches]).long(), torch.cat([b for _, b in batches]))
        assert sorted(torch.cat([b for _, b in batches]).tolist()) == list(range(1000))
