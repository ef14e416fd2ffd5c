"""One of everything that may lie in a Redis: what is recorded, and what later versions must make of it.

The real splitter, engine and scripts work on a real Redis, with a clock that is moved, so that days of waiting take no
time. What producers and operators do is done by the real commands and ways in.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import redis
import redis.asyncio

from pipeline.clock import SystemClock
from pipeline.deadletters.views import SavedViews
from pipeline.delivery import session
from pipeline.dryrun.calls import KeptCalls
from pipeline.events.models import Lane
from pipeline.mapping import plan
from pipeline.ownership.accounts import enrol_accounts
from pipeline.ratelimit.limiter import Limiter
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings, Settings
from pipeline.storage import keys
from tests.support.commands import DEADLINE_S, running, sailpipe, wait_until
from tests.support.fake_sailthru import REFUSED, TIMED_OUT, no
from tests.support.pipe import Pipe, added, identify, open_pipe, order, page, removed, track
from tests.support.redis_server import free_port
from workers.app import create_app
from workers.config import DELIVER
from workers.process import WorkerProcess

Json = dict[str, Any]
FAILS = no(500, 9)
HOUR_S = 3600.0
DEAD: Mapping[str, str] = {
    "d-json": "invalid_json",
    "d-event": "invalid_event",
    "d-large": "too_large",
    "d-nobody": "missing_user_id",
    "d-reserved": "reserved_event",
    "d-unmappable": "unmappable",
    "d-nothing": "nothing_to_remove",
    "d-rejected": "rejected",
    "d-unknown": "unknown_user",
    "d-email": "missing_email",
    "d-cart": "cart_lookup_failed",
    "d-exhausted": "exhausted",
    "d-old": "too_old",
    "d-poison": "poison",
    "d-crashed": "crashed",
}
"""A letter of every reason, by its messageId. Those that the splitter cannot read have another id."""
NAMELESS = frozenset({"d-json", "d-event", "d-large"})
DELIVERED = ("i-ann", "t-ann", "c-ann", "o-ann", "i-page", "a-eve")
WAITING: Mapping[str, str] = {
    "w-email": "email",
    "w-user": "user",
    "w-retry": "retry",
    "w-identify": "identify",
    "w-order": "order",
    "w-gate": "gate",
    "w-behind": "behind",
    "w-turn": "turn",
    "w-pending": "under_way",
    "w-cart": "retry",
    "w-bulk": "turn",
    "w-optout": "turn",
    "w-replayed": "turn",
}
"""What waits in a mailbox, and what for."""
RAW = (
    *("r-plain", "r-account", "r-bulk", "r-browser", "r-http", "r-xadd", "r-all"),
    "r-import",
)
"""What the splitter has not seen, by each way in and with each field."""
IMPORTED = "stopped.jsonl"
CONFIRMED = {
    "orderId": "v-1",
    "items": [{"id": "p1", "title": "Lamp", "price": 18.99, "url": "https://shop.example.org/p1"}],
}
"""An order as Vibetrace's API has it, of which one more is dropped for a month."""
HELD = ("h-ghost",)
"""Of an account that the splitter did not know."""
GHOST = "ghost"
_SETTINGS = Settings(accounts={"default": AccountSettings()})


async def tell(url: str, folder: Path) -> Json:
    """Fill the empty Redis at `url`; what the recording's test must find of it. `folder`: empty, for commands to run in."""
    await work(url)
    await asyncio.to_thread(_publish_wake_up, url)
    await asyncio.to_thread(_produce, url, folder)
    return {
        "dead": dict(DEAD),
        "delivered": DELIVERED,
        "waiting": dict(WAITING),
        "raw": RAW,
        "held": HELD,
        "of_a_job": ["j-rejected"],
    }


async def work(url: str) -> None:
    """What splitters and workers leave in the empty Redis at `url`: most of the story, within a second."""
    now = SystemClock().now()
    await _deaths(url, now - 3 * HOUR_S)
    await _waits(url, now - 600)


def named(identity: str, event: Json) -> Json:
    """An event with this messageId."""
    return {**event, "messageId": identity}


async def _pipe_at(pipe: Pipe, now: float) -> None:
    pipe.clock.advance(now - pipe.clock.now())
    await pipe.redis.set(keys.FORMAT, keys.FORMAT_NUMBER)
    await pipe.redis.set(keys.target("default"), "sandbox")


