"""Link the names of the API that a page mentions to their pages of the reference."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

# Code blocks, headings and links are left as they are; inline code is looked at.
MARKDOWN = re.compile(
    r"^(?P<fence>`{3,}|:{3,}).*?^(?P=fence)\s*$|^#[^\n]*$|!?\[[^\]]*\]\([^)]*\)|`(?P<name>[A-Za-z_][\w.]*)(?:\(\))?`",
    re.DOTALL | re.MULTILINE,
)


def targets_of(names: Mapping[str, str]) -> dict[str, str]:
    """The spellings under which a page may mention each name.

    Args:
        names: The file of each public name, such as `keras.layers.Dense`.

    Returns:
        The file of each spelling: the full name, the name without `keras.`, and the last part of a class's name where
        no other class has it, such as `Dense`.
    """
    classes = {name: file for name, file in names.items() if name.rpartition(".")[2][0].isupper()}
    files = {(name.rpartition(".")[2], file) for name, file in classes.items()}
    count = Counter(last for last, _ in files)
    short = {last: file for last, file in files if count[last] == 1}
    return {**short, **{name.removeprefix("keras."): file for name, file in names.items()}, **names}


def linked(text: str, targets: Mapping[str, str], folder: str = "", own: str = "") -> str:
    """A page on which the first mention of each name is a link.

    Args:
        text: The page, in Markdown.
        targets: The file of each spelling, from `targets_of`.
        folder: The way from the page to the reference, such as `reference/`.
        own: The page's own file, to which nothing is linked.
    """
    seen = {own}

    def link(match: re.Match[str]) -> str:
        file = targets.get(match["name"] or "")
        if file is None or file in seen:
            return match[0]
        seen.add(file)
        return f"[{match[0]}]({folder}{file})"

    return MARKDOWN.sub(link, text)
