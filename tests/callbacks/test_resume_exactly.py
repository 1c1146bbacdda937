"""BackupAndRestore in the middle of epochs: each sample once per epoch, all as if nothing had been interrupted."""

import random

import numpy as np
import pytest
import torch

import torchkeras as keras

SAMPLES, BATCH, EPOCHS = 40, 4, 3


class Order(keras.callbacks.Callback):
    """Stops the training at a step, and keeps the logs of each batch, which BatchNormalization and dropout change."""

    def __init__(self, at=None):
        super().__init__()
        self.at, self.steps, self.losses = at, 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])
        if self.model.optimizer.iterations == self.at:
            raise KeyboardInterrupt


class Numbered(torch.utils.data.Dataset):
    """Samples with noise, drawn when they are fetched; notes which ones were."""

    def __init__(self, x, y, noise=None):
        self.x, self.y, self.noise, self.fetched = x, y, noise, []

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        self.fetched.append(int(index))
        return self.x[index] + (self.noise() if self.noise is not None else 0.0), self.y[index]


class OwnRandom(Numbered):
    """Draws from a generator of its own."""

    def __init__(self, x, y):
        super().__init__(x, y)
        self.random = np.random.default_rng(7)

    def __getitem__(self, index):
        return self.x[index] + np.float32(self.random.normal()), self.y[index]


class Counting(torch.utils.data.Sampler):
    """Shuffles by a seed and the number of passes so far."""

    def __init__(self, size):
        self.size, self.passes = size, 0

    def __iter__(self):
        order = np.random.default_rng([3, self.passes]).permutation(self.size)
        self.passes += 1
        return iter(order.tolist())

    def __len__(self):
        return self.size


class Stateful(Counting):
    """Says itself what there is to keep."""

    def __init__(self, size):
        super().__init__(size)
        self.hidden = [object(), 0]

    def __iter__(self):
        self.hidden[1] += 1
        return iter(np.random.default_rng([4, self.hidden[1]]).permutation(self.size).tolist())

    def state_dict(self):
        return {"passes": self.hidden[1]}

    def load_state_dict(self, state):
        self.hidden[1] = state["passes"]


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, shuffles=None, noise=None, **kwargs):
        super().__init__(**kwargs)
        self.x, self.y, self.shuffles, self.noise = x, y, shuffles, noise
        self.order = np.arange(len(x))
        self.random = np.random.default_rng(5)

    def __len__(self):
        return len(self.x) // BATCH

    def __getitem__(self, index):
        rows = self.order[index * BATCH : (index + 1) * BATCH]
        return self.x[rows] + (self.noise() if self.noise is not None else 0.0), self.y[rows]

    def on_epoch_end(self):
        if self.shuffles == "own":
            self.random.shuffle(self.order)
        elif self.shuffles == "global":
            np.random.shuffle(self.order)
        elif self.shuffles == "data":
            order = np.random.permutation(len(self.x))
            self.x[:], self.y[:] = self.x[order], self.y[order]


class Again:
    """Can be iterated over again; each time in another order."""

    def __init__(self, x, y):
        self.x, self.y, self.random = x, y, random.Random(11)

    def __iter__(self):
        order = list(range(len(self.x)))
        self.random.shuffle(order)
        for i in range(0, len(order), BATCH):
            rows = order[i : i + BATCH]
            yield self.x[rows], self.y[rows]


def loader(data, **kwargs):
    return torch.utils.data.DataLoader(data, batch_size=BATCH, **kwargs)


def noise():
    return float(torch.rand(()) + np.random.random() + random.random())


