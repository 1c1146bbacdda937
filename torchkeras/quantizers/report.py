"""The layers that a call of `Model.quantize` quantized, and those that it left."""

from __future__ import annotations


class QuantizationReport:
    """A list of the layers that `Model.quantize` quantized, and of those that it left, with the reasons.

    `Model.quantize` returns one.

    Args:
        mode: quantization of the call, such as `"int8"`. Default: `None`.

    Attributes:
        quantized: list of `(path, mode, scheme)`, with the name of the layer's dtype policy as `scheme`.
        skipped: list of `(path, reason)`. The reasons are `SKIP_NO_SUPPORT`, `SKIP_FILTERED`, `SKIP_ALREADY_QUANTIZED`
            and `SKIP_OUTSIDE_STRUCTURE` (GPTQ and AWQ quantize the layers within the blocks alone).

    Example:
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="hidden"), keras.layers.ReLU()])
        >>> report = model.quantize("int8", filters="hidden")
        >>> report
        QuantizationReport(mode='int8', quantized=1, skipped=1)
        >>> [(path.split("/")[-1], mode, scheme) for path, mode, scheme in report.quantized]
        [('hidden', 'int8', 'int8_from_float32')]
    """

    SKIP_NO_SUPPORT = "no quantize support"
    SKIP_FILTERED = "filtered out"
    SKIP_ALREADY_QUANTIZED = "already quantized"
    SKIP_OUTSIDE_STRUCTURE = "outside quantization structure"

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode
        self.quantized: list[tuple[str, str, str]] = []
        self.skipped: list[tuple[str, str]] = []

    def add_quantized(self, path: str, mode: str, scheme: str) -> None:
        """Add a layer that was quantized.

        Args:
            path: path of the layer.
            mode: quantization of the layer.
            scheme: name of its dtype policy.
        """
        self.quantized.append((path, mode, scheme))

    def add_skipped(self, path: str, reason: str) -> None:
        """Add a layer that was left as it is.

        Args:
            path: path of the layer.
            reason: one of the reasons `SKIP_...`.
        """
        self.skipped.append((path, reason))

    @property
    def num_quantized(self) -> int:
        """The number of layers that were quantized."""
        return len(self.quantized)

    @property
    def num_skipped(self) -> int:
        """The number of layers that were left."""
        return len(self.skipped)

    def skipped_by_reason(self, reason: str) -> list[str]:
        """Return the paths of the layers that were left for a reason.

        Args:
            reason: one of the reasons `SKIP_...`.
        """
        return [path for path, found in self.skipped if found == reason]

    def summary_warning(self, max_examples: int = 5) -> str | None:
        """Return one sentence on the layers that have no quantized form; `None` if there are none.

        Args:
            max_examples: how many of them are named. Default: `5`.
        """
        left = self.skipped_by_reason(self.SKIP_NO_SUPPORT)
        if not left:
            return None
        named = ", ".join(map(repr, left[:max_examples])) + (", ..." if len(left) > max_examples else "")
        return (
            f"`model.quantize()`: {len(left)} layer(s) were skipped because they do not support quantization "
            f"({named}); {self.num_quantized} layer(s) were quantized in mode '{self.mode}'."
        )

    def render(self) -> str:
        """Return the report as text, with a line for each layer."""
        quantized = [f"  - {path} ({mode}): {scheme}" for path, mode, scheme in self.quantized]
        skipped = [f"  - {path}: {reason}" for path, reason in self.skipped]
        return "\n".join(
            [
                f"Quantization report (mode='{self.mode}')",
                "=" * 65,
                f"Quantized {self.num_quantized} layer(s):",
                *(quantized or ["  (none)"]),
                f"Skipped {self.num_skipped} layer(s):",
                *(skipped or ["  (none)"]),
            ]
        )

    def __repr__(self) -> str:
        counts = f"quantized={self.num_quantized}, skipped={self.num_skipped}"
        return f"QuantizationReport(mode={self.mode!r}, {counts})"
