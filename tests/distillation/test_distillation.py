"""Distillation against formulas and against Keras on torch."""

from __future__ import annotations

import copy

import keras as real_keras
import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras.distillation import DistillationLoss, Distiller, FeatureDistillation, LogitsDistillation


def mlp(package, hidden, name, dropout=0.0):
    layers = package.layers
    return package.Sequential(
        [
            package.Input((5,)),
            layers.Dense(hidden, activation="tanh", name="hidden"),
            layers.Dropout(dropout),
            layers.Dense(3),
        ],
        name=name,
    )


def data(rng):
    return rng.normal(size=(10, 5)).astype("float32"), rng.integers(0, 3, 10)


def crossentropy(package):
    return package.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize(
    "loss",
    ["kl_divergence", keras.losses.KLDivergence(), keras.losses.kl_divergence],
    ids=["name", "class", "function"],
)
def test_softened_divergence(loss, rng):
    teacher, student = torch.from_numpy(rng.normal(size=(2, 6, 4)))
    p, log_q = torch.softmax(teacher / 2, -1), torch.log_softmax(student / 2, -1)
    wanted = 4 * (p * (p.log() - log_q)).sum(-1).mean()
    got = LogitsDistillation(temperature=2.0, loss=loss).compute_loss(teacher, student)
    torch.testing.assert_close(got.double(), wanted, rtol=1e-5, atol=1e-6)


LOSSES = [
    lambda package: package.distillation.LogitsDistillation(2.0, package.losses.KLDivergence()),
    lambda package: package.distillation.LogitsDistillation(3.0, "mse"),
    lambda package: package.distillation.LogitsDistillation(
        1.5, package.losses.CategoricalCrossentropy(from_logits=True)
    ),
    lambda package: package.distillation.FeatureDistillation("mae"),
    lambda package: package.distillation.FeatureDistillation(package.losses.CosineSimilarity()),
]


@pytest.mark.parametrize("make", LOSSES)
def test_losses_and_configs_are_keras(make, rng):
    teacher, student = torch.from_numpy(rng.normal(size=(2, 6, 4)).astype("float32"))
    ours, theirs = make(keras), make(real_keras)
    torch.testing.assert_close(ours.compute_loss(teacher, student), theirs.compute_loss(teacher, student))
    assert ours.get_config() == theirs.get_config()
    again = type(ours).from_config(ours.get_config())
    torch.testing.assert_close(again.compute_loss(teacher, student), ours.compute_loss(teacher, student))


def test_several_outputs_are_summed_and_none_is_left_out(rng):
    teacher, student = ([torch.from_numpy(rng.normal(size=(4, n)).astype("float32")) for n in (2, 3)] for _ in range(2))
    mse = [((t - s) ** 2).mean() for t, s in zip(teacher, student, strict=True)]
    torch.testing.assert_close(FeatureDistillation(["mse", "mse"]).compute_loss(teacher, student), mse[0] + mse[1])
    torch.testing.assert_close(FeatureDistillation([None, "mse"]).compute_loss(teacher, student), mse[1])


def distillers(distillation_losses, **kwargs):
    """The same distiller here and in Keras, with equal weights."""
    ours, theirs = (
        package.distillation.Distiller(
            mlp(package, 6, "teacher"), mlp(package, 6, "student"), distillation_losses(package), **kwargs
        )
        for package in (keras, real_keras)
    )
    for a, b in ((ours.teacher, theirs.teacher), (ours.student, theirs.student)):
        a.set_weights(b.get_weights())
    return ours, theirs


