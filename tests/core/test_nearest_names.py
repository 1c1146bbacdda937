"""Errors about unknown names say the nearest ones: identifiers and constructor arguments of all registries."""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Iterable

import pytest

import torchkeras as keras
from torchkeras.core import registry
from torchkeras.core.config import keras_names
from torchkeras.core.nearest_names import candidates, did_you_mean, nearest_names

GETS = {
    "activations": keras.activations.get,
    "constraints": keras.constraints.get,
    "initializers": keras.initializers.get,
    "layers": keras.layers.deserialize,
    "losses": keras.losses.get,
    "metrics": keras.metrics.get,
    "optimizers": keras.optimizers.get,
    "optimizers.schedules": keras.optimizers.schedules.deserialize,
    "regularizers": keras.regularizers.get,
}
NAMES = [(namespace, name) for namespace in GETS for name in registry.known_names(f"keras.{namespace}")]
ABSTRACT = {"Constraint", "Initializer", "Layer", "LearningRateSchedule", "Loss", "Metric", "Optimizer", "Regularizer"}


def misspelled(name: str, known: Iterable[str]) -> str:
    """The name with one letter doubled (if it is long, also replaced or left out), somewhere behind the first.

    A name that is another one and a letter ("relu6", "AdamW", "gelu") is not changed so that it comes nearer to the
    other one.
    """
    place = random.randrange(1, len(name))
    shorter = {(name[:i] + name[i + 1 :]).lower() for i in range(1, len(name))}
    keeps_letters = len(name) <= 3 or not shorter.isdisjoint(map(str.lower, known))
    middle = random.choice([2 * name[place]] if keeps_letters else [2 * name[place], "z", ""])
    return name[:place] + middle + name[place + 1 :]


@pytest.mark.parametrize("namespace, name", [case for case in NAMES if case[1] not in ABSTRACT and len(case[1]) > 2])
def test_a_misspelled_identifier_is_answered_with_the_right_one(namespace, name):
    known = registry.spellings(f"keras.{namespace}")
    wrong = misspelled(name, known)
    if wrong in known or wrong.lower() in known:
        pytest.skip(f"{wrong} is a name, too")  # relu6 without its 6
    with pytest.raises(ValueError, match="Could not interpret .* identifier") as caught:
        GETS[namespace](wrong)
    suggested = re.findall(r"'(\w+)'", str(caught.value).split("Known:")[0])
    assert known[name] in [known[one] for one in suggested]


@pytest.mark.parametrize(
    "get, wrong, right",
    [
        (keras.optimizers.get, "adamm", "adam"),
        (keras.optimizers.get, "Adamm", "Adam"),
        (keras.optimizers.get, "rms_prop", "rmsprop"),
        (keras.losses.get, "msee", "mse"),
        (keras.losses.get, "binary_crossentrophy", "binary_crossentropy"),
        (keras.metrics.get, "acuracy", "accuracy"),
        (keras.metrics.get, "aucc", "auc"),
        (keras.activations.get, "rellu", "relu"),
        (keras.initializers.get, "glorot_unifrom", "glorot_uniform"),
        (keras.regularizers.get, "l22", "l2"),
        (keras.layers.deserialize, "Densee", "Dense"),
        (keras.DTypePolicy, "mixed_bfloat", "mixed_bfloat16"),
        (keras.DTypePolicy, "flot32", "float32"),
        (lambda name: keras.ops.cast(1.0, name), "flota16", "float16"),
    ],
)
def test_the_suggestion_comes_first_and_is_spelled_as_the_user_spells(get, wrong, right):
    with pytest.raises(ValueError, match=f"Did you mean '{right}'"):
        get(wrong)


def test_the_users_own_objects_are_candidates():
    with keras.saving.CustomObjectScope({"my_loss": lambda y_true, y_pred: 0}):
        with pytest.raises(ValueError, match="Did you mean 'my_loss'"):
            keras.losses.get("my_los")


@pytest.mark.parametrize("namespace", GETS)
def test_a_name_of_keras_that_is_not_here_yet_is_said_to_be_keras_s(namespace, monkeypatch):
    monkeypatch.setitem(keras_names.CLASSES, f"keras.{namespace}", "FutureThing")
    with pytest.raises(ValueError, match=f"FutureThing. Keras has it in keras.{namespace}, torchkeras does not"):
        GETS[namespace]("FutureThing")


# ---------------------------------------------------------------------------- constructor arguments


