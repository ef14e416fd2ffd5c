"""Takes one event of several that say the same: the first confirmation of an order, one opened mail in 20 minutes.

One script writes what is remembered and the raw stream. So an event that is not appended does not stop the next one, and of
two that come at the same moment one is appended.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.counters import Count, counter
from pipeline.events.kinds import IgnoreReason
from pipeline.mapping.basket import is_placeholder
from pipeline.producer import AsyncProducer, enqueue_error
from pipeline.raw_entries import Labels
from pipeline.roles import Role
from pipeline.settings import AccountSettings
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts

OPEN_MS: Final = 20 * 60 * 1000
"""For so long no other opened mail of the same person is taken (reference: document 003)."""


class Once(NamedTuple):
    """Of the events with these words one is taken in `keep_ms`, which begins with it; the others are counted as `reason`."""

    reason: IgnoreReason
    words: tuple[str, ...]
    keep_ms: int


def one_confirmation(order_id: str | None, account: AccountSettings) -> Once | None:
    """An order is confirmed once in ORDER_WINDOW. None where nothing tells one order from another."""
    keep_ms = int((account.order_window or 0) * 1000)
    if order_id is None or is_placeholder(order_id) or not keep_ms:
        return None
    return Once(IgnoreReason.REPEATED_CONFIRMATION, (order_id,), keep_ms)


def one_open(person: str, role: Role) -> Once:
    """A person opens one mail in 20 minutes. What a page's key says of them hides nothing that a server says."""
    return Once(IgnoreReason.REPEATED_OPEN, (role, person), OPEN_MS)


class OnceSender:
    """Appends events to the raw stream unless a rule has taken one like them."""

    def __init__(self, redis: Redis, producer: AsyncProducer) -> None:
        self._producer = producer
        self._scripts = Scripts(redis, "pipeline.ingest")

    async def send(self, raws: Sequence[bytes], labels: Labels, once: Once) -> bool:
        """Append events, all of them or none; False if they were dropped, which is counted.

        Raises:
            QueueFull, EnqueueError: as `AsyncProducer.send_all`. Nothing is remembered then.
        """
        account = labels.account
        await self._producer.admit(raws, labels)
        names = [keys.RAW, _key(account, once), keys.counts(account)]
        words = [word for field in labels.fields().items() for word in field]
        counted = counter(Count.IGNORED, once.reason)
        args = [once.keep_ms, counted, len(words), *words, *raws]
        try:
            return bool(await self._scripts.run("once", names, args))
        except RedisError as error:
            raise enqueue_error(error) from None


def _key(account: str, once: Once) -> str:
    """The words may be long, and are a person's: their hash stands in Redis."""
    words = "\0".join(once.words)
    return keys.once(account, once.reason, blake2b(words.encode(), digest_size=16).hexdigest())
