"""docs/unverified.md lists what was never checked at Sailthru, as `sailpipe doctor --live` asks it."""

from __future__ import annotations

from pipeline.cli.live_points import POINTS
from tests.docs import unverified_page


def test_the_page_lists_every_point() -> None:
    """`python -m tests.docs.unverified_page` writes it anew."""
    text = unverified_page.PAGE.read_text()
    assert text == unverified_page.page()
    assert all(f"**{name}**" in text for name in POINTS)
