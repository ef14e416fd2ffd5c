"""The routes of `/api`: each parses, calls one verb and answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Final
from uuid import uuid4

import redis.asyncio
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from pipeline.api.queries import (
    FILTERS,
    BadRequest,
    bad,
    check_names,
    compact,
    not_found,
    parse_json,
    query,
    read_body,
    read_cursor,
    read_filter,
    read_json_object,
    read_number,
)
from pipeline.clock import Clock
from pipeline.deadletters.audit import Act
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.jobs import Job, Jobs, UnknownJob
from pipeline.deadletters.replays import Refused, ReplayRequest
from pipeline.deadletters.store import DeadLetters, SeveralLetters, UnknownLetter
from pipeline.events.models import Lane
from pipeline.guard import Guard, operator_of
from pipeline.guard.guard import refused
from pipeline.guard.masking import Masking
from pipeline.guard.rules import Refusal
from pipeline.mapping import dry_run
from pipeline.settings import DEFAULT_ACCOUNT, Settings
from pipeline.status.person import read_person
from pipeline.status.reader import StatusReader
from pipeline.status.trace import trace_event
from pipeline.storage.redis_errors import describe
from pipeline.verbs import pausing
from pipeline.verbs.acts import record_act
from pipeline.verbs.letters import NotReplayed, choose, resend, start_job

MAP: Final = "/api/map"
MAX_MAPPED: Final = 100
"""Events in one request: each costs up to some milliseconds of the process that takes events."""
MAX_REPLAYED: Final = 1000
"""Letters that one request sends again by their ids."""
MIN_RATE: Final = 0.1
MAX_RATE: Final = 10_000.0
MAX_FIRST: Final = 10_000
_OF_JOBS: Final = ("rate", "first", "why", "token")
MAX_LISTED: Final = 500
MAX_REASON: Final = 200
_Answer = Callable[[Request], Awaitable[Response]]


class Api:
    """The operator's verbs as JSON."""

    def __init__(
        self, settings: Settings, client: redis.asyncio.Redis, status: StatusReader, clock: Clock
    ) -> None:
        self._settings = settings
        self._redis = client
        self._status = status
        self._clock = clock
        self._masking = Masking(settings)

    def app(self, guard: Guard) -> ASGIApp:
        """All routes, behind the guard."""
        routes = [
            Route("/api/status", _answering(self.status)),
            Route(MAP, _answering(self.map), methods=["POST"]),
            Route("/api/dead", _answering(self.list_letters)),
            Route("/api/dead/replay", _answering(self.replay), methods=["POST"]),
            Route("/api/trace/{id:path}", _answering(self.trace)),
            Route("/api/users/{id:path}", _answering(self.user)),
            Route("/api/jobs/{id}", _answering(self.job)),
            Route("/api/jobs/{id}/{verb}", _answering(self.change_job), methods=["POST"]),
            Route("/api/dead/{id:path}", _answering(self.letter)),
            Route("/api/lanes/{lane}/pause", _answering(self.pause), methods=["POST"]),
            Route("/api/lanes/{lane}/resume", _answering(self.resume), methods=["POST"]),
        ]
        app = Starlette(routes=routes, exception_handlers=_HANDLERS)
        return guard.around(app, harmless=[MAP])

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

    async def list_letters(self, request: Request) -> Response:
        """Dead letters, newest first, as `sailpipe dead list --json`."""
        values = query(request, {*FILTERS, "limit", "cursor"})
        letters = DeadLetters(self._redis, self._account(values))
        limit = read_number(values, "limit", 50, MAX_LISTED)
        found = await letters.page(self._filter(values), limit=limit, after=read_cursor(values))
        rows = [letter.as_row() for letter in found.letters]
        return JSONResponse({"letters": rows, "next": found.after and str(found.after)})

    async def letter(self, request: Request) -> Response:
        """One dead letter, as `sailpipe dead show --json`."""
        letters = DeadLetters(self._redis, self._account(query(request, ())))
        letter = await letters.get(await letters.id_of(request.path_params["id"]))
        return JSONResponse(self._masking.letter(letter.as_json()))

    async def replay(self, request: Request) -> Response:
        """Send letters again: those of `ids` at once, or as a job all that a filter means, whose number was shown."""
        account = self._account(query(request, ()))
        body = await read_json_object(request)
        check_names(list(body), {"ids", "filter", "count", "overtaken", "dry_run", *_OF_JOBS})
        ids, wanted, shown = self._meant(body)
        overtaken, letters = body.get("overtaken") is True, DeadLetters(self._redis, account)
        if body.get("dry_run"):
            chosen = await choose(letters, ids, wanted)
            return JSONResponse({"letters": len(chosen.ids), "overtaken": len(chosen.overtaken)})
        if not ids:
            asked = _job(body, wanted, shown, who(request), overtaken=overtaken)
            job = await start_job(self._redis, self._settings, account, asked)
            return JSONResponse({"job": job.as_json(self._now_ms())})
        chosen = await choose(letters, ids, wanted)
        done = await resend(self._redis, self._settings, account, chosen, overtaken=overtaken)
        act = Act(who(request), "replay", f"{len(ids)} by id", done.replayed)
        await record_act(self._redis, account, act)
        return JSONResponse(asdict(done))

    async def trace(self, request: Request) -> Response:
        """What happened to an event, by its messageId or order id, as `sailpipe trace --json`."""
        settings = self._settings.account(self._account(query(request, ())))
        identity = request.path_params["id"]
        found = await trace_event(self._redis, settings, identity, self._clock)
        return JSONResponse(found)

    async def user(self, request: Request) -> Response:
        """What is known of a person, by userId, anonymousId or email, as `sailpipe user --json`."""
        settings = self._settings.account(self._account(query(request, ())))
        found = await read_person(self._redis, settings, request.path_params["id"])
        return JSONResponse(self._masking.value(found))

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
        changed = await pausing.pause(self._redis, account, scope, why)
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
        name = values.get("account", DEFAULT_ACCOUNT)
        if name not in self._settings.accounts:
            raise not_found("There is no such account.")
        return name

    def _filter(self, values: Mapping[str, Any]) -> Filter:
        asked = {name: value for name, value in values.items() if name in FILTERS}
        return read_filter(asked, self._clock.now())

    def _meant(self, body: Mapping[str, Any]) -> tuple[list[str], Filter, int]:
        ids, asked, shown = body.get("ids"), body.get("filter"), body.get("count")
        if isinstance(ids, list) and ids and asked is None:
            if not all(isinstance(one, str) for one in ids) or len(ids) > MAX_REPLAYED:
                raise bad(f"ids are at most {MAX_REPLAYED} texts.")
            return ids, Filter(), 0
        if ids is not None or not isinstance(asked, dict):
            raise bad("Say which letters: `ids`, or `filter` and `count`.")
        check_names(list(asked), FILTERS)
        wanted = self._filter(asked)
        if wanted == Filter():
            raise bad("A filter that is empty means everything, and is refused.")
        if type(shown) is not int or shown < 1:
            raise bad("count is how many letters were shown for this filter.")
        return [], wanted, shown


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

    return answered


