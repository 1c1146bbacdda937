"""`@op`: what a decorated function gets, whatever it is called with."""

from __future__ import annotations

import inspect
import pickle
import threading
import traceback
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import torchkeras
from torchkeras import ops
from torchkeras.core.operations.op import OPS, op


@pytest.fixture
def decorated():
    """Ops made by a test, taken off the registry afterwards."""
    before = dict(OPS)
    yield op
    OPS.clear()
    OPS.update(before)


def test_the_signature_and_words_stay(decorated):
    def shifted(x: Tensor, by: float = 1.0, *, twice: bool = False) -> Tensor:
        """Moved."""
        return x + by * (2 if twice else 1)

    made = decorated(shifted)
    assert inspect.signature(made) == inspect.signature(shifted)
    assert (made.__name__, made.__doc__, made.__module__) == ("shifted", "Moved.", __name__)
    for call in (lambda f: f([1.0, 2.0], 2.0, twice=True), lambda f: f(x=torch.tensor([1.0, 2.0]), by=2, twice=True)):
        torch.testing.assert_close(call(made), torch.tensor([5.0, 6.0]))
    with pytest.raises(TypeError, match="positional"):
        made(torch.ones(1), 1.0, True)


DTYPES = {
    # rule, arguments, the types in which they arrive
    "keep a type": ("keep", (torch.ones(1, dtype=torch.int8), np.ones(1)), (torch.int8, torch.float64)),
    "floats stay": ("float", (torch.ones(1, dtype=torch.float16), torch.ones(1)), (torch.float16, torch.float32)),
    "integers become floats": ("float", (torch.ones(1, dtype=torch.int64), [True]), (torch.float32, torch.float32)),
    "common": ("common", (torch.ones(1, dtype=torch.int8), torch.ones(1).half()), (torch.float16, torch.float16)),
    "weak numbers": ("common", (torch.ones(1, dtype=torch.bfloat16), 2.5), (torch.bfloat16, torch.bfloat16)),
    "a weak number first": ("common", (2, torch.ones(1, dtype=torch.uint8)), (torch.uint8, torch.uint8)),
    "integer beside a float": ("common", (torch.ones(1, dtype=torch.int32), 0.5), (torch.float32, torch.float32)),
    "numbers alone": ("common", (1, 2.0), (torch.float32, torch.float32)),
    "common float": ("common_float", (torch.ones(1, dtype=torch.int32), 2), (torch.float32, torch.float32)),
}


@pytest.mark.parametrize("rule, given, wanted", DTYPES.values(), ids=DTYPES.keys())
def test_arguments_arrive_as_tensors_of_the_rules_type(decorated, rule, given, wanted):
    seen: list[Any] = []

    def probe(x1: Tensor, x2: Tensor) -> Tensor:
        seen.extend((x1, x2))
        return x1

    decorated(probe, dtype=rule)(*given)
    assert all(isinstance(x, Tensor) for x in seen)
    assert tuple(x.dtype for x in seen) == wanted


@pytest.mark.parametrize("rule", ["common", "common_float"])
@pytest.mark.parametrize("number", [True, 2, 2.5])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.int64, torch.float16, torch.float32])
def test_a_number_beside_a_tensor_gives_what_a_tensor_of_it_gives(decorated, rule, number, dtype):
    def total(x1: Tensor, x2: Tensor) -> Tensor:
        return torch.add(x1, x2)

    x = torch.tensor([1, 0], dtype=dtype)
    quick, plain = decorated(total, dtype=rule, scalar=True), decorated(total, dtype=rule)
    assert quick(x, number).dtype == plain(x, number).dtype
    torch.testing.assert_close(quick(x, number), plain(x, number))


def test_lists_and_any_number_of_tensors_share_one_type(decorated):
    def joined(xs: list[Tensor], axis: int = 0) -> Tensor:
        return torch.cat(xs, axis)

    def totalled(factor: float, *xs: Tensor) -> Tensor:
        return factor * sum(xs)

    joined, totalled = decorated(joined, dtype="common"), decorated(totalled, dtype="common")
    assert joined([torch.ones(1, dtype=torch.int32), [2.5], np.ones(1, "float16")]).dtype == torch.float32
    torch.testing.assert_close(totalled(2.0, torch.ones(1), 3), torch.tensor([8.0]))


