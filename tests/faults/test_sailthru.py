"""Sailthru misbehaving: every way to say nothing, an outage, wrong credentials, one endpoint down."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipeline.events.models import Lane
from pipeline.lanes import PAGEVIEW_ENDPOINT
from pipeline.retry import THROTTLE_S
from pipeline.sandbox.faults import FaultKind
from tests.faults.conftest import Open
from tests.faults.support.traffic import product, traffic
from tests.faults.support.verdict import expected_of
from tests.faults.support.world import World
from tests.support.commands import wait_until
from tests.support.odd_replies import reply
from tests.support.odd_server import OddServer, Script

OUTAGES: list[dict[str, Any]] = [
    {"kind": FaultKind.SERVER_ERROR, "status": 502},
    {"kind": FaultKind.ERROR_9},
    {"kind": FaultKind.ERROR_IN_200, "code": 9},
    {"kind": FaultKind.HANG, "seconds": 30.0},
    {"kind": FaultKind.RESET},
    {"kind": FaultKind.RESET, "processed": True},
    {"kind": FaultKind.GARBAGE, "processed": True},
    {"kind": FaultKind.HALF_BODY, "processed": True},
    {"kind": FaultKind.LATENCY, "seconds": 3.0, "processed": True},
]


REFUSED: dict[str, Any] = {"kind": "connection refused"}
ODD: list[dict[str, Any]] = [
    {
        "kind": "a reason phrase in Latin-1",
        "said": reply(b"503 Servi\xe7o indispon\xedvel", body=b"<html>down"),
    },
    {
        "kind": "a redirect to an email",
        "said": reply(b"302 Found", b"Location: mailto:x@y", body=b""),
    },
    {"kind": "a gateway's JSON", "said": reply(b"403 Forbidden", body=b'{"error":"Forbidden"}')},
]
"""What something in Sailthru's place may say to every call."""
PROBES = 2
ENDPOINTS = {"api": ("/user", "/event", "/purchase"), "track": (PAGEVIEW_ENDPOINT,)}
IP_NOT_ALLOWED = 4
"""Sailthru's error code (reference: sailthru-api 4)."""
RESET_S = 5.0
IN_FLIGHT_S = 2.0
"""How long after the first refusal calls may still come in that were under way."""
THROTTLED: list[dict[str, Any]] = [
    {"kind": FaultKind.ERROR_IN_200, "code": 43},
    {"kind": FaultKind.SERVER_ERROR, "status": 429},
    {"kind": FaultKind.TOO_MANY, "seconds": RESET_S},
]


@contextmanager
def outage(world: World, rule: dict[str, Any]) -> Iterator[None]:
    """Sailthru fails as the rule says, for as long as the block lasts."""
    if rule is REFUSED or rule in ODD:
        world.sailthru.close()
        with answering(world.sailthru.url, rule["said"]) if rule in ODD else nullcontext():
            yield
        world.sailthru.open()
        return
    world.fault(**rule)
    yield
    world.app.faults.clear()


@contextmanager
def answering(url: str, said: bytes) -> Iterator[None]:
    """Something else listens there, and says the same to every request."""
    over = threading.Event()

    async def serve() -> None:
        async with OddServer(urlsplit(url).port or 0) as server:
            server.script = Script([said])
            await asyncio.to_thread(over.wait)

    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(asyncio.run, serve())
        try:
            yield
        finally:
            over.set()
            ended.result()


def failed_probes(world: World) -> int:
    """How many times a host that did not answer was tried in vain; 0 while a circuit is closed."""
    return sum(world.gates(host).get("circuit", {"tries": 0})["tries"] for host in ENDPOINTS)


def wait_for_probes(world: World, tries: int) -> None:
    """Return when so many probes of each host have failed."""

    def failed(host: str) -> bool:
        closure = world.gates(host).get("circuit")
        return closure is not None and closure["tries"] >= tries

    wait_until(lambda: all(map(failed, ENDPOINTS)), "the circuits open, probes fail", 60)


def name_of(rule: dict[str, Any]) -> str:
    """How the report calls a storm."""
    number = (
        f" {rule['code' if 'code' in rule else 'status']}" if {"code", "status"} & {*rule} else ""
    )
    return str(rule["kind"]) + number + (", processed" if rule.get("processed") else "")


@pytest.mark.timeout(300)
def test_a_quarter_of_all_calls_failing_in_every_way_kills_and_doubles_nothing(
    world: World,
) -> None:
    """What fails is tried again behind its user's back, in order; ambiguous ends of orders and
    carts are looked up or repeated from their base."""
    world.crew.hire()
    for rule in OUTAGES:
        world.fault(**{**rule, "probability": 0.03})
    world.send(traffic(500, 60, seed=20))
    wait_until(lambda: world.counts().delivered >= 350, "most is delivered all the same", 120)
    world.app.faults.clear()
    world.began()
    world.wait_settled(120)
    world.recovered()
    world.judge("every kind of failure, 1 call in 4")


