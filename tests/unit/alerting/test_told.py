"""Once, and once more when it is over."""

from __future__ import annotations

from dataclasses import replace

from pipeline.alerting.rules import Trouble
from pipeline.alerting.told import CALM_MS, Comparison, Told, compare

NOW = 1_700_000_000_000
ONE = Trouble("circuit", "default", "api", "Sailthru does not answer", NOW)
KNOWN = {ONE.id: Told(ONE, is_told=True)}


def said(turn: Comparison) -> list[str]:
    return [state for _, state in turn.to_say]


def test_a_trouble_is_said_until_it_is_told_and_then_no_more() -> None:
    first = compare({}, [ONE], NOW)
    assert said(first) == ["raised"]
    assert said(compare(first.kept, [ONE], NOW + 5_000)) == ["raised"], "nobody took the first"
    assert said(compare(KNOWN, [ONE], NOW + 5_000)) == []


def test_its_end_is_said_when_it_has_been_gone_for_a_minute() -> None:
    gone = compare(KNOWN, [], NOW)
    assert said(gone) == []
    assert said(compare(gone.kept, [], NOW + CALM_MS - 1)) == []
    assert said(compare(gone.kept, [], NOW + CALM_MS)) == ["resolved"]
    assert said(compare(gone.kept, [], NOW + 2 * CALM_MS)) == ["resolved"], "nobody took it"


def test_one_that_comes_and_goes_is_one_alert() -> None:
    """An endpoint that closes again and again, say."""
    before = KNOWN
    for at in range(0, 10 * CALM_MS, CALM_MS // 2):
        turn = compare(before, [ONE] if at % CALM_MS else [], NOW + at)
        assert said(turn) == []
        before = dict(turn.kept)


def test_what_is_over_before_anybody_could_be_told_is_forgotten() -> None:
    turn = compare({ONE.id: Told(ONE)}, [], NOW)
    assert (said(turn), turn.forgotten, turn.kept) == ([], (ONE.id,), {})


def test_what_is_told_survives_redis() -> None:
    told = replace(KNOWN[ONE.id], gone_ms=5)
    assert Told.decode(told.encode()) == told
