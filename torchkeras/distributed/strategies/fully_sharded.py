"""Fully sharded training: each rank has a part of every weight, gradient and optimizer state (torch's FSDP2)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import distributed, nn

from torchkeras.core import tree
from torchkeras.core.operations.remat import remat
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.tensors.masks import set_mask
from torchkeras.core.tensors.sharded import dtensors
from torchkeras.core.variables.variable import Variable, VariableInfo
from torchkeras.distributed import distributions, process
from torchkeras.distributed.blocks import find_blocks
from torchkeras.distributed.differentiable import reduce_scatter
from torchkeras.distributed.rank_share import RankBatch
from torchkeras.distributed.sharded_weights import RankWeight, Sharding, describe, gather_in_calls
from torchkeras.distributed.strategies.base import Step, TrainedModel
from torchkeras.distributed.strategies.data_parallel import DataParallel
from torchkeras.distributed.strategies.model_parallel import ShardedModel, mark_replaced, rank_weight_of, weighing


class FullyShardedDataParallel(DataParallel):
    """Weights in parts on all ranks, gathered block by block; batches split over all ranks."""

    @classmethod
    def is_wanted(cls) -> bool:
        chosen = distributions.distribution()
        return process.is_joined() and isinstance(chosen, distributions.FullyShardedDataParallel)

    def __init__(self) -> None:
        super().__init__()
        self.distribution: Any = distributions.distribution()
        self.mesh = self.distribution.device_mesh.backend_mesh
        self.rank_weight = rank_weight_of(self.distribution.device_mesh, self.group.size)

    # -- weights

    def place(self, model: nn.Module) -> dict[int, torch.Tensor]:
        chosen, fsdp = self.distribution, importlib.import_module("torch.distributed.fsdp")
        parts = [module for module in model.modules() if isinstance(module, fsdp.FSDPModule)]
        for module in parts:
            module.reshard()  # a pass without gradients may have left its weights whole
        if parts or not list(model.parameters()):
            return {}
        before = _parameters(model)
        blocks = find_blocks(model, chosen.wrap)
        for parameter in model.parameters():
            if not parameter.is_contiguous():  # FSDP2 takes no other memory order
                parameter.data = parameter.data.contiguous()
        if chosen.activation_checkpointing:
            for block in blocks:
                block.__dict__.setdefault("call", remat(block.call))  # type: ignore[arg-type]
        options = self._options(fsdp)
        for module in (*blocks, model):
            fsdp.fully_shard(module, **options)
            module.set_custom_reduce_scatter(WeighedReduceScatter(self.rank_weight))  # type: ignore[operator]
            keep_masks(module)
        replaced = {}
        axes = tuple(range(self.mesh.ndim))
        for module, name, old in before:
            new: Any = module._parameters[name]
            replaced[id(old)] = new
            mark_replaced(old)
            info = old.info if isinstance(old, Variable) else VariableInfo(name, name)
            describe(new, info, Sharding(axes, self.rank_weight, True))
        gather_in_calls(model)
        return replaced

    def compiles_steps(self, model: nn.Module) -> bool:
        return False  # hooks of FSDP2 between the blocks can't be in a graph

    def blocks(self, model: nn.Module) -> list[nn.Module]:
        """The layers whose weights are gathered at once and that hold no other such layer."""
        fsdp = importlib.import_module("torch.distributed.fsdp")
        parts = [module for module in model.modules() if isinstance(module, fsdp.FSDPModule) and module is not model]
        return [block for block in parts if not any(other is not block for other in parts if _is_in(other, block))]

    def _options(self, fsdp: Any) -> dict[str, Any]:
        chosen = self.distribution
        names = {"param_dtype": chosen.param_dtype, "reduce_dtype": chosen.reduce_dtype}
        types = {name: None if value is None else torch_dtype(value) for name, value in names.items()}
        return {
            "mesh": self.mesh,
            "mp_policy": fsdp.MixedPrecisionPolicy(**types),
            "offload_policy": _offload_policy(fsdp, chosen.cpu_offload),
            "reshard_after_forward": chosen.reshard_after_forward,
            "shard_placement_fn": self._split_axis,
        }

    def _split_axis(self, parameter: nn.Parameter) -> Any:
        """Along the first axis, or where that leaves ranks without a part, along the largest that divides evenly."""
        ranks = self.mesh.size(self.mesh.ndim - 1)
        even = [axis for axis, size in enumerate(parameter.shape) if size % ranks == 0]
        if not even or 0 in even:
            return None
        return dtensors().Shard(max(even, key=lambda axis: parameter.shape[axis]))

    # -- steps

    def trained(self, model: nn.Module, weights: Sequence[Any]) -> TrainedModel:
        return ShardedModel(model, weights, self.group)

    def runner(self, step: Step, metrics: Callable[[], Iterable[Any]]) -> Callable[[RankBatch], Any]:
        return weighing(self.rank_weight, step, super().runner(step, metrics))


def _is_in(module: nn.Module, whole: nn.Module) -> bool:
    return any(module is one for one in whole.modules())


def _offload_policy(fsdp: Any, offload: bool) -> Any:
    """Where the parts of weights lie; memory is pinned only where there is a device to copy it to."""
    return fsdp.CPUOffloadPolicy(pin_memory=torch.accelerator.is_available()) if offload else fsdp.OffloadPolicy()


def keep_masks(module: nn.Module) -> None:
    """Let the inputs of a module keep their masks when FSDP's hook puts other tensors in their places."""
    noted: list[list[Any]] = []

    def note(module: nn.Module, args: Any, kwargs: Any) -> None:
        noted.append([getattr(leaf, "_keras_mask", None) for leaf in tree.flatten((args, kwargs))])

    def restore(module: nn.Module, args: Any, kwargs: Any) -> None:
        masks = noted.pop()
        if any(mask is not None for mask in masks):
            for leaf, mask in zip(tree.flatten((args, kwargs)), masks):
                if mask is not None and getattr(leaf, "_keras_mask", None) is None:
                    set_mask(leaf, mask)

    module.register_forward_pre_hook(note, prepend=True, with_kwargs=True)
    module.register_forward_pre_hook(restore, with_kwargs=True)


class WeighedReduceScatter:
    """FSDP's message of gradients, in which a rank's count by its rows of the batch.

    Args:
        weight: by how much the gradients of this rank count; FSDP itself takes the mean.
    """

    def __init__(self, weight: RankWeight) -> None:
        self.weight = weight

    def allocate(self, size: Sequence[int], *, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Memory for a message."""
        return torch.empty(*size, dtype=dtype, device=device)

    def __call__(
        self,
        output_tensor: torch.Tensor,
        input_tensor: torch.Tensor,
        group: distributed.ProcessGroup,
        op: Any,
        async_op: bool = False,
    ) -> Any:
        factor = self.weight() * self.weight.size
        if factor != 1.0:
            input_tensor.mul_(factor)
        return reduce_scatter(output_tensor, input_tensor, group=group, op=op, async_op=async_op)


def _parameters(model: nn.Module) -> list[tuple[nn.Module, str, torch.Tensor]]:
    return [
        (module, name, parameter)
        for module in model.modules()
        for name, parameter in module._parameters.items()
        if parameter is not None
    ]
