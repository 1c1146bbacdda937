"""Every private name of torch that the package uses, under a plain name: no other file names one.

A line says where torch has the thing, the last torch in which we saw it there, a replacement made of torch's public
functions, and the reason for the private one. A torch that no longer has it gets the replacement, which computes the
same and is slower (or says "perhaps" where the private function knows). `TORCHKERAS_TORCH_INTERNALS=0` in the
environment takes the replacements everywhere, to find out whether a private function is to blame for something.
"""

from __future__ import annotations

import functools
import importlib
import os
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch

from torchkeras.core import torch_replacements as replacements
from torchkeras.core.torch_replacements import foreach, unknown


class Private(NamedTuple):
    """A private object of torch: where it is, where we saw it last, what replaces it, why it is used."""

    path: str
    seen: str
    replacement: Any
    reason: str
    found: bool


PRIVATE: dict[str, Private] = {}
_ALLOWED = os.environ.get("TORCHKERAS_TORCH_INTERNALS", "1") != "0"


def find(path: str) -> Any:
    """The object with that dotted path in torch.

    Raises:
        AttributeError: this torch has none.
    """
    names = path.split(".")
    try:
        return functools.reduce(getattr, names[1:], torch)
    except AttributeError:
        for end in (len(names), len(names) - 1):
            try:
                return functools.reduce(getattr, names[end:], importlib.import_module(".".join(names[:end])))
            except (ImportError, AttributeError):
                continue
        raise AttributeError(f"torch {torch.__version__} has no {path}.") from None


def _private(path: str, seen: str, replacement: Any, reason: str) -> Any:
    """The object of torch itself (no wrapper, so calls cost nothing more), or the replacement."""
    result, found = replacement, False
    if _ALLOWED:
        try:
            result, found = find(path), True
        except AttributeError:
            pass
    PRIVATE[path] = Private(path, seen, replacement, reason, found)
    return result


# fmt: off
# One kernel for all weights, where Python would loop; torch.optim's public optimizers run on the same functions.
_LOOP = "one kernel for many tensors"
foreach_abs        = _private("torch._foreach_abs",        "2.13", foreach("abs"),         _LOOP)
foreach_add        = _private("torch._foreach_add",        "2.13", foreach("add"),         _LOOP)
foreach_add_       = _private("torch._foreach_add_",       "2.13", foreach("add_"),        _LOOP)
foreach_addcdiv_   = _private("torch._foreach_addcdiv_",   "2.13", foreach("addcdiv_"),    _LOOP)
foreach_addcmul_   = _private("torch._foreach_addcmul_",   "2.13", foreach("addcmul_"),    _LOOP)
foreach_clamp_max  = _private("torch._foreach_clamp_max",  "2.13", foreach("clamp_max"),   _LOOP)
foreach_clamp_max_ = _private("torch._foreach_clamp_max_", "2.13", foreach("clamp_max_"),  _LOOP)
foreach_clamp_min  = _private("torch._foreach_clamp_min",  "2.13", foreach("clamp_min"),   _LOOP)
foreach_clamp_min_ = _private("torch._foreach_clamp_min_", "2.13", foreach("clamp_min_"),  _LOOP)
foreach_copy_      = _private("torch._foreach_copy_",      "2.13", foreach("copy_"),       _LOOP)
foreach_div        = _private("torch._foreach_div",        "2.13", foreach("div"),         _LOOP)
foreach_div_       = _private("torch._foreach_div_",       "2.13", foreach("div_"),        _LOOP)
foreach_lerp_      = _private("torch._foreach_lerp_",      "2.13", foreach("lerp_"),       _LOOP)
foreach_maximum_   = _private("torch._foreach_maximum_",   "2.13", foreach("maximum_"),    _LOOP)
foreach_mul        = _private("torch._foreach_mul",        "2.13", foreach("mul"),         _LOOP)
foreach_mul_       = _private("torch._foreach_mul_",       "2.13", foreach("mul_"),        _LOOP)
foreach_norm       = _private("torch._foreach_norm",       "2.13", foreach("norm"),        _LOOP)
foreach_pow        = _private("torch._foreach_pow",        "2.13", foreach("pow"),         _LOOP)
foreach_recip_     = _private("torch._foreach_reciprocal_", "2.13", foreach("reciprocal_"), _LOOP)
foreach_sign_      = _private("torch._foreach_sign_",      "2.13", foreach("sign_"),       _LOOP)
foreach_sqrt       = _private("torch._foreach_sqrt",       "2.13", foreach("sqrt"),        _LOOP)
foreach_sqrt_      = _private("torch._foreach_sqrt_",      "2.13", foreach("sqrt_"),       _LOOP)
foreach_sub        = _private("torch._foreach_sub",        "2.13", foreach("sub"),         _LOOP)
foreach_sub_       = _private("torch._foreach_sub_",       "2.13", foreach("sub_"),        _LOOP)
foreach_zero_      = _private("torch._foreach_zero_",      "2.13", foreach("zero_"),       _LOOP)

