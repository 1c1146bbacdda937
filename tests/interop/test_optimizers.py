"""Optimizers and schedules against Keras: numbers over many steps, configs, variables, files."""

import keras
import numpy as np
import pytest
import torch

import torchkeras
import torchkeras.optimizers as ours
from tests.optimizers.optimizer_cases import NAMES
from torchkeras.core import settings
from torchkeras.core.variables.variable import Variable

theirs = keras.optimizers
SHAPES = [(), (3,), (4, 5), (2, 3, 4)]
STEPS = 50

RULES = {
    "SGD": ("SGD", {"learning_rate": 0.05}),
    "SGD momentum": ("SGD", {"learning_rate": 0.05, "momentum": 0.9}),
    "SGD nesterov": ("SGD", {"learning_rate": 0.05, "momentum": 0.8, "nesterov": True}),
    "Adam": ("Adam", {"learning_rate": 0.01}),
    "Adam amsgrad": ("Adam", {"learning_rate": 0.01, "amsgrad": True, "beta_1": 0.8, "epsilon": 1e-3}),
    "AdamW": ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.1}),
    "RMSprop": ("RMSprop", {"learning_rate": 0.01}),
    "RMSprop momentum": ("RMSprop", {"learning_rate": 0.01, "momentum": 0.7}),
    "RMSprop centered": ("RMSprop", {"learning_rate": 0.01, "centered": True, "momentum": 0.3, "epsilon": 1e-3}),
    "Adagrad": ("Adagrad", {"learning_rate": 0.1}),
    "Adadelta": ("Adadelta", {"learning_rate": 1.0}),
    "Adamax": ("Adamax", {"learning_rate": 0.01}),
    "Nadam": ("Nadam", {"learning_rate": 0.01}),
    "Lion": ("Lion", {"learning_rate": 0.01}),
    "Ftrl": ("Ftrl", {"learning_rate": 0.1}),
    "Ftrl strengths": (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "learning_rate_power": -0.6,
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.02,
            "l2_shrinkage_regularization_strength": 0.03,
            "beta": 0.1,
        },
    ),
    "Adafactor": ("Adafactor", {"learning_rate": 0.5}),
    "Adafactor absolute": ("Adafactor", {"learning_rate": 0.01, "relative_step": False, "clip_threshold": 0.5}),
    "Lamb": ("Lamb", {"learning_rate": 0.01}),
    "Muon": ("Muon", {"learning_rate": 0.01}),
    "Muon plain": ("Muon", {"learning_rate": 0.01, "nesterov": False, "rms_rate": None, "adam_lr_ratio": 0.5}),
}
# Not here: ScheduleFreeAdamW. On the torch backend Keras takes the fast sequence after its update for the one before
# (an alias), which leaves a plain average of it; ours is the paper's rule, and Keras's on JAX and TensorFlow. It is
# held against that formula in tests/optimizers.

# Keras rounds exponents, coefficients or limits of these rules to float32.
LOOSE = {"Adafactor": (1e-4, 1e-5), "Ftrl": (1e-4, 1e-6), "Muon": (1e-5, 1e-6)}
BASE_ARGUMENTS = {
    "none": {},
    "weight_decay": {"weight_decay": 0.05},
    "clipnorm": {"clipnorm": 0.5},
    "clipvalue": {"clipvalue": 0.3},
    "global_clipnorm": {"global_clipnorm": 0.7},
    "ema": {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 7},
    "loss_scale_factor": {"loss_scale_factor": 8.0},
    "accumulation": {"gradient_accumulation_steps": 3},
    "accumulation, clipping, decay": {"gradient_accumulation_steps": 2, "clipnorm": 0.5, "weight_decay": 0.01},
}
# Not here: accumulation with EMA, with a schedule, or with a gradient that is missing in some calls. Keras moves the
# averages and the schedule with each call of `apply`, and forgets gradients of variables that have none in the last;
# here k batches do what one of k times the size does (tests/optimizers).


class Pair:
    """The same variables twice, with an optimizer of Keras's and one of ours."""

    def __init__(self, rng, name, arguments, dtype="float32", shapes=SHAPES):
        values = [np.asarray(rng.normal(size=shape), dtype) for shape in shapes]
        self.keras_variables = [keras.Variable(v, dtype=dtype, name=f"v{i}") for i, v in enumerate(values)]
        self.our_variables = [Variable(v, dtype=dtype, name=f"v{i}") for i, v in enumerate(values)]
        self.keras = getattr(theirs, name)(**as_keras(arguments))
        self.ours = getattr(ours, name)(**arguments)
        self.rng, self.dtype = rng, dtype

    def step(self, missing=()):
        grads = [np.asarray(self.rng.normal(size=tuple(v.shape)), self.dtype) for v in self.our_variables]
        grads = [None if i in missing else torch.from_numpy(g) for i, g in enumerate(grads)]
        self.keras.apply(list(grads), self.keras_variables)
        self.ours.apply(list(grads), self.our_variables)

    def check(self, rtol, atol):
        for name, mine, reference in [
            ("weight", self.our_variables, self.keras_variables),
            ("state", self.ours.variables, self.keras.variables),
        ]:
            assert len(mine) == len(reference)
            for a, b in zip(mine, reference, strict=True):
                expected = keras.ops.convert_to_numpy(b)
                size = max(1.0, np.abs(expected).max())
                np.testing.assert_allclose(a.numpy(), expected, rtol, atol * size, err_msg=f"{name} {b.path}")


