"""One process for all devices of torch_xla: batches and weights are marked as split, and the compiler does the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from torchkeras.core import tree
from torchkeras.core.accelerators import is_lazy, mark, mark_weight
from torchkeras.distributed import distributions
from torchkeras.distributed.rank_share import RankBatch
from torchkeras.distributed.rank_source import BatchSource, RankSource
from torchkeras.distributed.strategies.base import Strategy
from torchkeras.distributed.strategies.model_parallel import find_layouts

MeshAxes = str | tuple[str, ...]


class Spmd(Strategy):
    """The distribution that was set, by marks on tensors (SPMD: single program, multiple data).

    The program is that of one device. The compiler splits each computation as its inputs are split, and adds the
    messages between devices, so that losses, gradients, metrics and statistics are those of the whole batch.
    """

    replay_obstacle = "the devices are torch_xla's, for which CUDA graphs are not"

    @classmethod
    def is_wanted(cls) -> bool:
        chosen = distributions.distribution()
        return chosen is not None and chosen.device_mesh.is_in_one_process

    def __init__(self) -> None:
        self.distribution: Any = distributions.distribution()
        self.is_fully_sharded = isinstance(self.distribution, distributions.FullyShardedDataParallel)
        if self.is_fully_sharded:
            _check_options(self.distribution)
        mesh = self.distribution.device_mesh
        self.mesh = mesh.backend_mesh
        names = tuple(mesh.axis_names)
        self.row_axes: MeshAxes = names if self.is_fully_sharded else self.distribution.batch_dim_name
        """The mesh axes over which the rows of a batch are split."""
        self.shares = self.distribution.num_model_replicas
        """Into how many shares a batch is split."""
        self.parts_axis, self.parts = names[-1], int(tuple(mesh.shape)[-1])
        """Fully sharded: the mesh axis over which weights are split, and into how many parts."""

    # -- batches

    def source(self, source: BatchSource, training: bool = False) -> RankSource:
        return _MarkedSource(self, source, training)

    def cut(self, data: Any) -> RankBatch:
        return RankBatch(self.split_rows(data))

    def describe_batches(self, source: RankSource) -> str:
        rows = source.source.batch_size
        each = f", {rows // self.shares} each" if rows and not rows % self.shares else ""
        whole = f" of {rows} samples together{each}" if rows else ""
        return f"{self.shares} devices: batches{whole}." if self.shares > 1 else ""

    def split_rows(self, data: Any) -> Any:
        """A batch, marked as split by rows. An array whose rows can't be split evenly stays whole on each device."""
        for leaf in tree.flatten(data):
            if isinstance(leaf, torch.Tensor) and is_lazy(leaf.device) and leaf.dim() and not len(leaf) % self.shares:
                mark(leaf, self.mesh, (self.row_axes, *[None] * (leaf.dim() - 1)))
        return data

    # -- weights

    def place(self, model: nn.Module) -> dict[int, torch.Tensor]:
        marked = [weight for weight, axes in self._wanted(model) if mark_weight(weight, self.mesh, axes)]
        return {id(weight): weight for weight in marked}

    def _wanted(self, model: nn.Module) -> Iterator[tuple[torch.Tensor, tuple[str | None, ...]]]:
        """The weights that are to be split, with a mesh axis for each axis that is."""
        if isinstance(self.distribution, distributions.ModelParallel):
            for variable, layout in find_layouts(self.distribution, model):
                yield variable, layout.axes
        elif self.is_fully_sharded:
            whole = self._kept_whole(model)
            for parameter in model.parameters():
                axis = None if id(parameter) in whole else self._split_axis(parameter)
                if axis is not None:
                    yield parameter, tuple(self.parts_axis if i == axis else None for i in range(parameter.dim()))

    def _kept_whole(self, model: nn.Module) -> set[int]:
        """The kernels of convolutions, on a mesh of two axes.

        Where they are split over one axis and rows over both, the gradients that XLA (of torch_xla 2.9) computes are
        wrong. Split over the only axis of a mesh they are right.
        """
        if isinstance(self.row_axes, str) or len(self.row_axes) == 1:
            return set()
        windowed = [module for module in model.modules() if hasattr(module, "kernel_size")]
        return {id(parameter) for module in windowed for parameter in module.parameters(recurse=False)}

    def _split_axis(self, parameter: torch.Tensor) -> int | None:
        """The first axis, if that can be split evenly, else the largest that can; `None` without one."""
        even = [axis for axis, size in enumerate(parameter.shape) if size % self.parts == 0]
        return None if not even else 0 if 0 in even else max(even, key=lambda axis: parameter.shape[axis])


def _check_options(chosen: distributions.Distribution) -> None:
    """Refuse what torch_xla's SPMD does not do.

    Raises:
        ValueError: an option has another value than its default.
    """
    options = ("param_dtype", "reduce_dtype", "cpu_offload", "activation_checkpointing")
    wrong = [name for name in options if getattr(chosen, name)]
    if wrong:
        raise ValueError(
            f"FullyShardedDataParallel on torch_xla has no {', '.join(wrong)}: the compiler places weights and "
            "messages. Set a dtype policy such as 'mixed_bfloat16' for the type of the computation, and "
            "keras.RematScope for activations that are computed again."
        )


class _MarkedSource(RankSource):
    """Batches that are split over the devices."""

    def __init__(self, strategy: Spmd, source: BatchSource, training: bool) -> None:
        super().__init__(source, training)
        self._strategy = strategy

    def epoch(self, skip: int = 0) -> Iterator[RankBatch]:
        return map(self._split, super().epoch(skip))

    def _split(self, batch: RankBatch) -> RankBatch:
        return RankBatch(self._strategy.split_rows(batch.data), batch.share)
