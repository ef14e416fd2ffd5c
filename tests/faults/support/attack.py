"""What somebody does who has read a page's write key, as a process of its own: `python -m ... URL KEY REQUESTS SECONDS
USERS`, in bursts over so many seconds (0: as fast as it can).

And a process that asks /healthz all the while: `python -m ... URL`. Each prints what it found as JSON when it ends; the
latter when its standard input is closed.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any
from urllib.parse import urlsplit

import httpx

SENDERS = 6
BURST = 50
"""Requests that are sent as fast as it goes, before the next ones wait for their time."""
LEFT_OPEN = 200
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


def odd_json(random: Random, user: str) -> Body:
    """JSON that parsers disagree about, and none at all."""
    event = b'{"type":"track","event":"E","userId":%s}'
    odd = [event % value for value in ODD_VALUES]
    odd += [b'{"batch":[%s]}' % b",".join(odd), b'{"batch":{}}', b'{"batch":null}', b"[]", b'"x"']
    odd += [b"", b"\xff\xfe{", '{"batch":[]}'.encode("utf-16"), b'{"batch":[' + b"{}," * 9_000]
    return random.choice(["/v1/batch", "/v1/track", "/v1/identify"]), random.choice(odd)


ODD_VALUES = (
    *(
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"1" + b"0" * 5_000,
        b'"\\ud800"',
        b'"\\u0000"',
        b"[[]]",
        b"{}",
    ),
    *(b'"u1","userId":"u2"', b'"' + b"x" * 9_000 + b'"', b'"\xff"', b"null", b"true"),
)


def other_doors(random: Random, user: str) -> Body:
    """Ways in that the key does not open, and pages that are not for it."""
    path = random.choice(DOORS)
    body = {"api_key": "page", "sig": "0", "format": "json", "json": json.dumps({"id": user})}
    return path, json.dumps(body).encode()


DOORS = (
    *("/event", "/user", "/purchase", "/return", "/v1/event", "/webhook/segment", "/api/status"),
    *(
        "/api/dead/replay",
        "/metrics",
        "/console",
        "/openapi.json",
        "/v1/%2e%2e/x",
        "/v1/batch?a=%00",
    ),
)
CROOKED = (
    *(
        b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n{",
        b"POST /v1/batch HTT",
    ),
    b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n{}{}",
    b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffff\r\n",
    *(
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000,
        b"\x16\x03\x01",
        b"GET /healthz\r\n\r\n",
    ),
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 200,
)
"""Requests that do not end, that two readers would read in two ways, and answers that are not read."""


class Crooked:
    """Connections on which something crooked was sent; they are left open, the latest of them."""

    def __init__(self, url: str) -> None:
        at = urlsplit(url)
        self._address = at.hostname or "", at.port or 0
        self._open: deque[socket.socket] = deque(maxlen=LEFT_OPEN)

    def send(self, random: Random) -> str:
        with contextlib.suppress(OSError):
            one = socket.create_connection(self._address, timeout=5)
            if len(self._open) == LEFT_OPEN:
                self._open.popleft().close()
            self._open.append(one)
            one.sendall(random.choice(CROOKED))
        return "crooked"


KINDS: tuple[Callable[[Random, str], Body], ...] = (
    *(
        flood,
        flood,
        flood,
        carts,
        forged_orders,
        other_address,
        letters,
        deep,
        odd_json,
        other_doors,
    ),
)
RARE: tuple[Callable[[Random, str], Body], ...] = (heavy, bomb)
"""One of these in so many requests as there are of both."""


def attack(url: str, key: str, requests: int, seconds: float, users: list[str]) -> Counter[str]:
    """Send so many requests, SENDERS at a time; how they were answered."""
    random, crooked, began = Random(1), Crooked(url), time.monotonic()
    with (
        httpx.Client(base_url=url, auth=(key, ""), timeout=60) as http,
        ThreadPoolExecutor(SENDERS) as senders,
    ):

        def send(number: int) -> str:
            at = began + number // BURST * BURST * seconds / requests
            time.sleep(max(0.0, at - time.monotonic()))
            if number % 8 == 0:
                return crooked.send(random)
            make = random.choice(RARE if number % 50 == 1 else KINDS)
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
        key, requests, seconds, *users = more
        sys.stdout.write(json.dumps(attack(url, key, int(requests), float(seconds), users)))
    else:
        sys.stdout.write(json.dumps(probe(url)))
