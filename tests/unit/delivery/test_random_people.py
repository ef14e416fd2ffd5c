"""Random histories of customers, visitors and other people's emails: whose profile, whose address."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sailthru.calls import Call
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.sandbox import Sandbox
from tests.support.fake_sailthru import NOT_SENT, TIMED_OUT, Trouble
from tests.support.pipe import START, Pipe, open_pipe, product

EXAMPLES = 1_000 if settings.get_current_profile_name() == "deep" else 40
LONG_S = 7_200.0

Event = dict[str, Any]

USERS = ("u1", "u2", "y@example.org")
VISITORS = ("a1", "a2", "a3")
EMAILS = tuple(f"{name}@example.org" for name in (*"xxxXyy", *"zwvst", "q.."))
"""Few, so that people meet; more than an id may show in a day; one that Sailthru refuses."""


def _ids(user: str | None, visitor: str | None) -> Event:
    return {"userId": user, "anonymousId": visitor}


def _identify(ids: Event, email: str | None, number: int) -> Event:
    return {"type": "identify", **ids, "traits": {"email": email, "n": number}}


def _track(
    event_name: str, ids: Event, place: str, email: str | None, /, **properties: Any
) -> Event:
    shown: Event = {"email": email} if email else {}
    context = {"traits": shown} if place == "context" else {}
    own = shown if place == "properties" else {}
    event = {"type": "track", "event": event_name, "context": context}
    return event | ids | {"properties": {**properties, **own}}


def _purchase(name: str, ids: Event, place: str, email: str | None) -> Event:
    if name == "Order Completed":
        return _track(name, ids, place, email, products=[product("p1")])
    return _track(name, ids, place, email, total=5, **product("p1"))


def _alias(previous: str, user: str) -> Event:
    return {"type": "alias", "previousId": previous, "userId": user}


PLACES = st.sampled_from(("context", "properties"))
PURCHASES = st.sampled_from(("Order Completed", "Order Refunded", "Product Added"))


@dataclass(frozen=True)
class Weather:
    """What else goes on: how far reads lag, how long it is between batches, what fails."""

    lag_s: float
    gap_s: float
    paused: bool
    fails: tuple[int, ...]
    dies: tuple[int, ...]
    processed: bool


WEATHER = st.builds(
    Weather,
    lag_s=st.sampled_from((0.0, 1.0, 5.0)),
    gap_s=st.sampled_from((0.0, 0.3, 2.0, 60.0)),
    paused=st.booleans(),
    fails=st.just(()) | st.lists(st.integers(1, 12), max_size=3).map(tuple),
    dies=st.just(()) | st.integers(1, 12).map(lambda number: (number,)),
    processed=st.booleans(),
)


async def _live(pipe: Pipe, batches: Sequence[list[Event]], weather: Weather) -> None:
    """Post the batches, with all that goes on meanwhile, and wait until everything is settled."""
    _trouble(pipe, weather)
    if weather.paused:
        await pipe.pause("account")
    for batch in batches:
        await pipe.post(*batch)
        await pipe.run(weather.gap_s)
    await pipe.resume("account")
    await pipe.run(LONG_S)


def _trouble(pipe: Pipe, weather: Weather) -> None:
    """Some calls fail, of these some took effect, and workers die in the middle of others."""
    made = 0

    def nth(numbers: tuple[int, ...]) -> Any:
        return lambda _call: made in numbers

    def count(_call: Call) -> bool:
        nonlocal made
        made += 1
        return False

    answer = TIMED_OUT if weather.processed else NOT_SENT
    pipe.sailthru.troubles += [
        Trouble(count, None),
        Trouble(nth(weather.fails), answer, weather.processed),
        Trouble(nth(weather.dies), None, weather.processed),
    ]


def _pipe(weather: Weather, **more: Any) -> Any:
    options = SandboxOptions(lag_s=weather.lag_s)
    return open_pipe(sandbox=options, user_wait=60.0, email_wait=600.0, **more)


# --- no extid is ever replaced by an anonymousId

A_USER, A_VISITOR = st.sampled_from(USERS), st.sampled_from(VISITORS)
CUSTOMERS = st.builds(_ids, A_USER, st.none())
VISITING = st.builds(_ids, st.none(), A_VISITOR)
WHO = CUSTOMERS | VISITING | st.builds(_ids, A_USER, A_VISITOR)
AN_EMAIL = st.sampled_from(EMAILS)
EMAIL_OR_NOT = st.none() | AN_EMAIL
NUMBERS = st.integers(0, 9)

ANYBODY = (
    st.builds(_identify, CUSTOMERS, AN_EMAIL, NUMBERS)
    | st.builds(_identify, VISITING, AN_EMAIL, NUMBERS)
    | st.builds(_identify, WHO, EMAIL_OR_NOT, NUMBERS)
    | st.builds(_track, st.just("Subscribed"), WHO, PLACES, EMAIL_OR_NOT, list=st.just("News"))
    | st.builds(_alias, st.sampled_from(VISITORS), st.sampled_from(USERS))
    | st.builds(_track, st.just("Looked"), WHO, PLACES, EMAIL_OR_NOT)
    | st.builds(_purchase, PURCHASES, WHO, PLACES, EMAIL_OR_NOT)
)
BATCHES = st.lists(st.lists(ANYBODY, min_size=1, max_size=4), min_size=2, max_size=5)


@contextlib.contextmanager
def taken_by_visitors(sandbox: Sandbox) -> Iterator[list[str]]:
    """Every extid that a call takes away from Sailthru by giving a visitor's: filled while it runs."""
    taken: list[str] = []
    handle = sandbox.handle

    def watched(method: str, endpoint: str, params: Any, now: float, **more: Any) -> Any:
        before = _extids(sandbox)
        reply = handle(method, endpoint, params, now, **more)
        given = params.get("keys", {}).get("extid") or params.get("id")
        if given in VISITORS:
            taken.extend(f"{one} by {given}" for one in sorted(before - _extids(sandbox)))
        return reply

    with mock.patch.object(sandbox, "handle", watched):
        yield taken


