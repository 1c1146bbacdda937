"""Keras's distributions: which weights and batches lie where. `set_distribution` chooses the one that training uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from torchkeras.core.accelerators import use_all_devices
from torchkeras.core.user_warnings import warn_user
from torchkeras.distributed import process
from torchkeras.distributed.mesh import DeviceMesh, LayoutMap, TensorLayout, list_devices

BATCH = "batch"
"""The name of the mesh axis over which batches are split, where the user names none."""

_current: list[Any] = [None]


def distribution() -> Distribution | None:
    """The distribution that `set_distribution` set, or whose scope is open; `None` without one.

    Example:
        >>> keras.distribution.distribution() is None
        True
    """
    return _current[0]


def set_distribution(value: Distribution | None) -> None:
    """Choose how `fit`, `evaluate` and `predict` place weights and batches from now on.

    Args:
        value: a `DataParallel`, `ModelParallel` or `FullyShardedDataParallel`; `None`: data parallel where several
            processes run.

    Example:
        >>> parallel = keras.distribution.DataParallel(devices=["cpu:0"])
        >>> keras.distribution.set_distribution(parallel)
        >>> keras.distribution.distribution() is parallel
        True
        >>> keras.distribution.set_distribution(None)
    """
    if value is not None and value.device_mesh.is_in_one_process:
        use_all_devices()
    _current[0] = value


class Distribution:
    """Base of the distributions.

    Args:
        device_mesh: the mesh of devices.
        batch_dim_name: the mesh axis over which batches are split.
        auto_shard_dataset: whether each rank takes its rows of every batch; `False`: the data give each rank batches
            of its own.
    """

    strategy = "data_parallel"
    """The strategy that carries the distribution out, by its name in `strategies/registry.py`."""

    def __init__(
        self, device_mesh: DeviceMesh, batch_dim_name: str | None = None, auto_shard_dataset: bool = True
    ) -> None:
        process.join()
        self._device_mesh = device_mesh
        self._batch_dim_name = batch_dim_name
        self._auto_shard_dataset = auto_shard_dataset
        self._num_processes = process.world_size()
        self._process_id = process.rank()
        self._is_multi_process = self._num_processes > 1

    @property
    def device_mesh(self) -> DeviceMesh:
        """The mesh of devices."""
        return self._device_mesh

    @property
    def batch_dim_name(self) -> str | None:
        """The mesh axis over which batches are split."""
        return self._batch_dim_name

    @property
    def auto_shard_dataset(self) -> bool:
        """Whether each rank takes its rows of every batch."""
        return self._auto_shard_dataset

    @property
    def num_processes(self) -> int:
        """How many processes run."""
        return self._num_processes

    @property
    def num_model_replicas(self) -> int:
        """Into how many shares a batch is split."""
        raise NotImplementedError

    @property
    def data_shard_id(self) -> int:
        """The number of the share of each batch that this process has."""
        replicas = self.num_model_replicas
        if replicas >= self.num_processes:
            return self._process_id
        return self._process_id // (self.num_processes // replicas)

    def get_data_layout(self, data_shape: Sequence[int | None]) -> TensorLayout:
        """The layout of a batch of this shape: split by rows.

        Args:
            data_shape: the shape, rows first.
        """
        return TensorLayout([self.batch_dim_name, *[None] * (len(data_shape) - 1)], self.device_mesh)

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        """The layout of a weight: its own `_layout` if it has one, else whole on every rank.

        Args:
            variable: the weight.
        """
        own = getattr(variable, "_layout", None)
        return own if own is not None else TensorLayout([None] * len(variable.shape), self.device_mesh)

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """The layout of a layer's outputs; `None` leaves them as they are.

        Args:
            path: the tensor's path.
        """
        return None

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Inside, this is the distribution that training uses."""
        before = distribution()
        set_distribution(self)
        try:
            yield
        finally:
            set_distribution(before)

    def distribute_dataset(self, dataset: Any) -> Any:
        """The data as `fit` wants them: unchanged, since `fit` gives each rank its rows of every batch.

        Args:
            dataset: a torch `DataLoader` or `Dataset`, a `PyDataset`, or another source of batches.

        Raises:
            ValueError: several processes run and this is no source of batches.
        """
        if not self._is_multi_process or not self.auto_shard_dataset or not isinstance(dataset, (list, tuple)):
            return dataset
        raise ValueError(
            f"The dataset type {type(dataset)} is not supported for auto-sharding in multi-process setting. Give fit() "
            "arrays, a torch DataLoader or Dataset, or a PyDataset: it gives each rank its rows of every batch."
        )

    def distribute_tf_dataset(self, dataset: Any) -> Any:
        """Refuse: there is no TensorFlow here.

        Args:
            dataset: a `tf.data.Dataset`.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"tf.data datasets are not supported; received {type(dataset)}. Give a torch DataLoader.")


class DataParallel(Distribution):
    """Every rank has all weights and its share of each batch; torch's `DistributedDataParallel` reduces gradients.

    It is what several processes do without any distribution, too.

    Args:
        device_mesh: a mesh of one axis; `None` means one of all devices. Default: `None`.
        devices: names of devices, instead of a mesh; `None` means `list_devices()`. Default: `None`.
        auto_shard_dataset: whether each rank takes its rows of every batch; `False`: the data give each rank batches
            of its own. Default: `True`.

    Raises:
        ValueError: `device_mesh` is no `DeviceMesh`.

    Example:
        >>> parallel = keras.distribution.DataParallel(devices=["cpu:0", "cpu:1"])
        >>> parallel.num_model_replicas, parallel.batch_dim_name
        (2, 'batch')
    """

    def __init__(
        self,
        device_mesh: DeviceMesh | None = None,
        devices: Sequence[str] | None = None,
        auto_shard_dataset: bool = True,
    ) -> None:
        mesh = _mesh_of(device_mesh, devices)
        if mesh.devices.ndim != 1:
            warn_user(
                f"Expect the input mesh to be 1D, but received mesh.devices.ndim={mesh.devices.ndim}. The first axis "
                "will be used for data-parallel sharding."
            )
        super().__init__(mesh, mesh.axis_names[0], auto_shard_dataset)

    @property
    def num_model_replicas(self) -> int:
        return int(self.device_mesh.devices.size)


def _mesh_of(device_mesh: Any, devices: Sequence[str] | None) -> DeviceMesh:
    if device_mesh:
        if not isinstance(device_mesh, DeviceMesh):
            raise ValueError(
                f"Expect `mesh` to be an instance of `DeviceMesh`. Received: mesh={device_mesh} "
                f"(of type {type(device_mesh)})"
            )
        return device_mesh
    found = np.array(list_devices() if devices is None else devices)
    return DeviceMesh(found.shape, [BATCH], found)


class ModelParallel(Distribution):
    """Weights are split over the ranks as a `LayoutMap` says, batches over one axis of its mesh.

    The ranks along the batch axis have shares of each batch. The ranks along the other axes have the same rows and
    parts of the weights, and compute parts of `Dense`, `EinsumDense`, `Embedding`, convolutions and attention heads.
    A weight that is split along an axis by which its layer can't compute in parts is stored in parts and gathered for
    each call. Results equal those of one process.

    Args:
        layout_map: layouts by paths of weights; weights without one are whole on every rank. It is required.
            Default: `None`.
        batch_dim_name: the mesh axis over which batches are split; `None` means the first one. Default: `None`.
        auto_shard_dataset: whether each rank takes its rows of every batch. Default: `True`.
        **kwargs: `device_mesh`, an argument of older versions, is ignored: the layout map has the mesh.

    Raises:
        ValueError: there is no layout map, or the processes can't be shared out evenly.

    Example:
        >>> mesh = keras.distribution.DeviceMesh((1, 2), ["batch", "model"], ["cpu:0", "cpu:1"])
        >>> layout_map = keras.distribution.LayoutMap(mesh)
        >>> layout_map[".*kernel"] = (None, "model")
        >>> parallel = keras.distribution.ModelParallel(layout_map=layout_map)
        >>> parallel.batch_dim_name, parallel.num_model_replicas
        ('batch', 1)
    """

    strategy = "model_parallel"

    def __init__(
        self,
        *,
        layout_map: LayoutMap | None = None,
        batch_dim_name: str | None = None,
        auto_shard_dataset: bool = True,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("device_mesh", None)
        if kwargs:
            raise TypeError(f"ModelParallel() got unexpected keyword arguments {sorted(kwargs)}.")
        if layout_map is None:
            raise ValueError("You must specify a layout_map argument.")
        if not isinstance(layout_map, LayoutMap):
            raise ValueError(f"Argument `layout_map` must be a `LayoutMap` instance. Received: layout_map={layout_map}")
        mesh = layout_map.device_mesh
        if mesh is None:
            raise ValueError("The layout map of ModelParallel must have a mesh: LayoutMap(device_mesh).")
        super().__init__(mesh, batch_dim_name or mesh.axis_names[0], auto_shard_dataset)
        self._layout_map = layout_map
        processes, replicas = self.num_processes, self.num_model_replicas
        if self._is_multi_process and processes > replicas and processes % replicas != 0:
            raise ValueError(
                "If `num_processes` is greater than `num_model_replicas`, `num_processes` must be divisible by "
                f"`num_model_replicas`. Got num_processes={processes}, num_model_replicas={replicas}."
            )

    @property
    def layout_map(self) -> LayoutMap:
        """The layouts by paths of weights."""
        return self._layout_map

    @property
    def num_model_replicas(self) -> int:
        return self.device_mesh.shape[self.device_mesh.axis_index(self.batch_dim_name or BATCH)]

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        found = None if getattr(variable, "_layout", None) is not None else self._layout_map[variable.path]
        return super().get_variable_layout(variable) if found is None else found

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        return self._layout_map[path]


class FullyShardedDataParallel(Distribution):
    """Every rank has a part of each weight, gradient and optimizer state, and its share of each batch (FSDP, ZeRO-3).

    Torch's `fully_shard` (FSDP2) gathers the weights of one block of layers at a time, for its forward pass and again
    for its backward pass. Memory for weights, gradients and optimizer state falls as one over the number of ranks.
    `fit`, `get_weights`, files and EMA work as ever; all ranks must call `save`.

    Args:
        device_mesh: a mesh of one axis; or of two, the first of which holds copies and the second parts (hybrid
            sharding: parts within a machine, copies across machines). `None` means one axis of all devices.
            Default: `None`.
        devices: names of devices, instead of a mesh; `None` means `list_devices()`. Default: `None`.
        auto_shard_dataset: whether each rank takes its rows of every batch. Default: `True`.
        wrap: what is a block: a layer class or a tuple of classes, names of layers, or a function from a layer to a
            bool. `None` means the largest layers that are no models and hold less than half of the weights.
            Default: `None`.
        param_dtype: type of the gathered weights and of the computation, such as `"bfloat16"`; `None` means the
            weights'. Default: `None`.
        reduce_dtype: type in which gradients are reduced; `None` means `param_dtype`. Default: `None`.
        cpu_offload: whether weights, gradients and optimizer state lie in the CPU's memory. Default: `False`.
        activation_checkpointing: whether a block forgets its activations and computes them again in the backward
            pass. Default: `False`.
        reshard_after_forward: whether a block lets go of its gathered weights between forward and backward pass;
            `False` saves a message per block and costs the memory. Default: `True`.

    Raises:
        ValueError: the mesh has more than two axes.

    Example:
        >>> sharded = keras.distribution.FullyShardedDataParallel(devices=["cpu:0", "cpu:1"])
        >>> sharded.num_model_replicas
        2
    """

    strategy = "fully_sharded"

    def __init__(
        self,
        device_mesh: DeviceMesh | None = None,
        devices: Sequence[str] | None = None,
        auto_shard_dataset: bool = True,
        wrap: type | tuple[type, ...] | Sequence[str] | Callable[[Any], bool] | None = None,
        param_dtype: str | None = None,
        reduce_dtype: str | None = None,
        cpu_offload: bool = False,
        activation_checkpointing: bool = False,
        reshard_after_forward: bool = True,
    ) -> None:
        mesh = _mesh_of(device_mesh, devices)
        if mesh.devices.ndim > 2:
            raise ValueError(
                "FullyShardedDataParallel needs a mesh of one axis, or of two: copies and parts. Received: "
                f"shape={tuple(mesh.shape)}"
            )
        super().__init__(mesh, mesh.axis_names[0], auto_shard_dataset)
        self.wrap = wrap
        self.param_dtype = param_dtype
        self.reduce_dtype = reduce_dtype
        self.cpu_offload = cpu_offload
        self.activation_checkpointing = activation_checkpointing
        self.reshard_after_forward = reshard_after_forward

    @property
    def num_model_replicas(self) -> int:
        return int(self.device_mesh.devices.size)