_STEP = "a whole optimizer step in one kernel; torch.optim would keep state and step counts of its own"
fused_adam_  = _private("torch._fused_adam_",  "2.13", replacements.fused_adam_,  _STEP)
fused_adamw_ = _private("torch._fused_adamw_", "2.13", replacements.fused_adamw_, _STEP)
fused_sgd_   = _private("torch._fused_sgd_",   "2.13", replacements.fused_sgd_,   _STEP)

# Losses without the checks of torch.nn.functional, which cost four times the kernel on a small batch.
_CHECKS = "the kernel without 2 microseconds of checks"
mse_loss             = _private("torch._C._nn.mse_loss",             "2.13", replacements.mse_loss,             _CHECKS)
l1_loss              = _private("torch._C._nn.l1_loss",              "2.13", replacements.l1_loss,              _CHECKS)
binary_cross_entropy = _private("torch._C._nn.binary_cross_entropy", "2.13", replacements.binary_cross_entropy, _CHECKS)

unflatten = _private("torch._C._nn.unflatten_dense_tensors", "2.13", replacements.unflatten, "one call for many views")

# oneDNN's product and convolution. Without the private function, which has no replacement, the fast path is shut.
onednn_linear = _private("torch.ops.mkldnn._linear_pointwise", "2.13", None, "twice as fast as MKL on AMD's AVX-512")

onednn_convolution = _private("torch.ops.mkldnn._convolution_pointwise", "2.13", None, "applies the activation as well")

_RNN = "torch.lstm is taken apart in compiled graphs"
onednn_rnn          = _private("torch.ops.aten.mkldnn_rnn_layer.default",          "2.13", None, _RNN)
onednn_rnn_backward = _private("torch.ops.aten.mkldnn_rnn_layer_backward.default", "2.13", None, _RNN)

# Products with quantized weights. Without the private function they are computed in floats.
_INTEGERS = "the only kernels of torch for products of integers"
int_mm    = _private("torch._int_mm",                  "2.13", None, _INTEGERS)
int_mm_op = _private("torch.ops.aten._int_mm.default", "2.13", None, "exporters know the kernel by its operator")
left_shift_op  = _private("torch.ops.aten.__lshift__.Scalar", "2.13", None, "the operator of `x << 4` in a program")
right_shift_op = _private("torch.ops.aten.__rshift__.Scalar", "2.13", None, "the operator of `x >> 4` in a program")
scaled_mm = _private("torch._scaled_mm",               "2.14", None, "multiplies 8-bit floats; torch 2.9 has it alone")

# Questions about the state of torch. `unknown` says "perhaps" where no public function knows: callers go the slow way.
_QUICK = "a thirtieth of the public question's time"
onednn_enabled = _private("torch._C._get_mkldnn_enabled", "2.13", replacements.onednn_enabled, _QUICK)
tracing_state  = _private("torch._C._get_tracing_state",  "2.13", replacements.tracing_state,  _QUICK)