def _extids(sandbox: Sandbox) -> set[str]:
    return {one.keys["extid"] for one in sandbox.state.profiles if "extid" in one.keys}


@pytest.mark.long
@settings(max_examples=EXAMPLES, deadline=None)
@given(batches=BATCHES, weather=WEATHER)
def test_no_extid_is_ever_replaced_by_an_anonymous_id(
    batches: list[list[Event]], weather: Weather
) -> None:
    """This holds for customers' and visitors' extids, whatever order events come in and are split in, whatever
    fails or lags, and whichever worker dies."""

    async def run() -> list[str]:
        async with _pipe(weather) as pipe:
            with taken_by_visitors(pipe.sailthru.sandbox) as taken:
                await _live(pipe, batches, weather)
            return taken

    assert asyncio.run(run()) == []


# --- what is data addresses nothing

PEOPLE = (0, 1, 2)
STRANGERS = ("friend@example.net", "info@example.com")


def _emails_of(person: int) -> tuple[str, ...]:
    """The last one is mistyped: Sailthru refuses it."""
    return f"p{person}@example.org", f"P{person}.b@Example.org", f"p{person}..c@example.org"


def _imported(person: int) -> str:
    """What Sailthru has, and no event shows."""
    return f"p{person}.crm@example.org"


def _names_of(person: int) -> set[str]:
    """All by which a person may be addressed."""
    emails = {*_emails_of(person), _imported(person)}
    return {f"u{person}", f"a{person}", *emails, *map(str.lower, emails)}


ALL_EMAILS = [email for person in PEOPLE for email in (*_emails_of(person), _imported(person))]
DATA = st.sampled_from((*ALL_EMAILS, *STRANGERS))


def _own_ids(person: int) -> st.SearchStrategy[Event]:
    user, visitor = f"u{person}", f"a{person}"
    return st.sampled_from(
        (_ids(user, None), _ids(user, None), _ids(user, visitor), _ids(None, visitor))
    )


