"""docs/howto/move-from-segment.md as it is written: beside Segment's destination, then in its place.

A stand-in Sailthru is called by sailpipe, and by the test in the place of Segment's destination. Each order reaches it
once, whichever of them sends it.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import redis

from pipeline.cli.app import run
from pipeline.clock import SystemClock, iso
from pipeline.events.models import Lane
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.server import RunningSandbox, running_in_thread
from pipeline.storage import keys
from tests.docs.snippets import DOCS
from tests.support.commands import running, wait_until
from tests.support.pipe import added, identify, order, track
from tests.support.redis_server import RedisServer

PAGE = "howto/move-from-segment.md"
KEY = "1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d"
BEFORE = [
    identify("ann"),
    track("ann", "Before"),
    added("ann", "p1"),
    order("ann", "o-before"),
    {"type": "track", "event": "Of nobody"},
    order("late", "o-late", email=False),
]
"""What comes during the dry run: all of it was sent by Segment's destination, the order of `late` too."""
PAUSED = [track("ann", "Paused"), order("bob", "o-paused")]
"""Between the pause and the time at which that destination was turned off."""
AFTER = [identify("zoe"), track("ann", "After"), order("ann", "o-after"), added("bob", "p2")]
"""From then on."""
TIME = "2026-11-27T10:00:00Z"
"""What the page writes where the time of the switch belongs."""
ITEM = {"id": "p1", "title": "Lamp", "qty": 1, "price": 1250, "url": "https://shop.example.org/p1"}
REPEATS = [*PAUSED, *BEFORE[:4], {**order("ann", "o-before"), "messageId": "reloaded"}]


