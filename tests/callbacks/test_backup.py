"""BackupAndRestore and its files: whole generations, faults survived, everything restored."""

import random
import warnings
from contextlib import ExitStack

import numpy as np
import pytest
import torch

from tests.callbacks.callback_fakes import FakeModel
from torchkeras.callbacks import BackupAndRestore, CallbackList, EarlyStopping, experimental
from torchkeras.callbacks.backup_store import ARRAYS, STATE, WEIGHTS, BackupStore, CorruptBackup
from torchkeras.core import random_state
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.distributed.step_requests import StepRequests
from torchkeras.training.data.source import Source


class Killed(Exception):
    pass


class Steps(Source):
    """The numbers of the steps in a random order."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def _batches(self):
        yield from torch.randperm(self.size).tolist()


class Run:
    """A training in progress, whose only metric is the model's."""

    def __init__(self, model, source):
        self.model, self.source = model, source
        self.initial_epoch = self.initial_step = 0
        self.requests, self.exits = StepRequests(), ExitStack()

    def get_state(self):
        return {"total": float(self.model.metrics[0].variables[0])}

    def set_states(self, states):
        self.model.metrics[0].variables[0].fill_(states[0]["total"])

    def is_shared_as(self, states):
        return True


def train(folder, epochs=4, steps=5, kill=None, callbacks=(), **kwargs):
    """A loop as `fit` has it: one permutation an epoch, random numbers in each step; returns what each step saw."""
    model, seen = FakeModel(), []
    stopping = EarlyStopping(monitor="loss", patience=100, restore_best_weights=True)
    backup = BackupAndRestore(folder, **kwargs)
    found = CallbackList([backup, stopping, *callbacks], model=model, epochs=epochs)
    model.stop_training = False
    found._tk_set_run(run := Run(model, Steps(steps)))
    with run.exits:
        return loop(model, found, run, stopping, epochs, kill, seen)


def loop(model, found, run, stopping, epochs, kill, seen):
    found.on_train_begin()
    skip = run.initial_step
    for epoch in range(run.initial_epoch, epochs):
        model.metrics[0].variables[0].zero_()
        found.on_epoch_begin(epoch)
        for step, sample in enumerate(run.source.epoch(skip), skip):
            found.on_train_batch_begin(step)
            noise = torch.rand(()).item() + np.random.random() + random.random()
            model.weight += noise
            model.metrics[0].variables[0] += noise
            seen.append((epoch, sample, noise))
            found.on_train_batch_end(step, {"loss": float(model.metrics[0].variables[0])})
            if (epoch, step) == kill:
                raise Killed(seen)
        skip = 0
        found.on_epoch_end(epoch, {"loss": float(model.metrics[0].variables[0])})
    found.on_train_end({"loss": 0.0})
    return seen, model.weight.item(), stopping.best, stopping.wait


def seeded():
    random.seed(3), np.random.seed(4), torch.manual_seed(5)


def reseed():
    random.seed(), np.random.seed(), torch.seed()


@pytest.mark.parametrize("save_freq", ["epoch", 1, 2, 3, 7])
@pytest.mark.parametrize("kill", [(1, 0), (1, 4), (2, 2), (3, 4)])
def test_an_interrupted_training_ends_as_if_it_had_not_been(kill, save_freq, tmp_path):
    seeded()
    whole, weight, best, wait = train(tmp_path / "other", save_freq=save_freq)
    seeded()
    with pytest.raises(Killed):
        train(tmp_path / "backup", kill=kill, save_freq=save_freq)
    if not (tmp_path / "backup").exists():
        pytest.skip("killed before the first backup")
    reseed()
    rest, *ending = train(tmp_path / "backup", save_freq=save_freq)
    assert rest == whole[len(whole) - len(rest) :] and len(rest) < len(whole)
    assert ending == [weight, best, wait]
    assert not (tmp_path / "backup").exists()


def test_arrays_of_narrow_floats_come_back_with_their_values(tmp_path, rng):
    narrow = {
        str(dtype): convert_to_numpy(torch.from_numpy(rng.normal(size=(3, 2))).to(dtype))
        for dtype in (torch.float16, torch.bfloat16, torch.float8_e5m2)
    }
    store = BackupStore(tmp_path)
    _, state = store.read(store.write(lambda path: open(path, "w").close(), narrow))
    for name, array in narrow.items():
        np.testing.assert_array_equal(state[name].astype("float32"), array.astype("float32"))


def test_interrupted_twice(tmp_path):
    seeded()
    whole, *ending = train(tmp_path / "other", save_freq=2)
    seeded()
    for kill in [(0, 3), (1, 1), (2, 4)]:
        with pytest.raises(Killed):
            train(tmp_path / "backup", kill=kill, save_freq=2)
        reseed()
    rest, *result = train(tmp_path / "backup", save_freq=2)
    assert result == ending and rest == whole[-len(rest) :]


def backed_up(tmp_path, **kwargs):
    with pytest.raises(Killed):
        train(tmp_path, kill=(2, 0), **kwargs)
    return BackupStore(tmp_path).generations()


def test_two_generations_are_kept(tmp_path):
    newest, older = backed_up(tmp_path)
    store = BackupStore(tmp_path)
    assert store.read(newest)[1]["epoch"] == 2 and store.read(older)[1]["epoch"] == 1


