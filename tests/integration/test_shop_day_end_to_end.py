"""A whole shop day through real processes: `sailpipe up`, a file, and Sailthru's view of it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.accept import message_id_for_line, prepare_line
from pipeline.settings import load_settings
from tests.support.commands import Running, running, sailpipe, wait_until
from tests.support.redis_server import free_port
from tests.support.replay import end_state, replay

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLE = EXAMPLES / "shop-day.jsonl"
UP = "Ctrl-C stops"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def status() -> dict[str, Any]:
    """The default account's part of `sailpipe status --json`."""
    answer = sailpipe("status", "--json")
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)["accounts"]["default"]
    return found


def sandbox_state(up: Running) -> dict[str, Any]:
    """What the sandbox of this `up` holds now."""
    found = re.search(r"Sandbox on (http://\S+);", up.output)
    assert found, up.output
    state: dict[str, Any] = httpx.get(f"{found[1]}/_sandbox/state", trust_env=False).json()
    return state


def dead_letters() -> dict[str, str]:
    lines = sailpipe("dead", "list", "--limit", "10000", "--json").stdout.splitlines()
    return {letter["id"]: letter["reason"] for letter in map(json.loads, lines)}


def raws() -> list[bytes]:
    """The sample's events as `sailpipe enqueue` appends them."""
    content = SAMPLE.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return [
        prepare_line(line, message_id_for_line(digest, number))
        for number, line in enumerate(content.splitlines(), 1)
    ]


@pytest.mark.timeout(120)
def test_a_shop_day_ends_as_a_plain_sequential_replay_says(folder: Path) -> None:
    """Every event accounted for, exactly the expected dead letters, and at Sailthru the same
    profiles, carts and orders as one event after the other would have left."""
    expected = json.loads((EXAMPLES / "shop-day.expected.json").read_text())
    with running("up", "--port", str(free_port()), directory=folder, **expected["settings"]) as up:
        up.wait_for(UP)
        assert sailpipe("enqueue", str(SAMPLE)).returncode == 0
        wait_until(lambda: status()["counts"]["waiting"] == 0, "all is delivered or dead", 90)
        counts, ignored = status()["counts"], status()["ignored"]
        dead, state = dead_letters(), sandbox_state(up)
    assert dead == expected["dead"]
    assert ignored == expected["ignored"]
    assert counts == {
        "enqueued": expected["enqueued"],
        "derived": 0,
        "delivered": expected["delivered"],
        "dead": len(expected["dead"]),
        "ignored": sum(expected["ignored"].values()),
        "duplicates": expected["duplicates"],
        "waiting": 0,
        "removed": 0,
    }
    alone = replay(raws(), load_settings({}, directory=folder).account("default"))
    assert end_state(state) == end_state(alone.sandbox.state.as_json())


@pytest.mark.timeout(60)
def test_an_order_waits_for_its_email_and_goes_out_when_an_identify_brings_it(
    folder: Path,
) -> None:
    """With default settings the order waits, using up no attempt, and one identify releases it."""
    order = {
        "type": "track",
        "event": "Order Completed",
        "userId": "late-1",
        "messageId": "order-1",
        "properties": {
            "order_id": "o-late-1",
            "products": [
                {
                    "product_id": "p-1",
                    "name": "Cup",
                    "price": 9.5,
                    "quantity": 1,
                    "url": "https://shop.example.com/p-1",
                }
            ],
        },
    }
    identify = {"type": "identify", "userId": "late-1", "traits": {"email": "late@example.com"}}
    with running("up", "--port", str(free_port()), directory=folder) as up:
        up.wait_for(UP)
        sailpipe("enqueue", "-", stdin=json.dumps(order).encode() + b"\n")
        wait_until(lambda: status()["lanes"]["purchase"]["waiting_email"] == 1, "it waits")
        assert sandbox_state(up)["purchases"] == []
        sailpipe("enqueue", "-", stdin=json.dumps(identify).encode() + b"\n")
        wait_until(lambda: status()["counts"]["delivered"] == 2, "both are delivered")
        [bought] = sandbox_state(up)["purchases"]
    assert bought["extid"] == "o-late-1"
    assert bought["params"]["email"] == "late@example.com"


def thank_you_page(message_id: str) -> bytes:
    """What the page of one order sends each time it is loaded."""
    line = {"product_id": "p", "name": "Tea", "price": 9, "quantity": 1}
    return json.dumps(
        {
            "type": "track",
            "event": "Order Completed",
            "userId": "ty-1",
            "messageId": message_id,
            "context": {"traits": {"email": "ty@example.com"}},
            "properties": {
                "order_id": "TY-100",
                "total": 9,
                "products": [line | {"url": "https://shop.example/tea"}],
            },
            "integrations": {"Sailthru": {"sendTemplate": "Order Confirmation"}},
        }
    ).encode()


@pytest.mark.timeout(60)
def test_a_thank_you_page_that_is_reloaded_is_one_purchase_at_sailthru(folder: Path) -> None:
    """And one mail: the second event is ignored."""
    with running("up", "--port", str(free_port()), directory=folder) as up:
        up.wait_for(UP)
        lines = b"\n".join(map(thank_you_page, ("page-1", "page-2")))
        sailpipe("enqueue", "-", stdin=lines + b"\n")
        wait_until(lambda: status()["counts"]["ignored"] == 1, "the second is ignored")
        [bought] = sandbox_state(up)["purchases"]
        assert status()["ignored"] == {"duplicate_order": 1}
    assert (bought["extid"], bought["params"]["send_template"]) == ("TY-100", "Order Confirmation")