@pytest.mark.timeout(200)
@pytest.mark.parametrize("rule", [*OUTAGES, REFUSED, *ODD], ids=name_of)
def test_an_outage_uses_up_no_attempt_and_everything_arrives_afterwards_in_order(
    open_world: Open, rule: dict[str, Any]
) -> None:
    """The circuit opens, only probes go out, and though three attempts would be the end nothing dies;
    then all is delivered in order."""
    with open_world(RETRY_ATTEMPTS="3", RETRY_FOR="0s") as world:
        world.crew.hire()
        with outage(world, rule):
            world.send(traffic(200, 40, seed=21))
            wait_for_probes(world, 1)
            used, calls, before = world.attempts_used(), world.calls_seen(), failed_probes(world)
            wait_for_probes(world, PROBES)
            assert world.attempts_used() == used
            rounds = failed_probes(world) - before + len(ENDPOINTS)
            assert world.calls_seen() - calls <= rounds * len(Lane)
        world.began()
        wait_until(lambda: not any(map(world.gates, ENDPOINTS)), "probes open both", 60)
        world.recovered()
        world.wait_settled()
        world.judge(f"outage: {name_of(rule)}")


@pytest.mark.timeout(200)
@pytest.mark.parametrize("host", ["api", "track"])
def test_one_host_down_leaves_the_others_lanes_alone(world: World, host: str) -> None:
    """Page views have a host of their own: while one fails, all that is the other's is delivered."""
    world.crew.hire()
    for endpoint in ENDPOINTS[host]:
        world.fault(FaultKind.SERVER_ERROR, endpoint=endpoint)
    raws = traffic(300, 40, seed=26)
    world.send(raws)
    pages = sum(b'"type": "page"' in raw for raw in dict.fromkeys(raws))
    others = expected_of(raws, world.settings).delivered - pages
    done = others if host == "track" else pages
    wait_until(lambda: world.counts().delivered == done, "the other host's lanes are through", 60)
    wait_until(lambda: "circuit" in world.gates(host), "the circuit of this host opens")
    world.app.faults.clear()
    world.began()
    world.wait_settled()
    world.recovered()
    world.judge(f"host {host} down, the other goes on", may_repeat=False)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("wrong", ["credentials", "address"])
def test_wrong_credentials_pause_the_account_bury_nothing_and_end_by_themselves(
    world: World, wrong: str
) -> None:
    """One alert, probes only, and the pause ends when Sailthru takes the key, or our IP, again."""
    for _ in range(2):
        world.crew.hire()
    options = world.app.sandbox.options
    if wrong == "credentials":
        world.app.sandbox.options = options.changed({"api_key": "rotated"})
    else:
        world.fault(FaultKind.ERROR_IN_200, code=IP_NOT_ALLOWED)
    world.send([raw for raw in traffic(200, 40, seed=22) if b'"page"' not in raw])
    wait_until(lambda: "misconfigured" in world.gates("api"), "the account pauses")
    world.wait_until_quiet()
    assert world.dead() == expected_of(world.sent, world.settings).dead
    world.app.sandbox.options = options
    world.app.faults.clear()
    world.began()
    wait_until(lambda: not world.gates("api"), "a probe opens it", 60)
    world.recovered()
    world.wait_settled()
    world.judge(f"wrong {wrong}", may_repeat=False)
    logs = "".join(worker.log for worker in world.crew.workers)
    assert logs.count("reason=misconfigured") - logs.count("gate_opened") == 1


@pytest.mark.timeout(200)
def test_one_endpoint_down_leaves_the_other_lanes_alone(world: World) -> None:
    """/event fails, and identifies, carts, orders and pages are delivered meanwhile. Its own gate closes, so that
    nothing is buried, though three attempts would be the end."""
    world.crew.hire(SAILPIPE_RETRY_ATTEMPTS="3", SAILPIPE_RETRY_FOR="0s")
    world.fault(FaultKind.SERVER_ERROR, endpoint="/event")
    raws = traffic(300, 40, seed=23)
    world.send(raws)
    events = sum(b'"Played"' in raw for raw in dict.fromkeys(raws))
    wait_until(lambda: world.counts().waiting == events, "all but custom events is through", 60)
    wait_until(lambda: "circuit" in world.gates("POST /event"), "its own gate closes", 60)
    assert world.dead() == expected_of(world.sent, world.settings).dead
    world.app.faults.clear()
    world.began()
    world.wait_settled()
    world.recovered()
    world.judge("/event down, the rest goes on", may_repeat=False)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("code", [4, 22])
