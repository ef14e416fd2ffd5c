"""The pages of the operator: overview, pause and resume, activity, set-up, help, and the log-in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from pipeline.api.letters import NDJSON
from pipeline.api.queries import bad, not_found, read_place, who
from pipeline.console import views
from pipeline.console.overview import (
    LEADS,
    MEANINGS,
    PLOT_HEIGHT,
    PLOT_WIDTH,
    PLOTTED,
    cards,
    flow,
    verdicts,
)
from pipeline.console.pages import THEME_COOKIE, THEMES, Done, Form, Pages
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.jobs import Jobs
from pipeline.deadletters.states import GroupState
from pipeline.deadletters.views import SavedViews
from pipeline.events.models import Lane
from pipeline.guard import Guard
from pipeline.guard.sessions import log_in, log_out
from pipeline.processes.history import read_samples
from pipeline.status.signs import read_signs
from pipeline.status.wording import way_words
from pipeline.verbs import pausing
from pipeline.verbs.groups import read_groups
from pipeline.words import REASONS, TERMS

_EVERYTHING: Final = Filter()
MAX_REASON: Final = 200
TOP: Final = 3
MAX_ACTS: Final = 200
MAX_JOBS: Final = 50


class OperatorPages:
    """What the operator sees and steers."""

    def __init__(self, pages: Pages, guard: Guard) -> None:
        self._pages = pages
        self._guard = guard

    async def overview(self, request: Request) -> Response:
        """Is it well, and if not, what to do."""
        name, now = self._pages.account(request), self._pages.clock.now()
        account = (await self._pages.status.read())["accounts"][name]
        signs = await read_signs(self._pages.redis)
        groups = (
            await read_groups(self._pages.redis, name, _EVERYTHING)
            if account["counts"]["dead"]
            else []
        )
        seen = [one for one in groups if one.mark.state is not GroupState.IGNORED]
        return self._pages.render(
            request,
            "overview",
            title="Overview",
            verdicts=verdicts(account, signs),
            flow=flow(account["counts"]),
            folded_today=account["folded_today"],
            leads=LEADS,
            cards=cards(account, await read_samples(self._pages.redis, name, PLOTTED)),
            plot=(PLOT_WIDTH, PLOT_HEIGHT),
            jobs=[views.job_row(one, now) for one in await Jobs(self._pages.redis, name).active()],
            problems=[views.group_row(one, now) for one in seen[:TOP]],
            is_empty=not account["counts"]["enqueued"],
            is_paused=any(
                g["scope"] == "account" and g["reason"] == "paused" for g in account["gates"]
            ),
            server=str(request.base_url).rstrip("/"),
            has_sandbox_key=self._pages.settings.target == "sandbox",
        )

    async def counts(self, request: Request) -> Response:
        """What each number of the overview's flow counts, and why events were not for Sailthru."""
        name = self._pages.account(request)
        account = (await self._pages.status.read())["accounts"][name]
        parts = {key: account.get(key) or {} for key in ("ignored", "dead")}
        ways = [(*_came_by(key), n) for key, n in (account.get("came_in") or {}).items()]
        return self._pages.render(
            request,
            "counts",
            title="What became of everything",
            flow=flow(account["counts"]),
            meanings=MEANINGS,
            leads=LEADS,
            ways=sorted(ways, key=lambda row: -row[-1]),
            parts={key: sorted(one.items(), key=lambda row: -row[1]) for key, one in parts.items()},
        )

    async def ask_pause(self, request: Request) -> Response:
        """Why it is to be paused, before it is."""
        self._pages.account(request)
        scope = _scope(request)
        return self._pages.render(
            request, "pause", title="Pause", scope=scope, what=TERMS.get(scope, "Everything")
        )

    async def pause(self, request: Request, form: Form) -> Done:
        """Pause a lane or everything."""
        scope, why = _scope(request), form.values.get("reason", "").strip()
        if len(why) > MAX_REASON:
            raise bad(f"The reason has more than {MAX_REASON} characters.")
        changed = await pausing.pause(self._pages.redis, form.account, scope, who(request), why)
        return Done(
            "pause", int(changed), "/console", f"{_called(scope)} paused.", what=scope, why=why
        )

    async def resume(self, request: Request, form: Form) -> Done:
        """End a pause, and the brake."""
        scope = _scope(request)
        ended = await pausing.resume(self._pages.redis, form.account, scope)
        notice = f"{_called(scope)} resumed." if ended else f"{_called(scope)} was not paused."
        return Done("resume", len(ended), "/console", notice, what=scope)

    async def activity(self, request: Request) -> Response:
        """Who did what, the newest first, and what is being sent again; older acts on pages of their own."""
        account, now = self._pages.account(request), self._pages.clock.now()
        before = read_place(request.query_params)
        acts = await AuditTrail(self._pages.redis, account).latest(MAX_ACTS + 1, before)
        older, acts = len(acts) > MAX_ACTS, acts[:MAX_ACTS]
        jobs = [] if before else await Jobs(self._pages.redis, account).latest(MAX_JOBS)
        return self._pages.render(
            request,
            "activity",
            title="Activity",
            acts=[(views.time_tag(act.at_ms, now), act, _receipt(act)) for act in acts],
            older=acts[-1].id if older else "",
            before=before,
            jobs=[views.job_row(job, now) for job in jobs],
            saved=views.shown_views(await SavedViews(self._pages.redis, account).all(), {}),
        )

    async def resends(self, request: Request) -> Response:
        """All re-sends are a part of the page Activity."""
        query = (
            urlencode({"account": account})
            if (account := request.query_params.get("account"))
            else ""
        )
        return RedirectResponse(f"/console/activity{'?' if query else ''}{query}#resends", 303)

    async def export_acts(self, request: Request) -> Response:
        """The whole trail as JSON lines, the newest act first."""
        account = self._pages.account(request)
        trail = AuditTrail(self._pages.redis, account)
        headers = {"Content-Disposition": 'attachment; filename="activity.jsonl"'}
        return StreamingResponse(_lines(trail, account), headers=headers, media_type=NDJSON)

    async def help(self, request: Request) -> Response:
        """The words, and the keys."""
        return self._pages.render(request, "help", title="Help", reasons=REASONS)

    async def ask_password(self, request: Request) -> Response:
        """The log-in."""
        if not self._guard.credentials.has_password:
            return RedirectResponse("/console", 303)
        return self._login_page(request, request.query_params.get("next", ""))

    async def log_in(self, request: Request) -> Response:
        """A password was shown."""
        form = await self._pages.form(request)
        peer = request.client.host if request.client else None
        target = form.values.get("next", "")
        wait_s = self._guard.tries.take(peer)
        if wait_s:
            response = self._login_page(request, target, f"Too many tries: wait {wait_s} s.", 429)
            response.headers["Retry-After"] = str(wait_s)
            return response
        operator = self._guard.credentials.by_password(form.values.get("password", ""))
        if operator is None:
            return self._login_page(request, target, "This is not the password.", 401)
        self._guard.tries.forget(peer)
        log_in(request.scope, operator)
        return RedirectResponse(local_path(target), 303)

    async def log_out(self, request: Request) -> Response:
        """The session ends in this browser."""
        if "session" in request.scope:
            log_out(request.scope)
        return RedirectResponse("/console", 303)

    async def theme(self, request: Request) -> Response:
        """Light, dark, or as the browser has it: one after the other, kept in a cookie."""
        form = await self._pages.form(request)
        chosen = form.values.get("theme", "")
        response = RedirectResponse(local_path(form.values.get("next", "")), 303)
        if chosen in THEMES:
            response.set_cookie(
                THEME_COOKIE, chosen, max_age=31_536_000, path="/console", samesite="lax"
            )
        return response

    def _login_page(
        self, request: Request, target: str, wrong: str = "", status: int = 200
    ) -> Response:
        return self._pages.render(
            request,
            "login",
            status=status,
            title="Log in",
            leads_to=local_path(target),
            wrong=wrong,
        )


