"""Text classification: from raw strings to classes, with the vocabulary inside the saved model.

    python examples/text_classification.py [folder]

Data: sentences from the docstrings of scikit-learn; the class of a sentence is the module that it documents. All
sentences of a class or function are either in the training part or in the test part, and a sentence that occurs in
both is left out of the test. The largest class has 28% of the test sentences.

Expect a test accuracy of 0.66 to 0.69, after 10 seconds on two cores.
"""

import importlib
import inspect
import re
import sys
from pathlib import Path

import numpy as np

import torchkeras as keras
from torchkeras import layers

MODULES = ["cluster", "decomposition", "ensemble", "linear_model", "metrics", "preprocessing"]
EPOCHS = 12


def docstrings(thing: object) -> str:
    """The docstring of a class or function, and those of the class's own methods."""
    members = [member for name, member in vars(thing).items() if name[0] != "_"] if inspect.isclass(thing) else []
    return "\n\n".join(inspect.getdoc(part) or "" for part in [thing, *members] if callable(part))


def sentences(text: str) -> list[str]:
    """Sentences of five words and more; lines of code and tables are left out."""
    prose = re.sub(r"(?m)^\s*(>>>|\.\.\.|\.\. |[-=]{3}).*$", "\n", text)
    found = [" ".join(part.split()) for part in re.split(r"(?<=[.!?])\s+|\n\s*\n", prose)]
    return [sentence for sentence in found if len(sentence.split()) >= 5]


def load() -> tuple[tuple, tuple]:
    """Sentences (n, 1) and the numbers of their modules, to train and to test."""
    parts: dict[bool, dict[str, int]] = {True: {}, False: {}}
    rng = np.random.default_rng(0)
    for number, name in enumerate(MODULES):
        module = importlib.import_module(f"sklearn.{name}")
        for member in sorted(module.__all__):
            part = parts[bool(rng.random() < 0.8)]
            for sentence in sentences(docstrings(getattr(module, member))):
                part.setdefault(sentence, number)
    train, test = parts[True], parts[False]
    test = {sentence: label for sentence, label in test.items() if sentence not in train}

    def arrays(part: dict[str, int]) -> tuple:
        return np.array(list(part))[:, None], np.array(list(part.values()))

    return arrays(train), arrays(test)


def classifier(train_sentences: np.ndarray) -> keras.Model:
    """A model from strings to probabilities: its first layer learns the vocabulary and is saved with it."""
    vectorize = layers.TextVectorization(max_tokens=4000, ngrams=2, output_mode="tf_idf")
    vectorize.adapt(train_sentences)
    inputs = keras.Input((1,), dtype="string", name="sentence")
    x = vectorize(inputs)
    x = layers.Dropout(0.5)(x)
    x = layers.Dense(64, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(len(MODULES), activation="softmax", name="module")(x)
    return keras.Model(inputs, outputs)


def main(folder: Path, epochs: int = EPOCHS, seed: int = 1) -> float:
    keras.utils.set_random_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    train, test = load()
    print(f"{len(train[0])} sentences to train on, {len(test[0])} to test. One of them: {str(train[0][0, 0])!r}")
    print(f"The largest module has {np.bincount(test[1]).max() / len(test[1]):.0%} of the test sentences.")

    model = classifier(train[0])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*train, batch_size=64, epochs=epochs, verbose=2)
    _, accuracy = model.evaluate(*test, verbose=0)
    print(f"Test accuracy {accuracy:.3f}.")

    model.save(folder / "sentences.keras")
    loaded = keras.saving.load_model(folder / "sentences.keras")
    np.testing.assert_allclose(loaded.predict(test[0], verbose=0), model.predict(test[0], verbose=0), atol=1e-6)
    print(f"Saved as {folder / 'sentences.keras'} and loaded again: the predictions are the same.")

    new = ["Each point is assigned to its nearest centroid.", "We scaled all columns to unit variance beforehand."]
    for sentence, probabilities in zip(new, loaded.predict(np.array(new)[:, None], verbose=0)):
        print(f"  {MODULES[probabilities.argmax()]} ({probabilities.max():.0%}): {sentence}")
    return accuracy


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/text_classification"))
