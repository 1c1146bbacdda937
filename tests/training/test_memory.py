"""The memory of a step and of a prediction beside that of a plain loop of torch's, to the byte."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import torchkeras as keras
from tests.peaks import peaks

L = keras.layers
ROWS, LENGTH, FEATURES = 32, 16, 64


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.TransformerEncoderLayer(FEATURES, 4, 4 * FEATURES, dropout=0.0, batch_first=True)
        self.head = nn.Linear(FEATURES, 10)

    def forward(self, x):
        return self.head(self.block(x).mean(1))


def attention():
    inputs = x = keras.Input((LENGTH, FEATURES))
    x = L.LayerNormalization(epsilon=1e-5)(L.Add()([x, L.MultiHeadAttention(4, FEATURES // 4)(x, x)]))
    widened = L.Dense(FEATURES)(L.Dense(4 * FEATURES, activation="relu")(x))
    x = L.LayerNormalization(epsilon=1e-5)(L.Add()([x, widened]))
    return keras.Model(inputs, L.Dense(10)(L.GlobalAveragePooling1D()(x)))


def convolutions():
    layers = [L.Conv2D(8, 3, activation="relu"), L.MaxPooling2D(), L.Conv2D(16, 3, activation="relu")]
    return keras.Sequential([keras.Input((16, 16, 1)), *layers, L.Flatten(), L.Dense(10)])


def torchs_convolutions():
    layers = [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(400, 10))


NETWORKS = {
    "attention": (attention, Attention, (LENGTH, FEATURES)),
    "convolutions": (convolutions, torchs_convolutions, (16, 16, 1)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_and_predictions_take_no_more_than_a_plain_loops(name):
    make, make_torchs, shape = NETWORKS[name]
    batches = [(torch.rand(ROWS, *shape), torch.zeros(ROWS, dtype=torch.int64)) for _ in range(2)]
    model = make()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=[keras.metrics.SparseCategoricalAccuracy()], jit_compile=False)
    network = make_torchs()
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    firsts = [(x.movedim(-1, 1).contiguous() if len(shape) == 3 else x, y) for x, y in batches]

    def train():
        network.train()
        total, right = torch.zeros(()), torch.zeros(())
        for x, y in firsts:
            optimizer.zero_grad()
            logits = network(x)
            value = nn.functional.cross_entropy(logits, y)
            value.backward()
            optimizer.step()
            with torch.no_grad():
                total += value.detach() * len(y)
                right += (logits.argmax(1) == y).sum()

    @torch.no_grad()
    def predict():
        network.train()  # else a transformer's layer is one kernel of torch's
        return torch.cat([network(x) for x, _ in firsts])

    runs = {
        "torch, train": train,
        "train": lambda: model.fit(iter(batches), verbose=0),
        "torch, predict": predict,
        "predict": lambda: model.predict(iter(batches), verbose=0),
    }
    for run in runs.values():
        run()
    found = peaks(runs)
    counts = 4096  # numbers of the metrics and the like
    assert found["train"] <= found["torch, train"] + counts
    assert found["predict"] <= found["torch, predict"] + counts
