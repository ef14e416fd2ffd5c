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
    """The shape is a contract: messageId, lane, calls, notes, ignored, error, waits."""
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


ADDED = {
    "type": "track",
    "event": "Product Added",
    "userId": "u1",
    "timestamp": "2026-11-20T09:00:00Z",
    "context": {"traits": {"email": "ann@example.com"}},
    "properties": {"product_id": "p", "name": "P", "price": 1, "url": "https://shop.example/p"},
}


def test_a_cart_change_is_as_old_as_the_clock_says(capfd: pytest.CaptureFixture[str]) -> None:
    """MAX_AGE shows, by the machine's clock or by --now."""
    Path("in.json").write_text(json.dumps([ADDED]))
    [today] = mapped(capfd, "in.json")
    [then] = mapped(capfd, "in.json", "--now", "2026-11-21T08:59:00Z")
    [a_day_later] = mapped(capfd, "in.json", "--now", "Sat, 21 Nov 2026 09:01:00 GMT")
    assert today["error"]["reason"] == a_day_later["error"]["reason"] == "too_old"
    assert then["error"] is None


def test_a_cart_in_a_profile_has_an_age_too(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CLEAR_CART_AFTER_HOURS counts from its last change to --now."""
    monkeypatch.setenv("SAILPIPE_CLEAR_CART_AFTER_HOURS", "1")
    item = {"id": "old", "title": "Old", "qty": 1, "price": 100, "url": "https://shop.example/old"}
    cart = {"time": "Fri, 20 Nov 2026 08:30:00 +0000", "items": [item]}
    Path("profile.json").write_text(json.dumps({"purchase_incomplete": cart}))
    Path("in.json").write_text(json.dumps([ADDED]))
    found = [
        mapped(capfd, "in.json", "--profile", "profile.json", "--now", f"2026-11-20T{clock}Z")
        for clock in ("09:29", "09:31")
    ]
    counts = [len(line["calls"][-1]["params"]["items"]) for [line] in found]
    assert counts == [2, 1]


def test_a_time_that_is_none_is_wrong_usage(capfd: pytest.CaptureFixture[str]) -> None:
    """One sentence with what to write."""
    Path("in.json").write_text("[]")
    assert run(["map", "in.json", "--now", "soon"]) == 2
    assert "--now is not a time" in capfd.readouterr().err


def test_without_an_api_key_it_says_what_it_assumes(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stderr: which settings decide, as they are. With a key they are the reader's own."""
    Path("in.json").write_text("[]")
    monkeypatch.setenv("SAILPIPE_CART_ITEM_ID", "sku")
    assert run(["map", "in.json"]) == 0
    said = capfd.readouterr().err
    for part in ("No API key is set", "CUSTOMER_ID=sandbox", "CART_ITEM_ID=sku", "MAPPING=default"):
        assert part in said
    assert "off: TRACK_SCREENS, ALLOW_DELETE" in said
    assert "not set: TRACK_PAGES, DEFAULT_LIST" in said

    monkeypatch.setenv("SAILPIPE_API_KEY", "key")
    monkeypatch.setenv("SAILPIPE_API_SECRET", "secret")
    assert run(["map", "in.json"]) == 0
    assert capfd.readouterr().err == ""


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
