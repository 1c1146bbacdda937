"""Every op, by the rows of `rows/`: Keras's numbers and types, the inferred form, config, gradient, compilation.

A new op needs a row there; `test_every_op_has_a_row` says so.
"""

from __future__ import annotations

import importlib
import inspect
import operator
import pathlib

import keras
import numpy as np
import pytest
import torch

import torchkeras
from tests.ops.row import COMING, Row, tensors
from torchkeras import ops
from torchkeras.core import registry, tree
from torchkeras.core.operations.op import OPS
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.dtypes import standardize_dtype

FOLDER = pathlib.Path(__file__).parent / "rows"
MODULES = [importlib.import_module(f"tests.ops.rows.{p.stem}") for p in sorted(FOLDER.glob("[a-z]*.py"))]
ROWS: list[Row] = [row for module in MODULES for row in module.ROWS]


def of(namespace, row):
    """The row's op there; its name may be that of a sub-namespace (`image.resize`)."""
    return operator.attrgetter(row.op)(namespace)


def flat(outputs):
    return [t for t in tree.flatten(outputs) if t is not None]


def same_values(ours, theirs, row, **tolerances):
    ours, theirs = flat(ours), flat(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        a, b = np.asarray(ops.convert_to_numpy(a)), np.asarray(ops.convert_to_numpy(b))
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, **({"rtol": row.rtol, "atol": row.atol} | tolerances))


def dtypes_of(outputs):
    return [standardize_dtype(t.dtype) for t in flat(outputs) if hasattr(t, "dtype")]


def hold(check, cases, rng):
    """Check each case of an op; one error names all that fail."""
    failed = {}
    for case in cases:
        try:
            check(*case, rng)
        except Exception as error:
            failed[" ".join(map(str, case))] = error
    if failed:
        lines = [f"{name}: {type(error).__name__}: {error}" for name, error in failed.items()]
        raise AssertionError("\n\n".join(lines)) from next(iter(failed.values()))


def by_op(cases):
    """For each op its cases: rows alone or with more arguments of a check; a test goes through those of one op."""
    grouped = {}
    for case in cases:
        grouped.setdefault(case[0].op, []).append(case)
    return pytest.mark.parametrize("cases", grouped.values(), ids=grouped.keys())


@by_op([(row,) for row in ROWS])
def test_numbers_are_keras(cases, rng):
    hold(numbers_are_keras, cases, rng)


def numbers_are_keras(row, rng):
    arrays = row.arrays(rng)
    ours = of(ops, row)(*tensors(arrays), **row.config)
    if row.keras is not True:
        assert row.reference is not None, f"{row}: say what it is held against"
        same_values(ours, row.reference(*arrays, **row.config), row)
        return
    theirs = of(keras.ops, row)(*tensors(arrays), **row.config)
    assert dtypes_of(ours) == dtypes_of(theirs)
    same_values(ours, theirs, row)


@by_op([(row, dtype) for row in ROWS for dtype in row.dtypes])
def test_types_are_keras(cases, rng):
    hold(types_are_keras, cases, rng)


def types_are_keras(row, dtype, rng):
    arrays = row.arrays(rng)
    theirs = of(keras.ops, row)(*tensors(arrays, dtype), **row.config)
    ours = of(ops, row)(*tensors(arrays, dtype), **row.config)
    assert dtypes_of(ours) == dtypes_of(theirs)


def symbols(values, batch):
    """KerasTensors in the place of tensors, their first size unknown if `batch` is None."""

    def convert(value):
        if isinstance(value, list):
            return [convert(item) for item in value]
        if not isinstance(value, torch.Tensor):
            return value
        shape = (None, *value.shape[1:]) if batch is None and value.dim() else tuple(value.shape)
        return torchkeras.Input(batch_shape=shape, dtype=standardize_dtype(value.dtype))

    return [convert(value) for value in values]


SYMBOLIC = [r for r in ROWS if r.symbolic is True]


@by_op([(row, "known") for row in SYMBOLIC] + [(row, None) for row in SYMBOLIC if row.unknown is True])
def test_symbolic_form_is_the_eager_one(cases, rng):
    hold(symbolic_form_is_the_eager_one, cases, rng)


def symbolic_form_is_the_eager_one(row, batch, rng):
    given = tensors(row.arrays(rng))
    eager = flat(of(ops, row)(*given, **row.config))
    inputs = symbols(given, batch)
    outputs = of(ops, row)(*inputs, **row.config)
    described = flat(outputs)
    assert len(described) == len(eager)
    for symbol, value in zip(described, eager, strict=True):
        assert isinstance(symbol, KerasTensor)
        assert symbol.dtype == standardize_dtype(value.dtype)
        assert len(symbol.shape) == value.dim()
        assert all(a == b or a is None for a, b in zip(symbol.shape, value.shape, strict=True))
        if batch is not None:
            assert symbol.shape == tuple(value.shape)
    if batch is None:
        return
    model = torchkeras.Model([t for t in tree.flatten(inputs) if isinstance(t, KerasTensor)], outputs)
    copied = torchkeras.Model.from_config(model.get_config())
    values = [t for t in tree.flatten(given) if isinstance(t, torch.Tensor)]
    for made in (model, copied):
        for a, b in zip(flat(made(values)), eager, strict=True):
            torch.testing.assert_close(a, b, equal_nan=True)


@by_op([(row,) for row in SYMBOLIC if row.keras is True and row.reads is True])
def test_keras_reads_the_graph(cases, rng):
    hold(keras_reads_the_graph, cases, rng)


