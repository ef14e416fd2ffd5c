"""The mailbox store of one account: lend, claim, record intents, settle. All writes are scripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import redis.asyncio

from pipeline import keys
from pipeline.errors import StaleClaim
from pipeline.events import Lane
from pipeline.mailbox.claim import Claim, Deed, Glance, Lent, read_claim, write_deed
from pipeline.mailbox.lanes import scopes
from pipeline.mailbox.names import boxes_of, user_of
from pipeline.mailbox.scripts import Scripts


class MailboxStore:
    """One account's mailboxes.

    `time_ms` replaces Redis' clock in tests. Connection errors propagate; a write that was made
    but whose answer was lost may be repeated safely.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        account: str,
        *,
        loan_s: float = 12.0,
        time_ms: Callable[[], int] | None = None,
    ) -> None:
        self.account = account
        self._redis = client
        self._scripts = Scripts(client)
        self._prefix = keys.account_prefix(account)
        self._loan_ms = int(loan_s * 1000)
        self._time = time_ms

    def _now(self) -> str:
        return "" if self._time is None else str(self._time())

    async def wake(
        self, lane: Lane, *, bound: int, longest_queue: int, own_tick: int, serves: bool = True
    ) -> Lent:
        """Take expired loans back and lend the longest-due mailboxes, up to `bound` out at once.

        Nothing is lent through a closed gate or while the lane's Celery queue holds
        `longest_queue` messages. `own_tick` is this waker's last `Lent.now` (0 at first). A full
        Redis takes no message: then only a caller that `serves` the lane itself is lent anything.
        """
        args = [self._now(), lane, self._loan_ms, bound, longest_queue, own_tick, int(serves)]
        args += scopes(lane)
        reply = await self._scripts.run("wake", [self._prefix, keys.celery_queue(lane)], args)
        now, gate, full, *boxes = reply
        return Lent(int(now), gate.decode(), bool(full), tuple(box.decode() for box in boxes))

    async def claim(self, lane: Lane, box: str, *, most: int) -> Claim | None:
        """Become the owner of a lent mailbox; None when there is nothing to own."""
        args = [self._now(), lane, box, user_of(box), self._loan_ms, most, *scopes(lane)]
        reply = await self._scripts.run("claim", [self._prefix], args)
        return None if reply[0] == b"no" else read_claim(self.account, lane, box, reply)

    async def renew(self, claims: Sequence[Claim]) -> list[Claim]:
        """Extend these loans; returns the claims that are lost."""
        args: list[Any] = [self._now(), self._loan_ms]
        for claim in claims:
            args += [claim.lane, claim.box, claim.token]
        lost = await self._scripts.run("renew", [self._prefix], args)
        return [claims[int(number) - 1] for number in lost]

    async def record_intent(self, claim: Claim, intent: str) -> None:
        """Write down what the next POST is about to do. Raises StaleClaim."""
        args = [claim.lane, claim.box, claim.token, claim.step, intent]
        answer = (await self._scripts.run("intent", [self._prefix], args)).decode()
        if answer == "stale":
            raise StaleClaim(claim.box)
        claim.intent = intent

    async def settle(self, claim: Claim, deed: Deed) -> int:
        """Write what became of the first events; returns how many events are left.

        The claim itself is brought up to date: popped events leave it, states replace states.

        Raises:
            StaleClaim: the mailbox is no longer this claim's; nothing was written.
        """
        args = [
            self._now(),
            claim.lane,
            claim.box,
            claim.token,
            claim.step,
            write_deed(claim, deed),
        ]
        answer, left = await self._scripts.run("settle", [self._prefix], args)
        if answer == b"stale":
            raise StaleClaim(claim.box)
        claim.step += 1
        del claim.entries[: deed.pop]
        claim.states.update(deed.state)
        if deed.intent is not None:
            claim.intent = deed.intent
        if deed.pop and claim.entries:
            claim.intent = claim.intent or claim.head.mark
        return int(left)

    async def glance(self, user: str) -> Glance:
        """What waits for another user, in ordered and unordered lanes."""
        boxes = boxes_of(user)
        async with self._redis.pipeline(transaction=False) as pipe:
            for lane in Lane:
                for box in boxes:
                    pipe.llen(keys.mail(self.account, lane, box))
            pipe.hget(keys.user(self.account, user), "identified")
            *lengths, identified = await pipe.execute()
        each = iter(lengths)
        waiting = {lane: sum(islice(each, len(boxes))) for lane in Lane}
        return Glance(waiting, int(identified or 0))

    async def owner(self, email: str, *, besides: str) -> str | None:
        """The id to which an email, in lower case, belongs by what we learned: the userId that owns it,
        else the first anonymousId that identified with it. None when that is `besides`, or unknown.
        """
        names = [keys.learned(self.account, f"{kind}:{email}") for kind in ("email", "visitor")]
        found: Any = await self._redis.mget(names)
        owners = [owner.decode() for owner in found if owner is not None]
        return owners[0] if owners and owners[0] != besides else None

    async def replay(self, ids: Sequence[str]) -> list[str]:
        """Put dead letters back into their mailboxes; returns the ids that were still there."""
        done = await self._scripts.run("replay", [self._prefix], [self._now(), *ids])
        return [identity.decode() for identity in done]

    async def drop(self, ids: Sequence[str]) -> int:
        """Remove dead letters for good, counted as removed; returns how many were there."""
        return int(await self._scripts.run("drop", [self._prefix], list(ids)))
