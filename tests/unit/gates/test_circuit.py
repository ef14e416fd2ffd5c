"""When a host or an endpoint looks down: five users within ten seconds, or an hour of silence."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pipeline.gates.circuit import ANSWERS, NO_SIGNS, Health, Signs, probe_delay

Seen = tuple[float, str, str, bool]
FIVE = tuple((float(n), "/user", f"u{n}", False) for n in range(5))


def health(seen: Sequence[Seen]) -> Health:
    """After these: when, endpoint, user, whether it was answered. The last one's endpoint is asked about."""
    signs: dict[str, Signs] = {}
    found = Health("api")
    for at, endpoint, user, answered in seen:
        for scope in ("api", endpoint):
            before = signs.get(scope, NO_SIGNS)
            signs[scope] = (
                before.after_answer(at) if answered else before.after_failure(at, endpoint, user)
            )
        found = Health("api", endpoint, at, answered, signs["api"], signs[endpoint])
    return found


@pytest.mark.parametrize(
    ("seen", "down"),
    [
        ((), None),
        (FIVE[:4], None),
        (FIVE, "api"),
        ((*FIVE[:4], (4.0, "/user", "u3", False)), None),
        ((*FIVE[:4], (10.0, "/user", "u4", False)), "api"),
        ((*FIVE[:4], (10.1, "/user", "u4", False)), None),
        (((0.0, "/event", "u9", True), *FIVE), "/user"),
        (((-6.1, "/event", "u9", True), *FIVE), "api"),
        (((-6.0, "/event", "u9", True), *FIVE), "/user"),
        (((0.0, "/user", "u9", True), *FIVE), None),
        ((*FIVE[:4], (4.0, "/event", "u4", False)), "api"),
        (((0.0, "/purchase", "u9", True), *FIVE[:4], (4.0, "/event", "u4", False)), "api"),
        ((*FIVE[:4], (3.5, "/purchase", "u9", True), (4.0, "/event", "u4", False)), None),
        ((*FIVE[:4], (3.5, "/purchase", "u9", True), (4.0, "/user", "u4", False)), "/user"),
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
        "this endpoint answers others",
        "two endpoints fail",
        "two endpoints fail after a third has answered",
        "two endpoints fail, neither for five users, while a third answers",
        "one fails for five users while another answers",
    ],
)
def test_a_host_or_an_endpoint_looks_down_by_these_calls(
    seen: Sequence[Seen], down: str | None
) -> None:
    """Counted by users: one event's failures are its own."""
    assert health(seen).outage(None) == down


@pytest.mark.parametrize(
    ("answered_at", "dying_s", "down"),
    [
        (None, None, None),
        (None, 3599.0, None),
        (None, 3600.0, "api"),
        (0.0, 3600.0, "api"),
        (6400.0, 3600.0, "api"),
        (6401.0, 3600.0, None),
        (6401.0, 3598.0, None),
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
    answered_at: float | None, dying_s: float | None, down: str | None
) -> None:
    """At 10,000 s a call fails."""
    before = [] if answered_at is None else [(answered_at, "/event", "u9", True)]
    assert health([*before, (10_000.0, "/user", "u1", False)]).outage(dying_s) == down


@pytest.mark.parametrize(
    ("others", "down"),
    [
        ([], None),
        ([(5000.0, "/user", "u1", False)], None),
        ([(5000.0, "/user", "u2", False)], "/user"),
        ([(5000.0, "/user", "u2", False), (5001.0, "/user", "u3", True)], None),
    ],
    ids=[
        "it is the only call",
        "the same user's failed before",
        "another user's failed before",
        "and one was answered since",
    ],
)
def test_an_endpoint_is_silent_when_it_answers_two_users_nothing_and_others_are_answered_elsewhere(
    others: list[Seen], down: str | None
) -> None:
    """One user's profile may be all that is wrong with it."""
    seen = [*others, (9_999.0, "/event", "u9", True), (10_000.0, "/user", "u1", False)]
    assert health(seen).outage(3600.0) == down


def test_a_closed_gate_makes_every_unanswered_call_part_of_the_outage() -> None:
    """A probe that failed, or a call that was under way when another process closed it."""
    assert Health("api", closed="api").outage(None) == "api"


def test_a_host_that_has_recovered_starts_anew_but_is_known_to_have_answered() -> None:
    """What failed during the outage does not close the gate again at the next failure."""
    down = health([(0.0, "/event", "u9", True), *FIVE]).of_host.after_closing()
    assert not down.after_failure(5.0, "/user", "u5").is_down(5.0)
    assert down.answered_at == 0.0


def test_what_was_answered_before_a_gate_was_closed_does_not_speak_for_the_host() -> None:
    """Five users who fail then are an outage, whatever answered a moment before."""
    found = NO_SIGNS.after_answer(0.0).after_closing()
    for at, endpoint, user, _ in FIVE:
        found = found.after_failure(at, endpoint, user)
    assert found.is_down(4.0)


def test_the_answer_that_opened_a_gate_speaks_for_the_host() -> None:
    """Five users who fail right after it are their endpoint's trouble."""
    found = NO_SIGNS.after_closing().after_answer(0.0)
    for at, endpoint, user, _ in FIVE:
        found = found.after_failure(at, endpoint, user)
    assert not found.is_down(4.0)


def test_probes_grow_rarer_up_to_a_minute() -> None:
    """1, 2, 4 ... s."""
    assert [probe_delay(tries) for tries in (0, 1, 2, 5, 6, 99)] == [1, 2, 4, 32, 60, 60]


def refusing(users: Sequence[str], answers: int) -> Health:
    """After so many answers, of which the last refused these users' addresses."""
    return Health("api", lately=(*[""] * answers, *users)[-ANSWERS:])


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