@pytest.mark.parametrize("name", [WEIGHTS, STATE, ARRAYS])
@pytest.mark.parametrize("fault", ["flip", "cut", "empty", "missing", "swapped"])
def test_a_corrupt_newest_falls_back_to_the_one_before(name, fault, tmp_path, rng):
    newest, older = backed_up(tmp_path)
    path = newest / name
    data = bytearray(path.read_bytes())
    place = int(rng.integers(len(data)))
    if fault == "flip":
        data[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
    elif fault == "cut":
        path.write_bytes(data[:place])
    elif fault == "empty":
        path.write_bytes(b"")
    elif fault == "missing":
        path.unlink()
    elif name == STATE:
        pytest.skip("a whole state is a whole generation's")
    else:
        path.write_bytes((older / name).read_bytes() + b" ")
    with pytest.warns(UserWarning, match="corrupt.*Falling back"):
        rest, *_ = train(tmp_path)
    assert rest[0][0] == 1


def test_every_flipped_bit_of_a_state_is_noticed(tmp_path, rng):
    newest, _ = backed_up(tmp_path)
    store, path = BackupStore(tmp_path), newest / STATE
    data = path.read_bytes()
    before = store.read(newest)[1]
    for _ in range(100):
        changed = bytearray(data)
        changed[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            after = store.read(newest)[1]
        except CorruptBackup:
            continue
        assert repr(after) == repr(before)  # a flip that JSON does not see


def test_nothing_whole_begins_anew_with_a_warning(tmp_path):
    for generation in backed_up(tmp_path):
        (generation / STATE).write_text("{")
    with pytest.warns(UserWarning, match="corrupt"):
        rest, *_ = train(tmp_path)
    assert rest[0][0] == 0


def test_a_failed_write_leaves_the_old_generations(tmp_path):
    before = backed_up(tmp_path)

    def fail(path):
        open(path, "w").write("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        BackupStore(tmp_path).write(fail, {})
    assert BackupStore(tmp_path).generations() == before and len(list(tmp_path.iterdir())) == 2


def test_leftovers_of_a_killed_writer_are_swept(tmp_path):
    (tmp_path / ".writing-0123").mkdir()
    (tmp_path / ".writing-0123" / WEIGHTS).write_text("half")
    assert len(backed_up(tmp_path)) == 2 and not list(tmp_path.glob(".writing*"))


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_no_backup_of_nan_and_none_lost_to_it(loss, tmp_path):
    model, backup = FakeModel(), BackupAndRestore(tmp_path)
    found = CallbackList([backup], model=model)
    found.on_train_begin()
    found.on_epoch_end(0, {"loss": 1.0})
    model.weight += loss
    with pytest.warns(UserWarning, match="not finite"):
        found.on_epoch_end(1, {"loss": loss})
    found.on_train_end({"loss": loss})
    (generation,) = BackupStore(tmp_path).generations()
    weights, state = BackupStore(tmp_path).read(generation)
    assert state["epoch"] == 1 and np.load(weights) == 0


def test_what_else_is_in_the_folder_stays(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    train(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_backups_are_kept_when_asked(tmp_path):
    train(tmp_path, delete_checkpoint=False)
    assert len(BackupStore(tmp_path).generations()) == 2
    rest, *_ = train(tmp_path, delete_checkpoint=False, epochs=5)
    assert {epoch for epoch, *_ in rest} == {4}


def test_batches_cost_nothing_where_backups_are_made_at_epochs(tmp_path):
    assert not CallbackList([BackupAndRestore(tmp_path)], model=FakeModel()).watches_train_batches
    assert CallbackList([BackupAndRestore(tmp_path, save_freq=3)], model=FakeModel()).watches_train_batches


def test_an_unbuilt_model_is_refused(tmp_path):
    backup = BackupAndRestore(tmp_path)
    backup.set_model(model := FakeModel())
    model.built = False
    with pytest.raises(ValueError, match="needs a model that is built"):
        backup.on_train_begin()


def test_a_backup_of_keras_is_read(tmp_path):
    with open(tmp_path / "latest.weights.h5", "wb") as file:
        np.save(file, np.full(1, 7.0))
    (tmp_path / "training_metadata.json").write_text('{"epoch": 3, "batch": 0}')
    rest, weight, *_ = train(tmp_path)
    assert {epoch for epoch, *_ in rest} == {3} and weight > 7


def test_states_round_trip_without_pickle(tmp_path):
    state = {"a": [1, 2.5, None, "x", True], "b": {"c": np.arange(3), "array": np.float32(0.5)}, "d": (1, [np.eye(2)])}
    store = BackupStore(tmp_path)
    _, found = store.read(store.write(lambda path: open(path, "w").close(), state))
    np.testing.assert_equal(found, {**state, "d": [1, [np.eye(2)]]})
    for wrong in [object(), {"a": {1, 2}}, np.array([object()])]:
        with pytest.raises(TypeError):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                store.read(store.write(lambda path: open(path, "w").close(), {"x": wrong}))


def test_random_states_come_back():
    state = random_state.capture()
    draw = lambda: (random.random(), random.gauss(0, 1), np.random.normal(), torch.rand(2).tolist())
    first = draw()
    random_state.restore(state)
    assert draw() == first


def test_the_older_name():
    assert experimental.BackupAndRestore is BackupAndRestore
