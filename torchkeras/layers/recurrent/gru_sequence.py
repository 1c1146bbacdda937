"""The steps of a GRU with tanh, sigmoid and `reset_after`, and their gradients.

A step has five operations, and three in backward. Measured on one core of an AMD CPU (torch 2.13), `torch.nn.GRU`
takes 1.5 to 2.4 times as long forward and backward, for batches of 1 to 64, 16 to 200 steps and 8 to 256 units.

With the gates z, r and c of `GRUCell`, `i = h @ U_c + b_rc` and the gradient d of the new state, before the
activations: `dz = d * (h - c) * z * (1 - z)`, `dc = d * (1 - z) * (1 - c * c)`, `dr = dc * i * r * (1 - r)`,
and `dh = d * z + (dz, dr, dc * r) @ U.T`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.layers.recurrent.fused import adjacent
from torchkeras.layers.recurrent.recurrence import Recurrence, StepGradients, Weights, is_for_onednn, product, rows_of

tanh_backward, sigmoid_backward_into = torch.ops.aten.tanh_backward.default, torch.ops.aten.sigmoid_backward.grad_input


class GRUSequence(Recurrence):
    """A GRU's steps. They keep z, r and `i = h @ U_c + b_rc` side by side, and c."""

    name = "gru"
    kept = (3, 1)

    def steps(self, inputs: Tensor, states: Tensor, weights: Weights, train: bool) -> tuple[Tensor, ...]:
        zri, c = _project(inputs, weights)
        if train:
            _run_in_place(zri, c, states, weights.recurrent)
            return zri, c
        _run(zri, c, states, weights.recurrent)
        return ()

    def gradients(
        self,
        states: Tensor,
        kept: list[Tensor],
        recurrent: Tensor,
        outer: tuple[Tensor, ...] | None,
        d: Tensor,
    ) -> StepGradients:
        zri, c = kept
        z, r, i = zri.chunk(3, 2)
        steps, batch, units = c.shape
        candidate, factors = _factors(states[:-1], z, r, i, c)
        found, every_d = torch.empty_like(factors), torch.empty_like(c)
        side_by_side = found.view(steps, batch, 3 * units)
        by_onednn, transposed = is_for_onednn(batch, recurrent), recurrent.t()
        for t in reversed(range(steps)):
            d = every_d[t].copy_(d) if outer is None else torch.add(d, outer[t], out=every_d[t])
            torch.mul(d.unsqueeze(1), factors[t], out=found[t])
            if by_onednn:
                d = product(side_by_side[t], transposed).addcmul_(d, z[t])
            else:
                d = torch.mul(d, z[t]).addmm_(side_by_side[t], transposed)

        def change_to_inputs() -> None:  # the projection of the inputs has no reset gate
            torch.mul(every_d, candidate, out=side_by_side[..., 2 * units :])

        return StepGradients(d, side_by_side.view(steps * batch, 3 * units), change_to_inputs)

    def by_torch(self, inputs: Tensor, state: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
        kernel, recurrent, bias = weights
        in_order = [_as_torch(kernel).t(), _as_torch(recurrent).t()]
        if bias is not None:
            in_order += _as_torch(bias).unbind(0)
        grads, has_bias = torch.is_grad_enabled(), bias is not None
        # With the time first in memory, torch projects all inputs on a CPU by one product, else one for each step.
        batch_first = grads or not inputs.is_cpu
        x = inputs if batch_first else inputs.transpose(0, 1).contiguous()
        outputs, last = torch.gru(
            x, state.unsqueeze(0), adjacent(in_order), has_bias, 1, 0.0, grads, False, batch_first
        )
        return outputs if batch_first else outputs.transpose(0, 1), last.squeeze(0)


def _project(inputs: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    """The parts of all steps that do not depend on the state, before activation: z, r, i side by side, and c."""
    rows, (kernel, _, biases) = rows_of(inputs), weights
    units = kernel.shape[1] // 3
    bias = None
    if biases is not None:
        bias = biases[0].clone()
        bias[: 2 * units] += biases[1, : 2 * units]
    if is_for_onednn(len(rows), kernel):
        zri = product(rows, kernel, bias)
        c = zri[:, 2 * units :].contiguous()
    else:
        zri, c = rows.new_empty((len(rows), 3 * units)), rows.new_empty((len(rows), units))
        _product_into(zri[:, : 2 * units], rows, kernel[:, : 2 * units], None if bias is None else bias[: 2 * units])
        _product_into(c, rows, kernel[:, 2 * units :], None if bias is None else bias[2 * units :])
    zri[:, 2 * units :] = 0.0 if biases is None else biases[1, 2 * units :]
    shape = inputs.shape[:2]
    return zri.view(*shape, 3 * units), c.view(*shape, units)


def _product_into(out: Tensor, x: Tensor, matrix: Tensor, bias: Tensor | None) -> None:
    if bias is None:
        torch.mm(x, matrix, out=out)
    else:
        torch.addmm(bias, x, matrix, out=out)


def _run_in_place(zri: Tensor, c: Tensor, states: Tensor, recurrent: Tensor) -> None:
    """Run the steps; the values of z, r, i and c take the place of the projected inputs."""
    units, by_onednn = recurrent.shape[0], is_for_onednn(zri.shape[1], recurrent)
    h, *following = states.unbind(0)
    parts = zri, zri[..., : 2 * units], *zri.chunk(3, 2), c
    for zri_t, zr, z, r, i, c_t, after in zip(*(part.unbind(0) for part in parts), following, strict=True):
        if by_onednn:
            zri_t.add_(product(h, recurrent))
        else:
            zri_t.addmm_(h, recurrent)
        zr.sigmoid_()
        c_t.addcmul_(r, i).tanh_()
        h = torch.lerp(c_t, h, z, out=after)


def _run(zri: Tensor, c: Tensor, states: Tensor, recurrent: Tensor) -> None:
    """Run the steps with one place for the gates, since each part of a tensor for all steps costs a call of torch."""
    units, by_onednn = recurrent.shape[0], is_for_onednn(zri.shape[1], recurrent)
    gates, candidate = torch.empty_like(zri[0]), torch.empty_like(c[0])
    zr = gates[:, : 2 * units]
    z, r, i = gates.chunk(3, 1)
    h, *following = states.unbind(0)
    for zri_t, c_t, after in zip(zri.unbind(0), c.unbind(0), following, strict=True):
        if by_onednn:
            torch.add(zri_t, product(h, recurrent), out=gates)
        else:
            torch.addmm(zri_t, h, recurrent, out=gates)
        zr.sigmoid_()
        torch.addcmul(c_t, r, i, out=candidate).tanh_()
        h = torch.lerp(candidate, h, z, out=after)


def _as_torch(weight: Tensor) -> Tensor:
    """Bring Keras's gate order (update, reset, candidate) to torch's (reset, update, candidate)."""
    z, r, candidate = weight.chunk(3, 1)
    return torch.cat([r, z, candidate], 1)


def _factors(before: Tensor, z: Tensor, r: Tensor, i: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """`dc / d`, and `(dz / d, dr / d, dc * r / d)` stacked in the third dimension."""
    steps, batch, units = before.shape
    factors = before.new_empty((steps, batch, 3, units))
    of_update, of_reset, of_candidate = factors.unbind(2)
    candidate = tanh_backward(1.0 - z, c)
    torch.mul(candidate, r, out=of_candidate)
    both = of_candidate * i
    torch.addcmul(both, both, r, value=-1.0, out=of_reset)
    sigmoid_backward_into(before - c, z, grad_input=of_update)
    return candidate, factors
