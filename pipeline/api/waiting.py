"""The routes of `/api/waiting`: what waits, by cause; tried now, or removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import redis.asyncio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pipeline.api.queries import (
    BadRequest,
    bad,
    check_names,
    known_account,
    query,
    read_flag,
    read_json_object,
    read_why,
    who,
)
from pipeline.clock import Clock
from pipeline.deadletters.replays import Refused
from pipeline.events.models import Lane
from pipeline.guard.rules import Refusal
from pipeline.settings import Settings
from pipeline.verbs.acts import record_act
from pipeline.verbs.waiting import (
    NotMeant,
    Wanted,
    check_cause,
    check_drop,
    check_release,
    doomed_of,
    drop_waiting,
    find_waiting,
    release_waiting,
)

WANTED: Final = ("for", "lane", "user")


class WaitingApi:
    """What waits in all accounts."""

    def __init__(self, settings: Settings, client: redis.asyncio.Redis, clock: Clock) -> None:
        self._settings = settings
        self._redis = client
        self._clock = clock

    async def waiting(self, request: Request) -> Response:
        """What waits, by lane and cause, as `sailpipe waiting --json`."""
        values = query(request, WANTED)
        settings = self._settings.account(known_account(self._settings, values))
        found = await find_waiting(self._redis, settings, read_wanted(values))
        return JSONResponse({"waiting": found.rows(), "complete": found.complete})

    async def release(self, request: Request) -> Response:
        """Let what waits for a cause be tried now, as `sailpipe waiting --release`."""
        account = known_account(self._settings, query(request, ()))
        body = await read_json_object(request)
        check_names(list(body), {*WANTED, "dry_run"})
        wanted, settings = _meant(body, check_release), self._settings.account(account)
        if read_flag(body, "dry_run"):
            return await self._counted(account, wanted)
        act = await release_waiting(self._redis, settings, wanted, who(request))
        await record_act(self._redis, account, act)
        return JSONResponse({"released": act.count})

    async def drop(self, request: Request) -> Response:
        """Remove what waits for a cause, of which `count` events were shown, as `sailpipe waiting --drop`."""
        account = known_account(self._settings, query(request, ()))
        body = await read_json_object(request)
        check_names(list(body), {*WANTED, "count", "dry_run", "why"})
        wanted, why, shown = _meant(body, check_drop), read_why(body), body.get("count")
        if read_flag(body, "dry_run"):
            return await self._counted(account, wanted)
        if type(shown) is not int or shown < 1:
            raise bad("count is how many events were shown.")
        settings = self._settings.account(account)
        try:
            act = await drop_waiting(
                self._redis, settings, wanted, shown, who(request), self._clock, why
            )
        except Refused as error:
            raise BadRequest(Refusal(409, "not_dropped", str(error))) from None
        await record_act(self._redis, account, act)
        return JSONResponse({"dropped": act.count})

    async def _counted(self, account: str, wanted: Wanted) -> Response:
        found = await find_waiting(self._redis, self._settings.account(account), wanted)
        return JSONResponse({"people": len(found.boxes), "events": doomed_of(found)})


def read_wanted(values: Mapping[str, Any]) -> Wanted:
    """Which mailboxes these values mean. Raises BadRequest."""
    if not all(isinstance(values[name], str) for name in WANTED if name in values):
        raise bad("for, lane and user are texts.")
    cause, lane, user = (values.get(name) for name in WANTED)
    if lane is not None and lane not in list(Lane):
        raise bad(f"lane is one of {', '.join(Lane)}.")
    try:
        check_cause(cause)
    except NotMeant as error:
        raise bad(str(error)) from None
    return Wanted(cause, None if lane is None else Lane(lane), user)


def _meant(body: Mapping[str, Any], check: Any) -> Wanted:
    wanted = read_wanted(body)
    try:
        check(wanted.cause)
    except NotMeant as error:
        raise bad(f"for: {error}") from None
    return wanted
