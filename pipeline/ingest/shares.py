"""How much of what a write key sends goes ahead of bulk: its rate, and of a page's key half of each lane.

What is beyond counts as bulk, request by request: it is taken, and delivered with what live events leave of the lane.
So a flood through one key delays no other key's events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b

from aiolimiter import AsyncLimiter
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError

from pipeline.ingest.write_keys import Grant
from pipeline.lanes import BUCKETS, Lane
from pipeline.producer import enqueue_error
from pipeline.ratelimit.slots import default_limit
from pipeline.roles import Role
from pipeline.settings import Settings
from pipeline.storage import keys
from pipeline.storage.scripts import read_script

BROWSER_SHARE = 0.5
"""Of each lane's calls a second, for each key of role `browser`: what the shop's own programs send finds the rest."""
TOTAL = "total"
"""The field beside those of the lanes."""


def bounds(grant: Grant, settings: Settings) -> dict[str, float]:
    """Events a second that go ahead of bulk: by lane, and in `TOTAL`; what is not there has no bound. Pure."""
    found: dict[str, float] = {}
    if grant.key.role is Role.BROWSER:
        limits = settings.account(grant.account).limits
        for lane, bucket in BUCKETS.items():
            found[lane.value] = limits.get(bucket, default_limit(bucket)) * BROWSER_SHARE
    if grant.key.rate is not None:
        found[TOTAL] = grant.key.rate
    return found


class Shares:
    """The shares of the keys that have bounds, counted in Redis over all processes, a second at a time.

    What is beyond its rate in this process alone is so over all of them: a flood does not ask Redis.
    """

    def __init__(self, redis: Redis, grants: Mapping[str, Grant], settings: Settings) -> None:
        self._count = redis.register_script(read_script("pipeline.ingest", "share"))
        self._bounds = {key: bounds(grant, settings) for key, grant in grants.items()}
        self._own = {
            key: AsyncLimiter(found[TOTAL], 1.0)
            for key, found in self._bounds.items()
            if TOTAL in found
        }

    async def is_bulk(self, grant: Grant, events: int, lanes: Mapping[Lane, int]) -> bool:
        """Whether a request with so many events, and so many of each lane, goes beyond the share of its key.

        Raises:
            QueueFull, EnqueueError: Redis could not be asked.
        """
        key = grant.key.key
        limits = self._bounds[key]
        if not limits or not events:
            return False
        own = self._own.get(key)
        if own is not None:
            if not own.has_capacity(events):
                return True
            await own.acquire(events)
        sent = Counter({TOTAL: events} | {lane.value: number for lane, number in lanes.items()})
        asked = [name for name in limits if sent[name]]
        if not asked:
            return False
        args = [word for name in asked for word in (name, sent[name])]
        try:
            found = await self._count(keys=[_key(grant)], args=args)
        except (
            NoPermissionError
        ):  # a Redis user that may run no script has the bound of this process alone
            return False
        except RedisError as error:
            raise enqueue_error(error) from None
        return any(int(now) > limits[name] for name, now in zip(asked, found, strict=True))


def _key(grant: Grant) -> str:
    """A write key is a secret: its hash stands in Redis."""
    return keys.share(grant.account, blake2b(grant.key.key.encode(), digest_size=6).hexdigest())
