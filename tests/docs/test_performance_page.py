"""docs/performance.md shows what the suite measured."""

from __future__ import annotations

import re

import pytest

from benchmarks.drawing import drawings
from benchmarks.page import BLOCKS, PAGE, page
from benchmarks.report import RESULTS, load, table
from benchmarks.rows import ROWS

pytestmark = pytest.mark.long


def test_the_pages_tables_are_those_of_the_results() -> None:
    """`python -m benchmarks.page` writes them anew."""
    text = PAGE.read_text()
    assert text == page(text, load())
    assert set(re.findall(r"<!-- measured: (\w+) -->", text)) == set(BLOCKS)


def test_the_table_beside_the_results_is_theirs() -> None:
    assert (RESULTS.parent / "table.txt").read_text() == table(load()) + "\n"


def test_the_plots_are_those_of_the_results() -> None:
    """`make bench` draws them; `python -m benchmarks.drawing` does so without measuring."""
    for name, text in drawings(load()).items():
        assert (RESULTS.parent / name).read_text() == text
        assert f"results/{name}" in PAGE.read_text()


def test_every_row_of_the_suite_is_in_the_results() -> None:
    """A row that was added is measured before the page is shown."""
    assert list(load()) == [row.name for row in ROWS]


def test_the_pages_own_words_name_no_figure_that_was_measured() -> None:
    """A figure in prose would not be written anew."""
    prose = re.sub(r"<!-- measured.*?<!-- end -->", "", PAGE.read_text(), flags=re.DOTALL)
    units = r"(µs|events/s|x|MB|of a core|cores\b(?! carry))"
    assert not re.search(rf"\d[\d.,]* ?{units}", prose)
