"""What is known of one person: what waits, what became of their events, their email, cart and letters. `sailpipe user`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import redis.asyncio

from pipeline.clock import iso
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.store import DeadLetters
from pipeline.events.emails import BOUGHT, SHOWN, STATED
from pipeline.events.models import Lane
from pipeline.mailbox.store import MailboxStore
from pipeline.sailthru.answers import Accepted, Answer, Failure
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings
from pipeline.status.mailboxes import read_mailbox
from pipeline.status.trace import log_row, outcome_row
from pipeline.status.wording import WAITS
from pipeline.storage import keys
from pipeline.storage.numbers import LOOKED_UP
from pipeline.text import is_email
from pipeline.trace.log import TraceLog
from pipeline.trace.names import person_name

Json: TypeAlias = dict[str, Any]
OUTCOMES = 20
"""Outcomes, and dead letters, that are shown; the newest."""
STRENGTHS = {STATED: "stated", SHOWN: "shown", BOUGHT: "bought", LOOKED_UP: "looked_up"}
"""Of what is known to be a person's email: an identify said it, another event's context, an order or a page, or Sailthru."""
_FIELDS = {"keys": 1, "optout_email": 1}
"""Of GET /user, that tell whether mails may go out."""


async def read_person(
    client: redis.asyncio.Redis, settings: AccountSettings, identity: str
) -> Json:
    """Everything that is known of a userId, anonymousId or email.

    user: the id that names the person's mailboxes. known: whether anything is known.
    """
    user = await person_of(client, settings.name, identity)
    names = [person_name(one) for one in dict.fromkeys((user, identity))]
    log = TraceLog(client, settings.name)
    outcomes = (await log.find(names, most=OUTCOMES))[-OUTCOMES:]
    letters = await DeadLetters(client, settings.name).find(Filter(user=user), limit=OUTCOMES)
    lanes: Json = {}
    for lane in Lane:
        count, rows = await read_mailbox(client, settings, lane, user)
        lanes[lane.value] = {"events": count, "first": rows}
    memory = await _memory(client, settings.name, user)
    is_waiting = any(one["events"] for one in lanes.values())
    return {
        "id": identity,
        "account": settings.name,
        "user": user,
        "known": bool(memory["email"] or memory["identified"] or outcomes or letters or is_waiting),
        **memory,
        "waiting": lanes,
        "outcomes": [outcome_row(one) for one in reversed(outcomes)],
        "dead": [one.as_row() for one in letters],
        "log": log_row(await log.kept(), settings),
    }


async def person_of(client: redis.asyncio.Redis, account: str, identity: str) -> str:
    """The id that names the mailboxes of who has this id or email; the id itself where it leads to no other."""
    store = MailboxStore(client, account)
    if is_email(identity):
        return await store.owner(identity.lower(), besides="") or identity.lower()
    return await store.leads_to(identity) or identity


async def _memory(client: redis.asyncio.Redis, account: str, user: str) -> Json:
    async with client.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.user(account, user))
        pipe.get(keys.cart(account, user))
        fields, own = await pipe.execute()
    known = {name.decode(): value.decode() for name, value in fields.items()}
    email = known.get("email")
    by_page = known.get("email_by") == "browser"
    address = user if by_page or email is None else email
    there = await MailboxStore(client, account).cart_of(address)
    carts = [json.loads(one) for one in (own, there) if one]
    strength, at = int(known.get("email_strength", LOOKED_UP)), known.get("email_at")
    return {
        "email": email
        and {
            "address": email,
            "source": STRENGTHS.get(strength),
            "at": iso(int(at)) if at else None,
            "by_page": by_page,
        },
        "refused": sorted(json.loads(known.get("refused", "{}"))),
        "identified": iso(int(known["identified"])) if "identified" in known else None,
        "merged": json.loads(known.get("merged", "[]")),
        "cart": max(carts, key=lambda one: one["at"], default=None),
    }


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer to why a person got no mail. ok: None where it cannot be told."""

    what: str
    ok: bool | None
    text: str


