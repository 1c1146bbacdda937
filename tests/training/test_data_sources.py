"""Loaders, Datasets, generators and PyDatasets as sources, and the split of arrays."""

import os
import random
import threading
import time

import numpy as np
import pandas
import pytest
import torch

import torchkeras as keras
from torchkeras.training.data import (
    PyDataset,
    Source,
    make_source,
    pack_x_y_sample_weight,
    train_validation_split,
    unpack_x_y_sample_weight,
)


def values(source, **kwargs):
    return [unpack_x_y_sample_weight(data)[0].flatten().tolist() for data in source.epoch(**kwargs)]


def pairs(count, size=2):
    return ((np.full((size, 1), i, dtype="float64"), np.full(size, i)) for i in range(count))


class Batches(PyDataset):
    def __init__(self, make=None, size=4, **kwargs):
        super().__init__(**kwargs)
        self.make = make or (lambda i: (np.full((2, 1), i), np.full(2, i)))
        self.batches, self.calls = size, []

    num_batches = property(lambda self: self.batches)

    def __getitem__(self, index):
        return self.make(index)

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")


# ---------------------------------------------------------------------------- torch's own


def test_loader_gives_its_batches_each_epoch():
    data = torch.utils.data.TensorDataset(torch.arange(10.0, dtype=torch.float64), torch.arange(10))
    source = make_source(torch.utils.data.DataLoader(data, batch_size=4))
    assert (source.num_batches, source.batch_size, source.num_samples) == (3, 4, 10)
    first = source.peek()
    assert isinstance(first, tuple) and first[0].dtype == torch.float64 and first[1].dtype == torch.int64
    for _ in range(2):
        assert values(source) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("item", [lambda i: {"a": np.float32(i)}, lambda i: (np.float32(i), "text"), lambda i: i])
def test_loader_of_other_things(item):
    (data,) = make_source(torch.utils.data.DataLoader([item(i) for i in range(3)], batch_size=3)).epoch()
    if isinstance(data, dict):
        assert torch.equal(data["a"], torch.arange(3.0))
    elif isinstance(data, tuple):
        assert torch.equal(data[0], torch.arange(3.0)) and list(data[1]) == ["text"] * 3
    else:
        assert torch.equal(data, torch.arange(3))


def test_loader_with_steps_is_carried_on():
    source = make_source(torch.utils.data.DataLoader(torch.arange(8), batch_size=2), steps=3)
    assert values(source) == [[0, 1], [2, 3], [4, 5]]
    with pytest.warns(UserWarning, match="ran out of data"):
        assert values(source) == [[6, 7]]
    assert values(source) == [[0, 1], [2, 3], [4, 5]]


def test_a_torch_dataset_is_batched_and_shuffled():
    data = torch.utils.data.TensorDataset(torch.arange(50), torch.arange(50))
    source = make_source(data, batch_size=8)
    torch.manual_seed(3)
    one, two = values(source), values(source)
    torch.manual_seed(3)
    assert one == values(make_source(data, batch_size=8)) and one != two
    assert sorted(sum(one, [])) == list(range(50)) and source.num_batches == 7
    assert values(make_source(data, batch_size=25, shuffle=False)) == [list(range(25)), list(range(25, 50))]


def test_an_iterable_dataset_learns_its_length():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(torch.arange(5))

    source = make_source(Stream(), batch_size=2)
    assert source.num_batches is None
    assert values(source) == [[0, 1], [2, 3], [4]]
    assert source.num_batches == 3


# ---------------------------------------------------------------------------- generators and iterables


def test_generator_goes_on_where_the_epoch_before_stopped():
    source = make_source(pairs(5), steps=2)
    assert source.num_batches == 2
    assert source.peek()[0].dtype == torch.float64 and source.peek()[1].dtype == torch.int64  # as in Keras
    assert values(source) == [[0, 0], [1, 1]]
    assert values(source) == [[2, 2], [3, 3]]
    with pytest.warns(UserWarning, match="ran out of data"):
        assert values(source) == [[4, 4]]
    with pytest.warns(UserWarning, match="ran out of data"):
        assert values(source) == []


def test_generator_without_steps_is_one_epoch():
    source = make_source(pairs(3))
    assert source.num_batches is None
    assert values(source) == [[0, 0], [1, 1], [2, 2]]
    with pytest.warns(UserWarning, match="ran out of data"):
        assert values(source) == []


