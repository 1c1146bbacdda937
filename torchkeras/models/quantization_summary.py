"""The text of `Model.quantization_summary`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torchkeras.layers.core.stored_weights import StoredWeights


def summary_of(name: str, layers: Sequence[StoredWeights]) -> str:
    """How large the weights of quantized layers are.

    Args:
        name: the model's name.
        layers: the quantized layers of the model.
    """
    lines = [f"Quantization summary for '{name}'", "=" * 65]
    count = stored = 0
    for layer in layers:
        dtype, size = _stored(layer)
        entries = sum(math.prod(form.layout.shape) for form in layer._tk_forms.values())
        count, stored = count + entries, stored + size
        lines += [
            f"Layer: {layer.path}",
            f"  dtype policy : {layer._tk_policy.name}",
            f"  weight store : {dtype} ({size} bytes{_note(layer)})",
        ]
    smaller = f" ({4 * count / stored:.2f}x smaller)" if stored else ""
    return "\n".join(
        [
            *lines,
            "-" * 65,
            f"Quantized layers : {len(layers)}",
            f"Quantized params : {count}",
            f"Weight storage   : {stored} bytes quantized vs {4 * count} bytes float32{smaller}",
        ]
    )


def _stored(layer: StoredWeights) -> tuple[str, int]:
    """The dtype in which a layer keeps its weight, and the bytes of all that stands for its weights."""
    names = dict.fromkeys(name for form in layer._tk_forms.values() for name in form.attributes() if name != "bias")
    tensors = [tensor for name in names if (tensor := getattr(layer, name, None)) is not None]
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return str(layer._tk_stored().dtype).removeprefix("torch."), size


def _note(layer: StoredWeights) -> str:
    return ", the float weight stays" if all(form.keeps_weight for form in layer._tk_forms.values()) else ""
