"""docs/glossary.md speaks of words that are in the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "glossary.md").read_text()
ROW = re.compile(
    r"^\| (?P<word>[^|]*`(?P<term>[^`]+)`[^|]*) \| [^|]+ \| [^|]+ \| `(?P<file>[^`]+)` \|$",
    re.MULTILINE,
)
ROWS = {row["term"]: row["file"] for row in ROW.finditer(PAGE)}


def test_every_line_of_the_page_is_a_word_with_its_term_and_its_file() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    heads = [line for line in lines if line.startswith("| Word |")]
    assert len(ROWS) == len(lines) - len(heads)
    assert len(ROWS) > 50


@pytest.mark.parametrize(("term", "file"), ROWS.items(), ids=ROWS.keys())
def test_a_term_is_found_in_the_file_its_line_names(term: str, file: str) -> None:
    text = (ROOT / file).read_text()
    assert re.search(rf"(?<!\w){re.escape(term)}(?!\w)", text), f"{file} has no {term}"
