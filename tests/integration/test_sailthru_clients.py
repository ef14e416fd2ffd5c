"""Sailthru's own clients against `sailpipe up`, with only their base URL changed, through to what Sailthru has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from sailthru.sailthru_client import SailthruClient

from tests.support.commands import running, wait_until
from tests.support.node import FOLDER, run_node
from tests.support.redis_server import free_port

PAGE = Path(__file__).parents[2] / "docs" / "producers" / "sailthru.md"
ITEM = {"id": "1", "title": "Café “Monopoly”", "price": 1899, "qty": 2, "url": "http://x/?a=1&b=é"}


class World(NamedTuple):
    """A running `up`: where it takes requests, and where its sandbox is."""

    url: str
    sandbox: str

    def client(self, secret: str = "sandbox") -> SailthruClient:  # noqa: S107 - the sandbox's
        return SailthruClient("sandbox", secret, api_url=self.url)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.sandbox}/_sandbox/state", trust_env=False).json()
        return found

    def orders(self) -> list[str]:
        return [one["extid"] for one in self.state()["purchases"]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    port = free_port()
    with running("up", "--port", str(port), directory=tmp_path_factory.mktemp("machine")) as up:
        up.wait_for("Ctrl-C stops")
        found = re.search(r"Sandbox on (http://\S+);", up.output)
        assert found, up.output
        yield World(f"http://127.0.0.1:{port}", found[1])


def test_the_example_of_the_page_arrives(world: World) -> None:
    """As it is printed, but for the port."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(code.replace("http://127.0.0.1:8000", world.url), {})  # noqa: S102 - our own page
    wait_until(lambda: "o-1" in world.orders(), "the order arrives")
    state = world.state()
    (profile,) = [one for one in state["profiles"] if one["keys"].get("extid") == "u-1"]
    assert profile["keys"]["email"] == "ann@example.com"
    assert [one["event"] for one in state["events"] if one["id"] == "u-1"] == ["Registered"]


def test_the_official_python_client_works_unchanged(world: World) -> None:
    """What it queues is ok; what it asks for is Sailthru's own answer, with its rate headers and errors."""
    client = world.client()
    client.save_user("usr+42 &é%", {"key": "extid", "keys": {"email": "zoë@example.com"}})
    gone = {"id": "usr+42 &é%", "key": "extid", "event": "a b", "schedule_time": "+1 hour"}
    assert client.api_post("event", gone).get_body() == {"ok": True}
    assert client.purchase("zoë@example.com", [ITEM], incomplete=1).is_ok()
    assert client.purchase("zoë@example.com", [ITEM], extid="py-1").is_ok()
    returned = client.api_post("return", {"email": "zoë@example.com", "items": [ITEM]})
    assert returned.is_ok()
    wait_until(lambda: world.state()["returns"], "the return arrives")
    wait_until(lambda: "py-1" in world.orders(), "the order arrives")
    assert client.get_purchase("py-1", "extid").get_body()["items"] == [ITEM]
    wait_until(
        lambda: [one for one in world.state()["events"] if one["event"] == "a b"], "the event does"
    )
    read = client.get_user("usr+42 &é%", {"key": "extid"})
    assert read.get_body()["keys"]["email"] == "zoë@example.com"
    assert client.get_last_rate_limit_info("user", "GET")["limit"] == 18_000
    saved = client.save_user("zoë@example.com", {"fields": {"keys": 1}, "vars": {"a": 1}})
    assert saved.get_body()["keys"]["extid"] == "usr+42 &é%"
    assert client.api_delete("user", {"id": "zoë@example.com", "key": "email"}).is_ok()
    unknown = client.get_user("usr+42 &é%", {"key": "extid"}).get_error()
    assert unknown.get_message().startswith("User not found with extid")
    empty = client.purchase("zoe@example.com").get_error()
    assert empty.get_error_code() == 99
    refused = world.client("wrong").save_user("a@b.co", {"key": "email"})
    assert (refused.get_status_code(), refused.get_error().get_error_code()) == (401, 5)


def test_the_official_node_client_works_unchanged(world: World) -> None:
    """The same, as it writes its forms and reads its replies."""
    program = FOLDER / "sailthru.cjs"
    told = json.loads(run_node(program, {"API_URL": world.url}))
    assert [told[name] for name in ("saved", "event", "cart", "order")] == [{"ok": True}] * 4
    assert told["reserved"]["refused"]["error"] == 99
    assert told["unknown"]["refused"]["errormsg"].startswith("User not found with extid")
    assert told["limit"]["limit"] == 18_000
    assert told["wrong"]["refused"] == {
        "statusCode": 401,
        "error": 5,
        "errormsg": "Signature hash does not match",
    }
    wait_until(lambda: "node-o-1" in world.orders(), "the order arrives")
    state = world.state()
    (profile,) = [one for one in state["profiles"] if one["keys"].get("extid") == "node-1"]
    assert profile["vars"] == {"city é": {"name": "Łódź & co"}}
    assert profile["cart"] is None
    (event,) = [one for one in state["events"] if one["id"] == "node-1"]
    assert event["vars"] == {"plan": "pro"}
