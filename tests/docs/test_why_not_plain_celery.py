"""docs/why-not-plain-celery.md gives figures that `make bench` has written into docs/performance.md, and no others."""

from __future__ import annotations

import re

from tests.docs.snippets import DOCS

PAGE = (DOCS / "why-not-plain-celery.md").read_text()
MEASURED = (DOCS / "performance.md").read_text()


def test_every_figure_of_its_table_is_a_measured_one() -> None:
    """After `make bench` has written others, the table is to be written anew by hand."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")][1:]
    figures = [one for row in rows for one in re.findall(r"\d[\d,]*(?:\.\d+)?", row)]
    assert len(figures) > 8
    cells = set(re.findall(r"\d[\d,]*(?:\.\d+)?", MEASURED))
    assert [one for one in figures if one not in cells] == []
