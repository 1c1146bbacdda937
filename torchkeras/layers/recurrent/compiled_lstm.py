"""oneDNN's LSTM as an operator of graphs that `torch.compile` makes for a CPU, with its gradient.

The compiler takes torch's LSTM apart into the operations of each step: 64 steps compile for minutes, and then take 1.7
times as long as the kernel (torch 2.13, one core).
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.torch_internals import onednn_rnn, onednn_rnn_backward, outside_of_tracing
from torchkeras.layers.recurrent.compiled_recurrence import may_hold_operator

_IS_HERE = torch.backends.mkldnn.is_available() and None not in (onednn_rnn, onednn_rnn_backward)
_MODE = 2  # oneDNN's number for LSTM
_WEIGHTS = "Tensor x, Tensor kernel, Tensor recurrent, Tensor bias, Tensor h, Tensor c"
_GRADS = "Tensor? grad_outputs, Tensor? grad_h, Tensor? grad_c"

_library = torch.library.Library("torchkeras", "FRAGMENT")
_library.define(f"lstm({_WEIGHTS}, bool train) -> (Tensor, Tensor, Tensor, Tensor)")
_library.define(
    f"lstm_backward({_WEIGHTS}, Tensor outputs, Tensor last_h, Tensor last_c, Tensor workspace, {_GRADS}) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)


def can_compile_lstm(inputs: Tensor) -> bool:
    """Whether a graph that is being made may hold the operator for these inputs."""
    return _IS_HERE and may_hold_operator(inputs) and inputs.dtype == torch.float32


def compiled_lstm(
    inputs: Tensor, states: list[Tensor], kernel: Tensor, recurrent: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Run an LSTM over sequences, in code that `torch.compile` traces.

    Args:
        inputs: `(batch, time, features)`.
        states: `h` and `c` before the first step, each `(batch, units)`.
        kernel: `(4 * units, features)`, the gates in the order input, forget, candidate, output.
        recurrent: `(4 * units, units)`.
        bias: `(4 * units,)`, or `None`.

    Returns:
        The outputs `(batch, time, units)`, and the last `h` and `c`.
    """
    bias = torch.zeros_like(kernel[:, 0]) if bias is None else bias
    h, c = (state.unsqueeze(0).contiguous() for state in states)
    x = inputs.transpose(0, 1).contiguous()
    outputs, h, c, _ = torch.ops.torchkeras.lstm(x, kernel, recurrent, bias, h, c, torch.is_grad_enabled())
    if torch.is_autocast_enabled("cpu"):  # as eager code has it there
        outputs, h, c = (tensor.to(torch.get_autocast_dtype("cpu")) for tensor in (outputs, h, c))
    return outputs.transpose(0, 1), h.squeeze(0), c.squeeze(0)


def _forward(
    x: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor, h: Tensor, c: Tensor, train: bool
) -> tuple[Tensor, ...]:
    """Outputs, last states, and what oneDNN keeps for the gradient, which it only does in torch's gradient mode."""
    units = h.shape[2]
    tensors = [tensor.detach() for tensor in (x, kernel, recurrent, bias, torch.zeros_like(bias), h, c)]
    with torch.set_grad_enabled(train):
        *found, workspace = onednn_rnn(*tensors, False, [], _MODE, units, 1, True, False, False, train)
    return (*found, workspace if train else x.new_empty(0, dtype=torch.uint8))


def _backward(
    x: Tensor,
    kernel: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    h: Tensor,
    c: Tensor,
    outputs: Tensor,
    last_h: Tensor,
    last_c: Tensor,
    workspace: Tensor,
    *grads: Tensor | None,
) -> tuple[Tensor, ...]:
    tensors = x, kernel, recurrent, bias, torch.zeros_like(bias), h, c, outputs, last_h, last_c
    of_x, of_kernel, of_recurrent, of_bias, _, of_h, of_c = onednn_rnn_backward(
        *tensors, *grads, False, _MODE, h.shape[2], 1, True, True, False, [], False, workspace
    )
    return of_x, of_kernel, of_recurrent, of_bias, of_h.view_as(h), of_c.view_as(c)


_library.impl("lstm", _forward, "CPU")
_library.impl("lstm_backward", _backward, "CPU")


@functools.lru_cache
def _workspace_size(time: int, batch: int, features: int, units: int) -> int:
    """The number of bytes that oneDNN keeps for the gradient."""
    with outside_of_tracing():
        shapes = (time, batch, features), (4 * units, features), (4 * units, units), (4 * units,), (1, batch, units)
        x, kernel, recurrent, bias, state = (torch.zeros(shape, dtype=torch.float32) for shape in shapes)
        return _forward(x, kernel, recurrent, bias, state, state, True)[3].numel()


@torch.library.register_fake("torchkeras::lstm", lib=_library)
def _(
    x: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor, h: Tensor, c: Tensor, train: bool
) -> tuple[Tensor, ...]:
    sizes = (*x.shape, h.shape[2])
    if not train:
        kept: Any = 0
    elif all(isinstance(size, int) for size in sizes):
        kept = _workspace_size(*sizes)
    else:
        kept = torch.library.get_ctx().new_dynamic_size()
    workspace = torch.empty(kept, dtype=torch.uint8, device=x.device)
    return x.new_empty((*x.shape[:2], h.shape[2])), torch.empty_like(h), torch.empty_like(c), workspace


@torch.library.register_fake("torchkeras::lstm_backward", lib=_library)
def _(*arguments: Tensor) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(argument) for argument in arguments[:6])


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs[:6], *output)


def _gradients(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    return (*torch.ops.torchkeras.lstm_backward(*ctx.saved_tensors, *grads[:3]), None)


def _refuse(ctx: Any, *grads: Tensor | None) -> None:
    raise NotImplementedError("oneDNN's LSTM has no second derivative.")


torch.library.register_autograd("torchkeras::lstm", _gradients, setup_context=_keep, lib=_library)
torch.library.register_autograd("torchkeras::lstm_backward", _refuse, lib=_library)
