"""What people see: nothing a terminal would obey, ages they can read at a glance."""

from __future__ import annotations

import pytest

from pipeline.cli.tables import age, printable, show_counts, show_table


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (0.4, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3_725, "1h 2m"),
        (3_605, "1h 5s"),
        (90_000, "1d 1h"),
    ],
)
def test_an_age_is_shown_in_its_two_largest_units(seconds: float | None, shown: str) -> None:
    """To the second when it is young, to the hour when it is days."""
    assert age(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Caf\u00e9 [red]", "Caf\u00e9 [red]"),
        ("\x1b]0;title\x07", "\ufffd]0;title\ufffd"),
        ("two\nlines", "two\ufffdlines"),
        ("\u202egnp.exe", "\ufffdgnp.exe"),
        ("", "-"),
        (None, "-"),
        (0, "0"),
    ],
)
def test_text_from_events_cannot_command_a_terminal(value: object, shown: str) -> None:
    """No escapes, no line breaks, no reversed text; markup is only text."""
    assert printable(value) == shown


def test_a_table_is_not_folded_when_the_output_is_no_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Each row is one line, so that grep finds all of it; markup is not interpreted."""
    show_table(("id", "detail"), [("m1", "x" * 150), ("[bold]m2", None)])
    lines = [line.split() for line in capfd.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == ["id", "detail"]
    assert lines[2:] == [["m1", "x" * 150], ["[bold]m2", "-"]]


def test_counts_of_nothing_are_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    """A quiet account has no line about its dead."""
    show_counts("Dead", [])
    show_counts("Ignored", [("screen", 2), ("group", 1)])
    assert capfd.readouterr().out == "Ignored: screen 2, group 1\n"