def _naming(person: int, ids: Event, place: str, email: str) -> Event:
    """A custom event whose properties, or what else is no trait of the person, hold any email."""
    event = _track(f"Named {person}", ids, "nowhere", None)
    match place:
        case "properties":
            return event | {"properties": {"email": email}}
        case "properties.traits":
            return event | {"properties": {"traits": {"email": email}}}
        case "context":
            return event | {"context": {"email": email}}
        case "traits":
            return event | {"traits": {"email": email}}
        case _:
            return {"type": "group", "groupId": "g", **ids, "traits": {"email": email}}


def _bought(person: int, name: str, ids: Event, place: str, email: str | None) -> Event:
    """An order, refund or cart change by whose product it can be told whose it is."""
    item = product(f"p{person}")
    if name == "Product Added":
        return _track(name, ids, place, email, **item)
    return _track(name, ids, place, email, products=[item])


def _events_of(person: int) -> st.SearchStrategy[Event]:
    ids, own = _own_ids(person), st.sampled_from(_emails_of(person))
    places = st.sampled_from(("properties", "properties.traits", "context", "traits", "group"))
    named = st.builds(_naming, st.just(person), ids, places, DATA)
    bought = st.builds(_bought, st.just(person), PURCHASES, ids, PLACES, st.none() | own)
    subscribed = st.just("Subscribed")
    return st.one_of(
        named,
        named,
        bought,
        bought,
        st.builds(_identify, ids, st.none() | own, NUMBERS),
        st.builds(_track, subscribed, ids, PLACES, own, list=st.just("News")),
        st.builds(_track, st.just(f"Named {person}"), ids, st.just("context"), own),
        st.just(_alias(f"a{person}", f"u{person}")),
    )


def _shown(batches: Sequence[list[Event]], person: int) -> set[str]:
    """The emails that this person's own events show where a person's email stands, in lower case."""
    shown = set()
    for event in (event for batch in batches for event in batch):
        ids = {event["userId"], event.get("anonymousId")}
        if ids & {f"u{person}", f"a{person}"}:
            places = [event.get("context", {}).get("traits", {})]
            if event["type"] == "identify":
                places.append(event["traits"])
            if event.get("event", "Named").partition(" ")[0] != "Named":
                places.append(event["properties"])
            shown |= {email.lower() for place in places if (email := place.get("email"))}
    return shown


HISTORIES = st.lists(
    st.lists(st.sampled_from(PEOPLE).flatmap(_events_of), min_size=2, max_size=6),
    min_size=2,
    max_size=4,
)


@pytest.mark.long
@settings(max_examples=EXAMPLES, deadline=None)
@given(
    batches=HISTORIES,
    weather=WEATHER,
    imported=st.sets(st.sampled_from(PEOPLE)),
    carts=st.sampled_from(("known", "any")),
)
def test_nothing_leaves_for_an_address_that_its_person_did_not_show(
    batches: list[list[Event]], weather: Weather, imported: set[int], carts: str
) -> None:
    """The properties of custom events hold emails of other customers and of strangers. Nothing dies of an
    address that Sailthru refuses."""

    async def run() -> list[Call]:
        async with _pipe(weather, cart_users=carts) as pipe:
            for person in imported:
                params = {"id": f"u{person}", "key": "extid", "keys": {"email": _imported(person)}}
                pipe.sailthru.sandbox.handle("POST", "/user", params, START - 60)
            await _live(pipe, batches, weather)
            assert "rejected" not in await pipe.reasons()
            return [sent.call for sent in pipe.sailthru.sent]

    for call in asyncio.run(run()):
        if call.bucket in ("POST /purchase", "POST /return"):
            people = {int(str(item["id"])[-1]) for item in call.params["items"]}
            assert len(people) <= 1
            for person in people:
                allowed = _shown(batches, person) | {_imported(person)}
                assert call.params["email"].lower() in allowed
        elif call.bucket == "POST /event":
            person = int(str(call.params["event"])[-1])
            assert call.params["id"] in _names_of(person)
