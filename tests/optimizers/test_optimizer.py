"""What every optimizer promises beside Keras's numbers."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from tests.optimizers.optimizer_cases import (
    BASE_ARGUMENTS,
    NAMES,
    SHAPES,
    assert_equal,
    copies,
    gradients,
    make,
    variables,
)
from torchkeras import optimizers
from torchkeras.core.variables.variable import Variable


@pytest.mark.parametrize("name", NAMES)
def test_stateless_apply_equals_apply_and_changes_nothing(name, rng):
    mine = variables(rng)
    optimizer = make(name, use_ema=True, clipnorm=1.0)
    optimizer.apply(gradients(rng, mine), mine)
    before, state, grads = copies(mine), copies(optimizer.variables), gradients(rng, mine)
    new, new_state = optimizer.stateless_apply(state, grads, before)
    assert_equal(mine, before, rtol=0, atol=0)
    assert_equal(optimizer.variables, state, rtol=0, atol=0)
    optimizer.apply(grads)
    assert_equal(new, mine, rtol=0, atol=0)
    assert_equal(new_state, optimizer.variables, rtol=0, atol=0)


@pytest.mark.parametrize("layout", ["transposed", "expanded", "sliced"])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_gradients_of_any_layout(name, layout, rng):
    """torch's fused CPU kernels read memory in order whatever the strides say."""
    grad = {
        "transposed": lambda: torch.as_tensor(rng.normal(size=(5, 4)), dtype=torch.float32).t(),
        "expanded": lambda: torch.as_tensor(rng.normal(size=(1, 5)), dtype=torch.float32).expand(4, 5),
        "sliced": lambda: torch.as_tensor(rng.normal(size=(4, 10)), dtype=torch.float32)[:, ::2],
    }[layout]()
    mine = Variable(rng.normal(size=(4, 5)).astype("float32"))
    other = Variable(mine.detach().clone())
    for _ in range(3):
        for variable, g, optimizer in [(mine, grad, make(name)), (other, grad.contiguous(), make(name))]:
            optimizer.apply([g], [variable])
    assert_equal([mine], [other], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_parameters_of_any_layout(name, rng):
    value = torch.as_tensor(rng.normal(size=(5, 4)), dtype=torch.float32)
    strange, plain = nn.Parameter(value.clone().t()), nn.Parameter(value.t().contiguous())
    grad = torch.as_tensor(rng.normal(size=(4, 5)), dtype=torch.float32)
    for parameter in (strange, plain):
        optimizer = make(name)
        for _ in range(3):
            optimizer.apply([grad], [parameter])
    assert_equal([strange], [plain])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_other_dtypes(name, dtype, rng):
    mine = [nn.Parameter(torch.as_tensor(np.asarray(rng.normal(size=s))).to(dtype)) for s in SHAPES]
    reference = [nn.Parameter(p.detach().double()) for p in mine]
    epsilon = {} if name in ("SGD", "Lion", "Ftrl", "Adafactor") else {"epsilon": 1e-3}
    pair = make(name, **epsilon), make(name, **epsilon)
    grads = [g + 0.3 * g.sign() for g in gradients(rng, mine)]  # the squares of small ones vanish in float16
    pair[0].apply(grads, mine)
    pair[1].apply([g.double() for g in grads], reference)
    tolerance = {"rtol": 1e-10, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 0.1, "atol": 0.1}
    assert_equal([p.double() for p in mine], reference, **tolerance)


def test_several_dtypes_and_plain_parameters_in_one_step(rng):
    layer = nn.Linear(3, 2)
    mine = [layer.weight, nn.Parameter(layer.bias.detach().double()), *variables(rng)]
    alone = [nn.Parameter(v.detach().clone()) for v in mine]
    grads = gradients(rng, mine)
    optimizers.Adam(0.1).apply(grads, mine)
    for grad, variable in zip(grads, alone, strict=True):
        optimizers.Adam(0.1).apply([grad], [variable])
    assert_equal(mine, alone)


def test_schedule_free_is_the_papers_formula(rng):
    variable = Variable(rng.normal(size=(6,)), dtype="float64")
    lr, beta_1, beta_2, epsilon, warmup = 0.01, 0.9, 0.99, 1e-8, 4
    optimizer = optimizers.ScheduleFreeAdamW(lambda: lr, beta_1, beta_2, epsilon, warmup)
    z = variable.numpy().copy()
    x, v = z.copy(), np.zeros(6)
    for t in range(1, 21):
        grad = rng.normal(size=6)
        optimizer.apply([torch.as_tensor(grad)], [variable])
        v = beta_2 * v + (1 - beta_2) * grad**2
        z = z - lr * min(t / warmup, 1) * grad / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
        x = x + (z - x) / t
        np.testing.assert_allclose(variable.numpy(), (1 - beta_1) * z + beta_1 * x, rtol=1e-10)


def test_clipping_waits_for_nothing_and_spoils_no_gradient(rng):
    for arguments in ({"clipnorm": 0.1}, {"clipvalue": 0.1}, {"global_clipnorm": 0.1}, {"loss_scale_factor": 4.0}):
        mine = variables(rng)
        grads = gradients(rng, mine)
        before = copies(grads)
        optimizers.Adam(0.1, **arguments).apply(grads, mine)
        assert_equal(grads, before, rtol=0, atol=0)


def test_global_clipnorm_of_nothing_and_of_infinity():
    for value, expected in [(0.0, 1.0), (torch.inf, torch.nan)]:
        variable = Variable(torch.ones(2))
        optimizers.SGD(1.0, global_clipnorm=1.0).apply([torch.full((2,), value)], [variable])
        torch.testing.assert_close(
            variable.detach().as_subclass(torch.Tensor), torch.full((2,), expected), equal_nan=True
        )


def test_callable_learning_rate():
    rates = iter([1.0, torch.tensor(2.0), np.float32(4.0)])
    variable = Variable(torch.zeros(()))
    optimizer = optimizers.SGD(lambda: next(rates))
    for _ in range(3):
        optimizer.apply([torch.ones(())], [variable])
    assert float(variable) == -7.0


def test_a_schedule_of_the_users():
    class Halving(optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 2.0 ** -step.float()

    variable = Variable(torch.zeros(()))
    optimizer = optimizers.SGD(Halving())
    for _ in range(3):
        optimizer.apply([torch.ones(())], [variable])
    assert float(variable) == -1.75
    with pytest.raises(NotImplementedError):
        optimizer.get_config()


# -- rate and count


def test_learning_rate_is_honoured_however_it_is_set():
    variable = Variable(torch.zeros(()))
    optimizer = optimizers.SGD(1.0)
    rate = optimizer.learning_rate
    for change, expected in [
        (lambda: None, 1.0),
        (lambda: setattr(optimizer, "learning_rate", 0.5), 0.5),
        (lambda: optimizer.learning_rate.assign(0.25), 0.25),
        (lambda: rate.assign(rate * 2), 0.5),
        (lambda: setattr(optimizer, "learning_rate", lambda: 4.0), 4.0),
    ]:
        change()
        variable.assign(0.0)
        optimizer.apply([torch.ones(())], [variable])
        assert float(variable) == -expected
        assert float(optimizer.learning_rate) == expected
    assert [v.name for v in optimizer.variables] == ["iteration"]


def test_a_scheduled_rate_can_not_be_set():
    optimizer = optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 2, 0.5))
    with pytest.raises(TypeError, match="This optimizer was created with a `LearningRateSchedule`"):
        optimizer.learning_rate = 0.1


