"""Low-rank adaptation (Hu et al., 2021): a trained difference of small rank beside a frozen weight."""

from __future__ import annotations

from typing import Any


def without_unused_lora(config: dict[str, Any]) -> dict[str, Any]:
    """A layer's config, which tells of LoRA only where it is on."""
    if not config["lora_rank"]:
        del config["lora_rank"], config["lora_alpha"]
    return config
