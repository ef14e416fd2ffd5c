"""The routes of `/api`: each parses, calls one verb and answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

import redis.asyncio
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from pipeline.api.forgetting import ForgetApi
from pipeline.api.groups import GroupApi
from pipeline.api.letters import LetterApi
from pipeline.api.queries import (
    MAX_REASON,
    BadRequest,
    bad,
    check_names,
    compact,
    known_account,
    not_found,
    parse_json,
    query,
    read_body,
    read_json_object,
    who,
)
from pipeline.api.waiting import WaitingApi
from pipeline.clock import Clock
from pipeline.deadletters.audit import Act
from pipeline.deadletters.jobs import Job, Jobs, UnknownJob
from pipeline.deadletters.mending import ChangedMeanwhile
from pipeline.deadletters.replays import Refused
from pipeline.deadletters.store import SeveralLetters, UnknownLetter
from pipeline.events.models import Lane
from pipeline.guard import Guard
from pipeline.guard.guard import refused
from pipeline.guard.masking import Masking
from pipeline.guard.rules import Refusal
from pipeline.mapping import dry_run
from pipeline.settings import Settings
from pipeline.status.person import read_person
from pipeline.status.reader import StatusReader
from pipeline.status.trace import trace_event
from pipeline.storage.redis_errors import describe
from pipeline.verbs import pausing
from pipeline.verbs.acts import record_act
from pipeline.verbs.letters import NotReplayed
from pipeline.verbs.people import Ask, NotAsked, explain

MAP: Final = "/api/map"
WHY: Final = "/api/why"
MAX_MAPPED: Final = 100
"""Events in one request: each costs up to some milliseconds of the process that takes events."""
_Answer = Callable[[Request], Awaitable[Response]]


class Api:
    """The operator's verbs as JSON."""

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
        self._settings = settings
        self._redis = client
        self._status = status
        self._clock = clock
        self._masking = Masking(settings)
        self._letters = LetterApi(settings, client, clock)
        self._groups = GroupApi(settings, client, clock)
        self._waiting = WaitingApi(settings, client, clock)
        self._forgetting = ForgetApi(settings, client, clock, ask)

    def app(self, guard: Guard) -> ASGIApp:
        """All routes, behind the guard."""
        letters, groups, waiting = self._letters, self._groups, self._waiting
        routes = [
            Route("/api/status", _answering(self.status)),
            Route(MAP, _answering(self.map), methods=["POST"]),
            Route("/api/dead", _answering(letters.list_letters)),
            Route("/api/dead/replay", _answering(letters.replay), methods=["POST"]),
            Route("/api/dead/fix", _answering(letters.fix), methods=["POST"]),
            Route("/api/dead/drop", _answering(letters.drop), methods=["POST"]),
            Route("/api/dead/export", _answering(letters.export)),
            Route("/api/dead/stats", _answering(groups.stats)),
            Route("/api/dead/mark", _answering(groups.mark), methods=["POST"]),
            Route("/api/dead/audit", _answering(groups.audit)),
            Route("/api/waiting", _answering(waiting.waiting)),
            Route("/api/waiting/release", _answering(waiting.release), methods=["POST"]),
            Route("/api/waiting/drop", _answering(waiting.drop), methods=["POST"]),
            Route("/api/jobs", _answering(groups.jobs)),
            Route("/api/trace/{id:path}", _answering(self.trace)),
            Route(
                "/api/users/{id:path}/forget", _answering(self._forgetting.forget), methods=["POST"]
            ),
            Route("/api/users/{id:path}", _answering(self.user)),
            Route(WHY, _answering(self.why), methods=["POST"]),
            Route("/api/jobs/{id}", _answering(self.job)),
            Route("/api/jobs/{id}/{verb}", _answering(self.change_job), methods=["POST"]),
            Route("/api/dead/{id:path}", _answering(letters.letter), methods=["GET", "PATCH"]),
            Route("/api/lanes/{lane}/pause", _answering(self.pause), methods=["POST"]),
            Route("/api/lanes/{lane}/resume", _answering(self.resume), methods=["POST"]),
        ]
        app = Starlette(routes=routes, exception_handlers=_HANDLERS)
        return guard.around(app, harmless=[MAP, WHY])

    async def status(self, request: Request) -> Response:
        """How everything stands, as `sailpipe status --json`."""
        query(request, ())
        return JSONResponse(await self._status.read())

    async def map(self, request: Request) -> Response:
        """Which calls events would become, as `sailpipe map`. Nothing is sent."""
        account = self._account(query(request, ()))
        raw = await read_body(request)
        body = parse_json(raw)
        events = [compact(one) for one in body] if isinstance(body, list) else [raw]
        if len(events) > MAX_MAPPED:
            raise bad(f"These are more than {MAX_MAPPED} events.", "too_many")
        settings, now = self._settings.account(account), self._clock.now()
        return JSONResponse({"results": [dry_run(one, settings, None, now) for one in events]})

    async def trace(self, request: Request) -> Response:
        """What happened to an event, by its messageId or order id, as `sailpipe trace --json`."""
        settings = self._settings.account(self._account(query(request, ())))
        identity = request.path_params["id"]
        found = await trace_event(self._redis, settings, identity, self._clock)
        return JSONResponse(found)

    async def user(self, request: Request) -> Response:
        """What is known of a person, by userId, anonymousId or email, as `sailpipe user --json`."""
        identity = request.path_params["id"]
        if identity.endswith("/forget"):
            raise HTTPException(405, headers={"Allow": "POST"})
        settings = self._settings.account(self._account(query(request, ())))
        found = await read_person(self._redis, settings, identity)
        return JSONResponse(self._masking.value(found))

    async def why(self, request: Request) -> Response:
        """The same, and why the person got no mail, as `sailpipe user --why`: asks Sailthru once."""
        settings = self._settings.account(self._account(query(request, ())))
        body = await read_json_object(request)
        check_names(list(body), {"id"})
        identity = body.get("id")
        if not isinstance(identity, str) or not identity:
            raise bad("Say who: `id` is a userId, anonymousId or email.")
        person = await read_person(self._redis, settings, identity)
        try:
            findings = await explain(person, self._ask)
        except NotAsked as error:
            raise BadRequest(Refusal(409, "not_asked", str(error))) from None
        why = [asdict(one) for one in findings]
        return JSONResponse({**self._masking.value(person), "why": why})

    async def job(self, request: Request) -> Response:
        """One job, as `sailpipe dead jobs --json`."""
        jobs = Jobs(self._redis, self._account(query(request, ())))
        return JSONResponse((await jobs.get(request.path_params["id"])).as_json(self._now_ms()))

    async def change_job(self, request: Request) -> Response:
        """Pause, resume or stop a job."""
        account, verb = self._account(query(request, ())), request.path_params["verb"]
        job = await change_job(Jobs(self._redis, account), request.path_params["id"], verb)
        await record_act(self._redis, account, Act(who(request), verb, f"job {job.id}", 1))
        return JSONResponse(job.as_json(self._now_ms()))

    async def pause(self, request: Request) -> Response:
        """Stop delivering in a lane, or with `account` in all; what arrives is kept."""
        account, scope = self._account(query(request, ())), _scope(request)
        body = await read_json_object(request)
        check_names(list(body), {"reason"})
        why = body.get("reason", "")
        if not isinstance(why, str) or len(why) > MAX_REASON:
            raise bad(f"reason is a text of at most {MAX_REASON} characters.")
        changed = await pausing.pause(self._redis, account, scope, who(request), why)
        if changed:
            act = Act(who(request), "pause", scope, 1, why)
            await record_act(self._redis, account, act)
        return JSONResponse({"lane": scope, "paused": True, "changed": changed})

    async def resume(self, request: Request) -> Response:
        """End a pause, and the brake."""
        account, scope = self._account(query(request, ())), _scope(request)
        ended = await pausing.resume(self._redis, account, scope)
        if ended:
            await record_act(self._redis, account, Act(who(request), "resume", scope, 1))
        return JSONResponse({"lane": scope, "ended": ended})

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1000)

    def _account(self, values: Mapping[str, str]) -> str:
        return known_account(self._settings, values)


