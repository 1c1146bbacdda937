"""FAQ: how the validation split is computed."""

import numpy as np
import pandas
import pytest
import torch

import torchkeras as keras


class Seen(keras.Model):
    """Notes the samples of each training and test step; a sample's value is its number."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.trained, self.tested = [], []

    def call(self, inputs):
        return self.dense(inputs)

    def train_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        self.trained.extend(x[:, 0].int().tolist())
        return super().train_step(data)

    def test_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        self.tested.extend(x[:, 0].int().tolist())
        return super().test_step(data)


def fit(x, y, **kwargs):
    model = Seen()
    model.compile(loss="mse")
    model.fit(x, y, epochs=3, batch_size=4, verbose=0, **kwargs)
    return model


KINDS = {
    "numpy": lambda values: values,
    "torch": torch.from_numpy,
    "pandas": pandas.DataFrame,
}


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(("part", "first"), [(0.1, 18), (0.25, 15), (0.33, 13)])
def test_the_last_part_before_shuffling_the_same_each_epoch(kind, part, first):
    x = KINDS[kind](np.arange(20.0)[:, None])
    model = fit(x, x, validation_split=part)
    assert model.tested == list(range(first, 20)) * 3
    epochs = np.array(model.trained).reshape(3, first)
    assert all(sorted(epoch) == list(range(first)) for epoch in epochs.tolist())
    assert epochs[0].tolist() != epochs[1].tolist()


def test_sample_weights_are_split_along():
    x = np.arange(8.0)[:, None]
    weights = np.r_[np.ones(6), np.zeros(2)]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    history = model.fit(x, x, sample_weight=weights, validation_split=0.25, verbose=0).history
    assert history["val_loss"] == [0.0] and history["loss"][0] > 0


def test_given_validation_data_win():
    x = np.arange(20.0)[:, None]
    model = fit(x, x, validation_split=0.5, validation_data=(x[:2], x[:2]))
    assert model.tested == [0, 1] * 3 and len(model.trained) == 60


@pytest.mark.parametrize(
    "source",
    [
        lambda x: ((x, x) for _ in range(3)),
        lambda x: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(x))),
    ],
)
def test_for_arrays_only(source):
    with pytest.raises(ValueError, match="validation_split is only supported for arrays"):
        fit(source(np.ones((4, 1))), None, validation_split=0.2)


@pytest.mark.parametrize("part", [0.999, 1.0])
def test_both_parts_must_hold_samples(part):
    x = np.ones((4, 1))
    with pytest.raises(ValueError, match="at least one"):
        fit(x, x, validation_split=part)