def _scope(request: Request) -> str:
    scope: str = request.path_params["lane"]
    if scope not in {*Lane, pausing.ACCOUNT_SCOPE}:
        raise not_found(f"The lanes are {', '.join(Lane)}; account means all of them.")
    return scope


def who(request: Request) -> str:
    """Who asks, for the audit trail."""
    operator = operator_of(request.scope)
    return operator.who if operator else ""


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


def _job(
    body: Mapping[str, Any], wanted: Filter, shown: int, by: str, *, overtaken: bool
) -> ReplayRequest:
    rate, first, why = body.get("rate"), body.get("first", 0), body.get("why", "")
    if rate is not None and (type(rate) not in (int, float) or not MIN_RATE <= rate <= MAX_RATE):
        raise bad(f"rate is letters a second, from {MIN_RATE:g} to {MAX_RATE:g}.")
    if type(first) is not int or not 0 <= first <= MAX_FIRST:
        raise bad(f"first is a whole number up to {MAX_FIRST}.")
    if not isinstance(why, str) or len(why) > MAX_REASON:
        raise bad(f"why is a text of at most {MAX_REASON} characters.")
    token = body.get("token", uuid4().hex)
    if not isinstance(token, str):
        raise bad("token is a text.")
    return ReplayRequest(
        wanted, shown, token, by, why=why, rate=rate, first=first, overtaken=overtaken
    )


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