SOURCES = {
    "arrays": lambda x, y: ((x, y), {"batch_size": BATCH}),
    "arrays, in batches": lambda x, y: ((x, y), {"batch_size": BATCH, "shuffle": "batch"}),
    "arrays with steps": lambda x, y: ((x, y), {"batch_size": BATCH, "steps_per_epoch": 5}),
    "torch Dataset": lambda x, y: ((Numbered(x, y),), {"batch_size": BATCH}),
    "loader": lambda x, y: ((loader(Numbered(x, y), shuffle=True),), {}),
    "loader with noise": lambda x, y: ((loader(Numbered(x, y, noise), shuffle=True),), {}),
    "loader with steps": lambda x, y: ((loader(Numbered(x, y, noise), shuffle=True),), {"steps_per_epoch": 5}),
    "loader, own generator": lambda x, y: (
        (loader(Numbered(x, y), shuffle=True, generator=torch.Generator().manual_seed(3)),),
        {},
    ),
    "loader, data draw themselves": lambda x, y: ((loader(OwnRandom(x, y), shuffle=True),), {}),
    "loader, weighted sampler": lambda x, y: (
        (loader(Numbered(x, y), sampler=torch.utils.data.WeightedRandomSampler(np.arange(1, 41), SAMPLES)),),
        {},
    ),
    "loader, counting sampler": lambda x, y: ((loader(Numbered(x, y), sampler=Counting(SAMPLES)),), {}),
    "loader, stateful sampler": lambda x, y: ((loader(Numbered(x, y), sampler=Stateful(SAMPLES)),), {}),
    "loader, batch sampler": lambda x, y: (
        (
            torch.utils.data.DataLoader(
                Numbered(x, y), batch_sampler=torch.utils.data.BatchSampler(Counting(SAMPLES), BATCH, False)
            ),
        ),
        {},
    ),
    "loader, workers": lambda x, y: ((loader(Numbered(x, y, noise), shuffle=True, num_workers=2),), {}),
    "PyDataset": lambda x, y: ((Batches(x, y),), {"shuffle": True}),
    "PyDataset with noise": lambda x, y: ((Batches(x, y, noise=noise),), {"shuffle": True}),
    "PyDataset with steps": lambda x, y: ((Batches(x, y, "own"),), {"shuffle": True, "steps_per_epoch": 5}),
    "PyDataset, own shuffle": lambda x, y: ((Batches(x, y, "own"),), {"shuffle": False}),
    "PyDataset, NumPy's shuffle": lambda x, y: ((Batches(x, y, "global"),), {"shuffle": True}),
    "PyDataset, shuffles its arrays": lambda x, y: ((Batches(x.copy(), y.copy(), "data"),), {"shuffle": False}),
    "PyDataset, threads": lambda x, y: ((Batches(x, y, "own", workers=2),), {"shuffle": True}),
    "PyDataset, processes": lambda x, y: (
        (Batches(x, y, workers=2, use_multiprocessing=True),),
        {"shuffle": True},
    ),
    "an iterable": lambda x, y: ((Again(x, y),), {}),
}


def make_model():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    metrics = ["accuracy", keras.metrics.F1Score(name="f1"), keras.metrics.AUC(name="auc"), "r2_score"]
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy", metrics=metrics)
    return model


def train(make, folder, x, y, at=None, save_freq=3, seed=1):
    """`fit` in what could be a process of its own: everything is made from the seed."""
    keras.utils.set_random_seed(seed)
    arguments, options = make(x, y)
    model, order = make_model(), Order(at)
    backup = keras.callbacks.BackupAndRestore(folder, save_freq=save_freq)
    try:
        model.fit(*arguments, epochs=EPOCHS, callbacks=[backup, order], verbose=0, **options)
    except KeyboardInterrupt:
        assert at is not None
    return model, order


@pytest.fixture
def data(rng):
    return rng.normal(size=(SAMPLES, 3)).astype("float32"), rng.integers(0, 2, (SAMPLES, 1)).astype("float32")


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("when", ["in the first epoch", "later"])
@pytest.mark.parametrize("kind", list(SOURCES))
def test_the_end_is_that_of_an_uninterrupted_run(kind, when, data, rng, tmp_path):
    steps = 5 if "steps" in kind else SAMPLES // BATCH
    at = int(rng.integers(4, steps) if when == "in the first epoch" else rng.integers(steps + 3, EPOCHS * steps))
    assert_exact(SOURCES[kind], at, steps, data, tmp_path)


def assert_exact(make, at, steps, data, folder, save_freq=3):
    whole, all_losses = train(make, folder / "other", *data, save_freq=save_freq)
    train(make, folder / "backup", *data, at=at, save_freq=save_freq)
    resumed, losses = train(make, folder / "backup", *data, seed=99, save_freq=save_freq)
    done = len(all_losses.losses) - len(losses.losses)
    assert 0 < done < at
    assert losses.losses == all_losses.losses[done:]
    for mine, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    count = EPOCHS - done // steps
    for name, values in whole.history.history.items():
        assert np.array_equal(resumed.history.history[name], values[-count:]), name


