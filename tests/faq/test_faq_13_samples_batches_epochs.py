"""FAQ: what "sample", "batch" and "epoch" mean."""

import numpy as np

import torchkeras as keras


class Watch(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.events = []

    def on_epoch_begin(self, epoch, logs=None):
        self.events.append("epoch")

    def on_train_batch_end(self, batch, logs=None):
        self.events.append("batch")

    def on_test_begin(self, logs=None):
        self.events.append("validation")

    def on_epoch_end(self, epoch, logs=None):
        self.events.append("end")


def test_an_epoch_is_all_samples_in_batches_with_validation_at_its_end(rng):
    x_train, y_train = rng.normal(size=(10, 3)), rng.normal(size=(10, 1))
    x_val, y_val = rng.normal(size=(4, 3)), rng.normal(size=(4, 1))
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer="rmsprop", loss="mse")
    watch = Watch()
    model.fit(x_train, y_train, batch_size=4, epochs=2, validation_data=(x_val, y_val), callbacks=[watch], verbose=0)
    assert watch.events == ["epoch", "batch", "batch", "batch", "validation", "end"] * 2
    assert int(model.optimizer.iterations) == 6  # one update a batch


def test_each_epoch_sees_each_sample_once():
    class Seen(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.samples = keras.layers.Dense(1), []

        def call(self, inputs):
            return self.dense(inputs)

        def train_step(self, data):
            self.samples.append(data[0][:, 0].int().tolist())
            return super().train_step(data)

    x = np.arange(10.0)[:, None]
    model = Seen()
    model.compile(loss="mse")
    model.fit(x, x, batch_size=4, epochs=3, verbose=0)
    assert [len(batch) for batch in model.samples] == [4, 4, 2] * 3
    for epoch in range(3):
        assert sorted(sum(model.samples[3 * epoch : 3 * epoch + 3], [])) == list(range(10))


def test_the_default_batch_is_32_samples(rng):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(loss="mse")
    model.fit(rng.normal(size=(70, 3)), rng.normal(size=(70, 1)), verbose=0)
    assert int(model.optimizer.iterations) == 3
