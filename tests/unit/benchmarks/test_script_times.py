"""What keeps every script to its bound is itself complete, and tells one that is not."""

from __future__ import annotations

from benchmarks.script_cases import CASES
from benchmarks.script_times import MAX_MS, MAX_REPLY_BYTES, Found, measure, rows, scripts


def test_a_case_measures_the_scripts_that_it_runs() -> None:
    """By the server's own clock, each with its longest reply."""
    found = measure({"orders": CASES["orders"]}, rounds=1)
    assert {"mailbox/wake", "mailbox/claim", "mailbox/intent", "mailbox/alias"} == found.keys()
    assert found.keys() <= {*scripts()}
    assert all(0 < one.ms < 1_000 for one in found.values())
    assert found["mailbox/claim"].reply_bytes > 1_000


def test_a_script_beyond_its_bound_is_said() -> None:
    """Of time, or of its reply."""
    bounded = Found(MAX_MS, "case", MAX_REPLY_BYTES, "case")
    slow, long = Found(MAX_MS + 1, "case"), Found(1.0, "case", MAX_REPLY_BYTES + 1, "other")
    said = list(rows({"a/bounded": bounded, "a/slow": slow, "a/long": long}))
    assert ["BEYOND" in row for row in said] == [False, True, False, True]