def test_the_count_is_right_and_can_be_set():
    variable = Variable(torch.zeros(()))
    optimizer = optimizers.Adam(0.1)
    count = optimizer.iterations
    assert count.device.type == optimizer.learning_rate.device.type == "cpu"
    for i in range(3):
        assert int(count) == i
        optimizer.apply([torch.ones(())], [variable])
    count.assign(0)
    reference = Variable(variable.detach().clone())
    fresh = optimizers.Adam(0.1)
    fresh.build([reference])
    fresh.set_weights([v.numpy() for v in optimizer.variables])
    optimizer.apply([torch.ones(())], [variable])
    fresh.apply([torch.ones(())], [reference])
    assert float(variable) == float(reference) and int(count) == 1


def test_accumulation_counts_updates():
    variable = Variable(torch.zeros(()))
    optimizer = optimizers.SGD(1.0, gradient_accumulation_steps=3)
    seen = []
    for i in range(7):
        optimizer.apply([torch.tensor(float(i))], [variable])
        seen.append((int(optimizer.iterations), float(variable)))
    assert seen == [(0, 0), (0, 0), (1, -1), (1, -1), (1, -1), (2, -5), (2, -5)]


# -- variables


def test_missing_gradients_warn_and_their_variables_stay(rng):
    mine = variables(rng)
    before = copies(mine)
    grads = gradients(rng, mine)
    grads[1] = None
    optimizer = optimizers.Adam(0.1, weight_decay=0.1)
    with pytest.warns(UserWarning, match="v1"):
        optimizer.apply(grads, mine)
    assert [torch.equal(a, b) for a, b in zip(mine, before, strict=True)] == [False, True, False, False]
    with pytest.raises(ValueError, match="No gradients provided"):
        optimizer.apply([None] * 4)
    assert int(optimizer.iterations) == 1


