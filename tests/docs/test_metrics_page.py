"""docs/metrics.md lists every metric."""

from __future__ import annotations

from tests.docs import metrics_page


def test_the_page_lists_what_the_code_names() -> None:
    """`python -m tests.docs.metrics_page` writes it anew."""
    assert metrics_page.PAGE.read_text() == metrics_page.page_with(metrics_page.table())
