"""The table in docs/logs.md, made from pipeline/observe/names.py. `python -m tests.docs.logs_page` writes it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from pipeline.observe import names

PAGE = Path(__file__).parents[2] / "docs" / "logs.md"
BEGIN, END = "<!-- logs: begin -->\n", "<!-- logs: end -->\n"


def rows() -> dict[str, str]:
    """Event -> what its comment says, in the order of the file."""
    body = inspect.getsource(names).partition("= Literal[\n")[2]
    found = re.findall(r'((?: +#[^\n]*\n)+) +"(\w+)",\n', body)
    return {
        name: " ".join(line.strip().removeprefix("# ") for line in said.splitlines())
        for said, name in found
    }


def table() -> str:
    """One row an event."""
    lines = [f"| `{name}` | {said.replace('|', '/')} |" for name, said in rows().items()]
    return "\n".join(["| Event | When, and its fields |", "|---|---|", *lines]) + "\n"


def page_with(text: str) -> str:
    """The page as it should be."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{text}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with(table()))
