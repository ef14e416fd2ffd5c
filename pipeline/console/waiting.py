"""The pages of what waits: by cause, with the next try and the end of the wait; tried now, or discarded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.queries import bad, who
from pipeline.api.waiting import WANTED, read_wanted
from pipeline.console import views
from pipeline.console.letters import MUST_TYPE, shown_count
from pipeline.console.pages import Done, Form, Pages
from pipeline.deadletters.replays import Refused
from pipeline.events.models import Lane
from pipeline.settings import AccountSettings
from pipeline.status.let_go import DROPPED, RELEASED
from pipeline.status.mailboxes import AT_THE_END, CAUSES
from pipeline.status.waiting import Box
from pipeline.verbs.waiting import (
    NotMeant,
    Wanted,
    check_drop,
    check_release,
    doomed_of,
    drop_waiting,
    find_waiting,
    release_waiting,
)
from pipeline.words import TERMS, console_words

HOME: Final = "/console/waiting"
Check: TypeAlias = Callable[[str | None], None]


class WaitingPages:
    """What waits, and what can be done about it."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def waiting(self, request: Request) -> Response:
        """What waits, by kind and cause; of one cause the people, too."""
        account, now = self._pages.account(request), self._pages.clock.now()
        asked = _asked(request.query_params)
        wanted, settings = read_wanted(asked), self._pages.settings.account(account)
        found = await find_waiting(self._pages.redis, settings, wanted)
        status = await self._pages.status.read()
        counts, lanes = (status["accounts"][account][name] for name in ("counts", "lanes"))
        boxes = found.longest() if asked else []
        return self._pages.render(
            request,
            "waiting",
            title="Waiting",
            rows=[_row(one, now) for one in found.rows()],
            people=[_person(box, now) for box in boxes],
            count=len(found.boxes),
            asked=asked,
            lanes=list(Lane),
            causes={name: console_words(text) for name, text in CAUSES.items()},
            complete=found.complete,
            unsorted=max(0, counts["waiting"] - sum(one["backlog"] for one in lanes.values())),
        )

    async def ask_release(self, request: Request) -> Response:
        """How much would be tried now."""
        wanted = read_wanted(_asked(request.query_params))
        _check(check_release, wanted)
        return await self._confirm(request, "release", "Try now", wanted)

    async def ask_drop(self, request: Request) -> Response:
        """How much would be discarded."""
        wanted = read_wanted(_asked(request.query_params))
        _check(check_drop, wanted)
        return await self._confirm(request, "drop", "Discard", wanted)

    async def release(self, request: Request, form: Form) -> Done:
        """Let it be tried now."""
        wanted, settings = self._meant(form, check_release)
        act = await release_waiting(self._pages.redis, settings, wanted, who(request))
        notice = f"Tried now: what waits of {act.count} {'person' if act.count == 1 else 'people'}."
        why = form.why
        return Done(act.verb, act.count, HOME, notice, act.what, why)

    async def drop(self, request: Request, form: Form) -> Done:
        """Delete what was shown, for good."""
        wanted, settings = self._meant(form, check_drop)
        shown, why = shown_count(form), form.why
        try:
            act = await drop_waiting(
                self._pages.redis, settings, wanted, shown, who(request), self._pages.clock, why
            )
        except Refused as error:
            raise bad(str(error), "not_discarded") from None
        return Done(act.verb, act.count, HOME, f"{act.count} discarded.", act.what, why)

    async def _confirm(self, request: Request, verb: str, title: str, wanted: Wanted) -> Response:
        account = self._pages.account(request)
        settings = self._pages.settings.account(account)
        found = await find_waiting(self._pages.redis, settings, wanted)
        events = doomed_of(found) if verb == "drop" else sum(box.events for box in found.boxes)
        return self._pages.render(
            request,
            "waiting_confirm",
            title=title,
            verb=verb,
            asked=_asked(request.query_params),
            words=_words(wanted),
            people=len(found.boxes),
            events=events,
            must_type=MUST_TYPE,
        )

    def _meant(self, form: Form, check: Check) -> tuple[Wanted, AccountSettings]:
        wanted = read_wanted(_asked(form.values))
        _check(check, wanted)
        return wanted, self._pages.settings.account(form.account)


def _asked(values: Mapping[str, str]) -> dict[str, str]:
    return {name: values[name].strip() for name in WANTED if values.get(name, "").strip()}


def _check(check: Check, wanted: Wanted) -> None:
    try:
        check(wanted.cause)
    except NotMeant as error:
        raise bad(str(error)) from None


def _words(wanted: Wanted) -> str:
    kind = f"{TERMS[wanted.lane]}, " if wanted.lane else ""
    of = f", of {wanted.user}" if wanted.user else ""
    return f"{kind}waiting for {console_words(CAUSES[wanted.cause or ''])}{of}"


def _row(row: Mapping[str, Any], now: float) -> dict[str, Any]:
    cause = row["waits_for"]
    return {
        "lane": row["lane"],
        "kind": TERMS[row["lane"]],
        "cause": cause,
        "for": console_words(CAUSES[cause]),
        "events": row["events"],
        "people": row["people"],
        "oldest": views.time_tag(_ms(row["oldest"]), now),
        "next_try": _moment(row["next_try"], now),
        "first_ends": _moment(row["first_ends"], now),
        "last_ends": _moment(row["last_ends"], now),
        "at_the_end": AT_THE_END.get(cause),
        "can_release": cause in RELEASED,
        "can_drop": cause in DROPPED,
    }


def _person(box: Box, now: float) -> dict[str, Any]:
    return {
        "user": box.user,
        "kind": TERMS[box.lane],
        "for": console_words(CAUSES[box.why]),
        "cause": box.why,
        "events": box.events,
        "since": views.time_tag(box.accepted, now),
        "next_try": None if box.due is None else views.moment_tag(box.due / 1000, now),
        "ends": None if box.ends is None else views.moment_tag(box.ends / 1000, now),
        "at_the_end": AT_THE_END.get(box.why),
    }


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def _moment(text: str | None, now: float) -> Any:
    return None if text is None else views.moment_tag(_ms(text) / 1000, now)