def keras_reads_the_graph(row, rng):
    given = tensors(row.arrays(rng))
    inputs = symbols(given, "known")
    flat_inputs = [t for t in tree.flatten(inputs) if isinstance(t, KerasTensor)]
    model = torchkeras.Model(flat_inputs, of(ops, row)(*inputs, **row.config))
    theirs = keras.models.model_from_json(model.to_json())
    values = [t for t in tree.flatten(given) if isinstance(t, torch.Tensor)]
    ours = model(values)  # first: Keras's affine_transform writes into its argument
    same_values(theirs(values), ours, row)


@by_op([(row,) for row in ROWS if row.gradient is True])
def test_gradients_are_finite_differences(cases, rng):
    hold(gradients_are_finite_differences, cases, rng)


def gradients_are_finite_differences(row, rng):
    given = tensors(row.arrays(rng), "float64")
    wanted = [
        t.requires_grad_() for t in tree.flatten(given) if isinstance(t, torch.Tensor) and t.dtype == torch.float64
    ]
    assert wanted, f"{row} has no float input: say so in gradient="

    definition = OPS.get(row.op)  # what narrows to 32 bits is held in its body, which takes what it is given
    called = definition.function if definition and definition.narrow else of(ops, row)

    def function(*_):
        outputs = flat(called(*given, **row.config))
        return tuple(t for t in outputs if t.is_floating_point() or t.is_complex())

    assert torch.autograd.gradcheck(function, wanted, fast_mode=True)


COMPILED = [row for row in ROWS if row.compiled is True]
TOGETHER = 32  # rows in one graph: a compilation costs more than most rows


def compiled_equals_eager(rows, given):
    torch.compiler.reset()
    calls = [(of(ops, row), row.config) for row in rows]

    def outputs(given):
        return [function(*values, **config) for (function, config), values in zip(calls, given, strict=True)]

    compiled = torch.compile(outputs, fullgraph=True, backend="eager")
    for row, a, b in zip(rows, compiled(given), outputs(given), strict=True):
        for x, y in zip(flat(a), flat(b), strict=True):
            torch.testing.assert_close(x, y, equal_nan=True, msg=lambda text, row=row: f"{row}: {text}")


@pytest.mark.filterwarnings("error:Dynamo detected")
@pytest.mark.parametrize("first", range(0, len(COMPILED), TOGETHER))
def test_compiles_without_a_break(first, rng):
    rows = COMPILED[first : first + TOGETHER]
    given = [tensors(row.arrays(rng)) for row in rows]
    try:
        compiled_equals_eager(rows, given)
    except Exception:
        for row, values in zip(rows, given, strict=True):  # which one is it
            try:
                compiled_equals_eager([row], [values])
            except Exception as error:
                raise AssertionError(f"{row} does not compile as it computes: {error}") from error
        raise


# Sizes or the way taken lie in values; the output is no tensor; samples have draws of their own; a batch goes whole.
NOT_MAPPED = {"nonzero", "unique", "bincount", "cond", "while_loop", "ndim", "image.elastic_transform", "ctc_decode"}
# These take no tensor.
NOT_MAPPED |= set(
    """geomspace logspace linspace arange kaiser hanning hamming blackman bartlett tri identity eye array full ones
    zeros""".split()
)
FIRST = {row.op: row for row in reversed(ROWS) if row.op not in NOT_MAPPED}


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("row", FIRST.values(), ids=str)
def test_maps_over_a_batch(row, rng):
    """Under `torch.vmap`, as a loop over the batch."""
    samples = [tensors(row.arrays(rng)) for _ in range(2)]
    places = [i for i, x in enumerate(tree.flatten(samples[0])) if isinstance(x, torch.Tensor)]
    assert places, f"{row} takes no tensor: name its op in NOT_MAPPED"
    batch = [
        torch.stack(xs) for xs in zip(*([tree.flatten(sample)[i] for i in places] for sample in samples), strict=True)
    ]

    def function(*xs):
        leaves = tree.flatten(samples[0])
        for i, x in zip(places, xs, strict=True):
            leaves[i] = x
        return tuple(flat(of(ops, row)(*tree.pack_sequence_as(samples[0], leaves), **row.config)))

    mapped = torch.vmap(function, randomness="different")(*batch)
    for i in range(2):
        for a, b in zip(mapped, function(*(x[i] for x in batch)), strict=True):
            torch.testing.assert_close(a[i], b, equal_nan=True, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(OPS.keys() - COMING))
def test_every_op_is_in_keras_by_its_file_name(name):
    definition = OPS[name]
    module, class_name = registry.public_name(definition.operation_class)
    theirs = getattr(importlib.import_module(module), class_name)
    assert isinstance(theirs, type)
    accepted = inspect.signature(theirs.__init__).parameters
    extra = [n for n in definition.config if n not in accepted and n not in definition.later]
    assert not extra, f"{class_name} of Keras takes {list(accepted)}: {extra} belong to the call, see `call=` of @op"


def test_every_op_has_a_row():
    public = {name for name in OPS if "." in name or hasattr(ops, name)}
    assert sorted(public - {row.op for row in ROWS}) == []


def test_reasons_are_given():
    flags = ("gradient", "symbolic", "unknown", "compiled", "keras", "reads")
    assert [str(row) for row in ROWS if any(getattr(row, flag) is False for flag in flags)] == []
