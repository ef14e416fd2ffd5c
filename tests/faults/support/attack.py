"""What somebody does who has read a page's write key, as a process of its own: `python -m ... URL KEY REQUESTS USERS`.

And a process that asks /healthz all the while: `python -m ... URL`. Each prints what it found as JSON when it ends; the
latter when its standard input is closed.
"""

from __future__ import annotations

import gzip
import json
import select
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import httpx

SENDERS = 6
PROBE_EVERY_S = 0.02
EVIL = "eve@evil.example"
Body = tuple[str, bytes]
"""A path, and what is posted to it."""


def _batch(events: list[dict[str, Any]], **beside: Any) -> Body:
    return "/v1/batch", json.dumps({"batch": events, **beside}).encode()


def _track(user: str, event: str, **properties: Any) -> dict[str, Any]:
    return {"type": "track", "userId": user, "event": event, "properties": properties}


def flood(random: Random, user: str) -> Body:
    """Many events of many people, so that no mailbox is long."""
    return _batch([_track(f"{user}-{random.random()}", "Flooded") for _ in range(60)])


def carts(random: Random, user: str) -> Body:
    """In somebody's name, with a template of its own and a link to elsewhere."""
    product = {"product_id": "p1", "name": "P", "price": 1, "url": "https://evil.example/"}
    product |= {"reminder_template": "Evil", "reminder_time": "1 minute"}
    return _batch([_track(user, "Product Added", **product) for _ in range(3)])


def forged_orders(random: Random, user: str) -> Body:
    """Bought, refunded and deleted in somebody's name, behind messageIds that can be guessed."""
    names = ("Order Completed", "Order Refunded", "User Deleted", "Bought")
    events = [_track(user, name, order_id=f"o-{user}-1", email=EVIL) for name in names]
    return _batch([event | {"messageId": f"m-{user}-{n}"} for n in range(9) for event in events])


def other_address(random: Random, user: str) -> Body:
    """Somebody's address, all their ids, a list and an opt-out."""
    traits = {"email": f"{random.randrange(9)}.{EVIL}", "lists": {"All": 0}}
    who = {"type": "identify", "userId": user, "anonymousId": f"u{random.randrange(9)}"}
    stop = {"integrations": {"Sailthru": {"optoutValue": "all"}}}
    alias = {"type": "alias", "userId": "eve", "previousId": user}
    options = {"integrations": {"Sailthru": {"id": user, "key": "extid", "lists": {"All": 0}}}}
    return _batch([who | {"traits": traits}, who | stop, alias, who | options])


def letters(random: Random, user: str) -> Body:
    """What no mapping takes: each is a dead letter."""
    noise = random.random()
    wrong = {"type": "track", "userId": user, "event": f"Product Added {noise}"}
    return _batch([wrong | {"event": "Product Added"}, {"type": f"odd {noise}"}] * 20)


def heavy(random: Random, user: str) -> Body:
    """2,500 events that share a context: 7 MB once each has it."""
    context = {"note": "x" * 2_500}
    return _batch([{"type": "track", "userId": user, "event": ""}] * 2_500, context=context)


def deep(random: Random, user: str) -> Body:
    """Half a megabyte of brackets."""
    return "/v1/batch", b'{"batch":' + b"[" * 500_000


def bomb(random: Random, user: str) -> Body:
    """Packed so that it unpacks to a hundred times as much."""
    return "/v1/batch", gzip.compress(b" " * (50 << 20))


KINDS: tuple[Callable[[Random, str], Body], ...] = (
    *(flood, flood, flood, carts, forged_orders, other_address, letters, deep),
)
RARE: tuple[Callable[[Random, str], Body], ...] = (heavy, bomb)
"""One of these in so many requests as there are of both."""


def attack(url: str, key: str, requests: int, users: list[str]) -> Counter[str]:
    """Send so many requests, SENDERS at a time; how they were answered."""
    random = Random(1)
    with (
        httpx.Client(base_url=url, auth=(key, ""), timeout=60) as http,
        ThreadPoolExecutor(SENDERS) as senders,
    ):

        def send(number: int) -> str:
            make = random.choice(RARE if number % 50 == 0 else KINDS)
            path, body = make(random, random.choice(users))
            return str(http.post(path, content=body).status_code)

        return Counter(senders.map(send, range(requests)))


def probe(url: str) -> list[float]:
    """Seconds that each answer of /healthz took; one that does not come in 10 s is an error."""
    took: list[float] = []
    with httpx.Client(base_url=url, timeout=10) as http:
        while not select.select([sys.stdin], [], [], PROBE_EVERY_S)[0]:
            began = time.monotonic()
            http.get("/healthz").raise_for_status()
            took.append(time.monotonic() - began)
    return took


if __name__ == "__main__":
    url, *more = sys.argv[1:]
    if more:
        key, requests, *users = more
        sys.stdout.write(json.dumps(attack(url, key, int(requests), users)))
    else:
        sys.stdout.write(json.dumps(probe(url)))
