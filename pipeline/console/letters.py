"""The pages of what was not delivered: letters, one letter, sending again and discarding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.letters import MAX_RATE, MIN_RATE
from pipeline.api.queries import FILTERS, bad, not_found, parse_json, read_cursor, read_filter, who
from pipeline.console import tries, views
from pipeline.console.pace import done_at, most_a_second
from pipeline.console.pages import Done, Form, Pages
from pipeline.deadletters.filters import Filter, Selection
from pipeline.deadletters.letter import Letter
from pipeline.deadletters.replays import Refused, ReplayRequest, check_growth
from pipeline.deadletters.store import DeadLetters, SeveralLetters, UnknownLetter
from pipeline.deadletters.views import SavedViews
from pipeline.events.models import Lane
from pipeline.guard.rules import Refusal
from pipeline.mapping import dry_run
from pipeline.trace.log import TraceLog
from pipeline.trace.names import message_name
from pipeline.trace.records import Fate, Record
from pipeline.verbs.letters import NotReplayed, Resent, choose, resend, start_job
from pipeline.words import REASONS

PAGE_SIZE: Final = 50
SAMPLES: Final = 3
FIRST: Final = 10
"""Letters that are sent before a person is asked again."""
CLOCKS_MS: Final = 3_600_000
"""Clocks may differ by so much: of a letter's past the log is read from an hour before it came."""
MAX_BACK: Final = 20
"""Pages before this one that an address remembers."""
MAX_PICKED: Final = 100
"""Letters that are named one by one."""
MUST_TYPE: Final = 1_000
"""Of more letters a person types the number before they are sent, fixed or discarded."""


