"""docs/logs.md lists every log event."""

from __future__ import annotations

from typing import get_args

from pipeline.observe.names import LogEvent
from tests.docs import logs_page


def test_the_page_lists_every_event_with_what_it_means() -> None:
    """`python -m tests.docs.logs_page` writes it anew."""
    assert list(logs_page.rows()) == list(get_args(LogEvent))
    assert logs_page.PAGE.read_text() == logs_page.page_with(logs_page.table())