def test_a_part_of_the_variables_in_another_order(rng):
    mine, alone = variables(rng), None
    optimizer = optimizers.Adam(0.1)
    optimizer.build(mine)
    alone = [Variable(v.detach().clone()) for v in mine]
    reference = optimizers.Adam(0.1)
    grads = gradients(rng, mine)
    optimizer.apply_gradients([(grads[3], mine[3]), (grads[0], mine[0])])
    reference.apply([grads[0], grads[3]], [alone[0], alone[3]])
    assert_equal(mine, alone)


def test_other_variables_are_refused_once_there_is_state(rng):
    mine, others = variables(rng), variables(rng)
    optimizer = optimizers.Adam(0.1)
    optimizer.apply(gradients(rng, mine), mine)
    with pytest.raises(ValueError, match="Unknown variable"):
        optimizer.apply(gradients(rng, others), others)
    with pytest.raises(ValueError, match="Unknown variable"):
        optimizer.apply(gradients(rng, others[:1]), others[:1])


def test_parameters_replaced_before_the_first_step(rng):
    mine, others = variables(rng), variables(rng)
    grads = gradients(rng, mine)
    optimizer = optimizers.Adam(0.1)
    optimizer.build(mine)
    before = copies(mine)
    optimizer.apply(grads, others)
    assert_equal(mine, before, rtol=0, atol=0)
    reference = variables(rng)
    for a, b in zip(reference, others, strict=True):
        assert a.shape == b.shape
    assert int(optimizer.iterations) == 1
    optimizer.apply(grads)
    with pytest.raises(ValueError, match="Unknown variable"):
        optimizer.apply(grads, mine)


def test_state_follows_a_model_that_changes_its_type(rng):
    layer = nn.Linear(3, 2)
    optimizer = optimizers.Adam(0.1)
    parameters = list(layer.parameters())
    optimizer.apply(gradients(rng, parameters), parameters)
    layer.double()
    optimizer.apply(gradients(rng, parameters), parameters)
    assert {v.dtype for v in optimizer.variables[2:]} == {torch.float64}
    assert [v.path for v in optimizer.variables][:2] == [
        f"{optimizer.name}/iteration",
        f"{optimizer.name}/learning_rate",
    ]


