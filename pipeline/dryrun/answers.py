"""What answers in the place of Sailthru while DRY_RUN is set. It is no sandbox: it refuses nothing.

A look-up finds what the calls so far would have made at Sailthru, as far as sailpipe remembers it: a profile that an identify
went to, with the email that was learned; an order that was posted. What was at Sailthru before is not seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import redis.asyncio

from pipeline.dryrun.calls import KeptCalls
from pipeline.sailthru.answers import Accepted, Answer, Failed, Failure
from pipeline.sailthru.calls import Call
from pipeline.storage import keys

_OTHER = 99
_NOTHING = (None, None, None)


class DryRun:
    """Sends nothing of one account's calls."""

    def __init__(self, client: redis.asyncio.Redis, account: str) -> None:
        self._redis = client
        self._account = account
        self._kept = KeptCalls(client, account)

    async def send(self, call: Call, is_over: Callable[[], bool]) -> Answer:
        """That it was accepted, or what is found. Raises redis.exceptions.RedisError when nothing can be looked up."""
        if call.bucket == "GET /user":
            return await self._profile(call)
        if call.bucket == "GET /purchase":
            return await self._order(str(call.params.get("purchase_id")))
        return Accepted(200, {"ok": True})

    async def _profile(self, call: Call) -> Answer:
        key, identity = call.params.get("key"), str(call.params.get("id"))
        identified, email, cart = await self._remembered(identity) if key == "extid" else _NOTHING
        if identified is None:
            return Failed(Failure.USER_NOT_FOUND, 400, _OTHER, "User not found with that key")
        known = {"extid": identity} | ({} if email is None else {"email": email.decode()})
        return Accepted(200, {"keys": known} | _shown(cart))

    async def _remembered(self, identity: str) -> tuple[Any, Any, Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(keys.user(self._account, identity), "identified", "email")
            pipe.get(keys.cart(self._account, identity))
            (identified, email), cart = await pipe.execute()
        return identified, email, cart

    async def _order(self, extid: str) -> Answer:
        order = await self._kept.find_order(extid)
        if order is None:
            return Failed(Failure.REJECTED, 400, _OTHER, "Purchase not found")
        return Accepted(200, {"purchase": dict(order.params)})


def _shown(cart: bytes | None) -> dict[str, Any]:
    """The cart that was written last, as GET /user shows it."""
    if cart is None:
        return {}
    kept = json.loads(cart)
    return {"purchase_incomplete": {"items": kept["items"], "time": formatdate(kept["at"])}}
