"""The README's own walk: a trial in the sandbox, then the real keys, and started again in the same folder."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.server import RunningSandbox, running_in_thread
from pipeline.storage import keys
from pipeline.storage.redis_client import open_redis
from tests.support.commands import Running, running, sailpipe, wait_until
from tests.support.redis_server import free_port

pytestmark = pytest.mark.long

UP = "Ctrl-C stops"
KEY = "1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d"
PRODUCT = {
    "product_id": "p-1",
    "name": "Cup",
    "price": 9.5,
    "quantity": 1,
    "url": "https://shop.example.com/p-1",
}


def identify(user: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "identify",
        "userId": user,
        "traits": {"email": f"{user}@example.com"},
        **fields,
    }


def track(user: str, event: str, **fields: Any) -> dict[str, Any]:
    return {"type": "track", "userId": user, "event": event, **fields}


TRIAL = [
    identify("ann", messageId="m1"),
    track("ann", "Product Added", messageId="m2", properties=PRODUCT),
    track(
        "late",
        "Order Completed",
        messageId="m3",
        properties={"order_id": "o-1", "products": [PRODUCT]},
    ),
    {"type": "track", "event": "Of nobody", "messageId": "m4"},
]
"""Two that are delivered, an order that waits for its email, and one that dies."""
AT_REST = {"delivered": 2, "waiting:purchase": 1, "dead:missing_user_id": 1}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAILPIPE_READ_LAG", "0s")
    return tmp_path


@pytest.fixture
def sailthru() -> Iterator[RunningSandbox]:
    """What stands in for the live account: a server that knows no other key."""
    with running_in_thread(SandboxOptions(api_key=KEY, api_secret="s3cret")) as server:
        yield server


@pytest.fixture
def live(folder: Path, sailthru: RunningSandbox) -> Iterator[tuple[Running, int]]:
    """After a trial: `up` with the real keys in the same folder, and its port."""
    with running("up", "--port", str(free_port()), directory=folder) as up:
        up.wait_for(UP)
        enqueue(*TRIAL)
        wait_until(lambda: counters() == AT_REST, "the trial comes to rest")
        assert up.stop(signal.SIGINT) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAILPIPE_API_KEY", KEY)
        patch.setenv("SAILPIPE_API_SECRET", "s3cret")
        patch.setenv("SAILPIPE_WRITE_KEYS", "shop")
        patch.setenv("SAILPIPE_API_URL", sailthru.url)
        patch.setenv("SAILPIPE_PAGEVIEW_URL", sailthru.url)
        port = free_port()
        with running("up", "--port", str(port), directory=folder) as up:
            up.wait_for(UP)
            yield up, port


def enqueue(*events: dict[str, Any]) -> None:
    lines = "".join(f"{json.dumps(event)}\n" for event in events)
    assert sailpipe("enqueue", "-", stdin=lines.encode()).returncode == 0


def counters() -> dict[str, int]:
    """Events by where they are: in the raw stream, and as the account counts them."""
    with open_redis(Path(".sailpipe/redis.url").read_text().strip()) as client:
        found: Any = client.hgetall(keys.counts("default"))
        raw = {"raw": client.xlen(keys.RAW)}
    counts = raw | {name.decode(): int(count) for name, count in found.items()}
    return {name: count for name, count in counts.items() if count and "came_in:" not in name}


def calls(sailthru: RunningSandbox) -> int:
    return sailthru.app.sandbox.state.calls_seen


def test_nothing_of_the_trial_reaches_the_live_account_before_a_reset_or_after(
    live: tuple[Running, int], sailthru: RunningSandbox
) -> None:
    """It is said before the workers start; producers are taken in, and all of it waits, also what an email
    that arrives would have released. Emptied while the workers run, the account is the live one's."""
    up, port = live
    told, started = up.output.index("Not delivered: account default"), up.output.index(UP)
    assert told < started
    assert "belongs to the sandbox" in up.output
    assert "sailpipe reset" in up.output
    url = f"http://127.0.0.1:{port}/v1/identify"
    answer = httpx.post(url, json=identify("late"), auth=("shop", ""), trust_env=False)
    assert answer.status_code == 200
    wait_until(lambda: counters() == AT_REST | {"waiting:user": 1}, "it is split")
    up.wait_for("event=foreign_target")
    assert calls(sailthru) == 0
    assert sailpipe("reset", "--yes").stdout == b"Removed: 2 events, 1 dead letters.\n"
    enqueue(*TRIAL[:1])  # its messageId was seen in the trial
    wait_until(lambda: counters() == {"delivered": 1}, "the same event, now for the live account")
    state = sailthru.app.sandbox.state.as_json()
    assert [one["keys"]["extid"] for one in state["profiles"]] == ["ann"]
    assert (state["purchases"], calls(sailthru)) == ([], 1)


def test_adopted_what_waits_is_delivered_to_the_live_account(
    live: tuple[Running, int], sailthru: RunningSandbox
) -> None:
    """While the workers run. An email that the trial has learned is known, a cart of the trial is not."""
    up, _ = live
    up.wait_for("event=foreign_target")
    assert sailpipe("adopt", "--yes").returncode == 0
    other = PRODUCT | {"product_id": "p-2"}
    enqueue(identify("late"), track("ann", "Product Added", properties=other))
    wait_until(lambda: counters().get("delivered") == 5, "what waited and what came")
    state = sailthru.app.sandbox.state.as_json()
    [bought] = state["purchases"]
    assert (bought["extid"], bought["params"]["email"]) == ("o-1", "late@example.com")
    carts = {one["keys"]["email"]: one["cart"] for one in state["profiles"] if one["cart"]}
    assert {email: [item["id"] for item in cart["items"]] for email, cart in carts.items()} == {
        "ann@example.com": ["p-2"]
    }
