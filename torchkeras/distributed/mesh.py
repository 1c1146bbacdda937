"""Meshes of devices, and how tensors lie on them: Keras's `DeviceMesh`, `TensorLayout` and `LayoutMap`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

import numpy as np
from torch import distributed

from torchkeras.core.accelerators import ACCELERATORS, count, find_accelerator, make_mesh, row_of
from torchkeras.core.tensors.sharded import dtensors
from torchkeras.distributed import calls, process

TORCH_TYPES = {row.keras_name: row.type for row in ACCELERATORS.values()}
"""Torch's names of devices where Keras has others."""


def list_devices(device_type: str | None = None) -> list[str]:
    """The devices of all processes, one for each process; without several processes, those of this machine.

    Args:
        device_type: `"cpu"`, `"gpu"`, `"tpu"` or another of torch's device types. `None` means that of the accelerator
            which torch finds, else `"cpu"`. Default: `None`.

    Returns:
        Names such as `"gpu:0"`. Device `i` belongs to rank `i`.

    Example:
        >>> keras.distribution.list_devices("cpu")
        ['cpu:0']
    """
    kind = (device_type or _default_type()).lower()
    kind = row_of(kind).keras_name
    return [f"{kind}:{i}" for i in range(_count(kind))]


def get_device_count(device_type: str | None = None) -> int:
    """The number of devices that `list_devices` lists.

    Args:
        device_type: as in `list_devices`. Default: `None`.

    Example:
        >>> keras.distribution.get_device_count("cpu")
        1
    """
    return len(list_devices(device_type))


def _default_type() -> str:
    found = find_accelerator()
    return "cpu" if found is None else found.type


def _count(kind: str) -> int:
    found = 1
    if kind != "cpu":
        accelerator = find_accelerator()
        found = count() if accelerator is not None and accelerator.type == TORCH_TYPES.get(kind, kind) else 0
    return process.launched_world_size() if found and process.launched_world_size() > 1 else found


class DeviceMesh:
    """Devices in a grid whose axes have names.

    Each process has one device: the device at place `i` of the list belongs to rank `i`.

    Args:
        shape: the size of each axis, such as `(8,)` for data parallel or `(4, 2)` for data and model parallel training.
        axis_names: a name for each axis; layouts refer to them.
        devices: names of devices, in rank order; `None` means `list_devices()`. Default: `None`.

    Raises:
        ValueError: shape and names are empty or of different lengths, or the shape holds another number of devices.

    Example:
        >>> mesh = keras.distribution.DeviceMesh((2, 2), ["batch", "model"], [f"cpu:{i}" for i in range(4)])
        >>> mesh.devices.tolist()
        [['cpu:0', 'cpu:1'], ['cpu:2', 'cpu:3']]
    """

    def __init__(
        self, shape: Sequence[int], axis_names: Sequence[str], devices: Sequence[str] | np.ndarray | None = None
    ) -> None:
        if not shape or not axis_names:
            raise ValueError(f"Shape and axis_names cannot be empty. Received: shape={shape}, axis_names={axis_names}")
        if len(shape) != len(axis_names):
            raise ValueError(
                f"Shape and axis_names should have same size. Received: shape={shape}, axis_names={axis_names}"
            )
        found = np.array(list_devices() if devices is None else devices)
        if math.prod(shape) != found.size:
            raise ValueError(
                f"Shape does not match the number of devices. Received: shape={shape}; devices.shape={found.shape}. "
                "Each process has one device: start as many processes as the mesh has places "
                f"(torchrun --nproc-per-node={math.prod(shape)}), or give another shape."
            )
        self._shape = shape
        self._axis_names = axis_names
        self._devices = np.reshape(found, tuple(shape))
        self._torch_mesh: Any = None

    @property
    def shape(self) -> Any:
        """The size of each axis, as given."""
        return self._shape

    @property
    def axis_names(self) -> Any:
        """The names of the axes, as given."""
        return self._axis_names

    @property
    def devices(self) -> np.ndarray:
        """The names of the devices, in the mesh's shape."""
        return self._devices

    @property
    def backend_mesh(self) -> Any:
        """Torch's `DeviceMesh` of the same shape and names, over the processes that are joined; under SPMD torch_xla's.

        Raises:
            RuntimeError: there are not as many processes as the mesh has places.
        """
        if self._torch_mesh is None:
            process.join()
            check_world_size(self)
            if self.is_in_one_process:
                self._torch_mesh = make_mesh(self._numbers(), tuple(self._shape), tuple(self._axis_names))
                return self._torch_mesh
            calls.meet("the making of a DeviceMesh")
            kind = self._kind()
            self._torch_mesh = distributed.device_mesh.init_device_mesh(
                TORCH_TYPES.get(kind, kind), tuple(self._shape), mesh_dim_names=tuple(self._axis_names)
            )
        return self._torch_mesh

    @property
    def is_in_one_process(self) -> bool:
        """Whether the mesh is of several devices on which one process works (torch_xla's SPMD)."""
        return self._devices.size > 1 and row_of(self._kind()).is_lazy and process.launched_world_size() == 1

    def _kind(self) -> str:
        return str(self._devices.flat[0]).split(":")[0]

    def _numbers(self) -> list[int]:
        return [int(str(name).split(":")[1]) for name in self._devices.flat]

    def axis_index(self, name: str) -> int:
        """The place of an axis among the names."""
        return list(self._axis_names).index(name)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_torch_mesh": None}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} shape={self.shape}, axis_names={self.axis_names}>"


