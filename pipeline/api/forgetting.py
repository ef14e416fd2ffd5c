"""`POST /api/users/{id}/forget`: erases a person, as `sailpipe forget`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

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
from pipeline.errors import SailpipeError
from pipeline.forget.forgetting import CHANGED, Forgetting, Plan
from pipeline.guard.masking import Masking
from pipeline.guard.rules import Refusal
from pipeline.settings import Settings
from pipeline.verbs.acts import log_act
from pipeline.verbs.people import Ask

MAX_ALSO = 20


class ForgetApi:
    """Erases people of all accounts."""

    def __init__(
        self, settings: Settings, client: redis.asyncio.Redis, clock: Clock, ask: Ask
    ) -> None:
        self._settings = settings
        self._redis = client
        self._clock = clock
        self._ask = ask
        self._masking = Masking(settings)

    async def forget(self, request: Request) -> Response:
        """Erase a person, with `"yes": true` and the digest of the dry run; with `"dry_run": true` say who goes, and what."""
        account = known_account(self._settings, query(request, ()))
        body = await read_json_object(request)
        check_names(list(body), {"also", "at_sailthru", "digest", "dry_run", "why", "yes"})
        also, why = _also(body), read_why(body)
        is_dry, at_sailthru = read_flag(body, "dry_run"), read_flag(body, "at_sailthru")
        if body.get("yes", is_dry) is not True:
            raise bad(
                'This cannot be undone: say "yes": true, or "dry_run": true to see what goes.'
            )
        if not is_dry and not isinstance(body.get("digest"), str):
            raise bad('Say the "digest" of the dry run: it stands for the ids that go.')
        if at_sailthru and self._settings.account(account).dry_run:
            raise bad("DRY_RUN is set, so that nothing is deleted at Sailthru.")
        doing = Forgetting(self._redis, self._settings, account, self._clock)
        asking = partial(self._ask, account) if at_sailthru else None
        try:
            plan = await doing.plan(request.path_params["id"], also)
            if is_dry:
                return JSONResponse(_shown(plan, self._masking))
            if body["digest"] != plan.digest:
                raise BadRequest(Refusal(409, "changed_meanwhile", CHANGED))
            receipt = await doing.erase(plan, by=who(request), why=why, sailthru=asking)
        except SailpipeError as error:
            raise BadRequest(Refusal(409, "not_erased", str(error))) from None
        log_act(account, receipt.act)
        return JSONResponse(receipt.as_json())


def _also(body: Mapping[str, Any]) -> list[str]:
    also = body.get("also", [])
    if not isinstance(also, list) or len(also) > MAX_ALSO:
        raise bad(f"also is a list of at most {MAX_ALSO} ids.")
    if not all(isinstance(one, str) for one in also):
        raise bad("also is a list of texts.")
    return also


def _shown(plan: Plan, masking: Masking) -> dict[str, Any]:
    """With the emails masked where REDACT says so; the digest is that of the ids as they are."""
    said = plan.as_json()
    ids = ("ids", "left_out", "unproven")
    return said | {name: [masking.identity(one) for one in said[name]] for name in ids}
