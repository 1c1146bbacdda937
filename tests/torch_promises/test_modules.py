"""What torch users do to a module works on layers and models, with torch's meaning."""

from __future__ import annotations

import copy
import io
import pickle
import re

import pytest
import torch

from tests.torch_promises.cases import LAYERS, MODELS, built, leaves, randomize
from torchkeras.core import naming

rows = pytest.mark.parametrize("row", [*LAYERS, *MODELS], ids=lambda row: row.name)
models = pytest.mark.parametrize("row", MODELS, ids=lambda row: row.name)

TORCH_LACKS_HALF = {"AveragePooling3D"}  # on CPUs


def assert_same(got, wanted, **tolerances):
    for one, other in zip(leaves(got), leaves(wanted), strict=True):
        torch.testing.assert_close(one, other, **tolerances)


@rows
def test_state_dict_names_each_weight_once(row):
    module = built(row)
    state = module.state_dict()
    assert all(re.fullmatch(r"\w+(\.\w+)*", name) for name in state), list(state)
    named = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    assert set(state) <= set(named)
    places = [tensor.data_ptr() for tensor in state.values() if tensor.numel()]
    assert len(places) == len(set(places)), list(state)
    own = [w for w in getattr(module, "weights", []) if w.numel()]
    assert {w.data_ptr() for w in own} <= set(places)


@rows
def test_a_strict_load_gives_the_same_outputs(row):
    module = built(row)
    randomize(module)
    inputs = row.draw(4)
    wanted = module(*inputs)
    naming.reset_names()
    other = built(row)
    other.load_state_dict(module.state_dict(), strict=True)
    assert_same(other(*inputs), wanted)