def test_stopping_early_leaves_the_rest_in_the_generator():
    generator = pairs(5)
    source = make_source(generator)
    for _ in source.epoch():
        break
    source.close()
    assert next(generator)[1].tolist() == [1, 1]


def test_an_iterable_begins_anew_each_epoch():
    class Twice:
        def __iter__(self):
            return iter([np.zeros((2, 1)), [np.ones((2, 1)), np.ones(2)]])

    source = make_source(Twice())
    for _ in range(2):
        first, second = source.epoch()
        assert torch.equal(first, torch.zeros(2, 1)) and isinstance(second, tuple) and len(second) == 2


@pytest.mark.parametrize("batch", [np.zeros(2), [np.zeros(2)], {"x": np.zeros(2)}])
def test_generators_must_yield_tuples(batch):
    with pytest.raises(ValueError, match="must yield tuples"):
        make_source(b for b in [batch]).peek()


def test_an_empty_generator_is_an_error():
    with pytest.raises(ValueError, match="at least one batch"):
        make_source(pairs(0)).peek()


# ---------------------------------------------------------------------------- PyDataset

WORKERS = {"plain": {}, "threads": {"workers": 3}, "processes": {"workers": 2, "use_multiprocessing": True}}


def threads_since(before: set[threading.Thread]) -> list[threading.Thread]:
    """Threads that were started since, and did not end within five seconds."""
    deadline = time.monotonic() + 5
    while left := [thread for thread in threading.enumerate() if thread not in before]:
        if time.monotonic() > deadline:
            return left
        time.sleep(0.01)
    return []


@pytest.mark.parametrize("how", list(WORKERS))
def test_py_dataset_in_order_each_epoch_with_hooks(how):
    before = set(threading.enumerate())
    dataset = Batches(**WORKERS[how], max_queue_size=2)
    source = make_source(dataset, shuffle=False)
    assert source.num_batches == 4
    source.peek()
    for _ in range(2):
        assert values(source) == [[i, i] for i in range(4)]
    assert dataset.calls == ["begin", "end"] * 2
    assert not threads_since(before)


@pytest.mark.parametrize("how", list(WORKERS))
def test_py_dataset_shuffles_batches_with_the_seed(how):
    def run():
        torch.manual_seed(11)
        source = make_source(Batches(size=20, **WORKERS[how]))
        return [values(source), values(source)]

    one, two = run()
    assert [one, two] == run() and one != two
    assert sorted(one) == sorted(two) == [[i, i] for i in range(20)]


@pytest.mark.parametrize("how", ["plain", "threads"])
def test_endless_py_dataset_goes_on(how):
    source = make_source(Batches(size=None, **WORKERS[how]), steps=2)
    assert values(source) == [[0, 0], [1, 1]] and values(source) == [[2, 2], [3, 3]]
    source.close()


def test_worker_processes_are_others_and_draw_different_numbers():
    def make(index):
        return np.array([[os.getpid()]]), np.random.random(1)

    source = make_source(Batches(make, size=8, workers=2, use_multiprocessing=True))
    batches = list(source.epoch())
    assert os.getpid() not in {int(x) for x, _ in batches}
    assert len({float(y) for _, y in batches}) == 8


def test_random_numbers_of_worker_processes_repeat():
    """Whichever worker makes a batch: here the order in which they are done differs."""

    def run(slow):
        def make(index):
            time.sleep(0.03 * (index % 2 == slow))
            return np.array([[np.random.random(), random.random(), float(torch.rand(()))]])

        keras.utils.set_random_seed(5)
        source = make_source(Batches(make, size=4, workers=2, use_multiprocessing=True), shuffle=True)
        return [[x.tolist() for (x,) in source.epoch()] for _ in range(2)]

    first, second = run(0), run(1)
    assert first == second and first[0] != first[1]


@pytest.mark.parametrize("how", list(WORKERS))
def test_an_error_in_a_worker_comes_out(how):
    def make(index):
        if index == 2:
            raise OSError("no such picture")
        return (np.zeros(1),)

    with pytest.raises(OSError, match="no such picture"):
        list(make_source(Batches(make, **WORKERS[how]), shuffle=False).epoch())


@pytest.mark.parametrize("how", list(WORKERS))
def test_stopping_early_stops_the_workers(how):
    before = set(threading.enumerate())
    dataset = Batches(size=100, **WORKERS[how])
    epoch = make_source(dataset, shuffle=False).epoch()
    next(epoch)
    epoch.close()
    assert dataset.calls == ["begin", "end"] and not threads_since(before)


