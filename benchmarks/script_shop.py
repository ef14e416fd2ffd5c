"""An account in a real Redis that the cases of `benchmarks.script_cases` fill."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import redis.asyncio

from pipeline.deadletters.letter import Header
from pipeline.deadletters.store import DeadLetters
from pipeline.delivery.capacity import MAX_LEASED
from pipeline.events.models import MAX_EVENT_BYTES, Lane
from pipeline.mailbox.claim import Claim, Entry
from pipeline.settings import AccountSettings
from pipeline.storage import keys
from pipeline.storage.numbers import HOUR_MS
from pipeline.targets import SANDBOX
from tests.support.mailboxes import FAR, Mailboxes

SMALL = b'{"type":"track","event":"Seen","userId":"u","messageId":"m","properties":{"a":1}}'
BIG = b'{"type":"track","event":"Seen","userId":"u","properties":{"a":"%s"}}' % (
    b"x" * (MAX_EVENT_BYTES - 70)
)
PIPE = 50
DEATHS_A_MS = 20
Command: TypeAlias = tuple[Any, ...]


class Shop:
    """An account in a real Redis, on a clock that stands until a case moves it."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.redis = client
        self.boxes = Mailboxes(client, AccountSettings(customer_id="c"))
        self.store = self.boxes.store
        self.letters = DeadLetters(client, "default")
        self._count = 0

    @property
    def now(self) -> int:
        return self.boxes.now_ms()

    async def run(self, commands: Iterable[Command]) -> None:
        """Many commands, some at a time."""
        pipe = self.redis.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
            if len(pipe) >= PIPE:
                await pipe.execute()
        await pipe.execute()

    async def fill(
        self, lane: Lane, boxes: Iterable[str], entries: int = 1, raw: bytes = SMALL, **state: int
    ) -> None:
        """Mailboxes with so many entries each, due now."""
        names = list(boxes)
        await self.run(self._filling(lane, names, entries, raw))
        keys_of = (keys.mailbox_state("default", lane, box) for box in names)
        await self.run(("HSET", key, *item) for key in keys_of for item in state.items())

    def _filling(
        self, lane: Lane, boxes: Sequence[str], entries: int, raw: bytes
    ) -> Iterator[Command]:
        for box in boxes:
            blobs = [self._entry(raw) for _ in range(entries)]
            yield "RPUSH", keys.mail("default", lane, box), *blobs
            yield "ZADD", keys.due("default", lane), self.now, box
        yield "HINCRBY", keys.counts("default"), f"waiting:{lane}", entries * len(boxes)

    def _entry(self, raw: bytes) -> bytes:
        self._count += 1
        seq, now = f"{self.now}-{self._count}", self.now
        past = json.dumps([1]) if raw is BIG else ""
        return Entry(f"m{self._count}", seq, now, now, raw, past=past).encode()

    async def wake(self, lane: Lane, bound: int = MAX_LEASED, **more: Any) -> tuple[str, ...]:
        woken = await self.store.wake(
            lane, bound=bound, max_queue_length=FAR, own_tick=more.pop("own_tick", 0), **more
        )
        return woken.boxes

    async def own(self, lane: Lane, names: Iterable[str], most: int = 40) -> list[Claim]:
        """The claims of these mailboxes, which are leased."""
        found = await asyncio.gather(*(self.store.claim(lane, box, most=most) for box in names))
        return [claim for claim in found if claim is not None]

    async def bury(
        self,
        count: int,
        raw: bytes = BIG,
        *,
        user: str = "",
        lane: str = "event",
        calls: int = 1,
        reason: str = "missing_email",
        names: Sequence[str] = (),
    ) -> list[str]:
        """So many letters with so many bytes of calls; `names` are new ones unless they are given."""
        said = [{"method": "POST", "endpoint": "/event", "params": {"id": "x" * calls}}]
        names = names or [f"letter-{self._count + number}" for number in range(count)]
        self._count += count
        await self.run(self._burying(names, said, raw, user, lane, reason))
        return [*names]

    def _burying(
        self,
        names: Sequence[str],
        calls: Sequence[Any],
        raw: bytes,
        user: str,
        lane: str,
        reason: str,
    ) -> Iterator[Command]:
        for number, name in enumerate(names):
            died_at = self.now - number // DEATHS_A_MS
            header = Header(
                account="default",
                lane=lane,
                user=user or f"of-{name}",
                reason=reason,
                calls=calls,
                key="1",
                first_seen_ms=self.now,
                died_at=died_at,
                awaits_email=bool(user),
                target=SANDBOX,
            )
            blob = header.as_line().encode() + b"\n" + raw
            yield "HSET", keys.dead("default"), name, blob
            yield "ZADD", keys.dead_by_time("default"), died_at, name
            yield "HINCRBY", keys.dead_groups("default"), _group(header, self.now), 1
            cause = _cause(header)
            yield "ZADD", keys.dead_by_cause("default", cause), died_at, name
            yield "ZADD", keys.dead_by_kind("default", lane, reason), died_at, name
            yield "ZADD", keys.dead_by_user("default", header.user), died_at, name
            yield "ZINCRBY", keys.dead_causes("default"), 1, cause
            yield "PFADD", keys.dead_people("default", cause), header.user
            if user:
                yield "ZADD", keys.dead_for_email("default", user), number, name
        yield "HINCRBY", keys.counts("default"), f"dead:{reason}", len(names)

    async def accept(self, raws: Iterable[bytes], **fields: str) -> None:
        """Into the raw stream."""
        said = [word for item in fields.items() for word in item]
        await self.run(self._accepting(raws, said))

    def _accepting(self, raws: Iterable[bytes], said: Sequence[str]) -> Iterator[Command]:
        for raw in raws:
            self._count += 1
            yield "XADD", keys.RAW, f"{self.now}-{self._count}", "event", raw, *said


def _group(header: Header, now: int) -> str:
    """As `group_of` in lib.lua says it."""
    return f"{now // HOUR_MS} {header.lane} {header.reason} {_cause(header)[-1:]}"


def _cause(header: Header) -> str:
    return str(json.loads(header.as_line())["fingerprint"])
