"""Draws by a seed. In a graph that `torch.compile` makes, which can hold no generator, a draw is one operator.

The operator makes its generator when it runs, so compiled code draws the numbers of eager code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras.core.accelerators import is_lazy
from torchkeras.core.torch_internals import sample_dirichlet, standard_gamma
from torchkeras.core.variables import portable_random
from torchkeras.core.variables.portable_random import has_portable, is_portable, portable_values
from torchkeras.core.variables.seeds import SeedGenerator, draw_seed, torch_generator

# The function of each distribution: (generator, shape, numbers, tensors, type and device) -> tensor.
_SAMPLERS: dict[str, Callable[..., Tensor]] = {
    "normal": lambda g, shape, of, _, where: torch.normal(of[0], of[1], shape, generator=g, **where),
    "normals": lambda g, shape, of, _, where: torch.stack(
        [torch.normal(of[0], of[1], shape[1:], generator=g, **where) for _ in range(shape[0])]
    ),
    "uniform": lambda g, shape, _, __, where: torch.rand(shape, generator=g, **where),
    "randint": lambda g, shape, ends, _, where: torch.randint(int(ends[0]), int(ends[1]), shape, generator=g, **where),
    "bernoulli": lambda g, _, __, chances, ___: torch.bernoulli(*chances, generator=g),
    "categorical": lambda g, shape, _, chances, __: torch.multinomial(chances[0], shape[-1], True, generator=g),
    "gamma": lambda g, _, __, alpha, ___: standard_gamma(*alpha, generator=g),
    "dirichlet": lambda g, _, __, alphas, ___: sample_dirichlet(*alphas, generator=g),
    "binomial": lambda g, _, __, of, ___: torch.binomial(of[0], of[1], generator=g),
}


TORCH_GENERATOR = object()
"""In the place of a seed: torch's own generator, which compiled code draws from in its own way."""


def random_values(
    kind: str,
    seed: Any,
    shape: Sequence[int],
    dtype: torch.dtype,
    device: torch.device,
    numbers: Sequence[float] = (),
    tensors: Sequence[Tensor] = (),
) -> Tensor:
    """Random values of `shape`, by an integer, a `SeedGenerator`, (for `None`) the global one, or `TORCH_GENERATOR`.

    Args:
        kind: of `_SAMPLERS`; `"normals"` are as many draws, one after the other, as the first axis is long.
        numbers, tensors: the distribution's parameters.
    """
    if is_portable(kind) and device.type != "meta":
        return portable_values(kind, _key(seed), shape, dtype, device, numbers, tensors)
    if is_lazy(device) and seed is not TORCH_GENERATOR:
        return _without_generator(kind, seed, shape, dtype, device, numbers, tensors)
    if seed is TORCH_GENERATOR or not torch.compiler.is_compiling():
        if portable_random.is_on and device.type not in ("cpu", "meta"):
            return _from_the_cpu(kind, seed, shape, dtype, device, numbers, tensors)
        generator = None if seed is TORCH_GENERATOR else torch_generator(seed, device)
        return _SAMPLERS[kind](generator, shape, numbers, tensors, {"dtype": dtype, "device": device})
    floats = [float(number) for number in numbers]
    return torch.ops.torchkeras.draw(_seed_in_graph(seed), kind, shape, floats, tensors, dtype, device)


def _without_generator(
    kind: str,
    seed: Any,
    shape: Sequence[int],
    dtype: torch.dtype,
    device: torch.device,
    numbers: Sequence[float],
    tensors: Sequence[Tensor],
) -> Tensor:
    """Values by a seed on a device of torch_xla, which has no generators: by the portable one, else from the CPU."""
    if has_portable(kind):
        # As a vector: of a scalar, torch_xla might make a part of the code, and compile it for each seed.
        key = torch.tensor([_key(seed)], dtype=torch.int64, device="cpu").to(device)
        return portable_values(kind, key, shape, dtype, device, numbers, tensors)
    return _from_the_cpu(kind, seed, shape, dtype, device, numbers, tensors)


def _from_the_cpu(
    kind: str,
    seed: Any,
    shape: Sequence[int],
    dtype: torch.dtype,
    device: torch.device,
    numbers: Sequence[float],
    tensors: Sequence[Tensor],
) -> Tensor:
    """The values that the CPU draws, on another device."""
    on_host = [tensor.cpu() for tensor in tensors]
    return random_values(kind, seed, shape, dtype, torch.device("cpu"), numbers, on_host).to(device)


def _key(seed: Any) -> int | Tensor:
    """The seed of a draw by the portable generator; `TORCH_GENERATOR` draws it from torch's generator of the CPU."""
    if torch.compiler.is_compiling():
        if seed is TORCH_GENERATOR:
            return torch.ops.torchkeras.next_torch_seed()
        return _seed_in_graph(seed).sum()
    if seed is TORCH_GENERATOR:
        return int(_next_torch_seed())
    return int(seed) if isinstance(seed, (int, np.integer)) else sum(draw_seed(seed).tolist())


def sample_truncated_normal(
    seed: Any, shape: Sequence[int], dtype: torch.dtype, device: torch.device, mean: float, stddev: float
) -> Tensor:
    """Of four standard normal draws the first within two deviations (without one, the very first), as in Keras."""
    values = random_values("normal", seed, (*shape, 4), dtype, device, (0.0, 1.0))
    inside = (values > -2) & (values < 2)
    first = inside.max(-1, keepdim=True)[1]
    return values.gather(-1, first).squeeze(-1).mul_(stddev).add_(mean)


def _seed_in_graph(seed: Any) -> Tensor:
    if seed is None:
        return torch.ops.torchkeras.next_global_seed()
    if isinstance(seed, SeedGenerator):  # in another type: the operator must not see the variable itself
        return draw_seed(seed).long()
    return torch.tensor([int(seed), 0], device="cpu")


@torch.library.custom_op("torchkeras::draw", mutates_args=())
def _draw(
    seed: Tensor,
    kind: str,
    shape: Sequence[int],
    numbers: Sequence[float],
    tensors: Sequence[Tensor],
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    return random_values(kind, sum(seed.tolist()), shape, dtype, device, numbers, tensors)


@_draw.register_fake
def _(seed: Tensor, kind: str, shape: Sequence[int], numbers: Any, tensors: Any, dtype: Any, device: Any) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=device)


# Not a function of its arguments: no two calls may become one.
@torch.library.custom_op("torchkeras::next_global_seed", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,))
def _next_global_seed() -> Tensor:
    return draw_seed(None)


@_next_global_seed.register_fake
def _() -> Tensor:
    return torch.empty(2, dtype=torch.int32, device="cpu")


@torch.library.custom_op("torchkeras::next_torch_seed", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,))
def _next_torch_seed() -> Tensor:
    return torch.randint(1 << 62, (), device="cpu")


@_next_torch_seed.register_fake
def _() -> Tensor:
    return torch.empty((), dtype=torch.int64, device="cpu")
