"""On a pretended CUDA device all lies where it must, the numbers are the CPU's, and the host waits for little."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import torchkeras as keras
from tests.device_rows import rows
from tests.pretend_cuda import CPU, pretended_cuda
from torchkeras.core import accelerators, tree

# Whose result has a shape, or whose way depends on values, which the host must know; or torch's kernel waits.
READS = {
    "op unique", "op nonzero", "op bincount", "op where", "op while_loop", "op cond", "op arange", "op segment_",
    "op svd", "op eig", "op eigh", "op inv", "op solve", "op cholesky", "op lu_factor", "op matrix_rank", "op norm",
    "op linalg.matrix_power", "op ctc_loss",
    # They compute on the host.
    "layer Hashing", "layer HashedCrossing",
    # The number of rows decides whether there is an adjustment.
    "metric R2Score adjusted",
}  # fmt: skip


def results(check: Callable[[], Any]) -> list[torch.Tensor]:
    keras.utils.set_random_seed(7)
    return [leaf.detach() for leaf in tree.flatten(check()) if isinstance(leaf, torch.Tensor)]


def test_each_op_layer_loss_metric_and_optimizer():
    wanted = {name: results(check) for name, check in rows(few=True).items()}
    broken = []
    with pretended_cuda() as machine:
        for name, check in rows(few=True, prepared=machine.waits.clear).items():
            machine.waits.clear()
            try:
                found = results(check)
                waits = [] if name.startswith(tuple(READS)) else machine.waits[:]
                # A number that is given to an op as an array, a list or a number of Python's is moved for the call.
                waits = [wait for wait in waits if "convert.py" not in wait.where]
                assert not waits, f"the host waits: {waits}"
                if not name.startswith(("optimizer", "op cond")):  # the count and the rate are the host's
                    strange = [i for i, x in enumerate(found) if machine.labels.get(x) == CPU]
                    assert not strange, f"results {strange} lie on the CPU"
                found = [x.cpu() for x in found]
                torch.testing.assert_close(found, wanted[name], rtol=1e-5, atol=1e-5, equal_nan=True)
            except Exception as error:
                broken.append(f"{name}: {type(error).__name__}: {error}")
    assert not broken, "\n\n".join(broken)
    assert len(wanted) > 500


def test_boxes_and_labels_of_two_devices():
    boxes = torch.tensor([[-1.0, 2.0, 6.0, 9.0], [3.0, 3.0, 5.0, 5.0]])
    utilities = keras.utils.bounding_boxes
    with pretended_cuda():
        clipped = utilities.clip_to_image_size({"boxes": boxes, "labels": np.array([1, 2])}, height=8, width=8)
        assert clipped["labels"].tolist() == [1, 2] and not clipped["labels"].is_cuda
        assert utilities.compute_iou(boxes, boxes.numpy(), "xyxy").shape == (2, 2)
        encoded = utilities.encode_box_to_deltas(boxes.numpy(), boxes.numpy() + 1, "xyxy", "xyxy")
        assert utilities.decode_deltas_to_boxes(boxes, encoded, "xyxy", "xyxy").is_cuda
        crop = keras.layers.CenterCrop(4, 4, bounding_box_format="xyxy")
        images = {
            "images": np.ones((1, 8, 8, 3), "float32"),
            "bounding_boxes": {"boxes": boxes[None], "labels": np.array([[1, 2]])},
        }
        assert crop(images)["bounding_boxes"]["boxes"].shape == (1, 2, 4)


def test_tensors_of_two_devices_come_to_the_current_one():
    """As in Keras, where each op moves its arguments. Gradients flow back to both."""
    ops = keras.ops
    calls: dict[str, Callable[[Any, Any], torch.Tensor]] = {
        "matmul": lambda host, there: ops.matmul(host, there),
        "add": lambda host, there: ops.add(there, host),
        "promoted": lambda host, there: ops.add(host.double(), there),
        "list": lambda host, there: ops.concatenate([host, there]),
        "einsum": lambda host, there: ops.einsum("ij,jk->ik", there, host),
        "conv": lambda host, there: ops.conv(host.view(1, 3, 3, 1), there[:1, :1].view(1, 1, 1, 1)),
        "where": lambda host, there: ops.where(host > 0.5, there, there * 2),
    }
    values = np.random.rand(2, 3, 3).astype("float32")
    wanted = {name: call(*torch.from_numpy(values)) for name, call in calls.items()}
    with pretended_cuda() as machine:
        host, there = torch.tensor(values[0], requires_grad=True), torch.tensor(values[1], device="cuda")
        there.requires_grad_()
        machine.waits.clear()
        for name, call in calls.items():
            found = call(host, there)
            assert found.is_cuda and machine.mixed, name
            assert not machine.waits, (name, machine.waits)
            machine.mixed.clear()
            torch.testing.assert_close(found.cpu(), wanted[name], rtol=1e-6, atol=1e-6)
            machine.waits.clear()
        ops.matmul(there, host).sum().backward()
        assert there.grad is not None and host.grad is not None
        with keras.device("cpu"):
            assert not ops.matmul(host, there).is_cuda
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):  # the error of the second call
            ops.matmul(there, torch.ones(2, 2))
        with pytest.raises(RuntimeError, match="two devices"):  # operators are torch's
            there + host


# Rows that draw by each kind of distribution, in layers with ways of their own.
DRAWING = (
    "random",
    "layer MultiHead",
    "layer Attention",
    "layer Dropout",
    "layer Gaussian",
    "layer MixUp",
    "layer GRU",
)


def test_which_random_numbers_a_device_draws():
    """None for initial weights; with the portable generator none at all."""
    with pretended_cuda() as machine:
        kinds = {kind for kind in vars(keras.initializers).values() if isinstance(kind, type)}
        for kind in kinds:
            if "seed" in inspect.signature(kind).parameters:
                kind()((4, 4))
        assert len(kinds) > 10 and not machine.draws
        checks = {name: check for name, check in rows(few=True).items() if name.startswith(DRAWING)}
        for name in ("random uniform", "layer Dropout rate=0.4"):
            checks[name]()
        assert len(machine.draws) >= 2
        machine.draws.clear()
        keras.config.enable_portable_random()
        try:
            for check in checks.values():
                check()
        finally:
            keras.config.disable_portable_random()
        assert len(checks) > 15 and not machine.draws


@pytest.mark.filterwarnings("ignore:.*fork.*")  # of a process with threads
def test_a_process_forked_from_one_that_uses_cuda_computes_on_the_cpu(monkeypatch):
    """As a worker of a `DataLoader` does, whose data set may call ops."""
    with pretended_cuda():
        assert keras.ops.add([1.0], [2.0]).is_cuda
        monkeypatch.setattr(accelerators, "is_in_bad_fork", lambda: True)
        with keras.device("cuda"):
            child = os.fork()
            if not child:
                os._exit(int(keras.ops.add([1.0], [2.0]).is_cuda))
        assert os.waitpid(child, 0)[1] == 0
        assert keras.ops.add([1.0], [2.0]).is_cuda
