"""The calls of a dry run as they are kept: in the order in which they would have been made, for a week."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis.asyncio

from pipeline.clock import iso
from pipeline.sailthru.calls import Call, Method
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts
from pipeline.tombstones import person_key

PAGE = 500
"""Calls that are read at a time."""
_PERSON = ("id", "email", "userIdValue")
"""Parameters that say whom a call is about."""


@dataclass(frozen=True, slots=True)
class KeptCall:
    """One of them. at: its entry's id, `MS-N`, which rises. ids: of the events that it would have delivered, or looked
    something up for; none when a program asked for it over HTTP. user: whose mailbox they were in."""

    at: str
    ids: tuple[str, ...]
    user: str
    call: Call

    @property
    def ms(self) -> int:
        """When it would have been made (Unix ms)."""
        return int(self.at.partition("-")[0])

    @property
    def people(self) -> set[str]:
        """Every name of the person it is about, as it is spelled: the mailbox's, and those that it says to Sailthru."""
        params = self.call.params
        given = params.get("keys")
        named = [params.get(name) for name in _PERSON]
        named += given.values() if isinstance(given, dict) else ()
        return {self.user, *(str(one) for one in named if one is not None)}

    def is_about(self, identity: str) -> bool:
        """Whether one of them is this id; an email is the same in any case."""
        return person_key(identity) in map(person_key, self.people)

    def as_json(self, account: str) -> dict[str, Any]:
        """One line of `sailpipe calls --json`: the same for the same call, whatever order it was built in."""
        return {
            "time": iso(self.ms),
            "account": account,
            "messageIds": list(self.ids),
            "method": self.call.method,
            "endpoint": self.call.endpoint,
            "params": _sorted(self.call.params),
        }


class KeptCalls:
    """Those of one account, bounded by number and age."""

    def __init__(self, client: redis.asyncio.Redis, account: str) -> None:
        self._redis = client
        self._key = keys.dry_calls(account)
        self._prefix = keys.account_prefix(account)
        self._scripts = Scripts(client, "pipeline.dryrun")

    async def add(self, call: Call, user: str = "", ids: Sequence[str] = ()) -> None:
        """Keep one. Raises redis.exceptions.RedisError: it is not kept, and must not be answered as if it were made."""
        params = json.dumps(dict(call.params), ensure_ascii=False, separators=(",", ":"))
        fields = {"method": call.method, "endpoint": call.endpoint, "params": params, "user": user}
        fields["ids"] = json.dumps(list(ids), ensure_ascii=False, separators=(",", ":"))
        words = [word for field in fields.items() for word in field]
        await self._scripts.run("keep", [self._prefix], ["", *words])

    async def read(self, after: str = "") -> AsyncIterator[KeptCall]:
        """The oldest first; those behind the one that `after` is the `at` of, or from a time on (Unix ms)."""
        begin = after if after.isdecimal() else f"({after}" if after else "-"
        while True:
            page: Any = await self._redis.xrange(self._key, begin, "+", count=PAGE)
            for at, fields in page:
                yield _kept(at.decode(), fields)
            if len(page) < PAGE:
                return
            begin = f"({page[-1][0].decode()}"

    async def count(self) -> int:
        """How many there are."""
        return int(await self._redis.xlen(self._key))

    async def clear(self) -> None:
        """Forget all."""
        await self._redis.unlink(self._key)

    async def find_order(self, extid: str) -> Call | None:
        """The order that would have been posted with this id. It looks through all there is: asked after a crash only."""
        async for kept in self.read():
            names = kept.call.params.get("purchase_keys")
            is_posted = kept.call.bucket == "POST /purchase"
            if is_posted and isinstance(names, dict) and names.get("extid") == extid:
                return kept.call
        return None


def _kept(at: str, fields: dict[bytes, bytes]) -> KeptCall:
    text = {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}
    call = Call(cast("Method", text["method"]), text["endpoint"], json.loads(text["params"]))
    return KeptCall(at, tuple(json.loads(text["ids"])), text["user"], call)


def _sorted(value: Any) -> Any:
    """With the keys of every object in order; what a list holds stays as it is."""
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value