_NONE = "there is no public function"
count_function_modes   = _private("torch._C._len_torch_function_stack",             "2.13", unknown(1),    _NONE)
count_dispatch_modes   = _private("torch._C._len_torch_dispatch_stack",             "2.13", unknown(1),    _NONE)
in_functorch_transform = _private("torch._C._are_functorch_transforms_active",      "2.13", unknown(True), _NONE)
is_functorch_wrapped   = _private("torch._C._functorch.is_functorch_wrapped_tensor", "2.13", unknown(True), _NONE)
forward_ad             = _private("torch.autograd.forward_ad",                      "2.13", None,          _NONE)
has_any_global_hook    = _private("torch.nn.modules.module._has_any_global_hook",   "2.13", unknown(True), _NONE)

_SEED = "takes a generator, as torch.distributions does not"
standard_gamma   = _private("torch._standard_gamma",   "2.13", replacements.standard_gamma,   _SEED)
sample_dirichlet = _private("torch._sample_dirichlet", "2.13", replacements.sample_dirichlet, _SEED)

make_subclass = _private("torch.Tensor._make_subclass", "2.13", replacements.make_subclass, "nn.Parameter's own way")
while_loop    = _private("torch._higher_order_ops.while_loop.while_loop", "2.13", replacements.while_loop, _NONE)
DispatchMode  = _private("torch.utils._python_dispatch.TorchDispatchMode", "2.13", replacements.FunctionMode, _NONE)
get_default_store = _private("torch.distributed.distributed_c10d._get_default_store", "2.13", replacements.store, _NONE)
tensor_version = _private("torch.Tensor._version", "2.13", replacements.no_version, _NONE)
_end_allocate_to_pool = _private("torch._C._cuda_endAllocateToPool", "2.14", replacements.refuse, _NONE)
_release_pool = _private("torch._C._cuda_releasePool", "2.14", replacements.refuse, _NONE)
is_in_bad_fork = _private("torch.cuda._is_in_bad_fork", "2.14", unknown(False), _NONE)
_functorch    = _private("torch._functorch.config", "2.13", None, "holds check_custom_op_aliasing")
# fmt: on


class UncompiledDispatchMode(DispatchMode):  # type: ignore[misc, valid-type]
    """A `DispatchMode` that only runs outside of compiled code.

    To keep a mode's method out of compiled code, torch 2.13 imports its compiler when the mode is first used, which
    takes seconds, unless the class says that this is not needed.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


def version_of(tensor: torch.Tensor) -> object:
    """A value that differs after each change of the tensor in place; without a count, a new value every time."""
    return object() if tensor.is_inference() else tensor_version.__get__(tensor)


def leave_pool(device_index: int, pool: tuple[int, int]) -> bool:
    """Let torch's allocator forget a capture as a CUDA graph that failed, if it has not forgotten it already.

    Torch (2.14) leaves it open after a capture that CUDA refused to end. Memory that several streams use would never
    be given out again, and the pool's memory never be freed.

    Args:
        device_index: the number of the CUDA device.
        pool: the pool into which the step was captured.

    Returns:
        Whether the capture was still open.
    """
    try:
        _end_allocate_to_pool(device_index, pool)
    except RuntimeError:  # it was ended, or it never began
        return False
    _release_pool(device_index, pool)
    return True


def clear_cublas_workspaces() -> None:
    """Let cuBLAS ask torch's allocator for its workspaces again. A torch built for CUDA (2.14) alone has any."""
    try:
        clear = find("torch._C._cuda_clearCublasWorkspaces")
    except AttributeError:
        return
    clear()


def graph_break_error() -> type[Exception]:
    """The error of `torch.compile(fullgraph=True)` for code that can't be in its graph. Loads the compiler.

    Torch (2.13) has it in a private module. A torch without it gets a class that no error has.
    """
    return _compiler_error("Unsupported")


def data_dependent_error() -> type[Exception]:
    """The error of `torch.compile` for a choice that depends on data, around which no graph can be broken."""
    return _compiler_error("UserError")


