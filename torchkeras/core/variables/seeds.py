"""Seeds: of the process, of a layer, of one call."""

from __future__ import annotations

import random as python_random
from typing import Any

import numpy as np
import torch

from torchkeras.core import accelerators, naming
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.variables.variable import Variable


def set_random_seed(seed: int) -> None:
    """Seed Python, NumPy and torch, so that initializers, shuffling and dropout repeat exactly.

    Args:
        seed: an integer.

    Raises:
        ValueError: `seed` is no integer.

    Example:
        >>> keras.utils.set_random_seed(3)
        >>> first = keras.random.normal((2,))
        >>> keras.utils.set_random_seed(3)
        >>> bool((keras.random.normal((2,)) == first).all())
        True
    """
    if not isinstance(seed, (int, np.integer)):
        raise ValueError(f"seed must be an integer; received {seed!r} (of type {type(seed).__name__}).")
    _GLOBAL.clear()
    python_random.seed(int(seed))
    np.random.seed(int(seed) % 2**32)
    torch.manual_seed(int(seed))
    accelerators.set_seed(int(seed))


_GLOBAL: dict[str, SeedGenerator] = {}
_BITS = 0xFFFFFFFF
_ONE = torch.tensor([0, 1], dtype=torch.int32, device="cpu")


def make_default_seed() -> int:
    """A seed drawn from Python's generator, which `set_random_seed` seeds."""
    return python_random.randint(1, int(1e9))


class SeedGenerator(Configurable):
    """Generate seeds for random functions: each draw gets another one, and the state is saved with the model.

    Args:
        seed: first seed, an integer; `None` draws one from Python's generator. Default: `None`.
        name: name of the generator; `None` numbers it. Default: `None`.
        **kwargs: `backend`, which Keras takes, has no effect: there is one backend.

    Raises:
        ValueError: `seed` is no integer, or an argument is unknown.

    Example:
        >>> seeds = keras.random.SeedGenerator(seed=3)
        >>> first, second = keras.random.normal((2,), seed=seeds), keras.random.normal((2,), seed=seeds)
        >>> bool((first == second).any())
        False
        >>> again = keras.random.normal((2,), seed=keras.random.SeedGenerator(seed=3))
        >>> bool((first == again).all())
        True
    """

    keras_module = "keras.random"

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        kwargs.pop("backend", None)
        if kwargs:
            raise ValueError(f"Unrecognized keyword arguments: {kwargs}. SeedGenerator takes `seed` and `name`.")
        if seed is not None and not isinstance(seed, (int, np.integer)):
            raise ValueError(f"Argument `seed` must be an integer (or None). Received: seed={seed!r}.")
        self.name = name or naming.auto_name("SeedGenerator")
        self._initial_seed = None if seed is None else int(seed)
        start = make_default_seed() if seed is None else int(seed)
        with naming.name_scope(self.name):
            # 32 bits, seen as signed, as Keras keeps them; on the CPU whatever the device, for the host reads it.
            value = torch.from_numpy(np.array([start & _BITS, 0], dtype="uint32").view("int32"))
            self.state = Variable(value, trainable=False, name="seed_generator_state")

    @property
    def seed(self) -> int | None:
        """The seed that was given."""
        return self._initial_seed

    @property
    def is_seeded(self) -> bool:
        """Whether a seed was given."""
        return self._initial_seed is not None

    @property
    def variables(self) -> list[Variable]:
        """The state, a list of one variable of two integers."""
        return [self.state]

    def next(self, ordered: bool = True) -> torch.Tensor:
        """Return the current seed, and move the state on.

        Args:
            ordered: whether the state moves on by one; if not, by a larger step. Default: `True`.

        Returns:
            A tensor of two integers.
        """
        current = self.state.value.detach().clone()
        # Keras's walk, wrapping at 32 bits: the numbers drawn without a seed are then Keras's, too.
        step = current + _ONE if ordered else (current + 1) * 5387 % 933199
        self.state.assign(step)
        return current

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"seed": self._initial_seed, "name": self.name}


def global_seed_generator() -> SeedGenerator:
    """The process's own generator, made when it is first needed."""
    if "generator" not in _GLOBAL:
        _GLOBAL["generator"] = SeedGenerator(make_default_seed(), name="global_seed_generator")
    return _GLOBAL["generator"]


def draw_seed(seed: Any) -> torch.Tensor:
    """Two integers from a `SeedGenerator`, an integer, or (for `None`) the global generator.

    Raises:
        ValueError: anything else.
    """
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if isinstance(seed, (int, np.integer)):
        return torch.from_numpy(np.array([int(seed) & _BITS, 0], dtype="uint32").view("int32"))
    if seed is None:
        return global_seed_generator().next(ordered=False)
    raise ValueError(
        f"Argument `seed` must be either an integer or an instance of `SeedGenerator` (or None). "
        f"Received: seed={seed!r} (of type {type(seed).__name__})."
    )


def torch_generator(seed: Any, device: Any = "cpu") -> torch.Generator | None:
    """A torch generator for one call, as Keras's torch backend seeds it; `None` (torch's own) on `meta`."""
    if str(device).startswith("meta"):
        return None
    total = int(seed) if isinstance(seed, (int, np.integer)) else sum(draw_seed(seed).tolist())
    return torch.Generator(device=device).manual_seed(total & _BITS)
