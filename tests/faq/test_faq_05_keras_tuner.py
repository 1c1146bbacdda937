"""FAQ 5: hyperparameter tuning with KerasTuner, the real package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# KerasTuner imports `keras`, which in this process is the real one: the search has a process of its own.
SCRIPT = """
import json, sys
import torchkeras
import torchkeras.as_keras
import keras, keras_tuner
import numpy as np

rng = np.random.default_rng(int(sys.argv[1]))
x = rng.normal(size=(64, 4)).astype("float32")
y = (x @ rng.normal(size=4) > 0).astype("int64")


def build_model(hp):
    model = keras.Sequential()
    model.add(keras.layers.Dense(hp.Choice("units", [2, 8, 16]), activation="relu"))
    if hp.Boolean("dropout"):
        model.add(keras.layers.Dropout(0.25))
    model.add(keras.layers.Dense(2, activation="softmax"))
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log", step=10)
    model.compile(keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Own(keras_tuner.HyperModel):
    def build(self, hp):
        return build_model(hp)

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, batch_size=hp.Choice("batch_size", [8, 16]), **kwargs)


found = {}
for name, model, options in [
    ("RandomSearch", build_model, {"max_trials": 3, "executions_per_trial": 2}),
    ("RandomSearch", Own(), {"max_trials": 2}),
    ("BayesianOptimization", build_model, {"max_trials": 5, "num_initial_points": 3}),
    ("GridSearch", build_model, {"max_trials": 4}),
    ("Hyperband", build_model, {"max_epochs": 3, "factor": 3}),
]:
    key = f"{name} of {type(model).__name__}"
    tuner = getattr(keras_tuner, name)(
        model, objective="val_loss", seed=1, directory=sys.argv[2], project_name=key, overwrite=True, **options
    )
    tuner.search(x[:48], y[:48], epochs=2, validation_data=(x[48:], y[48:]), verbose=0)
    trials = list(tuner.oracle.trials.values())
    best = tuner.get_best_models(1)[0]
    assert isinstance(best, torchkeras.Model) and isinstance(best, keras.Model)
    found[key] = {
        "statuses": sorted({trial.status for trial in trials}),
        "different": len({json.dumps(trial.hyperparameters.values, sort_keys=True) for trial in trials}),
        "trials": len(trials),
        "best": tuner.oracle.get_best_trials(1)[0].score,
        "least": min(trial.score for trial in trials),
        "of the best model": best.evaluate(x[48:], y[48:], verbose=0, return_dict=True)["loss"],
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuner")
    seed = str(int.from_bytes(os.urandom(3), "little"))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    line = [sys.executable, "-W", "ignore", "-c", SCRIPT, seed, str(folder)]
    run = subprocess.run(line, env=environment, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, f"seed {seed}: {run.stderr}"
    return json.loads(run.stdout.splitlines()[-1])


TRIALS = {
    "RandomSearch of function": 3,
    "RandomSearch of Own": 2,
    "BayesianOptimization of function": 5,
    "GridSearch of function": 4,
    "Hyperband of function": 6,  # brackets of 3 (the best goes on for a second round) and of 2
}


@pytest.mark.parametrize("search", TRIALS)
def test_the_search_completes_its_trials(found, search):
    assert found[search]["statuses"] == ["COMPLETED"]
    assert found[search]["trials"] == TRIALS[search]
    assert found[search]["different"] > 1


@pytest.mark.parametrize("search", TRIALS)
def test_the_best_model_is_loaded_with_its_weights(found, search):
    row = found[search]
    assert row["best"] == row["least"]
    # Of several executions the score is the mean, of several epochs that of the best, whose weights were kept.
    tolerance = 0.5 if search == "RandomSearch of function" else 1e-5
    assert row["of the best model"] == pytest.approx(row["best"], rel=tolerance)
