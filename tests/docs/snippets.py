"""Code on the pages of docs/: what stands between fences, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def snippets(page: str, language: str) -> list[str]:
    """The fenced blocks of one language on a page (`producers/python.md`), in order."""
    text = (DOCS / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def snippet(page: str, language: str, mark: str) -> str:
    """The one block that has `mark` in it."""
    [found] = [one for one in snippets(page, language) if mark in one]
    return found
