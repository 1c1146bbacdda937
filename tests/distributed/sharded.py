"""A model sharded by torch's `fully_shard` on several ranks, or whole in one process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch.distributed.fsdp import fully_shard

import torchkeras as keras
from tests.distributed.equal_cases import adam
from torchkeras import distributed, layers


def run(folder: Path, seed: int) -> dict:
    distributed.join()
    keras.utils.set_random_seed(seed)
    x = np.random.normal(size=(97, 6)).astype("float32")
    y = (x.sum(-1) > 0).astype("int32")
    inputs = keras.Input((6,))
    hidden = layers.Dense(7, activation="relu")(inputs)
    hidden = layers.BatchNormalization(synchronized=True)(hidden)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.Dense(9, activation="relu")(hidden)))
    if distributed.world_size() > 1:
        for layer in model.layers:
            if layer.weights:
                fully_shard(layer)
        fully_shard(model)
    optimizer = adam(global_clipnorm=0.5)
    model.compile(optimizer, keras.losses.BinaryCrossentropy(), metrics=["accuracy"])
    callbacks = [
        keras.callbacks.ModelCheckpoint(str(folder / "{epoch}.keras")),
        keras.callbacks.BackupAndRestore(str(folder / "backup"), delete_checkpoint=False),
    ]
    history = model.fit(x, y, epochs=3, batch_size=32, verbose=0, validation_data=(x[:31], y[:31]), callbacks=callbacks)
    model.save(folder / "model.keras")
    predicted = model.predict(x, verbose=0)
    loaded = keras.models.load_model(folder / "model.keras")
    model.load_weights(folder / "1.keras")
    return {
        "history": history.history,
        "evaluate": loaded.evaluate(x, y, verbose=0),
        "predict": predicted.tolist(),
        "loaded": loaded.predict(x, verbose=0).tolist(),
        "first epoch": model.predict(x, verbose=0).tolist(),
    }
