"""Tabular data: `FeatureSpace` encodes columns of numbers and strings inside the model, which takes them raw.

    python examples/tabular.py [folder]

Data: 442 patients with diabetes, from scikit-learn: age, sex (1 or 2), body mass index, blood pressure and six blood
values. The model predicts whether a patient's disease progresses faster within a year than that of half of the
patients. The table has no strings; the column `weight`, which shows how to use them, is derived from the body mass
index.

Expect a test accuracy of 0.70 to 0.77 (the test has 111 patients; a guess is right for half of them), after 5 seconds
on two cores.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import torchkeras as keras
from torchkeras import layers

EPOCHS = 60


def load() -> tuple[tuple, tuple]:
    """Columns by name, and labels: a training part and a test part."""
    data = load_diabetes(scaled=False)
    columns = dict(zip(data.feature_names, data.data.T))
    columns["sex"] = columns["sex"].astype("int64")
    columns["weight"] = np.array(["slim", "medium", "heavy"])[np.digitize(columns["bmi"], [25, 30])]
    labels = (data.target > np.median(data.target)).astype("float32")
    train, test = train_test_split(np.arange(len(labels)), test_size=0.25, random_state=0, stratify=labels)

    def rows(index: np.ndarray) -> tuple:
        return {name: column[index] for name, column in columns.items()}, labels[index]

    return rows(train), rows(test)


def feature_space(columns: dict) -> keras.utils.FeatureSpace:
    """How each column is encoded, with statistics and vocabularies of the training part."""
    kinds = {name: keras.utils.FeatureSpace.float_normalized() for name in columns}
    kinds["age"] = keras.utils.FeatureSpace.float_discretized(num_bins=5)
    kinds["sex"] = keras.utils.FeatureSpace.integer_categorical(num_oov_indices=0)
    kinds["weight"] = keras.utils.FeatureSpace.string_categorical(num_oov_indices=0)
    space = keras.utils.FeatureSpace(kinds, crosses=[("sex", "weight")], crossing_dim=16, output_mode="concat")
    space.adapt(columns)
    return space


def classifier(space: keras.utils.FeatureSpace) -> keras.Model:
    """A model that takes raw columns and returns the probability of a fast progression."""
    x = space.get_encoded_features()
    x = layers.Dense(16, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(1, activation="sigmoid", name="progresses")(x)
    return keras.Model(space.get_inputs(), outputs)


def main(folder: Path, epochs: int = EPOCHS, seed: int = 1) -> float:
    keras.utils.set_random_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    train, test = load()
    space = feature_space(train[0])
    print(f"{len(train[1])} patients to train on, {len(test[1])} to test.")
    print("Vocabulary of the column `weight`:", space.preprocessors["weight"].get_vocabulary())

    model = classifier(space)
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(*train, batch_size=32, epochs=epochs, verbose=0).history
    print(f"Training accuracy {history['accuracy'][-1]:.3f} after {epochs} epochs.")
    _, accuracy = model.evaluate(*test, verbose=0)
    print(f"Test accuracy {accuracy:.3f}.")

    model.save(folder / "diabetes.keras")
    loaded = keras.saving.load_model(folder / "diabetes.keras")
    np.testing.assert_allclose(loaded.predict(test[0], verbose=0), model.predict(test[0], verbose=0), atol=1e-6)
    print(f"Saved as {folder / 'diabetes.keras'} and loaded again: the predictions are the same.")

    patient = {name: column[:1] for name, column in test[0].items()}
    print("A patient:", {name: column[0].item() for name, column in patient.items()})
    print(f"Probability of a fast progression: {loaded.predict(patient, verbose=0).item():.0%}")
    return accuracy


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/tabular"))
