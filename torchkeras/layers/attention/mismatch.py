"""Why query, value and key do not go together, for the errors of the layers that attend."""

from __future__ import annotations

from collections.abc import Mapping


def mismatch(parts: Mapping[str, object], mask: object = None, sizes: bool = False) -> str | None:
    """Sentences that say what shapes attention needs and what came.

    Args:
        parts: `query` and `value`, and perhaps `key`.
        mask: the mask of the call: a tensor, or a list of tensors. Default: `None`.
        sizes: whether query and key must have the same last size. Default: `False`.

    Returns:
        The sentences; `None` where a part has no shape.
    """
    shapes = {name: tuple(part.shape) for name, part in parts.items() if hasattr(part, "shape")}
    if len(shapes) < len(parts) or not shapes:
        return None
    needs = [
        "query, value and key must have the same batch size, and value and key the same length",
        *(["query and key (by default the value) must have the same last size"] if sizes else []),
    ]
    masks = [tuple(one.shape) for one in (mask if isinstance(mask, list) else [mask]) if hasattr(one, "shape")]
    if masks and not sizes:
        needs.append("attention_mask must broadcast to (batch, length of query, length of value)")
    elif masks:
        needs.append("a mask must have the batch size and length of what it masks")
    received = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    received += f", masks {masks}" if masks else ""
    return f"In attention {'; '.join(needs)}. Received shapes: {received}."