async def why_no_mail(person: Json, ask: Callable[[Call], Awaitable[Answer]]) -> list[Finding]:
    """What stands between a person's last events and a mail, in the order in which it comes about.

    person: as `read_person` says it. ask: makes one call within the limits; whatever it raises goes to the caller.
    """
    answer = await ask(profile_call(person))
    return [*find_arrivals(person), *find_profile(answer), *find_orders(person)]


def profile_call(person: Json) -> Call:
    """The one call: who this is to Sailthru, and whether mails may go out."""
    user = person["user"]
    key = "email" if is_email(user) else "extid"
    return Call("GET", "/user", {"id": user, "key": key, "fields": _FIELDS})


def find_arrivals(person: Json) -> list[Finding]:
    """Whether anything arrived, and was delivered. No I/O."""
    outcomes = person["outcomes"]
    waiting = sum(one["events"] for one in person["waiting"].values())
    if not outcomes and not waiting and not person["dead"]:
        since = person["log"] and person["log"]["complete_since"]
        text = (
            f"nothing of this person arrived since {_to_the_second(since)}"
            if since
            else "nothing is known to have arrived"
        )
        return [Finding("arrived", False if since else None, text)]
    found = []
    if outcomes:
        last = outcomes[0]
        found.append(
            Finding(
                "arrived",
                True,
                f"{last['what']} ({last['id']}) at {_to_the_second(last['arrived'])}",
            )
        )
    else:
        found.append(
            Finding(
                "arrived", True, f"{waiting} events wait, {len(person['dead'])} were not delivered"
            )
        )
    delivered = next((one for one in outcomes if one["fate"] == "delivered"), None)
    if delivered is None:
        found.append(Finding("delivered", False, f"nothing was; {waiting} events wait"))
    else:
        call = delivered["calls"][-1]["endpoint"] if delivered["calls"] else "Sailthru"
        found.append(
            Finding(
                "delivered",
                True,
                f"{delivered['what']} by {call} at {_to_the_second(delivered['at'])}",
            )
        )
    return found


def find_profile(answer: Answer) -> list[Finding]:
    """What Sailthru says of the profile. No I/O."""
    if not isinstance(answer, Accepted):
        if answer.failure is Failure.USER_NOT_FOUND:
            return [Finding("profile", False, "Sailthru does not know this person")]
        return [Finding("profile", None, f"Sailthru could not be asked: {answer.message}")]
    keys_ = answer.body.get("keys")
    has_email = isinstance(keys_, dict) and bool(keys_.get("email"))
    known = "Sailthru knows this person" + ("" if has_email else ", but no email")
    optout = answer.body.get("optout_email")
    if optout in (None, "", "none"):
        return [Finding("profile", has_email, known), Finding("optout", True, "not opted out")]
    return [
        Finding("profile", has_email, known),
        Finding("optout", False, f"opted out of {optout} mails"),
    ]


def find_orders(person: Json) -> list[Finding]:
    """Orders that are dead letters or wait, and why. No I/O."""
    found = [
        Finding("order", False, f"{one['event']} ({one['id']}) was not delivered: {one['reason']}")
        for one in person["dead"]
        if one["lane"] == Lane.PURCHASE
    ]
    for one in person["waiting"][Lane.PURCHASE.value]["first"]:
        until = f" until {_to_the_second(one['ends'])}" if one["ends"] else ""
        found.append(
            Finding(
                "order",
                False,
                f"{one['what']} ({one['id']}) waits for {WAITS.get(one['waits_for'], one['waits_for'])}{until}",
            )
        )
    return found or [Finding("order", True, "no order waits, and all were delivered")]


def _to_the_second(time: str) -> str:
    """An ISO time for people, in UTC."""
    return f"{time[:10]} {time[11:19]} UTC"
