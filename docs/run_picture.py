"""Draw docs/run.svg: the terminal while examples/quickstart.py's network trains, and the curves of its loss.

    python docs/run_picture.py

The lines are those that `fit` printed in this run, times included. The data are scikit-learn's digits.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
from html import escape
from pathlib import Path

import torchkeras as keras

DOCS = Path(__file__).resolve().parent
EPOCHS = 6
WIDTH, LINE, TOP, LEFT, CHART = 1050, 20, 52, 24, 210
BACKGROUND, TEXT, GREEN, BLUE, ORANGE, GREY = "#1b1f27", "#d7dce5", "#7ec98f", "#6cb2eb", "#f0a35e", "#7b8494"


class Terminal(io.StringIO):
    """Takes what is written for a terminal, so that the progress bar is drawn."""

    def isatty(self) -> bool:
        """Whether this is a terminal: it says so."""
        return True

    def lines(self) -> list[str]:
        """The lines as they stand on a screen in the end: a carriage return starts a line again."""
        shown = []
        for line in self.getvalue().split("\n"):
            plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]|\x08", "", line)
            shown.append(plain.rstrip("\r").rsplit("\r", 1)[-1].rstrip())
        return shown


def trained() -> tuple[list[str], dict[str, list[float]]]:
    """Train; return the lines on the screen and the history."""
    spec = importlib.util.spec_from_file_location("quickstart", DOCS.parent / "examples" / "quickstart.py")
    quickstart = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(quickstart)  # type: ignore[union-attr]
    keras.utils.set_random_seed(1)
    train, validation, test = quickstart.load()
    model = quickstart.classifier()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    screen = Terminal()
    with contextlib.redirect_stdout(screen):
        history = model.fit(*train, validation_data=validation, batch_size=32, epochs=EPOCHS, verbose=1).history
    loss, accuracy = model.evaluate(*test, verbose=0)
    lines = [line for line in screen.lines() if line.strip()]
    return [*lines, f"Test loss {loss:.4f}, test accuracy {accuracy:.4f}."], history


def text(x: float, y: float, words: str, color: str = TEXT) -> str:
    """A line of text."""
    return f'<text x="{x}" y="{y}" fill="{color}" xml:space="preserve">{escape(words)}</text>'


def curve(values: list[float], top: float, color: str, largest: float) -> str:
    """A curve over the epochs."""
    step = (WIDTH - 2 * LEFT - 170) / (len(values) - 1)
    points = " ".join(
        f"{LEFT + 46 + i * step:.1f},{top + CHART * (1 - value / largest):.1f}" for i, value in enumerate(values)
    )
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2.5"/>'


def picture(lines: list[str], history: dict[str, list[float]]) -> str:
    """The whole picture, as SVG."""
    shown = ["$ python examples/quickstart.py", *lines]
    top = TOP + LINE * len(shown) + 30
    height = top + CHART + 40
    largest = max(*history["loss"], *history["val_loss"]) * 1.05
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">',
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="{BACKGROUND}"/>',
        *(f'<circle cx="{LEFT + 18 * i}" cy="22" r="6" fill="{c}"/>' for i, c in enumerate((ORANGE, BLUE, GREEN))),
    ]
    for i, line in enumerate(shown):
        color = GREEN if line.startswith("$") else GREY if line.startswith("Epoch") else TEXT
        parts.append(text(LEFT, TOP + LINE * i, line, color))
    for share in (0, 0.5, 1):
        y = top + CHART * (1 - share)
        parts.append(
            f'<line x1="{LEFT + 46}" x2="{WIDTH - LEFT - 124}" y1="{y}" y2="{y}" stroke="{GREY}" opacity="0.35"/>'
        )
        parts.append(text(LEFT, y + 5, f"{largest * share:.2f}", GREY))
    right = WIDTH - LEFT - 112
    for name, color in (("loss", BLUE), ("val_loss", ORANGE)):
        parts.append(curve(history[name], top, color, largest))
    parts.append(text(right, top + 20, "— loss", BLUE))
    parts.append(text(right, top + 42, "— val_loss", ORANGE))
    for epoch in range(len(history["loss"])):
        step = (WIDTH - 2 * LEFT - 170) / (len(history["loss"]) - 1)
        parts.append(text(LEFT + 42 + epoch * step, top + CHART + 20, str(epoch + 1), GREY))
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    (DOCS / "run.svg").write_text(picture(*trained()), encoding="utf-8")
    print(DOCS / "run.svg")