class LetterPages:
    """What was not delivered, and what can be done about it."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def list_letters(self, request: Request) -> Response:
        """Letters that match the filters in the address, newest first."""
        asked = asked_filters(request.query_params)
        saved = await SavedViews(self._pages.redis, self._pages.account(request)).all()
        return self._pages.render(
            request,
            "letters",
            title="Not delivered",
            reasons=REASONS,
            lanes=list(Lane),
            saved=views.shown_views(saved, asked),
            **await self.listed(request, asked),
        )

    async def letter(self, request: Request) -> Response:
        """One letter, and what would be sent today."""
        account = self._pages.account(request)
        try:
            letter = await self._pages.letters(account).get(request.path_params["id"])
        except UnknownLetter:
            return self._pages.refused(
                request,
                Refusal(
                    404, "not_found", "There is no such letter: it was sent again or discarded."
                ),
            )
        now, masking = self._pages.clock.now(), self._pages.masking
        today = dry_run(letter.raw, self._pages.settings.account(account), None, now)
        shown, calls = views.letter_page(letter, masking, now), masking.value(today["calls"])
        return self._pages.render(
            request,
            "letter",
            title=shown["title"],
            letter=shown,
            today=today,
            calls=tries.shown_calls(calls),
            then=tries.shown_calls(shown["sent"]),
            differs=tries.against_then(letter.header.calls, today["calls"], masking),
            answer=tries.answer(letter),
            timeline=tries.timeline(letter, await self._waits(account, letter), now),
        )

    async def confirm(self, request: Request) -> Response:
        """What would be sent again or discarded: the filter in words, how many, samples, what to know before."""
        account, verb = self._pages.account(request), request.url.path.rpartition("/")[2]
        ids = [one for one in request.query_params.getlist("id") if one]
        asked = asked_filters(request.query_params)
        chosen, wanted = await self._chosen(account, ids, asked)
        letters = self._pages.letters(account)
        now = self._pages.clock.now()
        samples = [one async for one in letters.read(chosen.ids[:SAMPLES])]
        top = 1
        if verb == "resend":
            top = most_a_second(chosen.lanes, await self._limits(account))
        return self._pages.render(
            request,
            "confirm",
            title="Send again" if verb == "resend" else "Discard",
            verb=verb,
            ids=ids,
            asked=asked,
            words=_picked_words(ids) if ids else wanted.in_words(),
            people=chosen.people,
            must_type=MUST_TYPE,
            count=len(chosen.ids),
            overtaken=len(chosen.overtaken),
            older=chosen.older,
            oldest=views.time_tag(chosen.first_seen, now) if chosen.first_seen else None,
            top=top,
            ends_at=views.moment_tag(done_at(len(chosen.ids), top, now), now),
            emailing=chosen.emailing,
            token=uuid4().hex,
            samples=[views.letter_row(one, self._pages.masking, now) for one in samples],
        )

    async def resend(self, request: Request, form: Form) -> Done:
        """Send again what was shown: one letter at once, what a filter means as a job."""
        overtaken, account = "overtaken" in form.values, form.account
        try:
            if {"id", "ids"} & form.values.keys():
                chosen, what = await self._picked(form)
                done = await resend(
                    self._pages.redis, self._pages.settings, account, chosen, overtaken=overtaken
                )
                return replace(_resent(what, done), why=form.why)
            asked = self._asked(form, who(request), overtaken=overtaken)
            job = await start_job(self._pages.redis, self._pages.settings, account, asked)
        except (NotReplayed, Refused) as error:
            raise bad(str(error), "not_replayed") from None
        path = f"/console/resends/{quote(job.id, safe='')}"
        return Done("replay", job.total, path, is_written=True)

    async def discard(self, _: Request, form: Form) -> Done:
        """Delete what was shown, for good."""
        why = form.why
        if {"id", "ids"} & form.values.keys():
            chosen, what = await self._picked(form)
        else:
            wanted = self._wanted(form)
            chosen, what = await self._pages.letters(form.account).select(wanted), wanted.in_words()
            try:
                check_growth(shown_count(form), len(chosen.ids))
            except Refused as error:
                raise bad(str(error), "not_discarded") from None
        done = await self._pages.letters(form.account).drop(chosen.ids)
        return Done("drop", done, "/console/dead", f"{done} discarded.", what, why)

    async def _picked(self, form: Form) -> tuple[Selection, str]:
        """The letters that were picked one by one, and what they are called in the audit trail."""
        if asked_filters(form.values):
            raise bad("Say which letters: some, or those of a filter.")
        ids = _ids(form)
        chosen, _ = await self._chosen(form.account, ids, {})
        return chosen, ids[0] if len(ids) == 1 else f"{len(ids)} by id"

    def _wanted(self, form: Form) -> Filter:
        wanted = read_filter(asked_filters(form.values), self._pages.clock.now())
        if wanted == Filter():
            raise bad("Say which letters. A filter that is empty is refused.")
        return wanted

    def _asked(self, form: Form, by: str, *, overtaken: bool) -> ReplayRequest:
        return ReplayRequest(
            self._wanted(form),
            shown_count(form),
            form.values.get("token", ""),
            by,
            why=form.why,
            rate=_rate(form.values),
            first=FIRST if "first" in form.values else 0,
            overtaken=overtaken,
        )

    async def _chosen(
        self, account: str, ids: list[str], asked: Mapping[str, str]
    ) -> tuple[Selection, Filter]:
        wanted = read_filter(asked, self._pages.clock.now())
        if bool(ids) == (wanted != Filter()) or len(ids) > MAX_PICKED:
            raise bad(
                f"Say which letters: up to {MAX_PICKED}, or those of a filter. A filter that is empty is refused."
            )
        try:
            return await choose(self._pages.letters(account), ids, wanted), wanted
        except (UnknownLetter, SeveralLetters):
            raise not_found("There is no such letter: it was sent again or discarded.") from None

    async def _limits(self, account: str) -> dict[str, float]:
        """Calls a second that each lane may make."""
        lanes = (await self._pages.status.read())["accounts"][account]["lanes"]
        return {name: one["limit"] for name, one in lanes.items()}

    async def _waits(self, account: str, letter: Letter) -> list[Record]:
        """What the log of outcomes has of a letter: where it waited, among others."""
        if not letter.header.lane or self._pages.settings.account(account).trace_keep is None:
            return []
        part = Record(letter.id, Fate.WAITS, lane=letter.header.lane).part
        log, since = TraceLog(self._pages.redis, account), letter.header.first_seen_ms - CLOCKS_MS
        return await log.find([message_name(letter.id)], parts=[part], since_ms=since)

    async def listed(self, request: Request, asked: Mapping[str, str]) -> dict[str, Any]:
        """A page of the letters that these filters mean, for list.html."""
        account, now = self._pages.account(request), self._pages.clock.now()
        wanted = read_filter(asked, now)
        cursor = read_cursor({k: v for k, v in request.query_params.items() if k == "cursor" and v})
        letters = self._pages.letters(account)
        found = await letters.page(wanted, limit=PAGE_SIZE, after=cursor)
        count, is_all = await letters.count_within(wanted)
        trail = read_trail(request.query_params.get("back", "")) if cursor else []
        rows = await self._with_events(letters, found.letters)
        return {
            "rows": [views.letter_row(one, self._pages.masking, now) for one in rows],
            "asked": asked,
            "words": wanted.in_words(),
            "is_filtered": wanted != Filter(),
            "count": count if is_all else max(count, len(rows)),
            "is_least": not is_all,
            "next": str(found.after) if found.after else "",
            "trail": [*trail, str(cursor or "")][-MAX_BACK:],
            "newer": trail[-1:],
            "newer_trail": trail[:-1],
            "is_first": cursor is None,
        }

    async def _with_events(self, letters: DeadLetters, found: Sequence[Letter]) -> list[Letter]:
        """The same letters; orders with their events, which lists are read without: their numbers stand there."""
        orders = [one.id for one in found if one.header.lane == Lane.PURCHASE and not one.raw]
        raws = {one.id: one.raw async for one in letters.read(orders)}
        return [replace(one, raw=raws.get(one.id, one.raw)) for one in found]


def read_trail(text: str) -> list[str]:
    """Where the pages before this one began, the first one first ('' for the newest letters). Raises BadRequest."""
    found = parse_json(text.encode("utf-8", "replace")) if text else []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise bad("back says where the pages before began.")
    return found[-MAX_BACK:]


def asked_filters(values: Mapping[str, str]) -> dict[str, str]:
    """The filters that a page or form is about, without those that ask nothing."""
    return {name: values[name].strip() for name in FILTERS if values.get(name, "").strip()}


def shown_count(form: Form) -> int:
    """How many letters a person saw; of more than MUST_TYPE the number was typed, too. Raises BadRequest."""
    text = form.values.get("count", "")
    if not text.isascii() or not text.isdecimal():
        raise bad("The form does not say how many letters were shown.")
    count = int(text[:9])
    typed = "".join(char for char in form.values.get("typed", "") if char.isdigit())
    if count > MUST_TYPE and typed != str(count):
        raise bad(f"These are {count:,}: type the number to go on.", "not_typed")
    return count


def _ids(form: Form) -> list[str]:
    """The letters of a form: one as `id`, several as a JSON list. Raises BadRequest."""
    if "ids" not in form.values:
        return [form.values["id"]] if form.values["id"] else []
    found = parse_json(form.values["ids"].encode())
    if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
        raise bad("The form does not say which letters.")
    return found


def _picked_words(ids: list[str]) -> str:
    return f"the letter {ids[0]}" if len(ids) == 1 else f"{len(ids)} letters"


def _rate(values: Mapping[str, str]) -> float | None:
    """Letters a second; None for as fast as the limits let, which the right end of the slider (`top`) means."""
    text = values.get("rate", "").strip()
    if not text or text == values.get("top"):
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not MIN_RATE <= rate <= MAX_RATE:
        raise bad(f"The rate is a number of letters a second, from {MIN_RATE:g} to {MAX_RATE:g}.")
    return rate


def _resent(what: str, done: Resent) -> Done:
    if done.overtaken:
        notice = "Something newer was already sent. Tick the box to send it all the same."
        notice = (
            f"{done.replayed} sent again, {done.overtaken} not: {notice}"
            if done.replayed
            else f"Not sent: {notice}"
        )
    elif done.replayed + done.gone > 1:
        notice = f"{done.replayed} sent again." + (
            f" {done.gone} gone already." if done.gone else ""
        )
    else:
        notice = "Sent again." if done.replayed else "It was gone already."
    return Done("replay", done.replayed, "/console/dead", notice, what=what)