def as_keras(arguments):
    rate = arguments.get("learning_rate")
    if isinstance(rate, ours.schedules.LearningRateSchedule):
        return {**arguments, "learning_rate": getattr(theirs.schedules, type(rate).__name__)(**rate.get_config())}
    return arguments


@pytest.fixture
def float64():
    """Both in double precision, rates included, so that only the rules can differ."""
    before = keras.config.floatx(), settings.floatx()
    keras.config.set_floatx("float64")
    settings.set_floatx("float64")
    yield
    keras.config.set_floatx(before[0])
    settings.set_floatx(before[1])


@pytest.mark.parametrize("base", BASE_ARGUMENTS)
@pytest.mark.parametrize("rule", RULES)
def test_fifty_steps_give_keras_numbers(rule, base, rng, float64):
    name, arguments = RULES[rule]
    pair = Pair(rng, name, {**arguments, **BASE_ARGUMENTS[base]}, dtype="float64")
    for _ in range(STEPS):
        pair.step()
    pair.check(*LOOSE.get(name, (1e-6, 1e-7)))


class WithExact(Pair):
    """A pair in float32, with the same steps in float64, which the test above holds against Keras."""

    def __init__(self, rng, name, arguments):
        super().__init__(rng, name, arguments)
        self.exact_variables = [Variable(v.numpy(), dtype="float64", name=v.name) for v in self.our_variables]
        self.exact = getattr(ours, name)(**arguments)
        settings.set_floatx("float64")
        self.exact.build(self.exact_variables)
        settings.set_floatx("float32")
        self.largest = [1.0] * len([*self.exact_variables, *self.exact.variables])

    def step(self):
        grads = [torch.from_numpy(self.rng.normal(size=tuple(v.shape)).astype("float32")) for v in self.our_variables]
        self.keras.apply(list(grads), self.keras_variables)
        self.ours.apply(list(grads), self.our_variables)
        self.exact.apply([grad.double() for grad in grads], self.exact_variables)
        values = [*self.exact_variables, *self.exact.variables]
        self.largest = [max(size, float(v.detach().abs().max())) for size, v in zip(self.largest, values, strict=True)]

    def check_rounding(self):
        """Ours differs from Keras's by its rounding and by that of Keras.

        Rounding is relative to the terms of a sum, which may cancel in the end: so the bound takes the largest value
        that the variable had on the way.
        """
        for mine, reference, exact, size in zip(
            [*self.our_variables, *self.ours.variables],
            [*self.keras_variables, *self.keras.variables],
            [*self.exact_variables, *self.exact.variables],
            self.largest,
            strict=True,
        ):
            expected = keras.ops.convert_to_numpy(reference)
            allowed = np.abs(expected - exact.numpy()) + 32 * np.finfo("float32").eps * size
            assert (np.abs(mine.numpy() - expected) <= allowed).all(), reference.path


@pytest.mark.parametrize("rule", RULES)
def test_float32(rule, rng):
    pair = WithExact(rng, *RULES[rule])
    for _ in range(STEPS):
        pair.step()
    pair.check_rounding()


@pytest.mark.parametrize("base", ["none", "clipnorm", "ema"])
@pytest.mark.parametrize("rule", ["SGD momentum", "Adam", "AdamW", "RMSprop", "Muon"])
@pytest.mark.filterwarnings("ignore")
def test_missing_gradients(rule, base, rng, float64):
    name, arguments = RULES[rule]
    pair = Pair(rng, name, {**arguments, **BASE_ARGUMENTS[base]}, dtype="float64")
    for step in range(12):
        pair.step(missing=[(), (1,), (0, 2)][step % 3])
    pair.check(*LOOSE.get(name, (1e-6, 1e-7)))


