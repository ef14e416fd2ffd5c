"""Events on their way, and dead letters, made by the real scripts on a real Redis."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from typing import Any

import redis.asyncio
from pydantic_core import to_json

from pipeline.clock import SystemClock
from pipeline.deadletters.letter import Header
from pipeline.deadletters.moves import LetterMoves
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.mailbox.claim import Claim, Settlement
from pipeline.mailbox.history import EventState
from pipeline.mailbox.store import MailboxStore
from pipeline.settings import AccountSettings, Settings
from pipeline.splitter.entries import ActionKind, DedupeKey, SplitAction
from pipeline.splitter.loop import Splitter
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts

LEASE = "the test's"


class Pipeline:
    """One account's way from the raw stream to a claim, step by step and without workers."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings | None = None,
        account: str = "default",
    ) -> None:
        self.redis = client
        self.account = account
        self.settings = settings or Settings(accounts={"default": AccountSettings(customer_id="c")})
        self.mailboxes = MailboxStore(client, account)
        self.moves = LetterMoves(client, account)
        self._splitter = Splitter(client, self.settings, LEASE, lambda _due: None, SystemClock())

    async def send(self, *events: dict[str, Any] | bytes, account: str | None = None) -> None:
        """XADD events as any producer would; bytes go in as they are."""
        for event in events:
            raw = event if isinstance(event, bytes) else json.dumps(event).encode()
            fields: dict[Any, Any] = {"event": raw, "account": account or self.account}
            await self.redis.xadd(keys.RAW, fields)

    async def split(self) -> None:
        """Split everything in the raw stream."""
        await self.redis.set(keys.SPLITTER, LEASE, px=60_000)
        while await self._splitter.step():
            pass

    async def claim(self, user: str, lane: Lane) -> Claim:
        """Become the owner of a user's mailbox, which must be due."""
        await self.mailboxes.wake(lane, bound=100, max_queue_length=10, own_tick=0)
        claim = await self.mailboxes.claim(lane, user, most=10)
        assert claim is not None
        return claim

    async def wait_for_email(self, user: str) -> None:
        """The head of this user's purchases turns out to lack an email."""
        claim = await self.claim(user, Lane.PURCHASE)
        await self.mailboxes.settle(
            Settlement(claim, back=True, due=claim.now + 60_000, waits="email")
        )

    async def fail_once(self, user: str, lane: Lane) -> None:
        """The head fails and is due again in a minute."""
        claim = await self.claim(user, lane)
        state = {claim.head.seq: EventState(tried=1)}
        await self.mailboxes.settle(
            Settlement(claim, state=state, back=True, due=claim.now + 60_000)
        )

    async def kill(
        self,
        *events: dict[str, Any],
        lane: Lane = Lane.EVENT,
        reason: Reason = Reason.REJECTED,
        detail: str = "no such thing 17",
        died_at_ms: int | None = None,
        target: str = "",
    ) -> None:
        """Send events of one user each and let every one of them die."""
        for event in events:
            await self.send(event)
            await self.split()
            claim = await self.claim(str(event["userId"]), lane)
            header = self._header(claim, event, reason, detail, died_at_ms, target)
            await self.mailboxes.settle(self.settlement(claim, header, back=True))

    def settlement(self, claim: Claim, header: str, *, back: bool) -> Settlement:
        """The death of the first event of a claim."""
        return Settlement(claim, pop=1, dead=[(1, claim.head.id, header)], back=back)

    def _header(
        self,
        claim: Claim,
        event: dict[str, Any],
        reason: Reason,
        detail: str,
        at_ms: int | None,
        target: str = "",
    ) -> str:
        return Header(
            account=self.account,
            lane=str(claim.lane),
            user=claim.user,
            type=event["type"],
            event=event.get("event"),
            reason=reason,
            detail=detail,
            first_seen_ms=claim.head.at,
            died_at=claim.now if at_ms is None else at_ms,
            calls=[{"method": "POST", "endpoint": "/event", "params": {"id": claim.user}}],
            endpoint="/event",
            status=400,
            error=99,
            key=claim.head.key,
            target=target,
        ).as_line()


async def bury(
    client: redis.asyncio.Redis, account: str, letters: Iterable[tuple[str, Header]]
) -> None:
    """Put so many letters (id, header) of empty events into the store, by the real script."""
    scripts, prefix = Scripts(client, "pipeline.splitter"), keys.account_prefix(account)
    await client.set(keys.SPLITTER, LEASE, px=60_000)
    rest = iter(letters)
    while chunk := list(islice(rest, 500)):
        args: list[Any] = ["", LEASE, 60_000, "{}"]
        for identity, header in chunk:
            key = DedupeKey(prefix, identity, header.key, window=0, replay=False)
            action = SplitAction(key, ActionKind.DEAD, keep=1)
            args += ["1-1", to_json(action), header.as_line() + "\n{}"]
        await scripts.run("split", [keys.RAW, keys.SPLITTER], args)


def track(number: int, user: str | None = None) -> dict[str, Any]:
    """A custom event with the messageId `mNUMBER`."""
    who = user or f"u{number}"
    return {"type": "track", "event": "Signed Up", "userId": who, "messageId": f"m{number}"}


def order(number: int, user: str | None = None) -> dict[str, Any]:
    """An order without an email."""
    items = [{"product_id": "p1", "name": "Lamp", "price": 10, "quantity": 1}]
    event = track(number, user) | {"event": "Order Completed"}
    return event | {"properties": {"order_id": f"o{number}", "products": items}}
