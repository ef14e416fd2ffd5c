"""When a host looks down: five users within ten seconds, or an hour of silence."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pipeline.gates.circuit import Health, probe_delay

Seen = tuple[float, str, str, bool]
FIVE = tuple((float(n), "/user", f"u{n}", False) for n in range(5))


def health(seen: Sequence[Seen]) -> Health:
    """After these: when, endpoint, user, whether it was answered."""
    found = Health("api")
    for at, endpoint, user, answered in seen:
        found = found.seen(at, endpoint, user, answered=answered)
    return found


@pytest.mark.parametrize(
    ("seen", "down"),
    [
        ((), False),
        (FIVE[:4], False),
        (FIVE, True),
        ((*FIVE[:4], (4.0, "/user", "u3", False)), False),
        ((*FIVE[:4], (10.0, "/user", "u4", False)), True),
        ((*FIVE[:4], (10.1, "/user", "u4", False)), False),
        (((0.0, "/event", "u9", True), *FIVE), False),
        (((-6.1, "/event", "u9", True), *FIVE), True),
        (((-6.0, "/event", "u9", True), *FIVE), False),
        ((*FIVE[:4], (4.0, "/event", "u4", False)), True),
        (((0.0, "/purchase", "u9", True), *FIVE[:4], (4.0, "/event", "u4", False)), True),
    ],
    ids=[
        "nothing was called",
        "four users failed",
        "five users failed",
        "five calls of four users failed",
        "the first failure is ten seconds old",
        "the first failure is older than ten seconds",
        "another endpoint answers",
        "another endpoint answered more than ten seconds ago",
        "another endpoint answered ten seconds ago",
        "two endpoints fail",
        "two endpoints fail and a third answers",
    ],
)
def test_a_host_looks_down_by_these_calls(seen: Sequence[Seen], *, down: bool) -> None:
    """Counted by users: one event's failures are its own."""
    assert health(seen).is_outage(None) is down


@pytest.mark.parametrize(
    ("answered_at", "dying_s", "down"),
    [
        (None, None, False),
        (None, 3599.0, False),
        (None, 3600.0, True),
        (0.0, 3600.0, True),
        (6400.0, 3600.0, True),
        (6401.0, 3600.0, False),
        (6401.0, 3598.0, False),
    ],
    ids=[
        "the event has tries left",
        "it has failed for less than an hour",
        "this process knows of no answer",
        "the last answer was before it failed",
        "the last answer was as it began to fail",
        "one was answered since",
        "one was answered before it failed, less than an hour ago",
    ],
)
def test_silence_is_an_outage_only_when_an_event_is_about_to_be_given_up(
    answered_at: float | None, dying_s: float | None, *, down: bool
) -> None:
    """At 10,000 s a call fails."""
    before = [] if answered_at is None else [(answered_at, "/event", "u9", True)]
    assert health([*before, (10_000.0, "/user", "u1", False)]).is_outage(dying_s) is down


def test_a_closed_gate_makes_every_unanswered_call_part_of_the_outage() -> None:
    """A probe that failed, or a call that was under way when another process closed it."""
    assert Health("api", closed=True).is_outage(None)


def test_a_host_that_has_recovered_starts_anew_but_is_known_to_have_answered() -> None:
    """What failed during the outage does not close the gate again at the next failure."""
    down = health([(0.0, "/event", "u9", True), *FIVE]).recovered()
    assert not down.seen(5.0, "/user", "u5", answered=False).is_outage(None)
    assert down.answered_at == 0.0


def test_what_was_answered_before_a_host_recovered_does_not_speak_for_it() -> None:
    """Five users who fail then are an outage, whatever answered a moment before the gate was closed."""
    found = health([(0.0, "/event", "u9", True)]).recovered()
    for at, endpoint, user, _ in FIVE:
        found = found.seen(at, endpoint, user, answered=False)
    assert found.is_outage(None)


def test_probes_grow_rarer_up_to_a_minute() -> None:
    """1, 2, 4 ... s."""
    assert [probe_delay(tries) for tries in (0, 1, 2, 5, 6, 99)] == [1, 2, 4, 32, 60, 60]


def refusing(users: Sequence[str], answers: int) -> Health:
    """After so many answers, of which the last refused these users' addresses."""
    found = Health("api")
    for n in range(answers):
        found = found.seen(float(n), "/user", f"u{n}", answered=True)
    for user in users:
        found = found.seen(1e3, "/user", user, answered=True, refused=True)
    return found


@pytest.mark.parametrize(
    ("users", "answers", "trouble"),
    [
        ("abcd", 0, False),
        ("abcde", 0, True),
        ("aaaaab", 0, False),
        ("abcde", 20, True),
        ("abcde", 21, False),
        ("abcdefghijklmnopqrst", 500, True),
        ("abcdefghijklmnopqrs", 500, False),
    ],
)
def test_addresses_are_refused_by_trouble_when_it_is_a_fifth_of_the_latest_answers(
    users: str, answers: int, trouble: bool
) -> None:
    """Of five users or more: one person may mistype theirs again and again."""
    assert refusing(users, answers).refuses_addresses is trouble


def test_calls_without_an_answer_say_nothing_of_addresses() -> None:
    """Neither do they push out what is remembered."""
    found = refusing("abcde", 20)
    for n in range(200):
        found = found.seen(2e3 + n, "/user", "z", answered=False)
    assert found.refuses_addresses
