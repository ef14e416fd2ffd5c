"""`sailpipe map`: the calls of each event, without Redis, without a key, without sending."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.app import run


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def mapped(capfd: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert run(["map", *arguments]) == 0
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_each_input_is_one_line_in_its_order(capfd: pytest.CaptureFixture[str]) -> None:
    """The shape is a contract: messageId, lane, calls, notes, ignored, error."""
    identify = {"messageId": "m1", "type": "identify", "userId": "u1"}
    Path("in.jsonl").write_text(f"{json.dumps(identify)}\nnope\n")
    first, second = mapped(capfd, "in.jsonl", "--json")
    assert (first["messageId"], first["lane"], first["error"]) == ("m1", "user", None)
    assert [call["endpoint"] for call in first["calls"]] == ["/user"]
    assert first["notes"] == second["notes"] == []
    assert second["error"]["reason"] == "invalid_json"
    assert second["calls"] == []


def test_what_a_call_leaves_out_is_a_note(capfd: pytest.CaptureFixture[str]) -> None:
    """Where it stands and what would be right, not what stands there."""
    event = {
        "type": "identify",
        "userId": "u1",
        "anonymousId": [7],
        "traits": {"email": "ann@home"},
    }
    Path("in.jsonl").write_text(json.dumps(event))
    [line] = mapped(capfd, "in.jsonl")
    assert line["calls"][0]["params"] == {"id": "u1", "key": "extid"}
    assert line["notes"] == [
        {"path": "anonymousId", "problem": "must be a string"},
        {"path": "traits.email", "problem": "must be an email address like name@example.com"},
    ]


def test_a_profile_is_what_a_look_up_would_answer(capfd: pytest.CaptureFixture[str]) -> None:
    """An order without email asks Sailthru; with --profile the rest of its way can be seen."""
    product = {"id": "p", "name": "P", "price": 1, "url": "https://shop.example.com/p"}
    order = {
        "type": "track",
        "event": "Order Completed",
        "userId": "u1",
        "properties": {"orderId": "o1", "products": [product]},
    }
    Path("in.json").write_text(json.dumps([order]))
    Path("profile.json").write_text('{"keys": {"email": "ann@example.com"}}')
    [unknown] = mapped(capfd, "in.json")
    [known] = mapped(capfd, "in.json", "--profile", "profile.json")
    assert [call["method"] for call in unknown["calls"]] == ["GET"]
    assert [call["method"] for call in known["calls"]] == ["GET", "POST"]
    assert known["calls"][1]["params"]["email"] == "ann@example.com"