def _answering(answer: _Answer) -> _Answer:
    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except BadRequest as error:
            return refused(error.refusal)
        except SeveralLetters:
            return refused(
                Refusal(404, "not_found", "Several dead letters have ids that begin so.")
            )
        except UnknownLetter:
            return refused(Refusal(404, "not_found", "There is no such dead letter."))
        except UnknownJob:
            return refused(Refusal(404, "not_found", "There is no such job."))
        except (NotReplayed, Refused) as error:
            return refused(Refusal(409, "not_replayed", str(error)))
        except ChangedMeanwhile as error:
            return refused(Refusal(409, "changed_meanwhile", str(error)))

    return answered


def _scope(request: Request) -> str:
    scope: str = request.path_params["lane"]
    if scope not in {*Lane, pausing.ACCOUNT_SCOPE}:
        raise not_found(f"The lanes are {', '.join(Lane)}; account means all of them.")
    return scope


async def change_job(jobs: Jobs, identity: str, verb: str) -> Job:
    """Pause, resume or stop it. Raises UnknownJob, and BadRequest for another verb."""
    match verb:
        case "pause":
            return await jobs.pause(identity)
        case "resume":
            return await jobs.resume(identity)
        case "stop":
            return await jobs.stop(identity, "by the operator")
        case _:
            raise not_found("A job can be paused, resumed and stopped.")


async def _not_served(_: Request, error: Exception) -> Response:
    """Unknown paths and wrong methods."""
    if not isinstance(error, HTTPException):
        raise error
    code = error.detail.lower().replace(" ", "_")
    response = refused(Refusal(error.status_code, code, error.detail))
    response.headers.update(error.headers or {})  # which methods there are
    return response


async def _redis_away(_: Request, error: Exception) -> Response:
    """Redis does not answer, or refuses."""
    if not isinstance(error, RedisError):
        raise error
    return refused(Refusal(503, "unavailable", describe(error, "")))


_HANDLERS: Final[Mapping[Any, Any]] = {HTTPException: _not_served, RedisError: _redis_away}
