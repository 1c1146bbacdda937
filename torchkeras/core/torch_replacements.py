"""Public functions of torch in the place of private ones: the same results, slower. See `torch_internals`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as distributed
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_REDUCTIONS = ("none", "mean", "sum")


def unknown(answer: Any) -> Callable[..., Any]:
    """A question that always gets the answer after which the caller takes the slow and safe way."""
    return lambda *args: answer


def refuse(*args: Any) -> None:
    """A change that this torch has no function for.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError(f"torch {torch.__version__} can't do this.")


def foreach(name: str) -> Callable[..., tuple[Tensor, ...] | None]:
    """A loop over tensors in the place of `torch._foreach_<name>`; lists among the arguments go along."""
    one = _LOOPED.get(name) or getattr(torch.Tensor, name)

    def each(tensors: Sequence[Tensor], *others: Any, **keywords: Any) -> tuple[Tensor, ...] | None:
        results = tuple(
            one(tensor, *[other[i] if isinstance(other, (list, tuple)) else other for other in others], **keywords)
            for i, tensor in enumerate(tensors)
        )
        return None if name.endswith("_") else results

    return each


# Where no method of a tensor has the name, or it means something else.
_LOOPED: dict[str, Callable[..., Tensor]] = {
    "norm": lambda x, ord=2: torch.linalg.vector_norm(x, ord),
    "maximum_": lambda x, other: x.copy_(torch.maximum(x, other)),
}


