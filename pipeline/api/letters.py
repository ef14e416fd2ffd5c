"""The routes of `/api/dead`: letters as they are found, changed, sent again and taken away as lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Any, Final
from uuid import uuid4

import redis.asyncio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from pipeline.api.mended import fixed_json, mended_json
from pipeline.api.queries import (
    FILTERS,
    BadRequest,
    bad,
    check_names,
    known_account,
    query,
    read_cursor,
    read_filter,
    read_flag,
    read_json_object,
    read_number,
    read_why,
    who,
)
from pipeline.clock import Clock
from pipeline.deadletters.audit import Act
from pipeline.deadletters.edits import BadChange, Change, describe
from pipeline.deadletters.export import export_line
from pipeline.deadletters.filters import Filter, Selection
from pipeline.deadletters.mending import Mending, mend, preview
from pipeline.deadletters.replays import Refused, ReplayRequest, check_growth
from pipeline.deadletters.store import DeadLetters
from pipeline.guard import operator_of
from pipeline.guard.masking import Masking
from pipeline.guard.rules import Refusal
from pipeline.settings import Settings
from pipeline.verbs.acts import record_act
from pipeline.verbs.fixing import fix_shown, read_rules, sample_fix
from pipeline.verbs.letters import choose, resend, start_job

MAX_REPLAYED: Final = 1000
"""Letters that one request sends again by their ids."""
MIN_RATE: Final = 0.1
MAX_RATE: Final = 10_000.0
MAX_FIRST: Final = 10_000
_OF_JOBS: Final = ("rate", "first", "why", "token")
MAX_LISTED: Final = 500
NDJSON: Final = "application/x-ndjson"
MAX_CHANGES: Final = 50
CHANGES: Final = ("set", "unset", "rename", "cast")


class LetterApi:
    """Dead letters of all accounts."""

    def __init__(self, settings: Settings, client: redis.asyncio.Redis, clock: Clock) -> None:
        self._settings = settings
        self._redis = client
        self._clock = clock
        self._masking = Masking(settings)

    async def list_letters(self, request: Request) -> Response:
        """Dead letters, newest first, as `sailpipe dead list --json`."""
        values = query(request, {*FILTERS, "limit", "cursor"})
        letters = DeadLetters(self._redis, self._account(values))
        limit = read_number(values, "limit", 50, MAX_LISTED)
        found = await letters.page(self._filter(values), limit=limit, after=read_cursor(values))
        rows = [letter.as_row() for letter in found.letters]
        return JSONResponse({"letters": rows, "next": found.after and str(found.after)})

    async def letter(self, request: Request) -> Response:
        """One dead letter, as `sailpipe dead show --json`; or an edit of it."""
        if request.method == "PATCH":
            return await self._edit(request)
        letters = DeadLetters(self._redis, self._account(query(request, ())))
        letter = await letters.get(await letters.id_of(request.path_params["id"]))
        return JSONResponse(self._masking.letter(letter.as_json()))

    async def replay(self, request: Request) -> Response:
        """Send letters again: those of `ids` at once, or as a job all that a filter means, whose number was shown."""
        account = self._account(query(request, ()))
        body = await read_json_object(request)
        check_names(list(body), {"ids", "filter", "count", "overtaken", "dry_run", *_OF_JOBS})
        ids, wanted, shown = self._meant(body)
        overtaken, letters = read_flag(body, "overtaken"), DeadLetters(self._redis, account)
        if read_flag(body, "dry_run"):
            chosen = await choose(letters, ids, wanted)
            return JSONResponse(
                {
                    "letters": len(chosen.ids),
                    "overtaken": len(chosen.overtaken),
                    "older_than_a_day": chosen.older,
                    "may_start_emails": chosen.emailing,
                    "people": chosen.people,
                }
            )
        if not ids:
            asked = _job(body, wanted, shown, who(request), overtaken=overtaken)
            job = await start_job(self._redis, self._settings, account, asked)
            return JSONResponse({"job": job.as_json(self._now_ms())})
        chosen = await choose(letters, ids, wanted)
        done = await resend(self._redis, self._settings, account, chosen, overtaken=overtaken)
        act = Act(who(request), "replay", f"{len(ids)} by id", done.replayed)
        await record_act(self._redis, account, act)
        return JSONResponse(asdict(done))

    async def fix(self, request: Request) -> Response:
        """Make the same changes in the letters of `ids`, or in all that a filter means, whose number was shown."""
        account = self._account(query(request, ()))
        body = await read_json_object(request)
        check_names(list(body), {"ids", "filter", "count", "dry_run", "why", *CHANGES})
        ids, wanted, shown = self._meant(body)
        changes, why = _changes(body), read_why(body)
        if not changes:
            raise bad("Say what to change: set, unset, rename or cast.")
        letters, settings = DeadLetters(self._redis, account), self._settings.account(account)
        chosen = await choose(letters, ids, wanted)
        if read_flag(body, "dry_run"):
            found = await sample_fix(letters, chosen, changes, settings, self._clock.now())
            samples = [mended_json(one, self._masking) for one in found.samples]
            return JSONResponse(
                {"letters": len(chosen.ids), **fixed_json(found), "samples": samples}
            )
        most = len(ids) if ids else shown
        try:
            done = await fix_shown(self._redis, chosen, most, changes, settings, self._clock.now())
        except Refused as error:
            raise BadRequest(Refusal(409, "not_fixed", str(error))) from None
        what = f"{len(ids)} by id" if ids else wanted.in_words()
        act = Act(who(request), "fix", f"{what}: {describe(changes)}", done.changed, why)
        await record_act(self._redis, account, act)
        return JSONResponse(fixed_json(done))

    async def _edit(self, request: Request) -> Response:
        """Change one letter's event: by fields, or as a whole with `event`."""
        account = self._account(query(request, ()))
        body = await read_json_object(request)
        check_names(list(body), {"event", "dry_run", "why", *CHANGES})
        changes, whole, why = _changes(body), body.get("event"), read_why(body)
        if (whole is None) != bool(changes) or not isinstance(whole, (dict, type(None))):
            raise bad("Say what to change: set, unset, rename and cast, or `event`, a whole one.")
        letters, settings = DeadLetters(self._redis, account), self._settings.account(account)
        letter = await letters.get(await letters.id_of(request.path_params["id"]))
        now = self._clock.now()
        try:
            mended = (
                mend(letter, changes, settings, now)
                if whole is None
                else preview(letter, whole, settings, now)
            )
            if mended.is_changed and not read_flag(body, "dry_run"):
                await Mending(self._redis, account).write(mended)
        except BadChange as error:
            raise bad(str(error), "not_edited") from None
        if mended.is_changed and not read_flag(body, "dry_run"):
            what = f"letter {letter.id}: {describe(changes) or 'as a whole'}"
            await record_act(self._redis, account, Act(who(request), "edit", what, 1, why))
        return JSONResponse({"changed": mended.is_changed, **mended_json(mended, self._masking)})

    async def drop(self, request: Request) -> Response:
        """Delete the letters of `ids`, or all that a filter means, whose number was shown; with `dry_run` count them."""
        account = self._account(query(request, ()))
        body = await read_json_object(request)
        check_names(list(body), {"ids", "filter", "count", "dry_run", "why"})
        (ids, wanted, shown), why = self._meant(body), read_why(body)
        letters = DeadLetters(self._redis, account)
        chosen = await choose(letters, ids, wanted)
        if read_flag(body, "dry_run"):
            return JSONResponse({"letters": len(chosen.ids)})
        try:
            check_growth(len(ids) if ids else shown, len(chosen.ids))
        except Refused as error:
            raise BadRequest(Refusal(409, "not_dropped", str(error))) from None
        dropped = await letters.drop(chosen.ids)
        what = f"{len(ids)} by id" if ids else wanted.in_words()
        await record_act(self._redis, account, Act(who(request), "drop", what, dropped, why))
        return JSONResponse({"dropped": dropped, "gone": len(chosen.ids) - dropped})

    async def export(self, request: Request) -> Response:
        """Letters as lines that can be enqueued again, oldest first, as `sailpipe dead export`."""
        values = query(request, FILTERS)
        letters = DeadLetters(self._redis, self._account(values))
        chosen = await letters.select(self._filter(values))
        return export_letters(request, self._settings, letters, chosen)

    def _account(self, values: Mapping[str, str]) -> str:
        return known_account(self._settings, values)

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1000)

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