def schedules():
    s = ours.schedules
    return {
        "exponential": s.ExponentialDecay(0.1, 7, 0.6),
        "exponential staircase": s.ExponentialDecay(0.1, 7, 0.6, staircase=True),
        "inverse time": s.InverseTimeDecay(0.1, 7, 0.6),
        "inverse time staircase": s.InverseTimeDecay(0.1, 7, 0.6, staircase=True, name="other"),
        "polynomial": s.PolynomialDecay(0.1, 30, 0.01, power=1.5),
        "polynomial cycle": s.PolynomialDecay(0.1, 9, 0.01, power=2.0, cycle=True),
        "cosine": s.CosineDecay(0.1, 40, alpha=0.1),
        "cosine warmup": s.CosineDecay(0.01, 40, alpha=0.1, warmup_target=0.2, warmup_steps=10),
        "cosine warmup from zero": s.CosineDecay(0.0, 40, warmup_target=0.2, warmup_steps=3),
        "restarts": s.CosineDecayRestarts(0.1, 10, t_mul=2.0, m_mul=0.9, alpha=0.05),
        "restarts of one length": s.CosineDecayRestarts(0.1, 10, t_mul=1.0, m_mul=0.8),
        "piecewise": s.PiecewiseConstantDecay([10, 20], [0.1, 0.05, 0.01]),
        "piecewise float": s.PiecewiseConstantDecay([10.5, 20.5, 30.0], [1.0, 0.5, 0.1, 0.0]),
    }


@pytest.mark.parametrize("name", schedules())
def test_schedules_give_keras_rates(name):
    mine = schedules()[name]
    reference = getattr(theirs.schedules, type(mine).__name__)(**mine.get_config())
    assert mine.get_config() == reference.get_config()
    for step in range(120):
        expected = float(reference(step))
        called = mine(step)
        assert called.dtype == torch.float32
        np.testing.assert_allclose(float(called), expected, rtol=2e-6, atol=1e-8, err_msg=f"step {step}")
        np.testing.assert_allclose(float(mine.at(step)), expected, rtol=2e-6, atol=1e-7, err_msg=f"at {step}")


