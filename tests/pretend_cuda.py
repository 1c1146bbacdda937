"""A pretended CUDA device, with values: it finds without a GPU where CPU and GPU meet, and where the host waits.

Inside `pretended_cuda()` the library finds one CUDA device. Its tensors lie on the CPU under a label, by their storage:
`tensor.device` is `cuda:0`, and operations give the numbers of the CPU. As on a real device an operation on tensors of
both places is an error, `numpy()` of a tensor of the device is one, too, and `waits` notes each operation for which
the host would wait: a value that is read, a shape that depends on values, a copy that is not `non_blocking`.

It knows nothing of kernels: not of types that CUDA's kernels lack, of their numbers, or of the order of streams. With a
torch that was built for CUDA (no GPU is needed) it also refuses operations that have no kernel there.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest import mock

import torch
import torch.utils._device
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from torchkeras.core import tree
from torchkeras.core.tensors import devices

CUDA = torch.device("cuda", 0)
CPU = torch.device("cpu")
_Tensor = torch.Tensor

# The host must know a value, or the shape of a result that depends on values.
_READS = {
    "_local_scalar_dense", "nonzero", "masked_select", "unique_dim", "_unique", "_unique2", "unique_consecutive",
    "unique_dim_consecutive", "is_nonzero", "equal", "bincount", "_linalg_check_errors",
    "_linalg_svd", "_linalg_eigh", "linalg_eig", "_linalg_eigvals", "linalg_lstsq", "_ctc_loss", "histc",
}  # fmt: skip
_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
_MAKERS = {
    "tensor", "as_tensor", "asarray", "from_numpy", "zeros", "ones", "full", "empty", "arange", "linspace", "logspace",
    "eye", "rand", "randn", "randint", "randperm", "normal", "tril_indices", "triu_indices", "empty_strided", "range",
    "hann_window", "hamming_window", "bartlett_window", "blackman_window", "kaiser_window", "scalar_tensor",
    "frombuffer", "complex", "polar",
}  # fmt: skip
_DRAWS = {
    "rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson", "binomial", "dropout",
    "uniform_", "normal_", "random_", "bernoulli_", "exponential_", "_standard_gamma", "_sample_dirichlet", "rand_like",
    "randn_like", "randint_like",
}  # fmt: skip
# They have no deterministic kernel on CUDA, so torch refuses them when it is asked for deterministic ones. The list is
# that of `torch.use_deterministic_algorithms` in torch 2.9; later ones have kernels for some of them.
_UNORDERED = {
    "cumsum", "histc", "kthvalue", "median", "put_", "nll_loss2d_forward", "_ctc_loss_backward", "avg_pool3d_backward",
    "max_pool3d_with_indices_backward", "_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward",
    "adaptive_max_pool2d_backward", "fractional_max_pool2d_backward", "fractional_max_pool3d_backward",
    "upsample_linear1d_backward", "upsample_bicubic2d_backward", "upsample_trilinear3d_backward",
    "reflection_pad1d_backward", "reflection_pad2d_backward", "reflection_pad3d_backward", "grid_sampler_2d_backward",
    "grid_sampler_3d_backward",
}  # fmt: skip
_WITH_A_KERNEL = (
    "CUDA", "CompositeExplicitAutograd", "CompositeImplicitAutograd", "CompositeExplicitAutogradNonFunctional",
)  # fmt: skip
_MISMATCH = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"


class Wait(NamedTuple):
    """A place where the host waits for the device."""

    operation: str
    where: str


def _tensors(nest: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree.flatten(nest) if isinstance(leaf, torch.Tensor)]


class Labels:
    """The device that each storage pretends to lie on; none for storages made before, or inside of torch."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[torch.device, StorageWeakRef]] = {}
        self._clean_at = 1000

    @staticmethod
    def _storage(tensor: torch.Tensor) -> Any:
        if tensor.layout is not torch.strided:
            tensor = tensor._values() if tensor.layout is torch.sparse_coo else tensor.values()
        return tensor.untyped_storage()

    def get(self, tensor: torch.Tensor) -> torch.device | None:
        with torch._C.DisableTorchFunction():
            if tensor.device.type != "cpu":
                return tensor.device
            found = self._of.get(self._storage(tensor)._cdata)
            return None if found is None else found[0]

    def set(self, tensor: torch.Tensor, device: torch.device) -> None:
        with torch._C.DisableTorchFunction():
            if tensor.device.type != "cpu":
                return
            storage = self._storage(tensor)
            self._of[storage._cdata] = device, StorageWeakRef(storage)
        if len(self._of) > self._clean_at:
            self._of = {key: value for key, value in self._of.items() if not value[1].expired()}
            self._clean_at = 2 * len(self._of) + 1000


