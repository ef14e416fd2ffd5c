"""What `sailpipe status` prints of counters: what is most, first, and nothing of what is not."""

from __future__ import annotations

import pytest

from pipeline.cli.status import describe_headers, show_notes, show_shared_ids, show_ways_in


def test_the_fields_that_were_left_out_most_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    """Five of them, and how many others."""
    show_notes({"a": 1, "b": 9, "c": 1, "d": 4, "e": 2, "f": 3, "g": 1})
    said = capsys.readouterr().out
    assert said.endswith(": b 9, d 4, f 3, e 2, a 1, others 2\n")
    assert "sailpipe map" in said


def test_both_reasons_why_an_id_links_nothing_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    """One is a setting, the other is not."""
    show_shared_ids({"EMAILS_A_DAY": 3, "SHARED_IDS": 12})
    said = capsys.readouterr().out
    assert said.endswith(": too many emails in a day 3, one of SHARED_IDS 12\n")


def test_events_are_summed_up_by_the_way_they_came(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever their types, which are metrics."""
    show_ways_in({"segment:track": 2, "file:page": 7, "segment:identify": 3})
    assert capsys.readouterr().out == "Came in by: segment 5, file 7\n"


def test_what_was_never_counted_is_not_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    """A line without numbers would be one more to read."""
    show_notes({})
    show_shared_ids({})
    show_ways_in({})
    assert capsys.readouterr().out == ""


def test_what_other_programs_use_of_the_limit_is_said_in_calls_a_second() -> None:
    """Sailthru counts all API keys of an account together."""
    ends = "2026-11-27T14:36:00.000+00:00"
    said = describe_headers({"limit": 2400, "remaining": 800, "ends": ends, "others": 12.5})
    assert said.startswith("other programs make 12.5 calls/s")
    assert said.endswith("800 of 2400 calls until 14:36:00 UTC")
