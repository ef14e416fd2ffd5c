"""An attacker's afternoon: somebody has read a page's write key, and sends what they like as fast as they can."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from pipeline.clock import SystemClock
from pipeline.errors import Reason
from tests.faults.conftest import Open
from tests.faults.support import attack
from tests.faults.support.crew import ROOT
from tests.faults.support.sandbox import Effect
from tests.faults.support.verdict import Verdict
from tests.faults.support.world import World
from tests.support.commands import wait_until
from tests.support.redis_server import free_port

CLOCK = SystemClock()
USERS = [f"u{number}" for number in range(20)]
SECONDS = float(os.environ.get("ATTACK_S", "0"))
"""How long it lasts, three requests a second on average (`make test-attack`); 0: as long as REQUESTS take."""
REQUESTS = 400
"""A fifth of them where CI runs the suite."""
PAUSE_S = 2.0 if SECONDS else 0.2
"""Between two rounds of the shop's orders."""
LETTERS = 300
HEALTH_S = 1.0
LIVE_S = 60.0
"""A live event goes out within that, though thousands of the attacker's wait. (Alone it is a fraction of a second.)"""


PATIENCE_S = 240.0
"""How long what is late is waited for, so that the report says how late it was."""


class Shop:
    """The shop's own program: orders and events with a server's key, every one of them noted."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self.sent: dict[str, float] = {}
        self.visits: dict[str, float] = {}

    def identify(self) -> None:
        for user in USERS:
            self._post("identify", userId=user, traits={"email": f"{user}@example.org"})

    def order(self, user: str, number: int) -> None:
        """Without an email of its own: it leaves for what was learned."""
        product = {"product_id": "p1", "name": "P", "price": 1, "url": "https://shop.example/p"}
        properties = {"order_id": f"o-{user}-{number}", "products": [product], "total": number}
        self._post(
            "track",
            userId=user,
            event="Order Completed",
            messageId=f"m-{user}-{number}",
            properties=properties,
        )
        self.sent[f"o-{user}-{number}"] = CLOCK.now()

    def visit(self, number: int) -> None:
        """A live custom event of a customer."""
        user = USERS[number % len(USERS)]
        self._post("track", userId=user, event=f"Visited {number}", messageId=f"v-{number}")
        self.visits[f"Visited {number}"] = CLOCK.now()

    def lose(self, number: int) -> None:
        """An order that dies: its letter is to survive."""
        self._post(
            "track", userId=f"lost{number}", event="Order Completed", properties={"total": 1}
        )

    def _post(self, path: str, **body: Any) -> None:
        reply = self._http.post(f"/v1/{path}", json=body)
        assert reply.status_code == 200, reply.text


def bought(effects: list[Effect]) -> Mapping[str, Effect]:
    """Orders that Sailthru took, by id."""
    purchases = (one for one in effects if one.endpoint == "/purchase" and one.method == "POST")
    found = ((one.params.get("purchase_keys") or {}, one) for one in purchases)
    return {str(keys["extid"]): one for keys, one in found if "extid" in keys}


def visited(effects: list[Effect]) -> Mapping[str, Effect]:
    """The shop's own custom events that Sailthru took, by name."""
    events = (one for one in effects if one.endpoint == "/event")
    return {name: one for one in events if (name := str(one.params["event"])).startswith("Visited")}


@contextmanager
def beside(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of `tests.faults.support.attack`."""
    command = [sys.executable, "-m", attack.__name__, *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe) as process:  # noqa: S603 - our own words
        try:
            yield process
        finally:
            process.kill()


def harm(effects: list[Effect]) -> list[Mapping[str, Any]]:
    """Calls that unsubscribed, re-addressed, deleted or merged anybody, or lead elsewhere."""
    said = [json.dumps(dict(one.params)) for one in effects]
    words = ("optout_email", '"All": 0', "evil.example/", '"Evil"', '"merge"')
    wrong = [one for one, text in zip(effects, said, strict=True) if any(w in text for w in words)]
    wrong += [one for one in effects if one.method == "DELETE" or one.endpoint == "/return"]
    return [one.params for one in wrong]


@pytest.mark.timeout(280 + 2 * SECONDS)
def test_an_attacker_with_a_pages_key_costs_the_shop_no_event_no_letter_and_no_second_of_healthz(
    open_world: Open, scale: int
) -> None:
    """Floods, forged orders, other addresses, dead letters by the thousand, bombs, and bodies of eight megabytes."""
    settings = {
        "WRITE_KEYS": "erp,page:browser:100",
        "DEFAULT_LIST": "All",
        "PRODUCT_BASE_URL": "https://shop.example/p",
        "ALLOW_DELETE": "true",
        "DEAD_MAX": str(LETTERS),
    }
    with open_world(**settings) as world:
        url = f"http://127.0.0.1:{free_port()}"
        world.crew.hire_server(url)
        world.crew.hire()
        wait_until(lambda: is_up(url), "the HTTP server is up")
        with httpx.Client(base_url=url, auth=("erp", ""), timeout=20) as http:
            run(world, Shop(http), url, int(SECONDS * 3) or REQUESTS * scale // 5)


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def run(world: World, shop: Shop, url: str, requests: int) -> None:
    """The attack, the shop's day beside it, and what is left of both."""
    shop.identify()
    for number in range(20):
        shop.lose(number)
    world.wait_settled()
    lost = {name for name, why in world.dead().items() if why == Reason.UNMAPPABLE}
    assert len(lost) == 20
    quiet = len(world.effects)
    words = "page", str(requests), str(SECONDS), *USERS
    with beside(url) as probing, beside(url, *words) as attacking:
        number = 0
        while attacking.poll() is None:
            number += 1
            for user in USERS:
                shop.order(user, number)
            shop.visit(number)
            time.sleep(PAUSE_S)
        assert attacking.stdout is not None
        answers = json.loads(attacking.stdout.read())
        found, _ = probing.communicate()
        took = sorted(json.loads(found))
    wait_until(
        lambda: (
            shop.sent.keys() <= bought(world.effects).keys()
            and shop.visits.keys() <= visited(world.effects).keys()
        ),
        "every order and visit went out",
        PATIENCE_S,
    )
    orders, visits = bought(world.effects), visited(world.effects)
    slowest = max(orders[name].at - at for name, at in shop.sent.items())
    slowest_visit = max(visits[name].at - at for name, at in shop.visits.items())
    world.report(
        Verdict(
            "a page's write key in an attacker's hands",
            len(shop.sent),
            world.counts(),
            lost=0,
            doubled_orders=len(orders) - len(shop.sent),
            out_of_order=0,
            repeated=0,
            recovery_s=slowest,
            remark=f"{answers}; {len(visits)} live events in {slowest_visit:.1f} s at most; /healthz {took[len(took) // 2] * 1000:.0f} ms, 99 % in"
            f" {took[len(took) * 99 // 100] * 1000:.0f} ms, at most {took[-1] * 1000:.0f} ms",
        )
    )
    refusals = {"400", "401", "403", "404", "405", "413", "415", "421", "503"}
    assert answers.keys() <= {"200", "crooked"} | refusals, answers
    assert orders.keys() == shop.sent.keys()
    assert {orders[f"o-{user}-1"].params["email"] for user in USERS} == {
        f"{user}@example.org" for user in USERS
    }
    assert harm(world.effects[quiet:]) == []
    assert lost <= world.dead().keys()
    assert took[-1] < HEALTH_S
    assert max(slowest, slowest_visit) < LIVE_S
