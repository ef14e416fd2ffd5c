"""The tables in docs/unverified.md, made from pipeline/cli/live_points.py. `python -m tests.docs.unverified_page` writes them."""

from __future__ import annotations

from pathlib import Path

from pipeline.cli.live_points import POINTS, Group

PAGE = Path(__file__).parents[2] / "docs" / "unverified.md"
GROUPS: tuple[Group, ...] = ("profile", "orders", "not asked")


def table(group: Group) -> str:
    """One row a point."""
    heads = "| what | what sailpipe assumes | how it is asked | if it is otherwise |"
    if group == "not asked":
        heads = heads.replace("how it is asked", "why it is not asked")
    rows = [
        f"| **{name}**: {one.question} | {one.assumes} | {one.asks} | {one.change} |"
        for name, one in POINTS.items()
        if one.group == group
    ]
    return "\n".join([heads, "|---|---|---|---|", *rows]) + "\n"


def page() -> str:
    """The page as it should be."""
    text = PAGE.read_text()
    for group in GROUPS:
        begin, end = f"<!-- {group}: begin -->\n", f"<!-- {group}: end -->\n"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}{table(group)}{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page())
