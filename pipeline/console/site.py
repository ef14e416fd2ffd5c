"""All routes of the console, behind the guard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import redis.asyncio
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from pipeline.clock import Clock
from pipeline.console.fixing import FixingPages
from pipeline.console.forgetting import ForgetPages
from pipeline.console.letters import LetterPages
from pipeline.console.mending import MendingPages
from pipeline.console.operate import OperatorPages
from pipeline.console.pages import Pages
from pipeline.console.people import PeoplePages
from pipeline.console.problems import ProblemPages
from pipeline.console.saved import ViewPages
from pipeline.console.setup import SetupPages
from pipeline.console.trying import TryPages
from pipeline.console.waiting import WaitingPages
from pipeline.guard import Guard
from pipeline.guard.guard import LOGIN
from pipeline.guard.rules import Refusal
from pipeline.settings import Settings
from pipeline.status.reader import StatusReader
from pipeline.storage.redis_errors import describe
from pipeline.verbs.people import Ask

STATIC: Final = "/console/static"
HARMLESS: Final = (
    *("/console/try", "/console/edit", "/console/fix", "/console/why", "/console/setup"),
    *("/console/logout", "/console/theme"),
)
"""Posts that change nothing of what is delivered."""


class Console:
    """The web console."""

    def __init__(
        self,
        settings: Settings,
        client: redis.asyncio.Redis,
        status: StatusReader,
        clock: Clock,
        ask: Ask,
    ) -> None:
        """ask: makes a call to Sailthru for a person who looks."""
        self._ask = ask
        self._pages = Pages(settings, client, status, clock)

    def app(self, guard: Guard) -> ASGIApp:
        """All routes, behind the guard."""
        seen, act = self._pages.page, self._pages.acting
        letters = LetterPages(self._pages)
        problems = ProblemPages(self._pages, letters)
        mending = MendingPages(self._pages)
        fixing = FixingPages(self._pages)
        people = PeoplePages(self._pages, self._ask)
        waiting = WaitingPages(self._pages)
        saved = ViewPages(self._pages)
        trying = TryPages(self._pages)
        forgetting = ForgetPages(self._pages, self._ask)
        setup = SetupPages(self._pages, self._ask)
        operate = OperatorPages(self._pages, guard)
        post = ["POST"]
        routes = [
            Route("/console", seen(operate.overview)),
            Route("/console/counts", seen(operate.counts)),
            Route("/console/waiting", seen(waiting.waiting)),
            Route("/console/waiting/release", seen(waiting.ask_release)),
            Route("/console/waiting/release", act(waiting.release), methods=post),
            Route("/console/waiting/drop", seen(waiting.ask_drop)),
            Route("/console/waiting/drop", act(waiting.drop), methods=post),
            Route("/console/problems", seen(problems.problems)),
            Route("/console/problems/{group}", seen(problems.problem)),
            Route("/console/dead", seen(letters.list_letters)),
            Route("/console/dead/{id:path}", seen(letters.letter)),
            Route("/console/people", seen(people.search)),
            Route("/console/people/{user:path}", seen(people.person)),
            Route("/console/events/{id:path}", seen(people.event)),
            Route("/console/why", seen(people.why), methods=post),
            Route("/console/forget", seen(forgetting.confirm)),
            Route("/console/forget", act(forgetting.forget), methods=post),
            Route("/console/receipts/{person}", seen(forgetting.receipt)),
            Route("/console/resend", seen(letters.confirm)),
            Route("/console/resend", act(letters.resend), methods=post),
            Route("/console/discard", seen(letters.confirm)),
            Route("/console/discard", act(letters.discard), methods=post),
            Route("/console/problems/{group}/mark", act(problems.mark), methods=post),
            Route("/console/views", act(saved.save), methods=post),
            Route("/console/views/delete", act(saved.delete), methods=post),
            Route("/console/edit", seen(mending.edit), methods=["GET", "POST"]),
            Route("/console/fix", seen(fixing.ask), methods=["GET", "POST"]),
            Route("/console/fix/apply", act(fixing.apply), methods=post),
            Route("/console/export", seen(fixing.export)),
            Route("/console/save", act(mending.save), methods=post),
            Route("/console/resends", seen(operate.resends)),
            Route("/console/resends/{job}", seen(mending.job)),
            Route("/console/resends/{job}/{verb}", act(mending.change), methods=post),
            Route("/console/activity", seen(operate.activity)),
            Route("/console/activity/export", seen(operate.export_acts)),
            Route("/console/lanes/{lane}/pause", seen(operate.ask_pause)),
            Route("/console/lanes/{lane}/pause", act(operate.pause), methods=post),
            Route("/console/lanes/{lane}/resume", act(operate.resume), methods=post),
            Route("/console/try", seen(trying.try_it), methods=["GET", "POST"]),
            Route("/console/try/send", act(trying.send), methods=post),
            Route("/console/setup", seen(setup.setup)),
            Route("/console/setup", seen(setup.check), methods=post),
            Route("/console/help", seen(operate.help)),
            Route("/console/theme", seen(operate.theme), methods=post),
            Route("/console/logout", seen(operate.log_out), methods=post),
            Route(LOGIN, seen(operate.ask_password)),
            Route(LOGIN, seen(operate.log_in), methods=post),
            Mount(STATIC, StaticFiles(packages=[("pipeline.console", "static")])),
        ]
        handlers: Mapping[Any, Any] = {
            HTTPException: self._not_served,
            RedisError: self._redis_away,
        }
        app = Starlette(routes=routes, exception_handlers=handlers)
        return guard.around(app, harmless=HARMLESS, public=[f"{STATIC}/", "/console/theme"])

    async def _not_served(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        text = "There is no such page." if error.status_code == 404 else error.detail
        return self._pages.refused(request, Refusal(error.status_code, "not_served", text))

    async def _redis_away(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, RedisError):
            raise error
        return self._pages.refused(request, Refusal(503, "unavailable", describe(error, "")))
