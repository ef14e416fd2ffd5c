"""The page Activity over ASGI and a real Redis: older acts, all of them as a file, and where receipts are."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
from redis.asyncio import Redis

from pipeline.console.operate import MAX_ACTS
from pipeline.deadletters.audit import Act, AuditTrail

RECEIPT: dict[str, Any] = {
    "person": "0a1b",
    "at": "2026-11-27T14:20:00Z",
    "by": "ann",
    "why": "",
    "left": 0,
    "disk": "clean",
    "disk_is_clean": True,
    "sailthru": "",
    "named_by_others": 0,
    "spaces": {},
}


async def test_older_acts_are_on_pages_of_their_own_and_all_of_them_in_a_file(
    http: httpx.AsyncClient, redis: Redis
) -> None:
    """The API pages by the same place."""
    trail = AuditTrail(redis, "default")
    for number in range(MAX_ACTS + 2):
        await trail.record(Act("ann", "edit", f"letter-{number}.", 1))
    newest = (await http.get("/console/activity")).text
    assert ("letter-2." in newest, "letter-1." in newest) == (True, False)
    (older,) = re.findall(r'href="(/console/activity\?before=[^"]+)"', newest)
    last = (await http.get(older)).text
    assert ("letter-1." in last, "letter-0." in last, "letter-2." in last) == (True, True, False)
    assert ">Older<" not in last
    export = (await http.get("/console/activity/export")).text.splitlines()
    assert [json.loads(line)["what"] for line in export] == [
        f"letter-{number}." for number in reversed(range(MAX_ACTS + 2))
    ]
    place, seen = "", 0
    while place is not None:
        found = (await http.get("/api/dead/audit", params={"limit": 90, "before": place})).json()
        place, seen = found["next"], seen + len(found["acts"])
    assert seen == MAX_ACTS + 2
    for path in ("/console/activity", "/api/dead/audit"):
        for place in ("x", "0-0", "000-0"):
            assert (await http.get(f"{path}?before={place}")).status_code == 400


async def test_who_was_forgotten_leads_to_the_receipt(
    http: httpx.AsyncClient, redis: Redis
) -> None:
    """Each to its own, of a person who was forgotten twice too; other acts have none."""
    trail = AuditTrail(redis, "default")
    for removed in (7, 0):
        receipt = json.dumps(RECEIPT | {"removed": removed})
        await trail.record(Act("ann", "forget", "a person", 3, receipt=receipt))
    await trail.record(Act("ann", "edit", "m1", 1))
    page = (await http.get("/console/activity")).text
    second, first = re.findall(r'href="(/console/receipts/0a1b[?]act=[^"]*)"', page)
    assert "7 <span>removed" in (await http.get(first)).text
    assert "0 <span>removed" in (await http.get(second)).text
    assert (await http.get("/console/receipts/0a1b?act=1-1")).status_code == 404
    assert (await http.get("/console/receipts/0a1b?act=x")).status_code == 400


async def test_the_address_of_all_resends_leads_to_their_list(http: httpx.AsyncClient) -> None:
    """It stands in the address of each."""
    reply = await http.get("/console/resends?account=default")
    assert reply.headers["location"] == "/console/activity?account=default#resends"
    assert (await http.get("/console/resends")).headers["location"] == "/console/activity#resends"