def test_one_endpoint_that_refuses_the_account_leaves_the_other_lanes_alone(
    world: World, code: int
) -> None:
    """/event says that the account may not; its own gate closes once another endpoint has taken a call."""
    world.crew.hire()
    world.fault(FaultKind.ERROR_IN_200, endpoint="/event", code=code)
    raws = traffic(300, 40, seed=28)
    world.send(raws)
    events = sum(b'"Played"' in raw for raw in dict.fromkeys(raws))
    wait_until(lambda: world.counts().waiting == events, "all but custom events is through", 90)
    extra = iter(range(1000))

    def closes() -> bool:
        """Only an identify can open the host's gate: nothing but refused events is left."""
        user = f"extra{next(extra)}"
        more = {"type": "identify", "userId": user, "messageId": user, "traits": {"n": 1}}
        world.send([json.dumps(more).encode()])
        time.sleep(0.5)
        return "misconfigured" in world.gates("POST /event")

    wait_until(closes, "its own gate closes", 90)
    wait_until(lambda: not world.gates("api"), "the host's is open")
    world.app.faults.clear()
    world.began()
    wait_until(lambda: not world.gates("POST /event"), "a probe opens it", 90)
    world.recovered()
    world.wait_settled()
    world.judge(f"/event alone refuses the account: {code}", may_repeat=False)


@pytest.mark.timeout(200)
def test_one_look_up_down_stops_only_what_needs_it(open_world: Open) -> None:
    """GET /user fails for all users: carts wait and are none the worse, everything else is delivered."""
    with open_world(RETRY_ATTEMPTS="3", RETRY_FOR="0s") as world:
        world.crew.hire()
        world.fault(FaultKind.SERVER_ERROR, method="GET", endpoint="/user")
        world.send(traffic(200, 40, seed=29))
        wait_until(lambda: "circuit" in world.gates("GET /user"), "its own gate closes", 60)
        world.wait_until_quiet(0.5)
        assert world.dead() == expected_of(world.sent, world.settings).dead
        world.app.faults.clear()
        world.began()
        wait_until(lambda: not world.gates("GET /user"), "a probe opens it", 90)
        world.recovered()
        world.wait_settled()
        world.judge("GET /user down, the rest goes on", may_repeat=False)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("rule", THROTTLED, ids=name_of)
def test_no_worker_calls_a_throttled_endpoint_before_its_reset(
    world: World, rule: dict[str, Any]
) -> None:
    """The headers name the Reset, or a while passes; what was under way is all that still comes in.
    Nothing is buried or repeated."""
    world.crew.hire()
    world.fault(endpoint="/event", times=3, **rule)
    world.send(traffic(600, 40, seed=25))
    wait_until(lambda: "throttled" in world.gates("POST /event"), "the gate closes")
    world.began()
    wait_until(lambda: "throttled" not in world.gates("POST /event"), "the gate opens")
    world.recovered()
    world.wait_settled()
    calls = [one for one in world.app.sandbox.state.calls if one.endpoint == "/event"]
    first = next(one.at for one in calls if one.fault)
    reset = first + rule.get("seconds", THROTTLE_S)
    assert not [one for one in calls if first + IN_FLIGHT_S < one.at < reset]
    assert sum(one.at >= reset for one in calls) > len(calls) / 2
    world.judge(f"throttled: {name_of(rule)}", may_repeat=False)


@pytest.mark.timeout(200)
def test_a_cart_look_up_that_fails_dies_with_its_timeline_and_frees_its_user(
    open_world: Open,
) -> None:
    """GET /user fails and everything else answers: retried on schedule, then `cart_lookup_failed`;
    the user's order behind it goes out."""
    with open_world(RETRY_FOR="2s", RETRY_ATTEMPTS="3", RETRY_MAX="1s") as world:
        world.crew.hire()
        world.fault(FaultKind.SERVER_ERROR, method="GET", endpoint="/user")
        user = {"userId": "c1", "context": {"traits": {"email": "c1@example.com"}}}
        add = {"type": "track", "event": "Product Added", "properties": product(1)}
        bought = {"order_id": "o-c1-2", "products": [product(1)]}
        order = {"type": "track", "event": "Order Completed", "properties": bought}
        world.send(
            [
                json.dumps({**add, **user, "messageId": "cart"}).encode(),
                json.dumps({**order, **user, "messageId": "order"}).encode(),
            ]
        )
        world.wait_settled()
        assert world.dead() == {"cart": "cart_lookup_failed"}
        letter = world.letter("cart")
        assert letter.header.attempts >= 3
        assert len(letter.header.timeline) == letter.header.attempts
        assert [order.extid for order in world.app.sandbox.state.purchases] == ["o-c1-2"]
        world.record("cart look-up fails for good", world.sent)