@rows
def test_a_state_dict_travels_through_a_file_that_holds_no_code(row):
    module = built(row)
    randomize(module)
    file = io.BytesIO()
    torch.save({name: tensor.detach().as_subclass(torch.Tensor) for name, tensor in module.state_dict().items()}, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    assert loaded.keys() == module.state_dict().keys()
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(loaded[name], tensor.detach().as_subclass(torch.Tensor), rtol=0, atol=0)


@models
def test_a_strict_load_refuses_what_does_not_fit(row):
    state = built(row).state_dict()
    lacking = dict(list(state.items())[1:])
    with pytest.raises(RuntimeError, match="Missing key"):
        built(row).load_state_dict(lacking)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        built(row).load_state_dict({**state, "another": torch.zeros(1)})


@rows
def test_functional_call_uses_the_weights_it_is_given(row):
    module = built(row)
    if not list(module.parameters()):
        pytest.skip("no weights")
    inputs = row.draw(4)
    before = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    weights = {
        name: torch.rand_like(tensor) * 0.5 + 0.25 if tensor.is_floating_point() else tensor.clone()
        for name, tensor in before.items()
    }
    got = torch.func.functional_call(module, weights, inputs)
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
    module.load_state_dict(weights)
    assert_same(got, module(*inputs))


@models
def test_gradients_by_torch_func_equal_backward(row):
    module, inputs = built(row), row.draw(4)
    weights = {name: tensor.detach() for name, tensor in module.named_parameters()}

    def loss(weights):
        return torch.func.functional_call(module, weights, inputs).square().mean()

    got = torch.func.grad(loss)(weights)
    module(*inputs).square().mean().backward()
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(got[name], parameter.grad)


@rows
def test_to_a_float_type_computes_in_it(row):
    for dtype in (torch.float64,) if row.name in TORCH_LACKS_HALF else (torch.float64, torch.float16):
        module = built(row).half() if dtype == torch.float16 else built(row).to(dtype)
        inputs = [_cast(value, dtype) for value in row.draw(3)]
        floats = {tensor.dtype for tensor in module.state_dict().values() if tensor.is_floating_point()}
        assert floats <= {dtype}
        assert all(leaf.dtype == dtype for leaf in leaves(module(*inputs)) if leaf.is_floating_point())


def _cast(value, dtype):
    if isinstance(value, list):
        return [_cast(item, dtype) for item in value]
    if isinstance(value, dict):
        return {key: _cast(item, dtype) for key, item in value.items()}
    return value.to(dtype) if value.is_floating_point() else value


@rows
def test_a_deep_copy_is_equal_and_apart(row):
    module, inputs = built(row), row.draw(3)
    randomize(module)
    wanted = module(*inputs)
    other = copy.deepcopy(module)
    assert_same(other(*inputs), wanted)
    assert other.state_dict().keys() == module.state_dict().keys()
    with torch.no_grad():
        for tensor in other.parameters():
            tensor.add_(1.0)
    assert_same(module(*inputs), wanted)


@rows
def test_pickle_keeps_everything(row):
    if row.name == "Lambda":
        pytest.skip("functions of a test can't be pickled")
    module, inputs = built(row), row.draw(3)
    randomize(module)
    wanted = module(*inputs)
    other = pickle.loads(pickle.dumps(module))
    assert_same(other(*inputs), wanted)
    assert [p.requires_grad for p in other.parameters()] == [p.requires_grad for p in module.parameters()]


@rows
def test_hooks_see_each_call(row):
    module, inputs, seen = built(row), row.draw(3), []
    handles = [
        module.register_forward_pre_hook(lambda *_: seen.append("before")),
        module.register_forward_hook(lambda *_: seen.append("after")),
    ]
    module(*inputs)
    assert seen == ["before", "after"]
    for handle in handles:
        handle.remove()
    module(*inputs)
    assert len(seen) == 2


@models
def test_a_forward_hook_may_replace_the_output(row):
    module = built(row)
    module.register_forward_hook(lambda module, inputs, output: output * 0 + 7)
    assert (module(*row.draw(3)) == 7).all()


@models
def test_backward_hooks_of_sublayers_fire(row):
    module, seen = built(row), set()
    for name, child in module.named_modules():
        if list(child.parameters(recurse=False)):
            child.register_full_backward_hook(lambda m, i, o, name=name: seen.add(name))
    with_weights = {name for name, child in module.named_modules() if list(child.parameters(recurse=False))}
    module(*row.draw(3)).sum().backward()
    # The container of a list attribute is never called itself, and the layers inside attention only hold weights.
    assert seen and seen <= with_weights


@models
def test_train_and_eval_mean_what_torch_says(row):
    module = built(row)
    module.train()
    assert all(child.training for child in module.modules())
    module.eval()
    assert not any(child.training for child in module.modules())


@models
def test_zero_grad_requires_grad_and_apply(row):
    module = built(row)
    module(*row.draw(3)).sum().backward()
    assert all(p.grad is not None for p in module.parameters())
    module.zero_grad()
    assert all(p.grad is None for p in module.parameters())
    module.requires_grad_(False)
    assert not module(*row.draw(3)).requires_grad
    seen = []
    module.apply(seen.append)
    assert seen[-1] is module and len(seen) == len(list(module.modules()))


@models
def test_a_torch_optimizer_trains_it(row):
    module, inputs = built(row), row.draw(4)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-5)
    before = module(*inputs).square().mean()
    before.backward()
    optimizer.step()
    assert module(*inputs).square().mean() < before


@models
@pytest.mark.parametrize("assign", [False, True])
def test_moving_to_meta_and_back_keeps_weights_known(row, assign):
    module = built(row)
    paths = [getattr(weight, "path", None) for weight in module.weights]  # a torch module's own have none
    empty = copy.deepcopy(module).to("meta")
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    if not assign:
        empty = empty.to_empty(device="cpu")
    empty.load_state_dict(state, assign=assign)
    inputs = row.draw(3)
    assert_same(empty(*inputs), module(*inputs))
    assert [getattr(weight, "path", None) for weight in empty.weights] == paths


@models
@pytest.mark.parametrize("inside", [False, True], ids=["layer", "torch module"])
def test_assigned_weights_bring_their_type(row, inside):
    module = built(row)
    wanted = copy.deepcopy(module).double()
    holder = torch.nn.ModuleDict({"part": module}).eval() if inside else module
    holder.load_state_dict(_cast(dict(holder.state_dict()), torch.float64), assign=True)
    assert [type(weight) for weight in module.parameters()] == [type(weight) for weight in wanted.parameters()]
    inputs = [_cast(value, torch.float64) for value in row.draw(3)]
    assert_same(module(*inputs), wanted(*inputs))
