"""FAQ: is the data shuffled during training."""

import numpy as np
import pytest
import torch

import torchkeras as keras

SAMPLES = 30


class Order(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.seen = {"train": [], "test": [], "predict": []}

    def call(self, inputs):
        return self.dense(inputs)

    def _note(self, stage, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        self.seen[stage].append(x[:, 0].int().tolist())

    def train_step(self, data):
        self._note("train", data)
        return super().train_step(data)

    def test_step(self, data):
        self._note("test", data)
        return super().test_step(data)

    def predict_step(self, data):
        self._note("predict", data)
        return super().predict_step(data)

    def epochs(self):
        batches = self.seen["train"]
        size = len(batches) // 2
        return [sum(batches[:size], []), sum(batches[size:], [])]


def compiled():
    model = Order()
    model.compile(loss="mse")
    return model


def arrays():
    x = np.arange(float(SAMPLES))[:, None]
    return x, x


def fit(x, y=None, **kwargs):
    model = compiled()
    model.fit(x, y, epochs=2, verbose=0, **kwargs)
    return model


def test_arrays_are_shuffled_globally_each_epoch():
    first, second = fit(*arrays(), batch_size=5).epochs()
    assert sorted(first) == sorted(second) == list(range(SAMPLES))
    assert first != second
    assert any(sorted(first[i : i + 5]) != list(range(i, i + 5)) for i in range(0, SAMPLES, 5))


def test_the_order_repeats_with_the_seed():
    orders = []
    for _ in range(2):
        keras.utils.set_random_seed(1337)
        orders.append(fit(*arrays(), batch_size=5).epochs())
    assert orders[0] == orders[1]


def test_without_shuffling_the_order_is_that_of_the_arrays():
    assert fit(*arrays(), batch_size=4, shuffle=False).epochs() == [list(range(SAMPLES))] * 2


def test_batch_shuffles_only_inside_batches():
    batches = fit(*arrays(), batch_size=5, shuffle="batch").seen["train"]
    assert [sorted(batch) for batch in batches] == [list(range(i, i + 5)) for i in range(0, SAMPLES, 5)] * 2
    assert any(batch != sorted(batch) for batch in batches)


def generator():
    for i in range(0, 2 * SAMPLES, 5):
        x = np.arange(i % SAMPLES, i % SAMPLES + 5.0)[:, None]
        yield x, x


@pytest.mark.parametrize("shuffled", [False, True])
def test_loaders_are_taken_as_they_were_made(shuffled):
    x, y = map(torch.tensor, arrays())
    data = torch.utils.data.TensorDataset(x.float(), y.float())
    first, second = fit(torch.utils.data.DataLoader(data, batch_size=5, shuffle=shuffled), shuffle=True).epochs()
    assert (first == second == list(range(SAMPLES))) != shuffled
    assert sorted(first) == sorted(second) == list(range(SAMPLES))


def test_generators_keep_their_order():
    assert fit(generator(), steps_per_epoch=SAMPLES // 5, shuffle=True).epochs() == [list(range(SAMPLES))] * 2


def test_validation_evaluate_and_predict_never_shuffle():
    x, y = arrays()
    model = compiled()
    model.fit(x, y, epochs=1, batch_size=5, validation_data=(x, y), verbose=0)
    model.evaluate(x, y, batch_size=5, verbose=0)
    model.predict(x, batch_size=5, verbose=0)
    assert sum(model.seen["test"], []) == list(range(SAMPLES)) * 2
    assert sum(model.seen["predict"], []) == list(range(SAMPLES))