def public_classes() -> list:
    namespaces = (*(name for name in GETS if "." not in name), "callbacks", "dtype_policies", "optimizers.schedules")
    found = []
    for namespace in namespaces:
        module = keras
        for part in namespace.split("."):
            module = getattr(module, part)
        classes = {id(cls): cls for cls in vars(module).values() if inspect.isclass(cls)}
        found += [pytest.param(cls, id=f"{namespace}.{cls.__name__}") for cls in classes.values()]
    return found


# For the functions or packages that get them, or (ReduceLROnPlateau) as Keras does; the last one warns.
TAKING_ANY = (
    keras.callbacks.CallbackList,
    keras.callbacks.CometLogger,
    keras.callbacks.LambdaCallback,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.WandbLogger,
    keras.losses.LossFunctionWrapper,
    keras.metrics.MeanMetricWrapper,
)
REQUIRED = {"cell": keras.layers.LSTMCell(2), "layer": keras.layers.LSTM(2)}


def arguments(cls) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    return [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def can_be_misspelled(parameter: inspect.Parameter) -> bool:
    # Where a required argument is misspelled and any name is taken, Python says that it is missing.
    return len(parameter.name) > 2 and parameter.default is not parameter.empty


@pytest.mark.parametrize("cls", public_classes())
def test_a_misspelled_argument_is_answered_with_the_right_one(cls):
    known = {parameter.name for parameter in inspect.signature(cls.__init__).parameters.values()}
    optional = [parameter.name for parameter in arguments(cls) if can_be_misspelled(parameter)]
    if not optional:
        pytest.skip("has no optional argument of more than two letters")
    if cls in TAKING_ANY:
        pytest.skip("takes any argument")
    right = random.choice(optional)
    wrong = misspelled(right, known)
    if wrong in known:
        pytest.skip(f"{wrong} is an argument, too")
    required = {p.name: REQUIRED.get(p.name, 1) for p in arguments(cls) if p.default is p.empty}
    with pytest.raises((TypeError, ValueError), match=rf"Did you mean .*'{right}'.* instead of '{wrong}'"):
        cls(**required, **{wrong: 1})


def test_a_misspelled_argument_of_compile_and_of_evaluate_is_answered_with_the_right_one():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(TypeError, match="Did you mean 'optimizer' instead of 'optimzer'"):
        model.compile(optimzer="adam", loss="mse")
    model.compile(loss="mse")
    with pytest.raises(ValueError, match=r"Did you mean 'batch_size' instead of 'batchsize'"):
        model.evaluate([[0.0, 0.0]], [[0.0]], batchsize=1)


def test_a_hook_that_does_not_exist_is_not_silently_ignored():
    with pytest.warns(UserWarning, match="no hook is called 'on_epoch_ende'.*Did you mean 'on_epoch_end'"):
        keras.callbacks.LambdaCallback(on_epoch_ende=print)


def test_an_argument_that_is_ignored_is_said():
    with pytest.warns(UserWarning, match=r"ignores unknown arguments: \['patienc'\]. Did you mean 'patience'"):
        keras.callbacks.ReduceLROnPlateau(patienc=3)


def test_python_s_error_stays_and_decorated_constructors_decide_themselves():
    def taking_more(constructor):
        def wrapper(self, *args, extra=None, **kwargs):
            constructor(self, *args, **kwargs)

        wrapper.__wrapped__ = constructor
        return wrapper

    class Mine(keras.losses.Loss):
        @taking_more
        def __init__(self, scale=1.0):
            super().__init__()

    Mine(extra=3)
    with pytest.raises(TypeError, match=r"__init__\(\) got an unexpected keyword argument 'scal'"):
        Mine(scal=3)
    with pytest.raises(TypeError, match=r"^Huber.__init__\(\) got an unexpected keyword argument 'deltaa'\. Did you"):
        keras.losses.Huber(deltaa=1.0)


# ---------------------------------------------------------------------------- the helper


def test_the_helper():
    assert nearest_names("adamm", ["Nadam", "Adam", "AdamW"]) == ["Adam"]
    assert nearest_names("adamm", {"Adam": 1, "adam": 1, "Nadam": 2}) == ["adam"]
    assert nearest_names("zzz", ["Adam"]) == [] == nearest_names("adam", [])
    assert nearest_names("axex", ["axis", "axes"], most=1) == ["axes"]
    assert did_you_mean("zzz", ["Adam"]) == ""
    assert candidates(["unit", "foo"], ["units", "bar"]) == "Did you mean 'units' instead of 'unit'?"
    assert candidates(["foo"], ["units", "bar"]) == "It takes ['bar', 'units']."