class Machine:
    """A computer with one GPU, as far as this process believes.

    Attributes:
        waits: the places at which the host waited for the device, in their order.
        mixed: operations on tensors of both devices. Each one raised an error, which somebody may have caught.
        pageable: copies to the device from memory that is not pinned, which the host stages itself.
        draws: random numbers that the device's own generators draw, which are others than those of the CPU.
    """

    def __init__(self) -> None:
        self.labels = Labels()
        self.waits: list[Wait] = []
        self.mixed: list[Wait] = []
        self.pageable: list[Wait] = []
        self.draws: list[Wait] = []
        self.moves_to: torch.device | None = None  # while a copy to another device is made
        self.makes_on: torch.device | None = None  # while a tensor is made of nothing on a device
        self._pinned: dict[int, StorageWeakRef] = {}
        self.without_kernel: set[str] = set()
        self.knows_kernels = torch.backends.cuda.is_built()

    def wait(self, operation: str) -> None:
        self.waits.append(Wait(operation, _caller()))

    def refuse(self, operation: str) -> None:
        self.mixed.append(Wait(operation, _caller()))
        raise RuntimeError(f"{_MISMATCH} ({operation})")

    def device_of(self, tensor: torch.Tensor) -> torch.device:
        return self.labels.get(tensor) or CPU

    def pin(self, tensor: torch.Tensor) -> torch.Tensor:
        with torch._C.DisableTorchFunction():
            storage = tensor.untyped_storage()
            self._pinned[storage._cdata] = StorageWeakRef(storage)
        return tensor

    def is_pinned(self, tensor: torch.Tensor) -> bool:
        with torch._C.DisableTorchFunction():
            found = self._pinned.get(tensor.untyped_storage()._cdata)
        return found is not None and not found.expired()


def _caller() -> str:
    """The innermost line of the package (or of a test) that led here."""
    for frame, line in traceback.walk_stack(None):
        name = frame.f_code.co_filename
        if "pretend_cuda" not in name and ("torchkeras/" in name or "/tests/" in name):
            return f"{name.split('/torchkeras/')[-1]}:{line}"
    return ""


