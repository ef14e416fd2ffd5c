"""What `sailpipe trace`, `user` and `waiting` say of events that real processes have worked on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.app import run
from tests.support.commands import running, wait_until
from tests.support.redis_server import free_port

UP = "Ctrl-C stops"


def event(identity: str, name: str, user: str = "u1", **more: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "messageId": identity,
        "userId": user,
        "event": name,
        "properties": more,
    }


def order(identity: str, number: str, user: str, **more: Any) -> dict[str, Any]:
    product = {
        "product_id": "p1",
        "name": "Shoe",
        "price": 10,
        "quantity": 1,
        "url": "https://shop.example/p1",
    }
    return event(identity, "Order Completed", user, order_id=number, products=[product], **more)


EVENTS = [
    {"type": "identify", "messageId": "i1", "userId": "u1", "traits": {"email": "ann@example.org"}},
    event("delivered", "Signed Up"),
    event("ignored", "Signed Up") | {"integrations": {"Sailthru": False}},
    event("delivered", "Signed Up"),
    order("waits", "o-17", "u2"),
    {**order("dies", "o-18", "u1"), "properties": {"order_id": "o-18", "products": []}},
]


class Commands:
    """Commands in this process, which start faster than in one of their own."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def __call__(self, *words: str) -> tuple[int, str, str]:
        self._capfd.readouterr()
        code = run(list(words))
        return code, *self._capfd.readouterr()

    def trace(self, identity: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self("trace", identity, "--json")[1])["events"]
        return found

    def fates(self, identity: str) -> list[str]:
        return sorted(one["fate"] for one in self.trace(identity))


@pytest.fixture
def command(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Commands:
    """Commands in the folder of a `sailpipe up`."""
    monkeypatch.chdir(tmp_path)
    return Commands(capfd)


@pytest.mark.long
def test_each_event_is_found_with_what_became_of_it(tmp_path: Path, command: Commands) -> None:
    """Delivered, ignored, a repeat, waiting for an email, and dead; by messageId or order id."""
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in EVENTS))
    with running("up", "--port", str(free_port()), directory=tmp_path) as up:
        up.wait_for(UP)
        assert command("enqueue", str(file))[0] == 0
        expected = {"waits": ["waits"], "dies": ["dead"], "delivered": ["delivered", "duplicate"]}
        for identity, fates in expected.items():
            wait_until(lambda: command.fates(identity) == fates, f"{identity} is settled")  # noqa: B023 - it is called here

        first, second = command.trace("delivered")
        assert (first["fate"], first["lane"], first["user"]) == ("delivered", "event", "u1")
        assert "arrived from a file" in command("trace", "delivered")[1]
        assert [(one["endpoint"], one["status"]) for one in first["calls"]] == [
            ("POST /event", 200)
        ]
        assert second["repeats"] == "delivered"
        [ignored] = command.trace("ignored")
        assert (ignored["fate"], ignored["reason"]) == ("ignored", "integrations_off")

        [waits] = command.trace("o-17")
        assert (waits["id"], waits["waiting"]["waits_for"]) == ("waits", "email")
        assert waits["waiting"]["next_try"] < waits["waiting"]["ends"]
        [dies] = command.trace("o-18")
        assert (dies["reason"], dies["letter"]["id"]) == ("unmappable", "dies")
        code, out, err = command("trace", "never")
        assert (code, out) == (1, "")
        assert "was not seen since" in err
        for one in ("delivered", "o-17", "o-18"):
            shown = command("trace", one)[1]
            assert max(map(len, shown.splitlines())) <= 80, shown

        found = json.loads(command("user", "u2", "--json")[1])
        assert (found["user"], found["email"], found["waiting"]["purchase"]["events"]) == (
            "u2",
            None,
            1,
        )
        assert [one["fate"] for one in found["outcomes"]] == ["waits"]
        found = json.loads(command("user", "Ann@example.org", "--json")[1])
        assert (found["user"], found["email"]["source"]) == ("u1", "stated")
        assert [one["id"] for one in found["dead"]] == ["dies"]
        code, out, err = command("user", "u1", "--why")
        assert code == 0, err
        said = "\n".join(line.strip() for line in out.splitlines())
        assert "yes profile: Sailthru knows this person" in said
        assert "yes optout: not opted out" in said
        assert "NO  order: Order Completed (dies) was not delivered: unmappable" in said
        code, out, err = command("user", "u2", "--why")
        assert "NO  profile: Sailthru does not know this person" in out
        assert command("user", "nobody")[0] == 1

        rows = [json.loads(line) for line in command("waiting", "--json")[1].splitlines()]
        assert [(one["lane"], one["waits_for"], one["events"]) for one in rows] == [
            ("purchase", "email", 1)
        ]
        assert rows[0]["next_try"] < rows[0]["first_ends"]
        _, whole, _ = command("waiting")
        _, named, _ = command("waiting", "--for", "email")
        assert ("u2" in whole, "u2" in named, "given up 20" in named) == (False, True, True)
        drop = ("waiting", "--drop", "--for", "email")
        assert "1 event of 1 person" in command(*drop, "--dry-run")[1]
        assert command("waiting", "--drop")[0] == 2
        assert "Dropped: 1 of 1" in command(*drop, "--yes")[1]
        assert command.fates("waits") == ["removed"]
        assert command("waiting")[2] == "Nothing waits.\n"
        act = json.loads(command("dead", "audit", "--json")[1])
        assert (act["verb"], act["what"], act["count"]) == ("drop", "waiting for email", 1)