def local_path(target: str) -> str:
    """Where to go after a log-in: a page of the console, and never another site."""
    is_ours = target == "/console" or target.startswith(("/console/", "/console?"))
    is_plain = all(char.isprintable() and char != "\\" for char in target)
    return target if is_ours and is_plain and "//" not in target.partition("?")[0] else "/console"


def _scope(request: Request) -> str:
    scope: str = request.path_params["lane"]
    if scope not in {*Lane, pausing.ACCOUNT_SCOPE}:
        raise not_found("There is no such lane.")
    return scope


async def _lines(trail: AuditTrail, account: str) -> AsyncIterator[bytes]:
    before = ""
    while acts := await trail.latest(MAX_ACTS, before):
        yield b"".join(json.dumps(act.as_json(account)).encode() + b"\n" for act in acts)
        before = acts[-1].id


def _receipt(act: Act) -> str:
    """The person of whose erasure an act has the receipt, as its page names them; '' where there is none."""
    return str(json.loads(act.receipt)["person"]) if act.receipt else ""


def _came_by(part: str) -> tuple[str, str]:
    """Way and type of a part of the counter of what came in, for people."""
    way, _, kind = part.partition(":")
    return way_words(way, ()), kind


def _called(scope: str) -> str:
    return TERMS.get(scope, "Everything")