class _Operations(TorchDispatchMode):
    """Sees each operation of torch, also those of a backward pass."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        machine, name = self.machine, function.overloadpacket.__name__
        with torch._C.DisableTorchFunction():
            given = _tensors((args, kwargs))
            places = [machine.labels.get(tensor) for tensor in given]
            on_cuda = CUDA in places
            if on_cuda:
                self._check(function, name, args, kwargs, given, places)
            result = function(*args, **kwargs)
            known = [machine.moves_to or place for place in places if place is not None]
            if not given and machine.makes_on is not None:
                known = [machine.makes_on]
            if known:
                for tensor in _tensors(result):
                    if machine.labels.get(tensor) is None:
                        machine.labels.set(tensor, CUDA if CUDA in known else known[0])
        return result

    def _check(self, function: Any, name: str, args: tuple, kwargs: dict, given: list, places: list) -> None:
        machine = self.machine
        if machine.knows_kernels and not _has_kernel(function):
            machine.without_kernel.add(f"{function} {_caller()}")
            raise NotImplementedError(f"Could not run '{function}' with arguments from the 'CUDA' backend.")
        is_product = name == "scatter_reduce" and "prod" in args
        unordered = (name in _UNORDERED or is_product) and any(tensor.is_floating_point() for tensor in given)
        if unordered and torch.are_deterministic_algorithms_enabled():
            raise RuntimeError(f"{name}_cuda does not have a deterministic implementation")
        if name in _READS or (name == "repeat_interleave" and kwargs.get("output_size") is None):
            machine.wait(name)
        strange = [t for t, place in zip(given, places, strict=True) if place is not None and place.type == "cpu"]
        if name in ("copy_", "_foreach_copy_"):
            if strange and not (kwargs.get("non_blocking") or (len(args) > 2 and args[2])):
                machine.wait("copy_")
        elif name in _INDEXING:
            indices = [one for one in args[1] if one is not None]
            masks = [one for one in indices if one.dtype in (torch.bool, torch.uint8)]
            if masks and (name in ("index", "_unsafe_index") or args[2].numel() != 1):
                machine.wait(f"{name} by a mask")
            if any(machine.labels.get(one) == CPU for one in indices):
                machine.wait(f"{name} by a tensor of the CPU")
            if len(args) > 2 and machine.labels.get(args[2]) == CPU:
                machine.wait(f"{name} of a number of the CPU")
            if machine.labels.get(args[0]) == CPU:
                machine.refuse(str(function))
        elif strange:
            changes_cpu = name.endswith("_") and machine.labels.get(given[0]) == CPU
            scalars = all(tensor.dim() == 0 for tensor in strange) and (
                torch.Tag.pointwise in function.tags or name.startswith("_foreach") or name in ("where", "fill_")
            )
            if not scalars or changes_cpu:
                machine.refuse(str(function))
            if name == "where":  # torch copies a number of the CPU to the device, and waits
                machine.wait("where")


def _has_kernel(function: Any) -> bool:
    name = function.name()
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    if not name.startswith("aten::") or "mkldnn" in name or "for_cpu" in name:  # torch's own choice on a CPU
        return True
    return any(has(name, key) for key in _WITH_A_KERNEL)


class _Functions(TorchFunctionMode):
    """Sees each call of torch's from Python: what names a device, or asks for one."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine
        self.special = {
            _Tensor.device.__get__: lambda x: machine.device_of(x),
            _Tensor.is_cuda.__get__: lambda x: machine.device_of(x) == CUDA,
            _Tensor.is_cpu.__get__: lambda x: machine.device_of(x) == CPU,
            _Tensor.get_device: lambda x: 0 if machine.device_of(x) == CUDA else -1,
            _Tensor.to: self._to,
            _Tensor.cuda: lambda x, device=None, non_blocking=False, **_: self._to(x, CUDA, non_blocking=non_blocking),
            _Tensor.cpu: lambda x, **_: self._to(x, CPU),
            _Tensor.pin_memory: lambda x, *_: machine.pin(x.clone()),
            _Tensor.is_pinned: lambda x, *_: machine.is_pinned(x),
            _Tensor.record_stream: lambda x, stream: None,
            _Tensor.numpy: self._numpy,
            _Tensor.__array__: self._numpy,
            _Tensor.tolist: self._tolist,
        }

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        special = self.special.get(function)
        if special is not None:
            return special(*args, **kwargs)
        name = getattr(function, "__name__", "")
        self._note_draw(name, args, kwargs)
        named = kwargs.get("device")
        pins = kwargs.pop("pin_memory", False) if function is not _Tensor.pin_memory else False
        if named is None and function in torch.utils._device._device_constructors():
            named = torch.utils._device.CURRENT_DEVICE  # of a scope of torch's, which would add it below this mode
        if function is _Tensor.new_tensor and self.machine.device_of(args[0]) == CUDA:
            self.machine.wait("new_tensor")
        if named is None:
            result = function(*args, **kwargs)
            if name in _MAKERS and not _tensors(args):
                self._label(result, CPU)
            return result
        place = torch.device(named) if not isinstance(named, int) else CUDA
        if pins and place.type != "cpu":
            raise RuntimeError("Cannot pin 'torch.cuda.FloatTensor': only dense CPU tensors can be pinned")
        if place.type in ("cpu", "cuda"):
            kwargs["device"] = CPU
            place = CUDA if place.type == "cuda" else CPU
        generator = kwargs.get("generator")
        if generator is not None and place.type != generator.device.type:
            raise RuntimeError(f"Expected a '{place.type}' device type for generator but found '{generator.device}'")
        given = args[0] if args and isinstance(args[0], torch.Tensor) else None
        if name in ("as_tensor", "asarray") and given is not None:
            dtype = kwargs.get("dtype")
            return self._to(given, place, dtype) if dtype else self._to(given, place)
        if name in ("tensor", "as_tensor", "asarray") and place == CUDA:
            self.machine.wait(name)
        self.machine.makes_on = place if place.type in ("cpu", "cuda") else None
        try:
            result = function(*args, **kwargs)
        finally:
            self.machine.makes_on = None
        self._label(result, place)
        return self.machine.pin(result) if pins else result

    def _note_draw(self, name: str, args: tuple, kwargs: dict) -> None:
        attention = name == "scaled_dot_product_attention" and (kwargs.get("dropout_p") or any(args[4:5]))
        if not attention and name not in _DRAWS:
            return
        given = _tensors((args, {key: value for key, value in kwargs.items() if key != "generator"}))
        place = self.machine.device_of(given[0]) if given else torch.device(kwargs.get("device") or "cpu")
        if place.type == "cuda":
            self.machine.draws.append(Wait(name, _caller()))

    def _label(self, result: Any, place: torch.device) -> None:
        if place.type in ("cpu", "cuda"):
            for tensor in _tensors(result):
                self.machine.labels.set(tensor, place)

    def _to(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        rest = list(args)
        device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
        if rest and isinstance(rest[0], torch.Tensor):
            like = rest.pop(0)
            device, dtype = self.machine.device_of(like), like.dtype
        elif rest and (rest[0] is None or isinstance(rest[0], (str, int, torch.device))):
            device = rest.pop(0)
            dtype = rest.pop(0) if rest else dtype
        elif rest:
            dtype = rest.pop(0)
        kwargs.update(zip(("non_blocking", "copy"), rest, strict=False))
        dtype = x.dtype if dtype is None else dtype
        device = CUDA if isinstance(device, int) else None if device is None else torch.device(device)
        if device is not None and device.type not in ("cpu", "cuda"):
            return x.to(device, dtype, **kwargs)
        now = self.machine.device_of(x)
        if device is None or device.type == now.type:
            return x.to(dtype, **kwargs)
        if not kwargs.pop("non_blocking", False):
            self.machine.wait(f"to({device})")
        elif device.type == "cpu":
            self.machine.refuse("a copy to the CPU that nobody waits for")
        if device.type == "cuda" and not self.machine.is_pinned(x):
            self.machine.pageable.append(Wait(f"to({device})", _caller()))
        kwargs["copy"] = True
        self.machine.moves_to = CUDA if device.type == "cuda" else CPU
        try:
            result = x.to(dtype, **kwargs)
        finally:
            self.machine.moves_to, place = None, self.machine.moves_to
        self.machine.labels.set(result, place)
        return result

    def _numpy(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if self.machine.device_of(x) == CUDA and not kwargs.get("force"):
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        if self.machine.device_of(x) == CUDA:
            self.machine.wait("numpy")
        with torch._C.DisableTorchFunction():
            return x.numpy(force=True) if kwargs.get("force") else x.numpy()

    def _tolist(self, x: torch.Tensor) -> Any:
        if self.machine.device_of(x) == CUDA:
            self.machine.wait("tolist")
        with torch._C.DisableTorchFunction():
            return x.tolist()


class _Generator(torch.Generator):
    """A generator of either device."""

    def __new__(cls, device: Any = "cpu") -> _Generator:
        made = super().__new__(cls)
        made.place = CUDA if torch.device(device).type == "cuda" else CPU
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.place


class _Autocast(torch.autocast):
    """Autocast of the CPU in the place of that of CUDA, which would only warn here."""

    def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
        super().__init__("cpu" if device_type == "cuda" else device_type, *args, **kwargs)


class _Stream:
    """A queue of the device, in which all is done at once."""

    cuda_stream = 0

    def query(self) -> bool:
        return True

    def is_capturing(self) -> bool:
        return False


@contextmanager
def pretended_cuda() -> Iterator[Machine]:
    """Let this process believe that it has one CUDA device. Tensors made before lie on the CPU."""
    machine = Machine()
    of_accelerator = {
        "is_available": lambda: True,
        "current_accelerator": lambda *_, **__: torch.device("cuda"),
        "device_count": lambda: 1,
        "current_device_index": lambda: 0,
        "current_stream": lambda *_: _Stream(),
        "get_memory_info": lambda *_: (2**33, 2**34),
        "synchronize": lambda *_: machine.wait("synchronize"),
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda *_: None,
        "max_memory_allocated": lambda *_: 0,
    }
    of_cuda = {
        "get_rng_state": lambda *_: torch.get_rng_state(),
        "set_rng_state": lambda state, *_: torch.set_rng_state(state),
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_capability": lambda *_: (9, 0),
        "get_device_name": lambda *_: "pretended",
        "current_stream": lambda *_: _Stream(),
    }
    with ExitStack() as stack:
        for module, functions in ((torch.accelerator, of_accelerator), (torch.cuda, of_cuda)):
            for name, function in functions.items():
                stack.enter_context(mock.patch.object(module, name, function, create=True))
        stack.enter_context(mock.patch.object(torch, "Generator", _Generator))
        stack.enter_context(mock.patch.object(torch, "autocast", _Autocast))
        for name, value in {
            "_has_looked": False,
            "_accelerator": None,
            "_default": None,
            "has_accelerator": False,
        }.items():
            stack.enter_context(mock.patch.object(devices, name, value))
        operations, functions = _Operations(machine), _Functions(machine)
        run_backward = torch.autograd._engine_run_backward  # type: ignore[attr-defined]

        def with_functions(*args: Any, **kwargs: Any) -> Any:
            with functions:  # which `Tensor.backward` has left; the library's own backward functions run inside
                return run_backward(*args, **kwargs)

        stack.enter_context(mock.patch.object(torch.autograd, "_engine_run_backward", with_functions))
        stack.enter_context(operations)
        stack.enter_context(functions)
        yield machine