def too_often_compiled_error() -> type[Exception]:
    """The error of `torch.compile(fullgraph=True)` for a function that it compiled eight times already."""
    return _compiler_error("FailOnRecompileLimitHit")


@contextmanager
def tracing_changed_integers() -> Iterator[None]:
    """Inside, `torch.compile` may take an integer attribute of a module, once it changed, as one that changes again.

    By default it compiles for each value, up to eight of them.
    """
    try:
        change = find("torch._dynamo.config.patch")(allow_unspec_int_on_nn_module=True)
    except AttributeError:  # torch 2.13 has both names
        change = nullcontext()
    with change:
        yield


def compiler_error() -> type[Exception]:
    """The base of the errors that `torch.compile` raises while it compiles. Loads the compiler."""
    return _compiler_error("TorchDynamoException")


class CompiledCode(NamedTuple):
    """Code that `torch.compile` made of a method."""

    run: Callable[..., Any]
    """The code as a function with the method's arguments, without `self`. It evaluates no guards."""
    guards_hold: Callable[[dict[str, Any]], bool]
    """Whether the code serves for a call that begins with these local variables."""


def newest_compiled_code(method: types.MethodType) -> CompiledCode | None:
    """The code that the last call of a method through `torch.compile(method, fullgraph=True)` ran.

    Torch (2.13) keeps the code that it made of a function in a list, the one that ran last in front.

    Returns:
        The code; `None` where this torch keeps it elsewhere, or the call ran uncompiled.
    """
    function = method.__func__
    try:
        entries = find("torch._dynamo.eval_frame._debug_get_cache_entry_list")
        code = entries(function.__code__)[0].code
    except (AttributeError, IndexError):
        return None
    if not _ALLOWED or code.co_freevars != function.__code__.co_freevars:
        return None

    def guards_hold(variables: dict[str, Any]) -> bool:
        # Looked up each time: torch throws guards away when an object that they know is gone.
        return any(e.code is code and e.guard_manager.check(variables) for e in entries(function.__code__))

    made = types.FunctionType(code, function.__globals__, code.co_name, function.__defaults__, function.__closure__)
    return CompiledCode(types.MethodType(made, method.__self__), guards_hold)


def default_compiler() -> Callable[..., Any]:
    """The compiler behind `torch.compile`, a function of a graph and examples of its inputs. Loads it (torch 2.13)."""
    try:
        return find("torch._inductor.compile_fx.compile_fx")
    except AttributeError:
        return replacements.compile_nothing


@contextmanager
def outside_of_tracing() -> Iterator[None]:
    """Inside, tensors are real ones, also while `torch.compile` traces code with tensors without values (2.13)."""
    with find("torch._subclasses.fake_tensor.unset_fake_temporarily")():
        yield


def compiler_pass(change: Callable[[torch.fx.Graph], None], name: str) -> Any:
    """A function that changes graphs, as torch's compiler takes it among its options (torch 2.13). Loads the compiler.

    Args:
        change: the function, which is called for each graph of ATen operators.
        name: names what the function does, for the compiler's files of compiled code.

    Returns:
        The pass; `None` where this torch has none.
    """
    if not _ALLOWED:
        return None
    try:
        base: Any = find("torch._inductor.custom_graph_pass.CustomGraphPass")
        find("torch._inductor.config.post_grad_custom_post_pass")
    except AttributeError:
        return None

    class Pass(base):
        def __call__(self, graph: torch.fx.Graph) -> None:
            change(graph)

        def uuid(self) -> str:
            return name

    return Pass()


def traces_backward() -> bool:
    """Whether `tracing_backward` has an effect. Loads the compiler."""
    try:
        return hasattr(find("torch._dynamo.config"), "trace_autograd_ops") and all(map(find, _OF_TRACED_BACKWARD))
    except AttributeError:
        return False


_OF_TRACED_BACKWARD = (
    "torch._dynamo.variables.torch_function.banned_attrs",
    "torch._dynamo.variables.tensor.TensorVariable.method_attr_grad",
)