def logits_and_features(package):
    d = package.distillation
    return [d.LogitsDistillation(2.0, package.losses.KLDivergence()), d.FeatureDistillation("mse", "hidden", "hidden")]


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_training_is_keras(weight, rng):
    x, y = data(rng)
    ours, theirs = distillers(logits_and_features, student_loss_weight=weight, distillation_loss_weights=[1.0, 0.5])
    histories = []
    for package, model in ((keras, ours), (real_keras, theirs)):
        model.compile(package.optimizers.SGD(0.1), crossentropy(package), metrics=["accuracy"])
        histories.append(model.fit(x, y, batch_size=5, epochs=3, shuffle=False, verbose=0).history)
    assert histories[0].keys() == histories[1].keys()
    for key, values in histories[1].items():
        np.testing.assert_allclose(histories[0][key], values, rtol=1e-4, atol=1e-5)
    for a, b in zip(ours.student.get_weights(), theirs.student.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    ours_evaluated, theirs_evaluated = (m.evaluate(x, y, verbose=0, return_dict=True) for m in (ours, theirs))
    np.testing.assert_allclose(
        [ours_evaluated[key] for key in sorted(theirs_evaluated)],
        [theirs_evaluated[key] for key in sorted(theirs_evaluated)],
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_teacher_stays_as_it_was_and_the_student_keeps_dropout(rng):
    x, y = data(rng)
    teacher, student = mlp(keras, 8, "teacher", dropout=0.5), mlp(keras, 8, "student", dropout=0.5)
    before = copy.deepcopy(teacher.get_weights())
    distiller = Distiller(teacher, student, FeatureDistillation("mse", "hidden", "hidden"))
    distiller.compile("sgd", crossentropy(keras))
    seen = []
    student.get_layer("hidden").register_forward_hook(lambda layer, inputs, outputs: seen.append(outputs.device.type))
    distiller.fit(x, y, batch_size=5, verbose=0)
    assert seen.count("cpu") == 2, "one pass of the student per batch"
    for a, b in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert {id(w) for w in distiller.trainable_weights} == {id(w) for w in student.trainable_weights}


def test_sample_weights_and_regularizers_count(rng):
    x, y = data(rng)
    student = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1))]
    )
    distiller = Distiller(mlp(keras, 4, "teacher"), student, LogitsDistillation(), student_loss_weight=1.0)
    distiller.compile("sgd", crossentropy(keras))
    weights = rng.uniform(size=10).astype("float32")
    logits = student(torch.from_numpy(x))
    each = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y), reduction="none")
    wanted = (each * torch.from_numpy(weights)).mean() + 0.1 * (student.layers[0].kernel ** 2).sum()
    got = distiller.evaluate(x, y, sample_weight=weights, batch_size=10, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(got, wanted.item(), rtol=1e-5)


def test_without_targets_only_the_teacher_counts(rng):
    x, _ = data(rng)
    distiller = Distiller(mlp(keras, 4, "teacher"), mlp(keras, 4, "student"), LogitsDistillation())
    distiller.compile("adam", crossentropy(keras))
    history = distiller.fit(x, epochs=30, verbose=0).history
    assert history["student_loss"] == [0.0] * 30
    assert history["distillation_loss"][-1] < history["distillation_loss"][0]


def test_files(rng, tmp_path):
    x, y = data(rng)
    ours, theirs = distillers(logits_and_features, student_loss_weight=0.3)
    for package, model in ((keras, ours), (real_keras, theirs)):
        model.compile(package.optimizers.SGD(0.1), crossentropy(package))
        model.fit(x, y, verbose=0)
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    loaded = keras.saving.load_model(tmp_path / "ours.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), ours.predict(x, verbose=0))
    assert loaded.evaluate(x, y, verbose=0) == ours.evaluate(x, y, verbose=0)
    loaded.fit(x, y, verbose=0)
    with pytest.warns(UserWarning, match="compile"):
        of_keras = keras.saving.load_model(tmp_path / "theirs.keras")
    np.testing.assert_allclose(of_keras.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    in_keras = real_keras.saving.load_model(tmp_path / "ours.keras", compile=False)
    np.testing.assert_allclose(in_keras.predict(x, verbose=0), ours.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


class Vector(DistillationLoss):
    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        return teacher_outputs - student_outputs


def pair():
    return mlp(keras, 4, "teacher"), mlp(keras, 4, "student")


def subclassed():
    class Own(keras.Model):
        def call(self, x):
            return x

    return Own()


REFUSED = {
    "no model": (lambda: Distiller(None, pair()[1], LogitsDistillation()), "Teacher must be a keras.Model"),
    "weight above 1": (
        lambda: Distiller(*pair(), LogitsDistillation(), student_loss_weight=1.5),
        "between 0.0 and 1.0, got 1.5",
    ),
    "weight of no number": (lambda: Distiller(*pair(), LogitsDistillation(), student_loss_weight="a"), "a number"),
    "no losses": (lambda: Distiller(*pair(), []), "at least one"),
    "losses of None": (lambda: Distiller(*pair(), None), "'distillation_losses' must be"),
    "weights and losses": (lambda: Distiller(*pair(), [LogitsDistillation()], [1.0, 2.0]), r"\(2\) must match"),
    "other outputs": (
        lambda: Distiller(
            pair()[0], keras.Sequential([keras.Input((5,)), keras.layers.Dense(4)]), LogitsDistillation()
        ),
        "outputs shapes are incompatible",
    ),
    "other inputs": (
        lambda: Distiller(
            pair()[0], keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]), LogitsDistillation()
        ),
        "inputs shapes are incompatible",
    ),
    "no such layer": (
        lambda: Distiller(*pair(), FeatureDistillation("mse", "hidden", "hiden")),
        "In student model: No such layer: hiden",
    ),
    "layers of a subclassed model": (
        lambda: Distiller(subclassed(), pair()[1], FeatureDistillation("mse", "hidden", "hidden")),
        "requires Functional or Sequential",
    ),
    "no loss at all": (lambda: FeatureDistillation(None), "at least one non-`None`"),
    "temperature 0": (lambda: LogitsDistillation(0), "temperature must be positive"),
    "temperature of no number": (lambda: LogitsDistillation("hot"), "temperature must be a number"),
    "structure": (
        lambda: FeatureDistillation(["mse", "mse"]).validate_outputs(torch.ones(1), torch.ones(1)),
        "Loss structure mismatch",
    ),
    "compile without a loss": (lambda: Distiller(*pair(), LogitsDistillation()).compile("adam"), "'loss' cannot be"),
    "metrics by name": (
        lambda: Distiller(*pair(), LogitsDistillation()).compile("adam", "mse", "mae"),
        "metrics must be a list",
    ),
}


@pytest.mark.parametrize("make, words", REFUSED.values(), ids=REFUSED)
def test_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_loss_must_be_a_scalar(rng):
    distiller = Distiller(*pair(), Vector())
    distiller.compile("adam", crossentropy(keras))
    with pytest.raises(ValueError, match=r"Vector returned a non-scalar loss with shape \(10, 3\)"):
        distiller.fit(*data(rng), verbose=0)