@pytest.mark.parametrize("given", ["list", "names"])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Muon"])
def test_exclusion_from_weight_decay(name, given, rng):
    mine = variables(rng)
    zero = [torch.zeros_like(v).detach().as_subclass(torch.Tensor) for v in mine]
    optimizer = make(name, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(**({"var_list": [mine[1]]} if given == "list" else {"var_names": ["v1"]}))
    before = copies(mine)
    optimizer.apply(zero, mine)
    assert torch.equal(mine[1], before[1])
    assert not torch.equal(mine[2], before[2])


def test_ema_is_what_remains(rng):
    variable = Variable(torch.zeros(()))
    optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    for _ in range(3):
        optimizer.apply([torch.ones(())], [variable])
    optimizer.finalize_variable_values([variable])
    assert float(variable) == 0.25 * -1 + 0.25 * -2 + 0.5 * -3
    with pytest.raises(ValueError, match="average"):
        optimizer.finalize_variable_values([])


@pytest.mark.parametrize("name", NAMES)
def test_pickle_and_deepcopy_keep_the_state(name, rng):
    mine = variables(rng)
    optimizer = make(name, use_ema=True)
    optimizer.apply(gradients(rng, mine), mine)
    for twin, theirs in [copy.deepcopy((optimizer, mine)), pickle.loads(pickle.dumps((optimizer, mine)))]:
        assert_equal(twin.variables, optimizer.variables, rtol=0, atol=0)
        grads = gradients(rng, mine)
        twin.apply(grads, theirs)
        new, _ = optimizer.stateless_apply(optimizer.variables, grads, mine)
        assert_equal(theirs, new, rtol=0, atol=0)


def test_state_of_other_shapes_is_refused_before_anything_changes(rng):
    mine = variables(rng)
    optimizer = optimizers.Adam(0.1)
    optimizer.build(mine)
    store = {}
    optimizer.save_own_variables(store)
    store["0"] = np.array(7)
    store["5"] = np.zeros((2, 2))
    with pytest.raises(ValueError, match="shape"):
        optimizer.load_own_variables(store)
    assert int(optimizer.iterations) == 0
    with pytest.warns(UserWarning, match="variables"):
        optimizer.load_own_variables({"0": np.zeros(())})


# -- a user's algorithm


class Momentum(optimizers.Optimizer):
    """Keras's way: variables in `build`, one at a time in `update_step`."""

    def __init__(self, learning_rate=0.1, momentum=0.9, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        super().build(variables)
        self.moments = [self.add_variable_from_reference(v, name="momentum") for v in variables]
        self.calls = self.add_variable((), dtype="int32", name="calls")

    def update_step(self, gradient, variable, learning_rate):
        m = self.moments[self._get_variable_index(variable)]
        self.assign(m, m * self.momentum - gradient * learning_rate)
        self.assign_add(variable, m)
        self.assign_add(self.calls, 1)

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


def test_an_algorithm_of_the_users(rng):
    mine, theirs = variables(rng), None
    theirs = [Variable(v.detach().clone()) for v in mine]
    base = {"weight_decay": 0.1, "clipnorm": 0.5, "use_ema": True, "gradient_accumulation_steps": 2}
    own, reference = Momentum(0.1, **base), optimizers.SGD(0.1, momentum=0.9, **base)
    for _ in range(6):
        grads = gradients(rng, mine)
        own.apply(grads, mine)
        reference.apply(grads, theirs)
    assert_equal(mine, theirs, rtol=1e-5, atol=1e-6)
    assert int(own.calls) == 12
    assert own.variables[-1] is own.calls
    assert Momentum.from_config(own.get_config()).get_config() == own.get_config()
    new, _ = own.stateless_apply(own.variables, grads, mine)
    own.apply(grads)
    assert_equal(new, mine, rtol=0, atol=0)


def test_a_builtin_algorithm_overridden_for_one_variable(rng):
    class Logged(optimizers.Adam):
        seen = 0

        def update_step(self, gradient, variable, learning_rate):
            Logged.seen += 1
            super().update_step(gradient, variable, learning_rate)

    mine = variables(rng)
    theirs = [Variable(v.detach().clone()) for v in mine]
    grads = gradients(rng, mine)
    Logged(0.1).apply(grads, mine)
    optimizers.Adam(0.1).apply(grads, theirs)
    assert Logged.seen == len(mine)
    assert_equal(mine, theirs, rtol=1e-5, atol=1e-6)


# -- errors and names

REFUSED = {
    "two clips": (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0), "Only one of"),
    "integer rate": (lambda: optimizers.SGD(1), "learning_rate"),
    "unknown argument": (lambda: optimizers.SGD(rate=1.0), "not recognized"),
    "accumulation": (lambda: optimizers.SGD(gradient_accumulation_steps=1), "gradient_accumulation_steps"),
    "ema": (lambda: optimizers.SGD(use_ema=True, ema_momentum=2.0), "ema_momentum"),
    "ema frequency": (lambda: optimizers.SGD(use_ema=True, ema_overwrite_frequency=0.5), "ema_overwrite_frequency"),
    "momentum": (lambda: optimizers.SGD(momentum=2.0), "momentum"),
    "lion": (lambda: optimizers.Lion(beta_1=0.0), "beta_1"),
    "ftrl": (lambda: optimizers.Ftrl(learning_rate_power=1.0), "learning_rate_power"),
    "adamw": (lambda: optimizers.AdamW(weight_decay=None), "weight_decay"),
    "inner argument": (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), clipnorm=1.0), "inner_optimizer"),
    "inner static": (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), dynamic=False), "loss_scale_factor"),
    "unbuilt": (lambda: optimizers.SGD().apply([torch.ones(())]), "build"),
    "unbuilt weights": (lambda: optimizers.SGD().set_weights([]), "build"),
    "unbuilt stateless": (lambda: optimizers.SGD().stateless_apply([], [], []), "build"),
    "nested": (
        lambda: optimizers.OptimizerMap(optimizers.SGD()).update(a=optimizers.LossScaleOptimizer(optimizers.SGD())),
        "cannot be used inside",
    ),
    "shape": (lambda: optimizers.SGD().apply([torch.ones(2)], [Variable(torch.ones(3))]), "shape"),
    "decay steps": (lambda: optimizers.schedules.CosineDecay(0.1, 0), "decay_steps"),
    "boundaries": (lambda: optimizers.schedules.PiecewiseConstantDecay([1], [1.0]), "boundaries"),
    "unknown name": (lambda: optimizers.get("adma"), "adam"),
    "no optimizer": (lambda: optimizers.get(5), "optimizer"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_errors(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", ["Adagrad", "Adam", "Ftrl", "Optimizer", "RMSprop", "SGD"])
def test_legacy_names_refuse_to_be_made_but_are_read(name):
    with pytest.raises(ImportError, match=r"not supported in Keras 3"):
        getattr(optimizers.legacy, name)(learning_rate=0.1)
    if name != "Optimizer":
        config = {"module": "keras.optimizers.legacy", "class_name": name, "config": {"learning_rate": 0.25}}
        found = optimizers.get(config)
        assert type(found) is getattr(optimizers, name) and float(found.learning_rate) == 0.25


@pytest.mark.parametrize("name", NAMES)
def test_get_by_any_spelling(name):
    cls = getattr(optimizers, name)
    for identifier in (name, name.lower(), name.upper(), {"class_name": name, "config": {}}):
        assert type(optimizers.get(identifier)) is cls
    instance = cls()
    assert optimizers.get(instance) is instance
    assert optimizers.get(optimizers.serialize(instance)).get_config() == instance.get_config()
    assert optimizers.get(None) is None


def test_names_count_up():
    first, second = optimizers.Adagrad(), optimizers.Adagrad()
    assert first.name.startswith("adagrad") and first.name != second.name


def test_no_warning_without_reason(rng):
    mine = variables(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizers.Adam(0.1).apply(gradients(rng, mine), mine)


@pytest.mark.parametrize("base", ["clipnorm", "ema", "accumulation", "scaled"])
@pytest.mark.parametrize("name", ["Adam", "SGD", "Nadam", "Adafactor", "Muon", "ScheduleFreeAdamW"])
def test_a_step_can_be_compiled(name, base, rng):
    """Without a graph break, once the first step has made the plan."""
    mine = variables(rng)
    theirs = [Variable(v.detach().clone()) for v in mine]
    compiled, eager = (make(name, **BASE_ARGUMENTS.get(base, {})) for _ in range(2))
    if base == "scaled":
        compiled, eager = (optimizers.LossScaleOptimizer(inner, 2.0) for inner in (compiled, eager))
    torch._dynamo.reset()
    step = compiled.apply
    for _ in range(4):
        grads = gradients(rng, mine)
        step(grads, mine)
        eager.apply(grads, theirs)
        step = torch.compile(compiled.apply, backend="eager", fullgraph=True)
    assert_equal(mine, theirs, rtol=1e-5, atol=1e-6)
    assert int(compiled.iterations) == (2 if base == "accumulation" else 4)


def test_muon_takes_as_many_matrices_together_as_memory_allows(monkeypatch, rng):
    """More at once are no faster, and need several times their memory."""
    values, grads = rng.normal(size=(2, 5, 4, 3))
    taken, found = [], []
    real = optimizers.Muon.zeropower_via_newtonschulz5

    def note(self, x, steps):
        taken.append(x.numel())
        return real(self, x, steps)

    monkeypatch.setattr(optimizers.Muon, "zeropower_via_newtonschulz5", note)
    for limit in (2**20, 2 * 4 * 3 * 8):
        monkeypatch.setattr("torchkeras.optimizers.muon.BATCH_BYTES", limit)
        weights = [Variable(value, dtype="float64") for value in values]
        optimizers.Muon(0.1).apply([torch.tensor(grad) for grad in grads], weights)
        found.append([weight.detach() for weight in weights])
    assert taken == [5 * 12, 2 * 12, 2 * 12, 12]
    torch.testing.assert_close(found[0], found[1])
