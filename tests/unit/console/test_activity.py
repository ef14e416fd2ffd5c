"""The page Activity over ASGI and a real Redis: older acts, all of them as a file, and where receipts are."""

from __future__ import annotations

import json
import re

import httpx
from redis.asyncio import Redis

from pipeline.console.operate import MAX_ACTS
from pipeline.deadletters.audit import Act, AuditTrail


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
        assert (await http.get(f"{path}?before=x")).status_code == 400


async def test_who_was_forgotten_leads_to_the_receipt(
    http: httpx.AsyncClient, redis: Redis
) -> None:
    """Other acts have none."""
    trail = AuditTrail(redis, "default")
    receipt = json.dumps({"person": "0a1b"})
    await trail.record(Act("ann", "forget", "a person", 3, receipt=receipt))
    await trail.record(Act("ann", "edit", "m1", 1))
    page = (await http.get("/console/activity")).text
    assert re.findall(r'href="(/console/receipts/[^"]*)"', page) == ["/console/receipts/0a1b"]


async def test_the_address_of_all_resends_leads_to_their_list(http: httpx.AsyncClient) -> None:
    """It stands in the address of each."""
    reply = await http.get("/console/resends?account=default")
    assert reply.headers["location"] == "/console/activity?account=default#resends"
    assert (await http.get("/console/resends")).headers["location"] == "/console/activity#resends"
