"""Copies and pickles of layers that hold what can't be copied or pickled: a lock, an open file, a generator.

The rest of the layer's state travels as ever. Where an attribute can't, the layer is made again from its config, which
gives the attribute a value of its own, and the state is put into it. Where the config can't do that, the error is the
one that Python raised.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from torchkeras.core import registry
from torchkeras.core.tensors.sharded import is_sharded

_SIMPLE = (type(None), bool, int, float, str, bytes, np.ndarray, torch.dtype, torch.device)


def deep_copy(layer: Any, memo: dict[int, Any]) -> Any:
    """The result of `copy.deepcopy(layer)`.

    Args:
        memo: the copies that were made so far, by the identity of the originals.
    """
    if is_parametrized(layer):  # by torch, which lets it be copied and not pickled
        twin = memo[id(layer)] = layer.__new__(type(layer))
        twin.__dict__.update(copy.deepcopy(layer.__dict__, memo))
        return twin
    known = set(memo)
    try:
        return _copied(object.__reduce_ex__(layer, 4), id(layer), memo)
    except Exception as error:
        for key in memo.keys() - known:  # parts of the attempt
            del memo[key]
        own = _own_attributes(layer)
        names = [name for name, value in own.items() if not _can_be_copied(value, layer)]
        # Python copies a function as itself, though it may use the layer that it was made in.
        reduced = _from_config(layer, names, [name for name, value in own.items() if not _can_be_pickled(value)])
        if reduced is None:
            raise
        try:
            return _copied(reduced, id(layer), memo)
        except Exception:
            raise error from None


def reduced(layer: Any, protocol: int) -> Any:
    """The result of `layer.__reduce_ex__(protocol)` for pickle.

    Raises:
        TypeError: weights of the layer lie in parts on several ranks.
    """
    if any(is_sharded(parameter) for parameter in layer.parameters()):
        raise TypeError(
            f"{layer.name!r} can't be pickled: its weights lie in parts on several ranks. Save it with model.save(), "
            "or as a checkpoint that each rank writes a part of: ModelCheckpoint('name.checkpoint')."
        )
    default = object.__reduce_ex__(layer, protocol)
    if registry.is_own(type(layer)):
        return default
    names = [name for name, value in _own_attributes(layer).items() if not _can_be_pickled(value)]
    return (_from_config(layer, names) if names else None) or default


def _copied(reduced: Any, identity: int, memo: dict[int, Any]) -> Any:
    """As `copy.deepcopy` does with the result of `__reduce_ex__`."""
    make, args, state = (*reduced, None)[:3]
    made = make(*copy.deepcopy(args, memo))
    memo[identity] = made
    if state is not None:
        made.__setstate__(copy.deepcopy(state, memo))
    return made


def _from_config(
    layer: Any, without: list[str], rather_not: Sequence[str] = ()
) -> tuple[Callable, tuple, dict[str, Any]] | None:
    """A reduced form that makes the layer from its config.

    Args:
        without: attributes that are left out.
        rather_not: attributes that are left out if the config gives them a value.

    Returns:
        A function, its arguments and the state; `None` if the config does not give all of `without` a value.
    """
    if not without:
        return None
    try:
        args = (type(layer), layer.get_config(), layer.get_build_config())
        fresh = _remade(*args)
    except Exception:  # a get_config() of the user's may fail in any way: then the layer has no config
        return None
    if not all(name in fresh.__dict__ for name in without):
        return None
    left_out = {*without, *(name for name in rather_not if name in fresh.__dict__)}
    return _remade, args, {name: value for name, value in layer.__getstate__().items() if name not in left_out}


def _remade(cls: Any, config: dict[str, Any], build_config: dict[str, Any] | None) -> Any:
    layer = cls.from_config(dict(config))
    if build_config and not layer.built:
        layer.build_from_config(build_config)
    return layer


def _own_attributes(layer: Any) -> dict[str, Any]:
    """The attributes that are no part of the base class, of torch's module, or of plain types."""
    return {
        name: value
        for name, value in layer.__dict__.items()
        if not (name.startswith("_tk_") or name in _OF_MODULES or isinstance(value, _SIMPLE))
    }


_OF_MODULES = frozenset(nn.Module().__dict__) | {"_inbound_nodes", "_dtype_policy"}


class _Probe(pickle.Pickler):
    """Pickles neither modules nor tensors, which are asked themselves when their turn comes."""

    def persistent_id(self, obj: Any) -> str | None:
        return "elsewhere" if isinstance(obj, (nn.Module, torch.Tensor)) else None


def _can_be_pickled(value: Any) -> bool:
    try:
        _Probe(io.BytesIO()).dump(value)
    except Exception:  # TypeError, PicklingError, AttributeError, or what a __getstate__ of the user's raises
        return False
    return True


def _can_be_copied(value: Any, layer: Any) -> bool:
    try:
        copy.deepcopy(value, {id(layer): layer})
    except Exception:  # see above
        return False
    return True
