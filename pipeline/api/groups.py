"""The routes of `/api` about problems, re-sends and acts: `dead stats`, `dead mark`, `dead jobs` and `dead audit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import redis.asyncio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pipeline.api.queries import (
    FILTERS,
    bad,
    check_names,
    known_account,
    not_found,
    query,
    read_filter,
    read_json_object,
    read_number,
    read_place,
    read_why,
    who,
)
from pipeline.clock import Clock
from pipeline.deadletters.audit import AuditTrail
from pipeline.deadletters.jobs import Jobs
from pipeline.deadletters.states import GroupState
from pipeline.settings import Settings
from pipeline.verbs.acts import record_act
from pipeline.verbs.groups import MAX_HOURS, UnknownGroup, mark_group, read_groups, rows_of

MAX_LISTED: Final = 500
MAX_JOBS: Final = 100


class GroupApi:
    """Problems, jobs and the audit trail of all accounts."""

    def __init__(self, settings: Settings, client: redis.asyncio.Redis, clock: Clock) -> None:
        self._settings = settings
        self._redis = client
        self._clock = clock

    async def stats(self, request: Request) -> Response:
        """Letters by cause, the largest group first, as `sailpipe dead stats --json`."""
        values = query(request, {*FILTERS, "state", "limit", "hours"})
        hours = read_number(values, "hours", 0, MAX_HOURS)
        limit, state = read_number(values, "limit", 50, MAX_LISTED), _state(values.get("state"))
        asked = {name: value for name, value in values.items() if name in FILTERS}
        wanted = read_filter(asked, self._clock.now())
        account = self._account(values)
        found = await read_groups(self._redis, account, wanted)
        meant = [one for one in found if state in (None, one.mark.state)]
        groups = await rows_of(self._redis, account, meant[:limit], hours)
        return JSONResponse({"groups": groups, "more": len(meant) - len(groups)})

    async def mark(self, request: Request) -> Response:
        """Say where a person stands with a group, as `sailpipe dead mark`."""
        account = self._account(query(request, ()))
        body = await read_json_object(request)
        check_names(list(body), {"group", "state", "why"})
        group, state, why = body.get("group"), body.get("state"), read_why(body)
        if not isinstance(group, str) or not isinstance(state, str):
            raise bad("Say which `group`, by its fingerprint, and its `state`.")
        chosen = _state(state)
        if chosen is None:
            raise bad("Say which state.")
        try:
            act = await mark_group(self._redis, account, group, chosen, who(request), why)
        except UnknownGroup:
            raise not_found("There is no such group of dead letters.") from None
        await record_act(self._redis, account, act)
        return JSONResponse({"group": group, "state": chosen.value})

    async def jobs(self, request: Request) -> Response:
        """Jobs, the newest first, as `sailpipe dead jobs --json`."""
        values = query(request, {"limit"})
        limit = read_number(values, "limit", 50, MAX_JOBS)
        found = await Jobs(self._redis, self._account(values)).latest(limit)
        now_ms = int(self._clock.now() * 1000)
        return JSONResponse({"jobs": [one.as_json(now_ms) for one in found]})

    async def audit(self, request: Request) -> Response:
        """Who did what, the newest first, as `sailpipe dead audit --json`."""
        values = query(request, {"limit", "before"})
        account, limit = self._account(values), read_number(values, "limit", 50, MAX_LISTED)
        acts = await AuditTrail(self._redis, account).latest(limit + 1, read_place(values))
        more, acts = len(acts) > limit, acts[:limit]
        rows = [act.as_json(account) for act in acts]
        return JSONResponse({"acts": rows, "next": acts[-1].id if more else None})

    def _account(self, values: Mapping[str, str]) -> str:
        return known_account(self._settings, values)


def _state(text: str | None) -> GroupState | None:
    try:
        return None if text is None else GroupState(text)
    except ValueError:
        raise bad(f"state is one of {', '.join(GroupState)}.") from None