@dataclass
class Move:
    """The installation that moves, and what its commands said."""

    client: redis.Redis
    said: dict[str, str] = field(default_factory=dict)

    def send(self, events: list[dict[str, Any]]) -> None:
        """As the webhook does; each has a messageId, the same whenever it comes."""
        for event in events:
            name = f"{event.get('event', event['type'])}-{event.get('userId')}-{len(str(event))}"
            body = json.dumps({"messageId": name, **event})
            self.client.xadd(keys.RAW, {"event": body})
        wait_until(lambda: self.client.xlen(keys.RAW) == 0, "they are split")

    def run(self, command: str) -> str:
        """A command of the page, agreed to where it asks."""
        out, err = io.StringIO(), io.StringIO()
        with (
            patch("sys.stdin", io.StringIO("y\n")),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = run(shlex.split(command)[1:])
        self.said[command] = out.getvalue() + err.getvalue()
        is_check = "doctor" in command or "--check" in command
        assert code == 0 or is_check, self.said[command]
        return out.getvalue()

    def count(self, name: str) -> int:
        return int(self.client.hget(keys.counts("default"), name) or 0)

    def waits(self) -> int:
        return sum(self.count(f"waiting:{lane}") for lane in Lane)


def steps(heading: str) -> list[str]:
    """The commands of the page's blocks below a heading, in order."""
    part = (DOCS / PAGE).read_text().partition(f"\n## {heading}")[2].partition("\n## ")[0]
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", part, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line.partition(" > ")[0] for line in lines if not line.startswith("export ")]


def by_segment(sailthru: RunningSandbox, events: list[dict[str, Any]]) -> None:
    """What Segment's destination makes of orders, which are what must not come twice."""
    for event in events:
        if event.get("event") == "Order Completed":
            names = {"extid": event["properties"]["order_id"]}
            email = f"{event['userId']}@example.org"
            params = {"email": email, "items": [ITEM], "purchase_keys": names}
            sailthru.app.sandbox.handle("POST", "/purchase", params, SystemClock().now())


@contextmanager
def processes(folder: Path) -> Iterator[None]:
    with running("splitter", directory=folder), running("worker", directory=folder):
        yield


@pytest.fixture(scope="module")
def sailthru() -> Iterator[RunningSandbox]:
    """What stands in for the live account."""
    options = SandboxOptions(api_key=KEY, api_secret="s3cret", unknown_user_on_event=False)
    with running_in_thread(options) as server:
        yield server


@pytest.fixture(scope="module")
def moved(
    sailthru: RunningSandbox, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Move]:
    """The whole page, once; the tests look at what came of it."""
    folder = tmp_path_factory.mktemp("move")
    with pytest.MonkeyPatch.context() as env, redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        env.chdir(folder)
        settings = {"REDIS_URL": redis_server.url, "API_KEY": KEY, "API_SECRET": "s3cret"}
        settings |= {"API_URL": sailthru.url, "PAGEVIEW_URL": sailthru.url, "CUSTOMER_ID": "c"}
        settings |= {"WRITE_KEYS": "shop", "READ_LAG": "0s", "DRY_RUN": "1"}
        for name, value in settings.items():
            env.setenv(f"SAILPIPE_{name}", value)
        move = Move(client)
        with processes(folder):
            _run_beside(move, sailthru)
            time_of_switch = _pause_and_turn_off(move, sailthru)
        env.delenv("SAILPIPE_DRY_RUN")
        with processes(folder):
            _take_over(move, time_of_switch)
            yield move
        client.flushall()


def _run_beside(move: Move, sailthru: RunningSandbox) -> None:
    for command in steps("1. Run beside it"):
        move.run(command)
    move.send(BEFORE)
    by_segment(sailthru, BEFORE)
    wait_until(lambda: move.count("delivered") == 4, "the dry run has what it can deliver")
    for command in steps("2. Compare"):
        move.run(command)
    calls = sailthru.app.sandbox.state.calls
    move.said["sent in the dry run"] = ", ".join(f"{one.method} {one.endpoint}" for one in calls)


def _pause_and_turn_off(move: Move, sailthru: RunningSandbox) -> str:
    """What comes between the pause and the switch is sent by Segment, and waits here as well."""
    pause, *_ = steps("3. Switch over")
    move.run(pause)
    move.send(PAUSED)
    by_segment(sailthru, PAUSED)
    seconds, micros = move.client.time()
    now_ms = seconds * 1000 + micros // 1000
    wait_until(lambda: move.client.time()[0] * 1000 > now_ms + 1, "the next event comes later")
    time_of_switch = iso(now_ms + 1)
    move.send(AFTER)
    return time_of_switch


def _take_over(move: Move, time_of_switch: str) -> None:
    """The rest of the step, with that time in the place of the page's. Then what was sent comes once more."""
    _, *rest = steps("3. Switch over")
    for command in rest:
        if "resume" in command:
            move.send(REPEATS)
        move.run(command.replace(TIME, time_of_switch))
    wait_until(lambda: move.waits() == 0, "what came after the switch is delivered")
    for command in steps("4. Go back"):
        move.run(command)


def test_a_dry_run_sends_nothing_and_shows_what_it_would_send(moved: Move) -> None:
    """One purchase of the order, addressed and priced as it will be. The doctor alone has called."""
    assert moved.said["sent in the dry run"] == "GET /user"
    rows = [json.loads(line) for line in moved.said["sailpipe calls --json"].splitlines()]
    posts = Counter(f"{row['method']} {row['endpoint']}" for row in rows if row["method"] == "POST")
    assert posts == {"POST /user": 1, "POST /event": 1, "POST /purchase": 2}
    [order_row] = [row for row in rows if row["params"].get("incomplete") == 0]
    assert order_row["params"]["purchase_keys"] == {"extid": "o-before"}
    assert "a dry run" in moved.said["sailpipe doctor"]


def test_the_account_is_taken_over_with_what_came_after_the_switch(moved: Move) -> None:
    """Shown before it is done: what Segment sent is removed, one that waited for an email too."""
    asked, done = (text for command, text in moved.said.items() if "adopt" in command)
    assert "Removed: 3 events that waited since before" in asked
    assert "Would be adopted: 4 events, 1 dead letters." in asked
    assert "Adopted: 4 events, 1 dead letters." in done


def test_every_order_reaches_sailthru_once(moved: Move, sailthru: RunningSandbox) -> None:
    """Whoever sends it; also when an SDK comes again, or a page is reloaded."""
    purchases = Counter(one.extid for one in sailthru.app.sandbox.state.purchases)
    assert purchases == dict.fromkeys(("o-before", "o-late", "o-paused", "o-after"), 1)
    assert moved.count("duplicates") + moved.count("ignored:duplicate_order") == len(REPEATS)


def test_what_came_after_the_switch_is_delivered_and_nothing_else(
    moved: Move, sailthru: RunningSandbox
) -> None:
    """Four events, the look-up of the cart, and the doctor's."""
    calls = [(one.method, one.endpoint) for one in sailthru.app.sandbox.state.calls]
    assert Counter(calls) == {
        ("POST", "/user"): 1,
        ("POST", "/event"): 1,
        ("POST", "/purchase"): 2,
        ("GET", "/user"): 2,
    }
    counts = json.loads(moved.said["sailpipe status --json"])["accounts"]["default"]["counts"]
    assert counts["removed"] == 3
