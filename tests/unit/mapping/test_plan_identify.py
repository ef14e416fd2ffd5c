"""Identifies and aliases: what folds, and what merges are remembered."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import Reason, Rejected
from pipeline.events import Event, validate_event
from pipeline.mapping import plan
from pipeline.mapping.plan import Ignored, Known, Need, Profile, Send
from pipeline.settings import AccountSettings

SETTINGS = AccountSettings()
NOW = 1_700_000_000.0


def identify(user: str | None = "u1", **fields: Any) -> Event:
    return validate_event({"type": "identify", "userId": user, **fields})


def sent(events: list[Event], known: Known | None = None) -> Send:
    step = plan(events, known or Known(now=NOW), SETTINGS)
    assert isinstance(step, Send)
    return step


def test_waiting_identifies_become_one_call_and_later_values_win() -> None:
    """Five identifies, one POST /user."""
    events = [identify(traits={"visits": n, f"t{n}": n}) for n in range(5)]

    step = sent(events)

    assert step.covers == 5
    assert step.call.params["vars"] == {"visits": 4, "t0": 0, "t1": 1, "t2": 2, "t3": 3, "t4": 4}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"traits": {"email": "a@example.com"}}, {"traits": {"email": "a@example.com"}}),
        ({"traits": {"email": "a@example.com"}}, {"traits": {"name": "n"}}),
        ({"integrations": {"Sailthru": {"defaultListName": "L"}}}, {}),
        ({"integrations": {"Sailthru": {"optoutValue": "all"}}}, {}),
        ({"anonymousId": "a1"}, {"anonymousId": "a1"}),
    ],
)
def test_what_repeats_or_leaves_out_email_list_and_opt_out_folds(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    """The call of the first covers both."""
    known = Known(now=NOW, merged=frozenset({"a1"}))
    alone = sent([identify(**first)], known)
    both = sent([identify(**first), identify(**second)], known)

    assert both.covers == 2
    assert {**both.call.params, "vars": None} == {**alone.call.params, "vars": None}


@pytest.mark.parametrize(
    "second",
    [
        identify("u2"),
        identify(anonymousId="a1"),
        identify(traits={"email": "b@example.com"}),
        identify(integrations={"Sailthru": {"defaultListName": "L"}}),
        identify(integrations={"Sailthru": {"optoutValue": "all"}}),
        identify(integrations={"Sailthru": {"optoutValue": "maybe"}}),
        validate_event({"type": "alias", "userId": "u1", "previousId": "a1"}),
        validate_event({"type": "track", "event": "Subscribed", "userId": "u1"}),
    ],
    ids=["user", "anonymousId", "email", "list", "opt-out", "refused", "alias", "Subscribed"],
)
def test_what_differs_is_a_barrier(second: Event) -> None:
    """Only what is certain to end the same folds; a bad event ends the run before it."""
    first = identify(traits={"email": "a@example.com"})

    assert sent([first, second, first]).covers == 1


def test_an_email_that_comes_later_is_not_folded_into_an_earlier_call() -> None:
    """It may merge a profile in, whose vars would then meet the first event's later than before."""
    events = [identify(traits={"x": 1}), identify(traits={"email": "a@example.com"})]

    assert sent(events).covers == 1


def test_a_merge_is_looked_up_once_per_pair() -> None:
    """Remembered when merged, and when there was nothing to merge."""
    event = identify(anonymousId="a1")
    need = plan([event], Known(now=NOW), SETTINGS)
    assert isinstance(need, Need)
    assert need.what == "merge"

    for exists in (True, False):
        assert sent([event], Known(now=NOW, merge=Profile(exists))).merged == "a1"
    again = sent([event], Known(now=NOW, merged=frozenset({"a1"})))
    assert again.call.params["id"] == "u1"
    assert "keysconflict" not in again.call.params


def test_a_merge_is_never_refused_as_a_clash() -> None:
    """KEYSCONFLICT is about emails: an anonymous profile is there to be merged."""
    settings = AccountSettings(keysconflict="error")
    known = Known(now=NOW, merge=Profile(exists=True))

    step = plan([identify(anonymousId="a1")], known, settings)

    assert isinstance(step, Send)
    assert step.call.params["keysconflict"] == "merge"


def test_an_anonymous_event_of_a_learned_user_is_the_users() -> None:
    """Its own profile may have been merged away."""
    event = identify(None, anonymousId="a1")

    assert sent([event], Known(now=NOW, user_id="u1")).call.params["id"] == "u1"


def test_an_alias_that_was_merged_already_is_ignored() -> None:
    """One look-up per pair, for aliases too."""
    event = validate_event({"type": "alias", "userId": "u1", "previousId": "a1"})

    answer = plan([event], Known(now=NOW, merged=frozenset({"a1"})), SETTINGS)

    assert answer == Ignored("already_merged")


def test_ids_taken_away_as_nobodys_are_refused_and_crash_nothing() -> None:
    """The splitter blanks ids that belong to nobody."""
    event = validate_event({"type": "alias", "userId": "u1", "previousId": "a1"})

    with pytest.raises(Rejected) as caught:
        plan([event.model_copy(update={"previous_id": None})], Known(now=NOW), SETTINGS)

    assert caught.value.reason is Reason.MISSING_USER_ID


def test_an_event_older_than_max_age_of_its_lane_is_too_old() -> None:
    """By its own time; a fresh one before it is sent alone."""
    settings = AccountSettings.model_validate({"max_age": {"user": 60}})
    old = identify(timestamp="2023-11-14T22:00:00Z")
    fresh = identify(timestamp="2023-11-14T22:13:00Z")

    step = plan([fresh, old], Known(now=NOW), settings)
    assert isinstance(step, Send)
    assert step.covers == 1
    with pytest.raises(Rejected) as caught:
        plan([old, fresh], Known(now=NOW), settings)
    assert caught.value.reason is Reason.TOO_OLD