@contextmanager
def tracing_backward() -> Iterator[None]:
    """Inside, `torch.compile` takes `backward()` and `torch.autograd.grad()` into its graph. Loads the compiler.

    Torch 2.13 has a private switch for that. Its list of attributes that the compiler does not read of subclasses of
    Tensor holds `grad`, though the code behind the list reads it right. And a `grad` of `None` that was set in traced
    code gives the compiler's one constant `None` a place in memory, from which other code then reads it. A torch
    without one of these names breaks its graph at such calls.
    """
    if not traces_backward():
        yield
        return
    banned, variable = find(_OF_TRACED_BACKWARD[0]), find(_OF_TRACED_BACKWARD[1].rpartition(".")[0])
    read_grad = variable.method_attr_grad

    def read_with_none_of_its_own(self: Any, tx: Any) -> Any:
        found = read_grad(self, tx)
        return found.clone() if found is not None and found.is_python_constant() else found

    was_banned = "grad" in banned
    if was_banned:
        banned.remove("grad")
    variable.method_attr_grad = read_with_none_of_its_own
    try:
        with find("torch._dynamo.config").patch(trace_autograd_ops=True):
            yield
    finally:
        variable.method_attr_grad = read_grad
        if was_banned:
            banned.append("grad")


def _compiler_error(name: str) -> type[Exception]:
    try:
        return find(f"torch._dynamo.exc.{name}")
    except AttributeError:
        return replacements.NoError


def argument_names(function: Any, args: tuple[Any, ...]) -> list[str]:
    """The names of the positional arguments of a function that `DispatchMode` hands over."""
    schema = getattr(function, "_schema", None)  # torch 2.13; public only as text
    return replacements.argument_names(function, args) if schema is None else [a.name for a in schema.arguments]


def set_compiled_call(module: torch.nn.Module, call: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Let `module(...)` run another function, as `nn.Module.compile` does; return the one that was in its place.

    Torch 2.13 looks for it in the attribute `_compiled_call_impl`. A torch that does not look runs the module as it is.

    Args:
        module: the module.
        call: the function, with the arguments of `module(...)`; `None`: nothing but the module's own call.
    """
    before = module.__dict__.pop("_compiled_call_impl", None)
    if call is not None:
        module.__dict__["_compiled_call_impl"] = call
    return before


def compiled_call(module: torch.nn.Module) -> Callable[..., Any] | None:
    """The function of `set_compiled_call`, or that of `nn.Module.compile`."""
    return module.__dict__.get("_compiled_call_impl")


def call_uncompiled(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
    """The result of `module(...)`, hooks included, without the function of `set_compiled_call` (torch 2.13)."""
    return module._call_impl(*args, **kwargs)


def constant_result(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: compiled code keeps the result that `function` had when it was compiled.

    `torch.compiler.assume_constant_result` sets the same mark (torch 2.13), but imports the whole compiler for it.
    """
    if not _ALLOWED:
        return torch.compiler.assume_constant_result(function)
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def allow_aliasing_custom_ops() -> None:
    """Switch off a check of compiled graphs, in their first run, for custom operators that return their inputs.

    The check (torch 2.13) runs no operator at all on a subclass of Tensor that is no Parameter. A setting holds for the
    thread that makes it; therefore the default, which all threads have, changes as well.
    """
    name = "check_custom_op_aliasing"
    if hasattr(_functorch, name):
        setattr(_functorch, name, False)
        entry = getattr(_functorch, "_config", {}).get(name)
        if hasattr(entry, "default"):
            entry.default = False  # type: ignore[union-attr]


def aoti_compile_and_package(program: Any, path: str, inductor_configs: dict[str, Any] | None) -> None:
    """Compile an ExportedProgram ahead of time into a package; torch 2.13 has no public name for it.

    Not in the table above: reading the name imports the whole compiler.
    """
    find("torch._inductor.aoti_compile_and_package")(program, package_path=path, inductor_configs=inductor_configs)
