"""Users and emails that come late, in any order, and many at once."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from tests.faults.support.sandbox import PAGES
from tests.faults.support.traffic import product
from tests.faults.support.world import World
from tests.support.commands import wait_until

IN_SECONDS_S = 10.0
"""Much sooner than Sailthru is asked again for an email (60 s)."""


def event(who: str, kind: str) -> bytes:
    """One of three events of a user; only the identify shows the email."""
    common = {"userId": who, "messageId": f"{kind}-{who}"}
    bodies: dict[str, dict[str, Any]] = {
        "identify": {
            "type": "identify",
            "traits": {"email": f"{who}@example.com", "who": who, "seq": 1},
        },
        "registered": {
            "type": "track",
            "event": "Registered",
            "properties": {"who": who, "seq": 2},
        },
        "order": {
            "type": "track",
            "event": "Order Completed",
            "properties": {"order_id": f"o-{who}-3", "products": [product(1)]},
        },
        "page": {"type": "page", "properties": {"url": f"{PAGES}{who}/4"}},
    }
    return json.dumps({**bodies[kind], **common}).encode()


@pytest.mark.timeout(200)
@pytest.mark.parametrize("identify_first", [True, False])
def test_a_sign_up_storm_delivers_every_event_after_its_profile(
    world: World, scale: int, identify_first: bool
) -> None:
    """Identify and event at once, in either order: none dies, and no event reaches a stranger."""
    users = [f"s{number}" for number in range(200 * scale)]
    kinds = ("identify", "registered") if identify_first else ("registered", "identify")
    for _ in range(2):
        world.crew.hire()
    world.send([event(who, kind) for who in users for kind in kinds])
    world.wait_settled(120)
    first = "identify" if identify_first else "event"
    world.judge(f"sign-up storm, {len(users)} users, {first} first", may_repeat=False)
    assert world.dead() == {}
    known: set[str] = set()
    for one in world.app.sandbox.effects:
        origin = one.origin
        assert origin is not None
        assert origin.kind == "/user" or origin.who in known
        known.add(origin.who)


@pytest.mark.timeout(200)
def test_an_order_without_email_goes_out_whenever_its_identify_arrives(world: World) -> None:
    """Every arrival order of identify, event, order and page ends the same."""
    world.crew.hire()
    orders = list(permutations(["identify", "registered", "order", "page"]))
    steps = [[event(f"w{n}", kinds[step]) for n, kinds in enumerate(orders)] for step in range(4)]
    for raws in steps[:-1]:
        world.send(raws)
        world.wait_split()
        world.wait_until_quiet(0.5)
    world.began()
    world.send(steps[-1])
    world.wait_settled(IN_SECONDS_S)
    world.recovered()
    world.judge("missing email, every arrival order", may_repeat=False)
    assert world.dead() == {}
    assert len(world.app.sandbox.state.purchases) == len(orders)


@pytest.mark.timeout(200)
def test_an_order_that_died_for_want_of_an_email_is_replayed_by_the_identify(
    open_world: Any,
) -> None:
    """Without an email within EMAIL_WAIT it is a dead letter; a later identify replays it."""
    with open_world(EMAIL_WAIT="1s") as world:
        world.crew.hire()
        world.send([event("late", "order")])
        wait_until(lambda: world.dead() == {"order-late": "missing_email"}, "it dies")
        world.send([event("late", "identify")])
        world.began()
        wait_until(lambda: world.counts().delivered == 2, "it is replayed")
        world.recovered()
        world.wait_settled()
        assert world.dead() == {}
        world.judge("email after the order had died", may_repeat=False)


@pytest.mark.timeout(200)
def test_a_visitors_event_behind_a_backlog_reaches_the_user_who_signed_in(world: World) -> None:
    """No process delivers custom events for more than the minute for which a merge waits for them: then the
    visitor's profile is gone, and the event goes to the user's."""
    world.crew.hire(lanes=("user", "purchase", "page"))
    visitors = [f"b{number}" for number in range(20)]
    ids = {who: {"anonymousId": f"anon-{who}"} for who in visitors}
    named = {"type": "identify", "traits": {"first_name": "Zoe"}}
    played = {"type": "track", "event": "Played"}
    world.send([json.dumps({**named, **ids[who], "messageId": f"v-{who}"}).encode() for who in ids])
    wait_until(lambda: world.counts().delivered == len(visitors), "visitors have profiles")
    tracks = [{**played, **ids[who], "properties": {"who": who, "seq": 1}} for who in ids]
    world.send(
        [json.dumps({**one, "messageId": f"t-{one['anonymousId']}"}).encode() for one in tracks]
    )
    sign_in = {"type": "identify", "traits": {"last_name": "May"}}
    world.send(
        [
            json.dumps({**sign_in, **ids[who], "userId": who, "messageId": f"i-{who}"}).encode()
            for who in ids
        ]
    )
    wait_until(lambda: world.counts().delivered == 2 * len(visitors), "merges wait no longer", 100)
    world.began()
    world.crew.hire(lanes=("event",), splitter=False)
    wait_until(lambda: world.counts().delivered == 3 * len(visitors), "events go to the users", 60)
    world.recovered()
    world.wait_settled()
    arrived = [one.params["id"] for one in world.effects if one.endpoint == "/event"]
    assert sorted(arrived) == sorted(visitors)
    world.record("visitors' events behind a backlog", world.sent)