def export_letters(
    request: Request, settings: Settings, letters: DeadLetters, chosen: Selection
) -> Response:
    """The lines of these letters; what can only be replayed here is left out.

    A line is what will be sent: fields of REDACT stand in it, so that it takes who may change letters. Raises BadRequest.
    """
    operator = operator_of(request.scope)
    if settings.redact and not (operator and operator.may_change):
        raise BadRequest(
            Refusal(
                403,
                "redacted",
                "An export holds what REDACT masks: it takes a log-in that may change letters.",
            )
        )
    headers = {"Content-Disposition": 'attachment; filename="dead-letters.jsonl"'}
    return StreamingResponse(_lines(letters, chosen.ids), headers=headers, media_type=NDJSON)


async def _lines(letters: DeadLetters, ids: tuple[str, ...]) -> AsyncIterator[bytes]:
    async for letter in letters.read(ids):
        line = export_line(letter)
        if line is not None:
            yield line + b"\n"


def _changes(body: Mapping[str, Any]) -> list[Change]:
    sets, unsets, renames, casts = (
        body.get(name, [] if name == "unset" else {}) for name in CHANGES
    )
    maps = sets, renames, casts
    if not all(isinstance(one, dict) for one in maps):
        raise bad("set, rename and cast are objects: path to value, new path, or kind.")
    texts = [*renames.values(), *casts.values()]
    if not isinstance(unsets, list) or not all(isinstance(one, str) for one in (*unsets, *texts)):
        raise bad("unset is a list of paths; what rename and cast say is text.")
    if len(unsets) + sum(map(len, maps)) > MAX_CHANGES:
        raise bad(f"These are more than {MAX_CHANGES} changes.")
    try:
        return read_rules(renames, sets, casts, unsets)
    except BadChange as error:
        raise bad(str(error), "bad_change") from None


def _job(
    body: Mapping[str, Any], wanted: Filter, shown: int, by: str, *, overtaken: bool
) -> ReplayRequest:
    rate, first, why = body.get("rate"), body.get("first", 0), read_why(body)
    if rate is not None and (type(rate) not in (int, float) or not MIN_RATE <= rate <= MAX_RATE):
        raise bad(f"rate is letters a second, from {MIN_RATE:g} to {MAX_RATE:g}.")
    if type(first) is not int or not 0 <= first <= MAX_FIRST:
        raise bad(f"first is a whole number up to {MAX_FIRST}.")
    token = body.get("token", uuid4().hex)
    if not isinstance(token, str):
        raise bad("token is a text.")
    return ReplayRequest(
        wanted, shown, token, by, why=why, rate=rate, first=first, overtaken=overtaken
    )
