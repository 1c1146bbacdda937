"""FAQ: what if the training step is custom."""

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers


class MyCustomModel(keras.Model):
    def train_step(self, data):
        x, y = data
        self.zero_grad()
        y_pred = self(x, training=True)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        loss.backward()
        trainable_weights = list(self.trainable_weights)
        gradients = [v.value.grad for v in trainable_weights]
        with torch.no_grad():
            self.optimizer.apply(gradients, trainable_weights)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}

    def predict_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self(x, training=False) + 1000.0


class MySequential(keras.Sequential):
    train_step, test_step, predict_step = MyCustomModel.train_step, MyCustomModel.test_step, MyCustomModel.predict_step


class Subclassed(MyCustomModel):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1)

    def call(self, inputs):
        return self.dense(inputs)


def functional():
    inputs = keras.Input(shape=(4,))
    return MyCustomModel(inputs, layers.Dense(1)(inputs))


@pytest.mark.parametrize("steps_per_execution", [1, 4])
@pytest.mark.parametrize("make", [functional, lambda: MySequential([layers.Dense(1)]), Subclassed])
def test_callbacks_and_step_fusing_keep_working(make, steps_per_execution, rng):
    x = rng.normal(size=(64, 4)).astype("float32")
    y = x.sum(1, keepdims=True)
    model = make()
    model.compile(keras.optimizers.Adam(0.05), loss="mse", metrics=["mae"], steps_per_execution=steps_per_execution)
    seen = []
    history = model.fit(
        x,
        y,
        batch_size=8,
        epochs=40,
        validation_data=(x, y),
        verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=2, min_delta=1.0),
            keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["mae"])),
        ],
    )
    epochs = len(history.epoch)
    assert 3 <= epochs < 40 and list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert len(seen) == epochs * 8 // steps_per_execution
    predictions = model.predict(x, verbose=0)
    np.testing.assert_allclose(predictions - 1000, model(x).detach().numpy(), atol=1e-3)
    loss, mae = model.evaluate(x, y, verbose=0)
    error = model(x).detach().numpy().astype("float64") - y
    np.testing.assert_allclose([loss, mae], [(error**2).mean(), np.abs(error).mean()], rtol=1e-4)