async def _deaths(url: str, now: float) -> None:
    """Letters of every reason."""
    short: Json = {
        "email_wait": 60.0,
        "user_wait": 60.0,
        "retry_for": 10.0,
        "retry_attempts": 2,
        "retry_max": 5.0,
        "max_age": {Lane.PURCHASE: HOUR_S},
    }
    async with open_pipe(client=redis.asyncio.Redis.from_url(url), **short) as pipe:
        await _pipe_at(pipe, now)
        raw = [b'{"messageId":"d-json",', b'{"messageId":"d-event","type":"track","userId":"u"}']
        raw.append(json.dumps(named("d-large", track("u", filler="x" * 34_000))).encode())
        await pipe.post_raw({"event": one} for one in raw)
        await pipe.post(named("d-nobody", {"type": "track", "event": "Of nobody"}))
        for about, trouble in (
            ("d-rejected", REFUSED),
            ("j-rejected", REFUSED),
            ("w-replayed", REFUSED),
            ("d-exhausted", FAILS),
            ("d-cart", FAILS),
            ("d-poison", None),
        ):
            on = "GET /user" if about == "d-cart" else "POST /event"
            pipe.sailthru.trouble(trouble, about=f'"{about}"', on=on)
        with patch.object(session, "plan", _tripping):
            await pipe.post(
                identify("well"),
                *(identify(one) for one in ("d-rejected", "d-exhausted", "d-poison", "d-cart")),
                *(identify(one) for one in ("j-rejected", "w-replayed")),
            )
            await pipe.run(5)
            await pipe.post(
                *(named(one, track(one)) for one in ("d-rejected", "d-exhausted", "d-poison")),
                *(named(one, track(one)) for one in ("j-rejected", "w-replayed")),
                named("d-reserved", track("well", "open")),
                named(
                    "d-unmappable",
                    order("well", "o-none")
                    | {"properties": {"order_id": "o", "email": "w@example.org"}},
                ),
                named("d-nothing", removed("well")),
                named("d-unknown", track("d-stranger")),
                named("d-email", order("d-unheard", "o-unheard", email=False)),
                named("d-cart", added("d-cart")),
                named("d-old", {**added("well", "p9"), "timestamp": "2020-01-01T00:00:00Z"}),
                named("d-crashed", track("well", "A crash")),
            )
            await pipe.run(HOUR_S)
        await pipe.outcomes()


def _tripping(events: Any, known: Any, settings: AccountSettings) -> Any:
    if "d-crashed" in [event.message_id for event in events]:
        raise KeyError("a bug")
    return plan(events, known, settings)


async def _waits(url: str, now: float) -> None:
    """What was delivered, and a mailbox for each thing that events wait for."""
    async with open_pipe(client=redis.asyncio.Redis.from_url(url)) as pipe:
        await _pipe_at(pipe, now)
        await enrol_accounts(pipe.redis, ["default"])
        ghost = json.dumps(named("h-ghost", identify("ghost")))
        await pipe.post_raw([{"event": ghost, "account": GHOST}])
        await pipe.post(
            named("i-ann", identify("ann", anonymousId="visitor-1")),
            named("t-ann", track("ann")),
            named("c-ann", added("ann")),
            named("o-ann", order("ann", "o-1")),
            named("i-page", {**identify("pia"), "anonymousId": "visitor-2"}),
            named("a-eve", {"type": "alias", "userId": "eve", "previousId": "visitor-3"}),
            named("c-bob", added("bob")),
            named("f-oblivia", identify("oblivia")),
        )
        await pipe.run(60)
        for about in ("retry-1", "o-3"):
            pipe.sailthru.trouble(FAILS, about=f'"{about}"')
        pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", about="late@example.org")
        await pipe.post(
            named("w-email", order("eve-2", "o-2", email=False)),
            named("w-user", track("stranger")),
            named("w-retry", identify("retry-1")),
            named("w-identify", track("retry-1")),
            named("w-cart", added("late")),
        )
        await pipe.post(named("x-holder", order("holder", "o-3")))
        await pipe.run(20)
        same = order("other", "o-3")
        same["properties"]["email"] = "holder@example.org"
        await pipe.post(named("w-order", same))
        await pipe.pause(Lane.PAGE)
        await pipe.run(3)
        await pipe.post(named("w-gate", page("ann")), named("w-behind", page("ann")))
        await pipe.run(1)
        await _die_in_an_order(pipe)
        await _operate(pipe)
        await pipe.post(
            named("w-turn", track("ann", "Last")),
            named(
                "w-optout",
                {**track("pia", "Left"), "integrations": {"Sailthru": {"optoutValue": "all"}}},
            ),
        )
        await pipe.post(named("w-bulk", track("bob", "Imported")), bulk=True)
        await pipe.outcomes()