def unflatten(flat: Tensor, like: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """A vector cut into views of the shapes of other tensors."""
    parts = flat.split([tensor.numel() for tensor in like])
    return tuple(part.view(tensor.shape) for part, tensor in zip(parts, like, strict=True))


def mse_loss(input: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    """The squared error; 0, 1 and 2 stand for `"none"`, `"mean"` and `"sum"`."""
    return F.mse_loss(input, target, reduction=_REDUCTIONS[reduction])


def l1_loss(input: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    """The absolute error; 0, 1 and 2 stand for `"none"`, `"mean"` and `"sum"`."""
    return F.l1_loss(input, target, reduction=_REDUCTIONS[reduction])


def binary_cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: int = 1) -> Tensor:
    """The crossentropy of probabilities; 0, 1 and 2 stand for `"none"`, `"mean"` and `"sum"`."""
    return F.binary_cross_entropy(input, target, weight, reduction=_REDUCTIONS[reduction])


def onednn_enabled() -> bool:
    """Whether torch may use oneDNN."""
    return bool(torch.backends.mkldnn.enabled)


def tracing_state() -> bool | None:
    """`None` where `torch.jit.trace` is not at work."""
    return True if torch.jit.is_tracing() else None


def make_subclass(cls: type[Tensor], data: Tensor, requires_grad: bool = False) -> Tensor:
    """The same storage as a tensor of another class."""
    return data.detach().as_subclass(cls).requires_grad_(requires_grad)


def while_loop(cond_fn: Callable[..., Tensor], body_fn: Callable[..., tuple], carried_inputs: tuple) -> tuple:
    """A loop in Python; where torch compiles, its graph ends here."""
    while cond_fn(*carried_inputs):
        carried_inputs = tuple(body_fn(*carried_inputs))
    return carried_inputs


def store() -> distributed.Store:
    """Another connection to the store of the process group, by the addresses that `torchrun` gives."""
    return distributed.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)


# ---------------------------------------------------------------------------- optimizer steps


@torch.no_grad()
def fused_sgd_(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    momentum_buffer_list: Sequence[Tensor],
    *,
    weight_decay: float,
    momentum: float,
    lr: float | Tensor,
    dampening: float,
    nesterov: bool,
    maximize: bool,
    is_first_step: bool,
    grad_scale: Tensor | None = None,
    found_inf: Tensor | None = None,
) -> None:
    """`torch.optim.SGD`'s rule for lists of tensors, in place; no step where `found_inf` is 1."""
    if found_inf is not None and found_inf.item():
        return
    for i, (parameter, grad) in enumerate(zip(params, grads, strict=True)):
        grad = _prepared(grad, parameter, weight_decay, maximize, grad_scale)
        if momentum:
            buffer = momentum_buffer_list[i]
            if is_first_step:
                buffer.copy_(grad)
            else:
                buffer.mul_(momentum).add_((1.0 - dampening) * grad)
            grad = grad + momentum * buffer if nesterov else buffer
        parameter.sub_(lr * grad)


def fused_adam_(params: Sequence[Tensor], grads: Sequence[Tensor], *slots: Sequence[Tensor], **options: Any) -> None:
    """`torch.optim.Adam`'s rule for lists of tensors, in place: `weight_decay` adds to the gradient."""
    _adam_(params, grads, *slots, decoupled=False, **options)


def fused_adamw_(params: Sequence[Tensor], grads: Sequence[Tensor], *slots: Sequence[Tensor], **options: Any) -> None:
    """`torch.optim.AdamW`'s rule for lists of tensors, in place: `weight_decay` takes from the parameter."""
    _adam_(params, grads, *slots, decoupled=True, **options)


@torch.no_grad()
def _adam_(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    exp_avgs: Sequence[Tensor],
    exp_avg_sqs: Sequence[Tensor],
    max_exp_avg_sqs: Sequence[Tensor],
    state_steps: Sequence[Tensor],
    *,
    decoupled: bool,
    lr: float | Tensor,
    beta1: float,
    beta2: float,
    weight_decay: float,
    eps: float,
    amsgrad: bool,
    maximize: bool,
    grad_scale: Tensor | None = None,
    found_inf: Tensor | None = None,
) -> None:
    if found_inf is not None and found_inf.item():
        return
    for i, (parameter, grad) in enumerate(zip(params, grads, strict=True)):
        grad = _prepared(grad, parameter, 0.0 if decoupled else weight_decay, maximize, grad_scale)
        if decoupled:
            parameter.mul_(1.0 - lr * weight_decay)
        mean, square, step = exp_avgs[i], exp_avg_sqs[i], state_steps[i].item()
        mean.lerp_(grad, 1.0 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1.0 - beta2)
        if amsgrad:
            max_exp_avg_sqs[i].copy_(torch.maximum(max_exp_avg_sqs[i], square))
            square = max_exp_avg_sqs[i]
        root = square.sqrt().div_((1.0 - beta2**step) ** 0.5).add_(eps)
        parameter.sub_(lr / (1.0 - beta1**step) * mean / root)


def _prepared(grad: Tensor, parameter: Tensor, decay: float, maximize: bool, scale: Tensor | None) -> Tensor:
    """The gradient that an update takes: unscaled, of the right sign, with the L2 term."""
    grad = grad if scale is None else grad / scale
    grad = -grad if maximize else grad
    return grad.add(parameter, alpha=decay) if decay else grad


# ---------------------------------------------------------------------------- random draws


def standard_gamma(alpha: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draws of the Gamma distribution of scale 1, by Marsaglia and Tsang's method of rejection (2000)."""
    if alpha.is_meta:
        return torch.empty_like(alpha)

    def like(draw: Callable[..., Tensor]) -> Tensor:
        return draw(alpha.shape, generator=generator, dtype=alpha.dtype, device=alpha.device)

    small = alpha < 1  # there the method draws for alpha + 1; a power of a uniform number brings it down
    d = torch.where(small, alpha + 1, alpha) - 1 / 3
    result, missing = torch.zeros_like(alpha), torch.ones_like(alpha, dtype=torch.bool)
    while missing.any():
        x, u = like(torch.randn), like(torch.rand)
        v = (1 + x / (9 * d).sqrt()) ** 3
        accepted = missing & (v > 0) & (u.log() < x * x / 2 + d - d * v + d * v.clamp_min(1e-30).log())
        result = torch.where(accepted, d * v, result)
        missing &= ~accepted
    return torch.where(small, result * like(torch.rand) ** (1 / alpha), result)


def sample_dirichlet(concentration: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draws of the Dirichlet distribution over the last axis: Gamma draws, divided by their sum."""
    draws = standard_gamma(concentration, generator).clamp_min(torch.finfo(concentration.dtype).tiny)
    return draws / draws.sum(-1, keepdim=True)


# ---------------------------------------------------------------------------- modes

_SIZES_FIRST = ("empty", "ones", "rand", "randn", "zeros", "new_empty", "new_ones", "new_zeros", "repeat")
_POSITIONAL = {"full": ["size"], "new_full": ["size"], "eye": ["n", "m"], "linspace": ["start", "end", "steps"]}


class FunctionMode(TorchFunctionMode):
    """A mode that sees torch's public functions, by the methods of one that sees the operators below them."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """The reaction of a subclass to a call."""
        raise NotImplementedError

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if not hasattr(func, "__name__"):
            return func(*args, **(kwargs or {}))
        first = 1 if args and isinstance(args[0], Tensor) else 0
        sizes = args[first:]
        if func.__name__ in _SIZES_FIRST and sizes and all(isinstance(size, int) for size in sizes):
            args = (*args[:first], sizes)
        return self.__torch_dispatch__(func, types, args, kwargs)


def argument_names(function: Any, args: tuple) -> list[str]:
    """The names of a public function's positional arguments, as torch's schema of the operator calls them."""
    name = function.__name__
    numbers = len(args) - 1 if args and isinstance(args[0], Tensor) else len(args)
    if name == "arange":
        names = ["end"] if numbers == 1 else ["start", "end", "step"]
    elif name == "randint":
        names = ["size"] if numbers == 1 else ["high", "size"] if numbers == 2 else ["low", "high", "size"]
    elif name == "repeat":
        names = ["repeats"]
    else:
        names = _POSITIONAL.get(name, ["size"])
    return ["self", *names] if numbers < len(args) else names


# Without a count of changes, every look at a tensor finds it changed.
no_version = property(lambda tensor: object())


class NoError(Exception):
    """An error that is never raised."""


def compile_nothing(graph: Callable[..., Any], example_inputs: Any, **options: object) -> Callable[..., Any]:
    """In the place of the compiler behind `torch.compile`: the graph as it is."""
    return graph