@pytest.mark.parametrize("name", schedules())
def test_an_optimizer_follows_its_schedule(name, rng):
    pair = Pair(rng, "SGD", {"learning_rate": schedules()[name]})
    for _ in range(40):
        np.testing.assert_allclose(
            float(pair.ours.learning_rate), float(pair.keras.learning_rate), rtol=2e-6, atol=1e-8
        )
        pair.step()
    pair.check(rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", schedules())
def test_a_schedule_of_many_steps_at_once(name):
    mine = schedules()[name]
    steps = torch.arange(60, dtype=torch.float32)
    expected = [float(mine(float(step))) for step in steps]
    np.testing.assert_allclose(mine(steps).numpy(), expected, rtol=1e-6, atol=1e-8)


CONFIGS = {**RULES, **{f"base {name}": ("Adam", arguments) for name, arguments in BASE_ARGUMENTS.items()}}
CONFIGS["ScheduleFreeAdamW"] = ("ScheduleFreeAdamW", {"warmup_steps": 3})
CONFIGS["Muon layers"] = ("Muon", {"exclude_layers": ["last"], "name": "mine"})
CONFIGS |= {f"{name} defaults": (name, {}) for name in NAMES}


@pytest.mark.parametrize("row", CONFIGS)
def test_configs_are_equal(row):
    name, arguments = CONFIGS[row]
    arguments = {"name": "same", **arguments}
    mine, reference = getattr(ours, name)(**arguments), getattr(theirs, name)(**arguments)
    assert mine.get_config() == reference.get_config()
    assert type(mine).from_config(reference.get_config()).get_config() == reference.get_config()
    again = ours.deserialize(theirs.serialize(reference))
    assert type(again) is type(mine) and again.get_config() == reference.get_config()
    if name != "Lamb":  # which Keras leaves out of its own list
        assert theirs.deserialize(ours.serialize(mine)).get_config() == reference.get_config()


@pytest.mark.parametrize("name", schedules())
def test_schedules_in_configs(name):
    mine = ours.Adam(schedules()[name], name="same")
    config = ours.serialize(mine)
    reference = theirs.deserialize(config)
    assert mine.get_config() == reference.get_config()
    assert ours.deserialize(theirs.serialize(reference)).get_config() == mine.get_config()


WRAPPERS = {
    "loss scale": lambda o: o.LossScaleOptimizer(o.Adam(0.01, name="inner"), initial_scale=4.0, name="outer"),
    "multi": lambda o: o.MultiOptimizer(
        o.OptimizerMap(o.SGD(0.1, momentum=0.5, name="rest"), {".*v2": o.Adam(0.01, name="one")}), name="multi"
    ),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrapper_configs(wrapper):
    mine, reference = WRAPPERS[wrapper](ours), WRAPPERS[wrapper](theirs)
    assert plain(mine.get_config()) == plain(reference.get_config())
    assert plain(ours.deserialize(theirs.serialize(reference)).get_config()) == plain(mine.get_config())
    assert plain(theirs.deserialize(ours.serialize(mine)).get_config()) == plain(mine.get_config())


def plain(config):
    """A config without the places of classes: Keras's torch backend writes private ones."""
    if isinstance(config, dict):
        return {key: plain(value) for key, value in config.items() if key not in ("module", "registered_name")}
    return config


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_give_keras_numbers_and_variables(wrapper, rng):
    pair = Pair(rng, "SGD", {})
    pair.ours, pair.keras = WRAPPERS[wrapper](ours), WRAPPERS[wrapper](theirs)
    pair.ours.build(pair.our_variables)
    pair.keras.build(pair.keras_variables)
    for _ in range(10):
        pair.step()
    pair.check(rtol=1e-5, atol=1e-6)
    check_facts(pair)


def check_facts(pair):
    facts = [(v.path, tuple(v.shape), str(v.dtype).split(".")[-1]) for v in pair.ours.variables]
    assert facts == [(v.path, tuple(v.shape), keras.backend.standardize_dtype(v.dtype)) for v in pair.keras.variables]


@pytest.mark.parametrize("base", ["none", "ema", "accumulation", "accumulation and ema"])
@pytest.mark.parametrize("rule", [*RULES, "ScheduleFreeAdamW"])
def test_variables_and_state_go_both_ways(rule, base, rng):
    name, arguments = RULES.get(rule, (rule, {}))
    both = {"gradient_accumulation_steps": 2, "use_ema": True}
    pair = Pair(rng, name, {**arguments, **BASE_ARGUMENTS.get(base, both), "name": "same"})
    for i, (mine, reference) in enumerate(zip(pair.our_variables, pair.keras_variables, strict=True)):
        mine.info.path = reference._path = f"layer_{i}/{mine.name}"
    pair.ours.build(pair.our_variables)
    pair.keras.build(pair.keras_variables)
    names = {v.path for v in pair.ours.variables if "/" not in v.path}
    facts = [(v.path, tuple(v.shape), str(v.dtype)) for v in pair.ours.variables if v.path not in names]
    expected = [(v.path, tuple(v.shape), str(v.value.dtype)) for v in pair.keras.variables if "/" in v.path]
    assert facts == expected
    pair.keras.apply([torch.ones(tuple(v.shape)) for v in pair.our_variables], pair.keras_variables)
    store, back = {}, {}
    pair.keras.save_own_variables(store)
    pair.ours.load_own_variables(store)
    pair.ours.save_own_variables(back)
    assert list(back) == list(store)
    for key, value in store.items():
        assert back[key].dtype == value.dtype
        np.testing.assert_array_equal(back[key], value)
    pair.keras.load_own_variables(back)
    assert int(pair.ours._iterations) == 1


def test_training_continues_where_keras_stopped(rng):
    pair = Pair(rng, "Adam", {"learning_rate": 0.01, "amsgrad": True})
    for _ in range(5):
        pair.step()
    again = Pair(rng, "Adam", {"learning_rate": 0.5, "amsgrad": True})
    again.ours.build(again.our_variables)
    store = {}
    pair.keras.save_own_variables(store)
    again.ours.load_own_variables(store)
    for mine, value in zip(again.our_variables, pair.keras_variables, strict=True):
        mine.assign(value.numpy())
    again.keras, again.keras_variables = pair.keras, pair.keras_variables
    for _ in range(5):
        again.step()
    again.check(rtol=1e-5, atol=1e-6)


def test_gradients_in_place_of_values(rng):
    for arguments in ({}, {"gradient_accumulation_steps": 3}):
        pair = Pair(rng, "Adam", {"learning_rate": 0.01, **arguments})
        pair.our_variables[1].overwrite_with_gradient = pair.keras_variables[1].overwrite_with_gradient = True
        for _ in range(7):
            pair.step()
            pair.check(rtol=1e-5, atol=1e-6)


def test_constraints(rng):
    pair = Pair(rng, "SGD", {"learning_rate": 0.5, "use_ema": True})
    pair.our_variables[2].constraint = lambda w: torch.clamp(w, -0.1, 0.1)
    pair.keras_variables[2].constraint = lambda w: keras.ops.clip(w, -0.1, 0.1)
    for _ in range(5):
        pair.step()
    pair.check(rtol=1e-5, atol=1e-6)
    assert pair.our_variables[2].abs().max() <= 0.1


@pytest.mark.parametrize("arguments", [{"loss": torch.nn.MSELoss()}, {"optimizer": torch.optim.Adam, "loss": "mse"}])
def test_keras_reads_models_that_were_compiled_with_torchs_own(arguments, rng, tmp_path):
    """Without that: it has no name for torch's classes."""
    x, y = rng.normal(size=(2, 6, 3)).astype("float32")
    model = torchkeras.Sequential([torchkeras.Input((3,)), torchkeras.layers.Dense(3)])
    model.compile(**arguments)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    found = keras.saving.load_model(tmp_path / "model.keras")
    assert not found.compiled
    np.testing.assert_allclose(found.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