async def _operate(pipe: Pipe) -> None:
    """What a splitter's lease, a limit, a saved view and a dry run leave."""
    await pipe._splitter.hold_lease()
    limiter = Limiter(RedisSlotStore(pipe.redis), {})
    await limiter.acquire("default", "POST /event")
    await limiter.aclose()
    await SavedViews(pipe.redis, "default").save("refused", {"reason": "rejected"})
    call = Call("POST", "/event", {"id": "ann", "key": "extid", "event": "Reached the end"})
    await KeptCalls(pipe.redis, "default").add(call, "ann", ["t-ann"])


async def _die_in_an_order(pipe: Pipe) -> None:
    """A process is killed between the call and its settlement."""
    pipe.sailthru.trouble(None, on="POST /purchase", about="o-4", times=1)
    await pipe.post(named("w-pending", order("ann", "o-4")))
    for box in await pipe.lease(Lane.PURCHASE):
        await pipe.deliver(Lane.PURCHASE, box)
    assert pipe.kills == 1, "no process died over the order"


def _publish_wake_up(url: str) -> None:
    """As a worker's waker does, with what Celery puts around it."""
    process = WorkerProcess(_SETTINGS, url)
    app = create_app(process)
    with app.producer_pool.acquire(block=True) as producer:
        app.send_task(
            DELIVER, args=["default", "event", ["ann", "gone"]], queue="event", producer=producer
        )


def _produce(url: str, folder: Path) -> None:
    """What producers and operators do, by their own ways; no splitter runs meanwhile."""
    port = str(free_port())
    settings = {"SAILPIPE_REDIS_URL": url, "SAILPIPE_WRITE_KEYS": "shop,page:browser"}
    settings |= {"SAILPIPE_API_KEY": "sandbox", "SAILPIPE_API_SECRET": "sandbox"}
    settings["LOGNAME"] = "operator"

    def do(*words: str, stdin: bytes = b"") -> None:
        ended = sailpipe(*words, stdin=stdin, **settings)
        assert ended.returncode == 0, ended.stderr.decode()

    do("limits", "set", "POST /event", "37")
    do("forget", "oblivia", "--yes")
    do("dead", "replay", "w-replayed", "--yes", "--why", "mended in the shop")
    do("dead", "replay", "j-rejected", "--yes", "--job")
    with redis.Redis.from_url(url) as client:
        [group] = client.zrange(keys.dead_causes("default"), 0, 0)
        do("dead", "mark", group.decode(), "acknowledged", "--why", "the shop knows")
        body = {one: json.dumps(named(one, track("ann", "Was raw"))) for one in RAW}
        client.xadd(keys.RAW, {"event": body["r-plain"]})
        client.xadd(keys.RAW, {"event": body["r-account"], "account": "default"})
        everything = {"account": "default", "class": "bulk", "role": "browser"}
        client.xadd(keys.RAW, {"event": body["r-all"], **everything})
        do("xadd", body["r-xadd"])
        do("enqueue", "--bulk", "-", stdin=body["r-bulk"].encode())
        with running("serve", "--port", port, directory=folder, **settings) as server:
            server.wait_for("process_started")
            address = f"http://127.0.0.1:{port}"
            for key, identity in (("shop", "r-http"), ("page", "r-browser")):
                _post(f"{address}/v1/track", json.loads(body[identity]), auth=(key, ""))
            confirmed = {"user": {"email": "ann@example.org"}, "event": {"confirmation": CONFIRMED}}
            _post(f"{address}/v1/event", confirmed, headers={"Authorization": "shop"})
        _stop_an_import(client, folder, settings, body["r-import"])


def _post(address: str, event: Json, **how: Any) -> None:
    httpx.post(address, json=event, trust_env=False, **how).raise_for_status()


def _stop_an_import(
    client: redis.Redis, folder: Path, settings: Mapping[str, str], line: str
) -> None:
    """A person stops `sailpipe enqueue` in the second of its files."""
    (folder / IMPORTED).write_text(f"{line}\n", encoding="utf-8")
    words = [sys.executable, "-m", "pipeline.cli", "enqueue", "--live", IMPORTED, "-"]
    environment = {**os.environ, **settings}
    with subprocess.Popen(words, cwd=folder, env=environment, stdin=subprocess.PIPE) as process:  # noqa: S603 - ours
        wait_until(lambda: client.keys(keys.import_of("default", "*")), "the first file is through")
        process.send_signal(signal.SIGINT)
        process.wait(DEADLINE_S)
