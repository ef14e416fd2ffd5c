"""The pages that erase a person: what there is of them, the question, and the receipt."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.queries import bad, not_found, read_place, who
from pipeline.console import views
from pipeline.console.pages import Done, Form, Pages, segment
from pipeline.console.people import MAX_TEXT
from pipeline.deadletters.audit import AuditTrail
from pipeline.errors import SailpipeError
from pipeline.forget.forgetting import CHANGED, Forgetting, Plan
from pipeline.guard.masking import Masking
from pipeline.verbs.people import Ask

LOOKED: Final = 1_000
"""Acts among which a receipt is looked for, the newest."""


class ForgetPages:
    """Erasing a person, as `sailpipe forget` does."""

    def __init__(self, pages: Pages, ask: Ask) -> None:
        self._pages = pages
        self._ask = ask

    async def confirm(self, request: Request) -> Response:
        """Who is meant, and what would be removed. Nothing is."""
        account, user = self._pages.account(request), request.query_params.get("user", "").strip()
        plan = await self._plan(self._forgetting(account), user)
        found = {space.value: found for space, found in plan.found.items() if found.theirs}
        return self._pages.render(
            request,
            "forget",
            title="Forget this person",
            user=user,
            digest=plan.digest,
            **_ids(plan, user, self._pages.masking),
            spaces=[(name, one.theirs) for name, one in found.items()],
            named=plan.named,
            can_ask=not self._pages.settings.account(account).dry_run,
        )

    async def forget(self, request: Request, form: Form) -> Done:
        """Erase them; the id was typed. The receipt is in the audit trail, which names no person."""
        user = form.values.get("user", "").strip()
        if not user or form.values.get("typed", "").strip() != user:
            raise bad("Type the id as it is shown, to go on.", "not_typed")
        doing = self._forgetting(form.account)
        plan, why = await self._plan(doing, user), form.why
        if form.values.get("digest") != plan.digest:
            raise bad(CHANGED, "changed_meanwhile")
        at_sailthru = "at_sailthru" in form.values
        if at_sailthru and self._pages.settings.account(form.account).dry_run:
            raise bad("DRY_RUN is set, so that nothing is deleted at Sailthru.", "dry_run")
        asking = partial(self._ask, form.account) if at_sailthru else None
        try:
            receipt = await doing.erase(plan, by=who(request), why=why, sailthru=asking)
        except SailpipeError as error:
            raise bad(str(error), "not_erased") from None
        path = f"/console/receipts/{segment(receipt.person)}"
        return Done("forget", receipt.removed, path, is_written=True)

    async def receipt(self, request: Request) -> Response:
        """What was removed, and whether anything is left; without the person's name."""
        account, person = self._pages.account(request), request.path_params["person"]
        act_id, trail = (
            read_place(request.query_params, "act"),
            AuditTrail(self._pages.redis, account),
        )
        for act in await (trail.one(act_id) if act_id else trail.latest(LOOKED)):
            said: dict[str, Any] = json.loads(act.receipt) if act.receipt else {}
            if act.verb == "forget" and said.get("person") == person:
                return self._show(request, said)
        raise not_found("There is no such receipt, or it is older than what is looked through.")

    def _show(self, request: Request, said: dict[str, Any]) -> Response:
        at_ms = int(datetime.fromisoformat(said["at"]).timestamp() * 1000)
        return self._pages.render(
            request,
            "receipt",
            title="Receipt",
            said=said,
            rows=list(said["spaces"].items()),
            when=views.time_tag(at_ms, self._pages.clock.now()),
        )

    async def _plan(self, doing: Forgetting, user: str) -> Plan:
        if not user or len(user) > MAX_TEXT:
            raise bad("Say who.")
        try:
            return await doing.plan(user)
        except SailpipeError as error:
            raise bad(str(error), "not_meant") from None

    def _forgetting(self, account: str) -> Forgetting:
        pages = self._pages
        return Forgetting(pages.redis, pages.settings, account, pages.clock)


def _ids(plan: Plan, user: str, masking: Masking) -> dict[str, Any]:
    """The ids beside the one that was asked for, as they may be shown."""
    shown = masking.identity
    return {
        "others": [shown(one) for one in plan.person.ids if one != user],
        "left_out": [(shown(one), shown(owner)) for one, owner in plan.left_out.items()],
        "unproven": [shown(one) for one in plan.unproven],
        "holders": [shown(one) for one in plan.holders],
    }
