"""Identifies and aliases: what folds, and what merges are remembered."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import MappingRejected, Reason
from pipeline.events.kinds import IgnoreReason
from pipeline.events.models import Event, validate_event
from pipeline.mapping import plan
from pipeline.mapping.plan import (
    Ignored,
    LastIdentify,
    Need,
    Owner,
    PlanContext,
    Profile,
    Send,
    answered,
)
from pipeline.settings import AccountSettings

SETTINGS = AccountSettings()
NOW = 1_700_000_000.0


def identify(user: str | None = "u1", **fields: Any) -> Event:
    return validate_event({"type": "identify", "userId": user, **fields})


def visit(**fields: Any) -> Event:
    """An identify of a visitor."""
    return identify(None, anonymousId="a1", **fields)


def sent(events: list[Event], context: PlanContext | None = None) -> Send:
    step = plan(events, context or PlanContext(now=NOW), SETTINGS)
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
def test_an_identify_that_repeats_or_omits_email_list_and_opt_out_folds(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    """The call of the first covers both."""
    context = PlanContext(now=NOW, merged=frozenset({"a1"}))
    alone = sent([identify(**first)], context)
    both = sent([identify(**first), identify(**second)], context)

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
        validate_event(
            {"type": "track", "event": "Subscribed", "userId": "u1", "properties": {"list": "L"}}
        ),
    ],
    ids=["user", "anonymousId", "email", "list", "opt-out", "refused", "alias", "Subscribed"],
)
def test_an_identify_that_differs_ends_the_fold(second: Event) -> None:
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
    need = plan([event], PlanContext(now=NOW), SETTINGS)
    assert isinstance(need, Need)
    assert need.what == "merge"

    for exists in (True, False):
        assert sent([event], PlanContext(now=NOW, merge=Profile(exists))).merged == "a1"
    again = sent([event], PlanContext(now=NOW, merged=frozenset({"a1"})))
    assert again.call.params["id"] == "u1"
    assert "keysconflict" not in again.call.params


def test_a_merge_is_never_refused_as_a_clash() -> None:
    """KEYSCONFLICT is about emails: an anonymous profile is there to be merged."""
    settings = AccountSettings(keysconflict="error")
    context = PlanContext(now=NOW, merge=Profile(exists=True))

    step = plan([identify(anonymousId="a1")], context, settings)

    assert isinstance(step, Send)
    assert step.call.params["keysconflict"] == "merge"


def test_an_anonymous_event_of_a_learned_user_is_the_users() -> None:
    """Its own profile may have been merged away."""
    event = identify(None, anonymousId="a1")

    assert sent([event], PlanContext(now=NOW, user_id="u1")).call.params["id"] == "u1"


def test_an_alias_that_was_merged_already_is_ignored() -> None:
    """One look-up per pair, for aliases too."""
    event = validate_event({"type": "alias", "userId": "u1", "previousId": "a1"})

    answer = plan([event], PlanContext(now=NOW, merged=frozenset({"a1"})), SETTINGS)

    assert answer == Ignored(IgnoreReason.ALREADY_MERGED)


def test_an_event_without_its_shared_ids_is_refused_and_crashes_nothing() -> None:
    """The splitter removes shared ids."""
    event = validate_event({"type": "alias", "userId": "u1", "previousId": "a1"})

    with pytest.raises(MappingRejected) as caught:
        plan([event.model_copy(update={"previous_id": None})], PlanContext(now=NOW), SETTINGS)

    assert caught.value.reason is Reason.MISSING_USER_ID


def test_a_visitors_email_is_asked_about_before_anything_is_sent() -> None:
    """The look-up uses the email as it was written; all that would fold with it waits for the answer."""
    events = [visit(traits={"email": "A@x.com", "n": n}) for n in range(3)]

    need = plan(events, PlanContext(now=NOW), SETTINGS)

    assert isinstance(need, Need)
    assert (need.what, need.covers) == ("owner", 3)
    assert (need.call.params["id"], need.call.params["key"]) == ("A@x.com", "email")
    context = answered(PlanContext(now=NOW), need, Profile(exists=False))
    assert sent(events, context).covers == 3
    assert sent(events, context).last_identify == LastIdentify("a@x.com", "extid", "a1")


def test_nothing_is_asked_about_an_email_of_a_user() -> None:
    """This holds for a userId in the event and for a learned one."""
    named, led = identify(traits={"email": "a@x.com"}), visit(traits={"email": "a@x.com"})

    assert sent([named]).call.params["id"] == "u1"
    assert sent([led], PlanContext(now=NOW, user_id="u1")).call.params["id"] == "u1"


def test_an_answer_is_good_for_its_email_alone() -> None:
    """Another email of the same visitor ends the run, and is asked about when its turn comes."""
    context = PlanContext(now=NOW, owner=Owner("a@x.com", "a1"))
    first, other = visit(traits={"email": "a@x.com"}), visit(traits={"email": "b@x.com"})

    assert sent([first, other], context).covers == 1
    need = plan([other], context, SETTINGS)
    assert isinstance(need, Need)
    assert need.call.params["id"] == "b@x.com"


@pytest.mark.parametrize("owner", [Owner("a@x.com", "u9"), Owner("a@x.com", None, learned=True)])
def test_an_email_of_another_extid_addresses_the_call_and_is_no_key(owner: Owner) -> None:
    """What was learned counts as much as what Sailthru says. Other ids fold into it only by the email."""
    events = [visit(traits={"email": "A@x.com"}), visit(traits={"n": 1})]

    step = sent(events, PlanContext(now=NOW, owner=owner))

    assert step.covers == 1
    assert (step.call.params["id"], step.call.params["key"]) == ("A@x.com", "email")
    assert "keys" not in step.call.params
    gone_to = ("extid", "u9") if owner.extid else ("email", "a@x.com")
    assert step.last_identify == LastIdentify("a@x.com", *gone_to)


def test_an_extid_that_is_shared_is_not_followed() -> None:
    """`guest` is the extid of a profile that a broken script made: the email says more."""
    step = sent(
        [visit(traits={"email": "a@x.com"})], PlanContext(now=NOW, owner=Owner("a@x.com", "Guest"))
    )

    assert step.last_identify == LastIdentify("a@x.com", "email", "a@x.com")


@pytest.mark.parametrize("last", [("extid", "u9"), ("email", "a@x.com")])
def test_what_a_visitor_does_later_goes_where_the_last_identify_went(last: tuple[str, str]) -> None:
    """Identifies without an email, and events. One that names a user goes to the user."""
    context = PlanContext(now=NOW, last_identify=LastIdentify("a@x.com", *last))
    looked = {"type": "track", "event": "Looked"}
    events = [visit(traits={"n": 1}), validate_event({**looked, "anonymousId": "a1"})]

    for event in events:
        params = sent([event], context).call.params
        assert (params["key"], params["id"]) == last
    named = validate_event({**looked, "anonymousId": "a1", "userId": "u1"})
    assert sent([named], context).call.params["id"] == "u1"


@pytest.mark.parametrize(
    ("known_email", "given"), [(None, True), ("A@X.com", True), ("newer@x.com", False)]
)
def test_a_visitor_gives_a_user_no_other_email_than_the_one_we_know(
    known_email: str | None, given: bool
) -> None:
    """The identify is delivered to the user; whose key is changed by what names them alone."""
    context = PlanContext(now=NOW, email=known_email, user_id="u1")

    params = sent([visit(traits={"email": "a@x.com"})], context).call.params

    assert params["id"] == "u1"
    assert ("keys" in params) is given


def test_an_event_older_than_max_age_of_its_lane_is_too_old() -> None:
    """Its own time decides; a fresh event before it is sent alone."""
    settings = AccountSettings.model_validate({"max_age": {"user": 60}})
    old = identify(timestamp="2023-11-14T22:00:00Z")
    fresh = identify(timestamp="2023-11-14T22:13:00Z")

    step = plan([fresh, old], PlanContext(now=NOW), settings)
    assert isinstance(step, Send)
    assert step.covers == 1
    with pytest.raises(MappingRejected) as caught:
        plan([old, fresh], PlanContext(now=NOW), settings)
    assert caught.value.reason is Reason.TOO_OLD
