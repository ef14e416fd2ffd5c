"""Whether there is a user: as far as is known here, else by one look-up at Sailthru."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.events.emails import address_key
from pipeline.ingest.upstream import NotNow
from pipeline.mapping.identity import look_up
from pipeline.mapping.profile import profile_name, read_profile
from pipeline.producer import enqueue_error
from pipeline.sailthru.answers import Accepted, Answer, Failure
from pipeline.sailthru.calls import Method
from pipeline.settings import Settings
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts

FOUND_MS = 3_600_000
"""For so long it is remembered that Sailthru has a profile. That it has none is not: it may be made at any moment."""
MAX_ASKING = 50
"""Look-ups that one process has under way; who comes beyond them is not asked about."""
ASK_S = 3.0
"""Seconds that a client waits for a look-up at most."""


class Knowledge(StrEnum):
    """What is known of a user. unchecked: Sailthru could not be asked."""

    EXISTS = "exists"
    UNKNOWN = "unknown"
    UNCHECKED = "unchecked"


class KnownUser(NamedTuple):
    """What is known, and the userId that the email leads to here, if it leads to one."""

    knowledge: Knowledge
    owner: str | None = None


class Asks(Protocol):
    """Makes one call to Sailthru within its limit; `Upstream` does."""

    async def call(
        self, account: str, method: Method, endpoint: str, params: Mapping[str, Any]
    ) -> Answer:
        """Raises NotNow when no call was made."""


class KnownUsers:
    """Asks what is remembered of users in Redis, in one round trip, and Sailthru where that is nothing.

    A user is known who was identified, whose email a server's event has shown, whose identify waits, or whom Sailthru had
    within the last hour.
    """

    def __init__(self, redis: Redis, upstream: Asks, settings: Settings) -> None:
        self._scripts = Scripts(redis, "pipeline.ingest")
        self._upstream = upstream
        self._settings = settings
        self._asking = 0

    async def look_up(self, account: str, user_id: str | None, email: str | None) -> KnownUser:
        """What is known of a user who goes by either; an id of SHARED_IDS names no person.

        Raises:
            QueueFull, EnqueueError: Redis could not be asked.
        """
        if user_id and user_id.casefold() in self._settings.account(account).shared_ids:
            user_id = None
        address = address_key(email) if email else ""
        names = list(_names(account, user_id, address))
        try:
            known, owner = await self._scripts.run(
                "known_user",
                [keys.account_prefix(account), *(name.found for name in names)],
                [user_id or "", address],
            )
            owned_by = owner.decode() or None
            if known:
                return KnownUser(Knowledge.EXISTS, owned_by)
            knowledge = Knowledge.UNKNOWN
            for name in names:
                said = await self._ask(account, name)
                if said is Knowledge.EXISTS:
                    await self._scripts.execute("SET", name.found, "1", "PX", FOUND_MS)
                    return KnownUser(said, owned_by)
                if said is Knowledge.UNCHECKED:
                    knowledge = said
        except RedisError as error:
            raise enqueue_error(error) from None
        return KnownUser(knowledge, owned_by)

    async def _ask(self, account: str, name: _Name) -> Knowledge:
        """Ask Sailthru. Whatever is no yes or no of its own is UNCHECKED."""
        if self._asking >= MAX_ASKING:
            return Knowledge.UNCHECKED
        call = look_up(name.id, "keys", key=name.key)
        self._asking += 1
        try:
            async with asyncio.timeout(ASK_S):
                answer = await self._upstream.call(account, call.method, call.endpoint, call.params)
        except (NotNow, TimeoutError):
            return Knowledge.UNCHECKED
        finally:
            self._asking -= 1
        return knowledge_of(answer)


def knowledge_of(answer: Answer) -> Knowledge:
    """What the answer to a look-up says. An address that Sailthru refuses is no profile's. No I/O."""
    if isinstance(answer, Accepted):
        exists = read_profile(True, answer.body).exists
        return Knowledge.EXISTS if exists else Knowledge.UNKNOWN
    if answer.failure is Failure.USER_NOT_FOUND or answer.is_bad_address:
        return Knowledge.UNKNOWN
    return Knowledge.UNCHECKED


class _Name(NamedTuple):
    """A key of Sailthru's with its id, and where it is remembered that it has a profile."""

    key: str
    id: str
    found: str


def _names(account: str, user_id: str | None, address: str) -> Iterator[_Name]:
    for key, name in (("extid", user_id), ("email", address)):
        if name:
            yield _Name(key, name, keys.found(account, profile_name(key, name)))