def check_world_size(mesh: DeviceMesh) -> None:
    """Refuse a mesh of another size than the group of processes, or than all devices of a process that works on them.

    Raises:
        RuntimeError: the sizes differ.
    """
    if mesh.is_in_one_process:
        if mesh.devices.size != count():
            raise RuntimeError(
                f"A device mesh must have all devices of torch_xla; the mesh of shape {tuple(mesh.shape)} has "
                f"{mesh.devices.size}, and there are {count()}: keras.distribution.list_devices() names them."
            )
        return
    if mesh.devices.size != process.world_size():
        raise RuntimeError(
            f"A device mesh needs one process for each of its devices; the mesh of shape {tuple(mesh.shape)} has "
            f"{mesh.devices.size} devices, and {process.world_size()} process(es) run. Start the script with "
            f"torchrun --nproc-per-node={mesh.devices.size}."
        )


class TensorLayout:
    """Say which axes of a tensor are split over which axes of a mesh.

    Args:
        axes: for each axis of the tensor, the name of the mesh axis that it is split over, or `None`.
        device_mesh: the mesh. It may be set later, once. Default: `None`.

    Raises:
        ValueError: a name is not one of the mesh's.

    Example:
        >>> layout = keras.distribution.TensorLayout((None, "model"))
        >>> layout.axes
        (None, 'model')
    """

    def __init__(self, axes: Sequence[str | None], device_mesh: DeviceMesh | None = None) -> None:
        self._axes = tuple(axes)
        self._device_mesh = device_mesh
        self._check_axes()

    @property
    def axes(self) -> tuple[str | None, ...]:
        """For each axis of the tensor the name of a mesh axis, or `None`."""
        return self._axes

    @property
    def device_mesh(self) -> DeviceMesh | None:
        """The mesh; it can be set where there is none yet."""
        return self._device_mesh

    @device_mesh.setter
    def device_mesh(self, device_mesh: DeviceMesh) -> None:
        if self._device_mesh is not None:
            raise ValueError(f"Cannot override device mesh value. Existing value is {self._device_mesh}")
        self._device_mesh = device_mesh
        self._check_axes()

    @property
    def backend_layout(self) -> tuple[Any, list[Any]]:
        """Torch's mesh, and the placement of the tensor along each of the mesh's axes."""
        if self._device_mesh is None:
            raise ValueError("Cannot create sharding when device mesh is not set for TensorLayout.")
        return self._device_mesh.backend_mesh, self.placements()

    def placements(self) -> list[Any]:
        """For each axis of the mesh torch's `Shard` or `Replicate`."""
        assert self._device_mesh is not None
        module = dtensors()
        found = [module.Replicate() for _ in self._device_mesh.axis_names]
        for axis, name in enumerate(self._axes):
            if name is not None:
                found[self._device_mesh.axis_index(name)] = module.Shard(axis)
        return found

    def _check_axes(self) -> None:
        if self._device_mesh is None:
            return
        valid, given = set(self._device_mesh.axis_names), {name for name in self._axes if name is not None}
        if given - valid:
            raise ValueError(f"Invalid axis names for Layout. Valid axis names: {valid}, Got {given}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} axes={self.axes}, device_mesh={self.device_mesh}>"


class LayoutMap(MutableMapping):
    """Layouts by the paths of weights: keys are regular expressions that must match a whole path.

    `layout_map[path]` is the layout under that very key, else the one whose key matches, else `None`.

    Args:
        device_mesh: the mesh that layouts without one get.

    Raises:
        ValueError: on reading, several keys match; on setting, the key exists or the value is no layout.

    Example:
        >>> mesh = keras.distribution.DeviceMesh((1, 2), ["batch", "model"], ["cpu:0", "cpu:1"])
        >>> layout_map = keras.distribution.LayoutMap(mesh)
        >>> layout_map[".*dense.*kernel"] = (None, "model")
        >>> layout_map["model/dense_1/kernel"].axes
        (None, 'model')
        >>> layout_map["model/dense_1/bias"] is None
        True
    """

    def __init__(self, device_mesh: DeviceMesh | None) -> None:
        self._layout_map: dict[str, TensorLayout] = {}
        self._device_mesh = device_mesh

    @property
    def device_mesh(self) -> DeviceMesh | None:
        """The mesh that layouts without one get."""
        return self._device_mesh

    def __getitem__(self, key: str) -> TensorLayout | None:  # type: ignore[override]
        if key in self._layout_map:
            return self._layout_map[key]
        matching = [pattern for pattern in self._layout_map if re.fullmatch(pattern, key)]
        if len(matching) > 1:
            raise ValueError(
                f"Path '{key}' matches multiple layout specification keys: {matching}. Please make sure each "
                "tensor/variable path only matches at most one layout specification key in the LayoutMap."
            )
        return self._layout_map[matching[0]] if matching else None

    def __setitem__(self, key: str, layout: TensorLayout | tuple[str | None, ...]) -> None:
        if key in self._layout_map:
            raise ValueError(
                f"{key} already exist in the LayoutMap with value {self._layout_map[key]}. Please make sure to not "
                "use duplicated keys."
            )
        if isinstance(layout, tuple):
            layout = TensorLayout(layout)
        if not isinstance(layout, TensorLayout):
            raise ValueError(f"{layout} should be a TensorLayout type, got {type(layout)}")
        if layout.device_mesh is None and self._device_mesh is not None:
            layout.device_mesh = self._device_mesh
        self._layout_map[key] = layout

    def __delitem__(self, key: str) -> None:
        del self._layout_map[key]

    def __len__(self) -> int:
        return len(self._layout_map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layout_map)
