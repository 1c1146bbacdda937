"""A table of numbers and strings: FeatureSpace encodes the columns inside the model, which takes them as they are.

    python examples/tabular.py [folder for the files]

The data are scikit-learn's 442 patients with diabetes, which come with it: age, sex (1 or 2), body mass index, blood
pressure and six values of the blood serum. The model predicts whether the disease has got worse within a year by more
than it has in half of the patients. The table has no strings of its own: the column `weight`, which shows how to use
strings, is made from the body mass index. The test part is small: the accuracy is about 0.73, give or take 0.04 (a
guess is right in half of the cases), within 6 seconds on two cores.
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
    """Columns by name, and labels: to train and to test."""
    data = load_diabetes(scaled=False)
    columns = dict(zip(data.feature_names, data.data.T.astype("float32")))
    columns["sex"] = columns["sex"].astype("int64")
    columns["weight"] = np.array(["slim", "medium", "heavy"])[np.digitize(columns["bmi"], [25, 30])]
    labels = (data.target > np.median(data.target)).astype("float32")
    train, test = train_test_split(np.arange(len(labels)), test_size=0.25, random_state=0, stratify=labels)

    def rows(index: np.ndarray) -> tuple:
        return {name: column[index] for name, column in columns.items()}, labels[index]

    return rows(train), rows(test)


def feature_space(columns: dict) -> keras.utils.FeatureSpace:
    """The encoding of each column, learned from the training part."""
    kinds = {name: keras.utils.FeatureSpace.float_normalized() for name in columns}
    kinds["age"] = keras.utils.FeatureSpace.float_discretized(num_bins=5)
    kinds["sex"] = keras.utils.FeatureSpace.integer_categorical(num_oov_indices=0)
    kinds["weight"] = keras.utils.FeatureSpace.string_categorical(num_oov_indices=0)
    space = keras.utils.FeatureSpace(kinds, crosses=[("sex", "weight")], crossing_dim=16, output_mode="concat")
    space.adapt(columns)
    return space


def classifier(space: keras.utils.FeatureSpace) -> keras.Model:
    """A model from the raw columns to the probability."""
    x = space.get_encoded_features()
    x = layers.Dense(16, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(1, activation="sigmoid", name="worse")(x)
    return keras.Model(space.get_inputs(), outputs)


def main(folder: Path, epochs: int = EPOCHS, seed: int = 1) -> float:
    keras.utils.set_random_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    train, test = load()
    space = feature_space(train[0])
    print(f"{len(train[1])} patients to train on, {len(test[1])} to test.")
    print("The column `weight` is encoded by the vocabulary", space.preprocessors["weight"].get_vocabulary())

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
    print(f"The probability that the disease gets worse: {loaded.predict(patient, verbose=0).item():.0%}")
    return accuracy


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/tabular"))
