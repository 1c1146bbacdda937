"""Distributed training: one script for a laptop, for several GPUs, and for several machines.

    python examples/train.py
    python -m torchkeras run --nproc 2 examples/train.py
    torchrun --nproc-per-node=2 examples/train.py
    torchrun --nnodes=2 --nproc-per-node=8 --rdzv-backend=c10d --rdzv-endpoint=HOST:29500 examples/train.py

Data: 1,797 scanned digits of 8 x 8 pixels, from scikit-learn. `batch_size` counts the samples of all processes
together, so that the loss curve does not depend on their number.

Expect a test accuracy of 0.87 to 0.91, after a second on one core.
"""

from pathlib import Path

from sklearn.datasets import load_digits

import torchkeras as keras

keras.utils.set_random_seed(1)
data = load_digits()
images, labels = (data.data / 16).astype("float32"), data.target

model = keras.Sequential([
    keras.Input((64,)),
    keras.layers.Dense(128, activation="relu"),
    keras.layers.Dense(10),
])  # fmt: skip
model.compile(
    optimizer=keras.optimizers.Adam(3e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(images[:1500], labels[:1500], batch_size=128, epochs=10)
model.evaluate(images[1500:], labels[1500:])

Path("outputs").mkdir(exist_ok=True)
model.save("outputs/train.keras")