def test_what_py_datasets_return():
    def first(batch, **kwargs):
        return next(iter(make_source(Batches(lambda i: batch), **kwargs).epoch()))

    x = np.zeros((2, 1))
    assert set(first({"a": x})) == {"a"}
    assert len(first(x)) == len(first(torch.zeros(2))) == 1
    assert len(first([x, x])) == 2
    assert first((x, np.array([0, 1])), class_weight={1: 3.0})[2].tolist() == [1.0, 3.0]
    with pytest.raises(ValueError, match="must return a dict or a tuple"):
        first((x, x, x, x))
    with pytest.raises(ValueError, match="not both"):
        first((x, x, x), class_weight={1: 3.0})


def test_without_super_init_it_works_and_warns():
    class Short(PyDataset):
        def __init__(self):
            pass

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return (np.full(1, index),)

    with pytest.warns(UserWarning, match="super"):
        assert values(make_source(Short(), shuffle=False)) == [[0], [1]]
    assert [int(x[0]) for (x,) in Short()] == [0, 1]


# ---------------------------------------------------------------------------- arguments that don't go together

KINDS = {
    "generator": lambda: pairs(2),
    "torch DataLoader": lambda: torch.utils.data.DataLoader(torch.arange(3)),
    "torch Dataset": lambda: torch.utils.data.TensorDataset(torch.arange(3)),
    "PyDataset": Batches,
}


@pytest.mark.parametrize("argument", ["y", "sample_weight"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_targets_come_with_the_data(kind, argument):
    with pytest.raises(ValueError, match=f"When x is a {kind}, {argument} must not be passed"):
        make_source(KINDS[kind](), **{argument: np.zeros(2)})


@pytest.mark.parametrize("kind", ["generator", "torch DataLoader", "torch Dataset"])
def test_class_weight_needs_indexed_targets(kind):
    with pytest.raises(ValueError, match="class_weight is not supported"):
        make_source(KINDS[kind](), class_weight={0: 1.0})


def test_a_source_is_taken_as_it_is():
    source = make_source(np.zeros(3))
    assert isinstance(source, Source) and make_source(source) is source


# ---------------------------------------------------------------------------- packing and splitting


def test_pack_and_unpack():
    x, y, w = (np.zeros(2) for _ in range(3))
    assert pack_x_y_sample_weight(x) is x and pack_x_y_sample_weight([x]) == ([x],)
    for data in [(x, y), (x, y, w)]:
        assert pack_x_y_sample_weight(*data) == data
        assert unpack_x_y_sample_weight(data) == unpack_x_y_sample_weight(list(data)) == (*data, None, None)[:3]
    assert unpack_x_y_sample_weight((x,)) == (x, None, None)
    assert unpack_x_y_sample_weight({"a": x}) == ({"a": x}, None, None)
    for wrong in [(), (x, x, x, x)]:
        with pytest.raises(ValueError, match="parts"):
            unpack_x_y_sample_weight(wrong)


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, pandas.Series, lambda rows: pandas.DataFrame({"a": rows})])
@pytest.mark.parametrize(("samples", "part"), [(10, 0.2), (3, 0.5), (7, 0.1), (100, 0.99)])
def test_split_takes_the_last_samples(kind, samples, part):
    data = kind(list(range(samples)))
    (x, y, w), (val_x, val_y, val_w) = train_validation_split(([data], {"a": data}, None), part)
    at = int(np.floor(samples * (1 - part)))
    assert np.asarray(x[0]).ravel().tolist() == np.asarray(y["a"]).ravel().tolist() == list(range(at))
    assert np.asarray(val_x[0]).ravel().tolist() == list(range(at, samples)) and w is None is val_w
    assert np.asarray(val_y["a"]).ravel().tolist() == list(range(at, samples))


def test_split_needs_arrays_with_enough_samples():
    for data in [pairs(2), torch.utils.data.DataLoader(torch.arange(3)), Batches()]:
        with pytest.raises(ValueError, match="only supported for arrays"):
            train_validation_split((data, None), 0.2)
    for part in (0.0, 0.999, 1.0):
        with pytest.raises(ValueError, match="at least one"):
            train_validation_split((np.zeros(3), None), part)