def test_weights_are_tensors_and_keep_their_gradient():
    weight = torchkeras.Variable(np.ones(3, "float32"))
    ops.sum(ops.multiply(weight, 2.0)).backward()
    torch.testing.assert_close(weight.grad, torch.full((3,), 2.0))


def test_a_traceback_shows_the_line_of_the_dispatcher():
    with pytest.raises(RuntimeError) as raised:
        ops.matmul(torch.ones(2, 3), torch.ones(2, 3))
    lines = [(frame.filename, frame.line) for frame in traceback.extract_tb(raised.tb)]
    assert ("<op matmul of products.py>", "return _function(x1, x2)") in [
        (name, line) for name, line in lines if name.startswith("<op")
    ]


def test_no_two_ops_share_a_file_name():
    assert len({definition.dispatcher.__code__.co_filename for definition in OPS.values()}) == len(
        {definition.function for definition in OPS.values()}
    )


def test_annotations_that_only_mention_tensors_are_config(decorated):
    def chosen(x: Tensor, others: Sequence[Tensor] = (), of: Tensor | str | None = None) -> Tensor:  # noqa: F821
        return x

    decorated(chosen)
    assert (OPS["chosen"].tensors, OPS["chosen"].config) == (["x"], ["others", "of"])


def test_an_error_has_a_note_of_the_call():
    with pytest.raises(IndexError) as caught:
        ops.sum(torch.ones(2, 3), axis=5)
    assert caught.value.__notes__ == ["In ops.sum(x=<float32 (2, 3)>, axis=5, keepdims=False)."]
    with pytest.raises(RuntimeError) as caught:
        ops.add(torch.ones(2), torch.ones(3))
    assert "x1=<float32 (2,)>, x2=<float32 (3,)>" in caught.value.__notes__[0]


def test_an_error_that_is_made_clearer_has_a_note_of_the_call_too():
    with pytest.raises(ValueError, match="Incompatible") as caught:
        ops.solve(torch.eye(3), torch.ones(4, 2))
    assert "a=<float32 (3, 3)>, b=<float32 (4, 2)>" in caught.value.__notes__[0]
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_symbolic_error_says_the_shapes():
    x, y = torchkeras.Input(batch_shape=(2, 3)), torchkeras.Input(batch_shape=(4, 5))
    with pytest.raises(ValueError, match=r"matmul\(\).*\(2, 3\), \(4, 5\)"):
        ops.matmul(x, y)


SHAPES = {
    "a vector of sizes": (lambda sizes: sizes, (None, None), (3, 4)),
    "sizes among numbers": (lambda sizes: (2, sizes[0], -1), (2, None, None), (2, 3, 2)),
}


@pytest.mark.parametrize("newshape, spec, shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_symbol_among_the_config_is_an_argument_of_the_call(newshape, spec, shape, rng, tmp_path):
    x = torchkeras.Input(batch_shape=(2, 6))
    sizes = torchkeras.Input(batch_shape=(2,), dtype="int32")
    y = ops.reshape(x, newshape(sizes))
    assert y.shape == spec
    model = torchkeras.Model([x, sizes], y)
    model.save(tmp_path / "model.keras")
    values = torch.tensor(rng.normal(size=(2, 6)), dtype=torch.float32)
    for built in (model, torchkeras.saving.load_model(tmp_path / "model.keras")):
        torch.testing.assert_close(built([values, torch.tensor([3, 4])]), values.reshape(shape))


def test_a_symbol_may_stand_for_config_that_has_a_default():
    images, size = torchkeras.KerasTensor((4, 5, 3)), torchkeras.KerasTensor((2,), "int32")
    assert ops.image.gaussian_blur(images, kernel_size=size).shape == (4, 5, 3)


def test_a_symbolic_shape_needs_a_length():
    with pytest.raises(ValueError, match="vector of known length"):
        ops.reshape(torchkeras.KerasTensor((2, 6)), torchkeras.KerasTensor((None,), "int32"))


def test_ops_are_pickled_by_name():
    for name, function in ((n, getattr(ops, n)) for n in OPS if hasattr(ops, n)):
        assert pickle.loads(pickle.dumps(function)) is function, name


def test_threads_share_the_ops():
    results = []
    threads = [
        threading.Thread(target=lambda i=i: results.append(float(ops.sum(ops.add(torch.ones(i), 1))))) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [2.0 * i for i in range(8)]
