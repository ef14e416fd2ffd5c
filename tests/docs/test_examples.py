"""Every shell command on every page is run by a test, or says why not; settings that a page shows are taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.settings import load_settings
from tests.docs.snippets import ROOT, Block, blocks, pages

ELSEWHERE = {
    "../README.md": "tests/integration/test_shop_day_end_to_end.py",
    "howto/move-from-segment.md": "tests/faults/test_move_from_segment.py",
    "howto/upgrade.md": "tests/docs/test_upgrade_page.py",
    "producers/files.md": "tests/docs/test_producer_snippets.py",
    "producers/python.md": "tests/docs/test_producer_snippets.py",
    "producers/redis.md": "tests/docs/test_producer_snippets.py",
    "producers/segment.md": "tests/docs/test_producer_snippets.py",
}
"""Pages whose commands a test of their own runs, as they need what no other page does. All others are run by
tests/faults/test_pages.py, one that is new by itself."""


@pytest.mark.parametrize("page", pages())
def test_a_block_that_is_not_run_says_why(page: str) -> None:
    for block in blocks(page):
        where = f"{page}:{block.line}"
        assert block.mark in {"", "not run", "first terminal"}, where
        assert (block.mark == "not run") == bool(block.why), where


@pytest.mark.parametrize("page", ELSEWHERE)
def test_a_page_with_a_test_of_its_own_is_named_there(page: str) -> None:
    """Its file need not be there before the page is."""
    if page in pages():
        assert page.rpartition("/")[2] in (ROOT / ELSEWHERE[page]).read_text()


TOML = [(page, block) for page in pages() for block in blocks(page, "toml")]


@pytest.mark.parametrize(("page", "block"), TOML, ids=[f"{p}:{b.line}" for p, b in TOML])
def test_settings_that_a_page_shows_are_taken(page: str, block: Block, tmp_path: Path) -> None:
    """As a sailpipe.toml of their own."""
    (tmp_path / "sailpipe.toml").write_text(block.text)
    assert load_settings({}, directory=tmp_path)
