"""Segment's SDKs as they are published, through `sailpipe up` to what Sailthru would hold, and the examples of the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import segment.analytics as segment

from tests.support.commands import Running, python, running, sailpipe, wait_until
from tests.support.node import FOLDER, run_node
from tests.support.redis_server import free_port

PAGES = Path(__file__).parents[2] / "docs" / "producers"
PROGRAM = FOLDER / "segment.cjs"
ORDER = {
    "order_id": "python-order",
    "total": 9.5,
    "products": [
        {"product_id": "p-1", "name": "Tea", "price": 9.5, "quantity": 1}
        | {"url": "https://shop.example.com/tea"}
    ],
}


@dataclass(frozen=True)
class Machine:
    """A running `up`."""

    up: Running
    folder: Path
    url: str

    def status(self) -> dict[str, Any]:
        """`sailpipe status --json`."""
        done = sailpipe("status", "--json", SAILPIPE_DATA_DIR=str(self.folder / ".sailpipe"))
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def counts(self) -> dict[str, int]:
        """Of the account's events."""
        found: dict[str, int] = self.status()["accounts"]["default"]["counts"]
        return found

    def sent_about(self, person: str) -> dict[str, Any]:
        """What the sandbox holds of a userId once nothing waits."""
        wait_until(lambda: self.counts()["waiting"] == 0, "all is delivered")
        sandbox = (self.folder / ".sailpipe" / "sandbox.url").read_text().strip()
        state = httpx.get(f"{sandbox}/_sandbox/state", trust_env=False).json()
        [profile] = [one for one in state["profiles"] if one["keys"].get("extid") == person]
        return {
            "email": profile["keys"].get("email"),
            "plan": profile["vars"].get("plan"),
            "events": [one["event"] for one in state["events"] if one["id"] == person],
            "orders": [one["extid"] for one in state["purchases"] if one["sid"] == profile["sid"]],
            "pages": [
                one["params"]["url"]
                for one in state["pageviews"]
                if one["params"].get("userIdValue") == person
            ],
        }


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder, port = tmp_path_factory.mktemp("machine"), free_port()
    secrets = {"SAILPIPE_WEBHOOK_SECRETS": "SECRET"}
    with running("up", "--port", str(port), directory=folder, **secrets) as up:
        up.wait_for("Ctrl-C stops")
        yield Machine(up, folder, f"http://127.0.0.1:{port}")
        assert up.stop() == 0


def node(machine: Machine, says: str, write_key: str = "sandbox") -> dict[str, Any]:
    env = {"HOST": machine.url, "WRITE_KEY": write_key, "SAYS": says}
    found: dict[str, Any] = json.loads(run_node(PROGRAM, env))
    return found


def test_what_the_python_sdk_sends_arrives_at_sailthru(machine: Machine) -> None:
    """segment-analytics-python, packed by gzip."""
    errors: list[object] = []
    client = segment.Client(
        "sandbox", host=machine.url, gzip=True, on_error=lambda error, _: errors.append(error)
    )
    context = {"traits": {"email": "pia@example.com"}}
    client.identify("python-1", {"email": "pia@example.com", "plan": "gold"})
    client.track("python-1", "Registered")
    client.page("python-1", properties={"url": "https://shop.example.com/tea"})
    client.alias("anon-9", "python-1")
    client.track("python-1", "Order Completed", ORDER, context=context)
    client.flush()
    client.join()
    assert errors == []
    assert machine.sent_about("python-1") == {
        "email": "pia@example.com",
        "plan": "gold",
        "events": ["Registered"],
        "orders": ["python-order"],
        "pages": ["https://shop.example.com/tea"],
    }


def test_what_the_node_sdk_sends_arrives_at_sailthru(machine: Machine) -> None:
    """@segment/analytics-node: every kind of call in one request."""
    said = node(machine, "all kinds of events")
    assert said == {"statuses": [200], "retries": ["0"], "errors": []}
    assert machine.sent_about("node-1") == {
        "email": "nell@example.com",
        "plan": "gold",
        "events": ["Registered"],
        "orders": ["node-order"],
        "pages": ["https://shop.example.com/tea"],
    }


def test_the_node_sdk_gives_up_on_a_wrong_key_and_the_operator_sees_it(machine: Machine) -> None:
    """One try, an error for the program, and a count that names no key."""
    before = machine.status()["refusals"].get("invalid_write_key", 0)
    said = node(machine, "1", write_key="mistyped")
    assert (said["statuses"], said["retries"]) == ([401], ["0"])
    assert said["errors"] == ["delivery_failure"]
    wait_until(
        lambda: machine.status()["refusals"].get("invalid_write_key") == before + 1, "it is counted"
    )
    shown = sailpipe("status", SAILPIPE_DATA_DIR=str(machine.folder / ".sailpipe")).stdout
    assert b"Requests refused: invalid_write_key" in shown
    assert b"mistyped" not in shown


@pytest.mark.parametrize(
    ("page", "language"),
    [
        ("segment.md", "python"),
        ("segment.md", "js"),
        ("webhooks.md", "python"),
    ],
)
def test_the_examples_of_a_page_are_taken(
    machine: Machine, tmp_path: Path, page: str, language: str
) -> None:
    """As they stand there, at this machine's address. `u-1` is the user in each of them."""
    text = (PAGES / page).read_text()
    [example] = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    before = machine.counts()["enqueued"]
    program = tmp_path / f"example.{language}"
    program.write_text(example.replace("http://127.0.0.1:8000", machine.url))
    if language == "js":
        run_node(program, {})
    else:
        done = python(str(program))
        assert done.returncode == 0, done.stderr
    assert machine.counts()["enqueued"] == before + example.count('"u-1"')
