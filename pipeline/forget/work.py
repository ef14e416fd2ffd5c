"""One pass through what is kept: it counts, or removes, what is a person's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from pipeline.errors import InvalidEvent
from pipeline.events.kinds import ORDERS
from pipeline.events.models import parse_event
from pipeline.forget.person import Person
from pipeline.forget.spaces import Space
from pipeline.ownership.keyspace import Done
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts
from pipeline.trace.names import event_order, order_name

HOLDERS_SHOWN = 20
"""Other ids that are named because an address of the person is remembered of them, too."""


@dataclass(slots=True)
class Found:
    """What a pass saw in one space. looked: entries, keys, letters or records. theirs: of them, the person's; named: others'
    that name the person, and stay."""

    looked: int = 0
    theirs: int = 0
    named: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look. others: the other accounts that are configured; what names none of them is the default account's.
    time_ms: Redis' time, or a test's ('' = Redis')."""

    redis: redis.asyncio.Redis
    account: str
    others: frozenset[str]
    on_done: Done
    time_ms: Callable[[], int] | None = None

    @property
    def now(self) -> str:
        """As the scripts take it."""
        return "" if self.time_ms is None else str(self.time_ms())


class Work:
    """A pass. removes: it removes what it finds. token: of the erasure's lease, '' while nothing is removed. leased_until: when the last lease ends that it took from a worker (ms).

    orders, order_names: of what it found, so that their reservations are found. boxes: mailboxes of the person, (lane, name),
    in which events wait; standing: those that have a state. carts: what was written last for the person, which may lie under an address that was never learned, too.
    """

    def __init__(self, place: Place, person: Person, *, removes: bool, token: str = "") -> None:
        self.place = place
        self.token = token
        self.redis = place.redis
        self.account = place.account
        self.prefix = keys.account_prefix(place.account)
        self.person = person
        self.removes = removes
        self.scripts = Scripts(place.redis, "pipeline.forget")
        self.found: dict[Space, Found] = defaultdict(Found)
        self.orders = set[str]()
        self.order_names = set[bytes]()
        self.holders = set[str]()
        self.carts = set[bytes]()
        self.boxes = set[tuple[str, str]]()
        self.standing = set[tuple[str, str]]()
        self.leased_until = 0

    @property
    def left(self) -> int:
        """How much it found, or removed."""
        return sum(one.theirs for one in self.found.values())

    def see(self, space: Space, looked: int = 1, *, theirs: int = 0, named: int = 0) -> None:
        """Count what was looked at."""
        found = self.found[space]
        found.looked += looked
        found.theirs += theirs
        found.named += named
        self.place.on_done(looked)

    def note_orders(self, raws: Iterable[bytes]) -> None:
        """Remember the orders that these events, which are the person's, are about."""
        for raw in raws:
            try:
                event = parse_event(raw)
            except InvalidEvent:
                continue
            order = event_order(event) if event.kind in ORDERS else None
            if order:
                self.orders.add(order)

    def is_order(self, identity: str) -> bool:
        """Whether an order of this id is the person's, as far as this pass has seen."""
        return identity in self.orders or order_name(identity) in self.order_names

    async def run(self, script: str, args: list[Any], *more_keys: str) -> Any:
        """Run one of the package's scripts on the account."""
        return await self.scripts.run(script, [self.prefix, *more_keys], args)
