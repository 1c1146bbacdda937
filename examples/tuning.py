"""Hyperparameter tuning: the real KerasTuner searches the learning rate, depth and width of a classifier.

    python examples/tuning.py [folder]

KerasTuner imports `keras`; after `import torchkeras.as_keras` that name is this library. Hyperband trains many models
for a few epochs and only the better ones for longer; then a model with the best hyperparameters is trained.

Data: 1,797 scanned digits of 8 x 8 pixels, from scikit-learn.

Expect a test accuracy of 0.96 to 0.98, after 20 seconds on two cores.

Several processes search together when KerasTuner's environment variables say so. One of them, the chief, hands out the
trials:

    export KERASTUNER_ORACLE_IP=127.0.0.1 KERASTUNER_ORACLE_PORT=8000
    KERASTUNER_TUNER_ID=chief python examples/tuning.py &
    KERASTUNER_TUNER_ID=worker1 python examples/tuning.py &
    KERASTUNER_TUNER_ID=worker2 python examples/tuning.py
"""

import os
import sys
import warnings
from pathlib import Path

# isort: off
import torchkeras.as_keras  # noqa: F401  (first: from here on `import keras` is torchkeras)

# isort: on
import keras
import keras_tuner
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

EPOCHS = 9  # of the longest trials
# KerasTuner loads the files of trained models into new ones, whose optimizers have no state yet.
warnings.filterwarnings("ignore", message="The state of the optimizer")
IS_CHIEF = os.environ.get("KERASTUNER_TUNER_ID", "chief") == "chief"


def load() -> tuple[tuple, tuple, tuple]:
    """Images (n, 64) from 0 to 1 and their digits: to train, to validate, to test."""
    images, digits = load_digits(return_X_y=True)
    images = (images / 16).astype("float32")
    rest, test, rest_digits, test_digits = train_test_split(
        images, digits, test_size=400, random_state=0, stratify=digits
    )
    train, val, train_digits, val_digits = train_test_split(
        rest, rest_digits, test_size=300, random_state=0, stratify=rest_digits
    )
    return (train, train_digits), (val, val_digits), (test, test_digits)


def build(hp: keras_tuner.HyperParameters) -> keras.Model:
    """A compiled model with the hyperparameters that the tuner proposes."""
    model = keras.Sequential([keras.Input((64,))])
    for number in range(hp.Int("layers", 1, 3)):
        model.add(layers.Dense(hp.Choice(f"units_{number}", [16, 64, 256]), activation="relu"))
        model.add(layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.1)))
    model.add(layers.Dense(10, activation="softmax"))
    learning_rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main(folder: Path, epochs: int = EPOCHS, seed: int = 1) -> float | None:
    keras.utils.set_random_seed(seed)
    train, val, test = load()
    tuner = keras_tuner.Hyperband(
        build,
        objective="val_accuracy",
        max_epochs=epochs,
        factor=3,
        seed=seed,
        directory=folder,
        project_name="digits",
        overwrite=IS_CHIEF,  # False continues the search of an earlier run
    )
    tuner.search(*train, validation_data=val, batch_size=32, verbose=0)
    if not IS_CHIEF:
        return None

    print(f"{len(tuner.oracle.trials)} trials. The best:")
    for trial in tuner.oracle.get_best_trials(3):
        print(f"  validation accuracy {trial.score:.3f} with {trial.hyperparameters.values}")

    # The tuner's models saw few epochs. Train a new one for longer.
    model = build(tuner.get_best_hyperparameters()[0])
    early = keras.callbacks.EarlyStopping("val_accuracy", patience=10, restore_best_weights=True)
    model.fit(*train, validation_data=val, batch_size=32, epochs=5 * epochs, callbacks=[early], verbose=0)
    _, accuracy = model.evaluate(*test, verbose=0)
    model.save(folder / "best.keras")
    print(f"Test accuracy {accuracy:.3f}. The model is in {folder / 'best.keras'}.")
    return accuracy


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/tuning"))