@pytest.mark.parametrize("kind", ["arrays", "loader with noise", "PyDataset, own shuffle", "an iterable"])
def test_a_backup_at_the_last_batch_of_an_epoch_waits_for_the_epochs_end(kind, data, tmp_path):
    assert_exact(SOURCES[kind], 21, 10, data, tmp_path, save_freq=5)


@pytest.mark.parametrize("kind", ["arrays", "loader with noise", "loader, own generator", "PyDataset", "an iterable"])
def test_each_sample_is_seen_once_per_epoch(kind, data, tmp_path):
    """The sample's number is its first feature; a training is interrupted and resumed until it comes to its end."""
    trained = []

    class Seen(keras.Sequential):
        def train_step(self, data):
            numbers = (data[0][:, 0] * SAMPLES).round().int().tolist()
            trained.append((int(self.optimizer.iterations), numbers))
            return super().train_step(data)

    x, y = data
    x[:, 0] = np.arange(SAMPLES) / SAMPLES
    make = {**SOURCES, "loader with noise": lambda x, y: ((loader(Numbered(x, y, lambda: 0.0), shuffle=True),), {})}[
        kind
    ]
    for at in (8, 16, 22, 27, None):
        keras.utils.set_random_seed(5)
        model = Seen([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        arguments, options = make(x, y)
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=3)
        try:
            model.fit(*arguments, epochs=EPOCHS, callbacks=[backup, Order(at)], verbose=0, **options)
        except KeyboardInterrupt:
            assert at is not None
    by_step = dict(trained)  # the last time that a step was done
    assert len(trained) > len(by_step) == EPOCHS * SAMPLES // BATCH
    epochs = np.array([by_step[step] for step in sorted(by_step)]).reshape(EPOCHS, SAMPLES)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(SAMPLES), (EPOCHS, 1)))


def test_persistent_workers_keep_the_order_and_say_what_they_cannot(data, tmp_path):
    make = lambda x, y: ((loader(Numbered(x, y), shuffle=True, num_workers=1, persistent_workers=True),), {})
    with pytest.warns(UserWarning, match="persistent workers can't be restored"):
        assert_exact(make, 16, 10, data, tmp_path)


def test_a_generator_says_that_it_cannot_be_set_back(data, tmp_path):
    x, y = data
    batches = ((x[i % 36 : i % 36 + 4], y[i % 36 : i % 36 + 4]) for i in range(1000))
    make = lambda x, y: ((batches,), {"steps_per_epoch": 5})
    with pytest.warns(UserWarning, match="a generator can't be set back") as caught:
        train(make, tmp_path, x, y, at=9)
    assert len([w for w in caught if "set back" in str(w.message)]) == 1
    with pytest.warns(UserWarning, match="a generator can't be set back"):
        model, order = train(make, tmp_path, x, y)
    assert len(order.losses) == EPOCHS * 5 - 6 and model.optimizer.iterations == EPOCHS * 5
    assert model.history.epoch == list(range(1, EPOCHS))


def test_torchmetrics_and_lost_parts_of_several_outputs(data, tmp_path):
    from torchmetrics.classification import BinaryAUROC

    x, y = data

    def run(at=None, seed=1, folder=tmp_path / "backup"):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((3,))
        outputs = [keras.layers.Dense(1, activation="sigmoid", name=name)(inputs) for name in "ab"]
        model = keras.Model(inputs, outputs)
        model.compile("sgd", ["mse", "binary_crossentropy"], metrics=[["accuracy", "mae"], ["accuracy", BinaryAUROC()]])
        backup = keras.callbacks.BackupAndRestore(folder, save_freq=3)
        try:
            model.fit(x, [y, y], batch_size=BATCH, epochs=2, callbacks=[backup, Order(at)], verbose=0)
        except KeyboardInterrupt:
            assert at is not None
        return model.history.history

    whole = run(folder=tmp_path / "other")
    run(at=8)
    resumed = run(seed=99)
    assert {"a_loss", "b_loss", "a_accuracy", "b_accuracy"} < set(resumed) and resumed == whole


@pytest.mark.parametrize("save_freq", [0, -1, 2.5, True, "batch", None])
def test_unknown_frequencies_are_refused(save_freq, tmp_path):
    with pytest.raises(ValueError, match="Unrecognized save_freq"):
        keras.callbacks.BackupAndRestore(tmp_path, save_freq=save_freq)
