"""Code on the pages of docs/: what stands between fences, as it stands there.

A comment on the line above a fence of `sh` says how the block is treated by the test that runs all of them
(tests/faults/test_pages.py): `<!-- not run: WHY -->` leaves it out, `<!-- first terminal -->` starts what runs in the first
terminal anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_BLOCK = re.compile(
    r"^(?: *<!-- ([a-z ]+)(?:: ([^\n]+?))? -->\n)?( *(?:\d+\. )?)```(\w+)\n(.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
"""Also within a list, where it is indented."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. line: of its fence, from 1. mark: '' or the words of the comment above it; why: what it gives as reason."""

    page: str
    line: int
    language: str
    text: str
    mark: str
    why: str


def pages() -> list[str]:
    """Every page, by its path from docs/; README.md of the repository as `../README.md`."""
    found = sorted(str(one.relative_to(DOCS)) for one in DOCS.rglob("*.md"))
    return ["../README.md", *found]


def blocks(page: str, language: str = "sh") -> list[Block]:
    """The fenced blocks of one language on a page (`producers/python.md`), in order."""
    text = (DOCS / page).read_text()
    found = []
    for one in _BLOCK.finditer(text):
        mark, why, _, name, body = one.groups()
        line = text.count("\n", 0, one.start(4)) + 1
        found.append(Block(page, line, name, dedent(body), mark or "", why or ""))
    return [one for one in found if one.language == language]


def snippets(page: str, language: str) -> list[str]:
    """The text of these blocks."""
    return [one.text for one in blocks(page, language)]


def snippet(page: str, language: str, mark: str) -> str:
    """The one block that has `mark` in it."""
    [found] = [one for one in snippets(page, language) if mark in one]
    return found
