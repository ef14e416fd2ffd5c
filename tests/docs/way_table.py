"""The modules on one event's way in docs/architecture.md. `python -m tests.docs.way_table` writes them."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.walk import Hop, walk
from tests.support.pipe import track

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- way: begin -->\n", "<!-- way: end -->\n"
_NAMES = {"accept": "Accept", "split": "Split", "deliver": "Deliver"}


def table() -> str:
    """One row a module, at its first call, with the first sentence of its docstring."""
    rows, seen = ["| | module | what it does |", "|---|---|---|"], set[str]()
    for part, hops in asyncio.run(walk(track("u1"))).items():
        new = [file for file in _files(hops) if file not in seen]
        seen.update(new)
        names = (_NAMES[part], *("" for _ in new))
        rows += [
            f"| {name} | `{file}` | {_summary(file)} |"
            for name, file in zip(names, new, strict=False)
        ]
    return "\n".join(rows) + "\n"


def page_with(rows: str) -> str:
    """The page as it should be."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{rows}{END}{after}"


def _files(hops: Sequence[Hop]) -> list[str]:
    return list(dict.fromkeys(file for file, _ in hops))


def _summary(file: str) -> str:
    text = ast.get_docstring(ast.parse((ROOT / file).read_text())) or ""
    sentence = re.split(r"(?<=[.?])\s", " ".join(text.split()), maxsplit=1)[0]
    return sentence.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page_with(table()))
