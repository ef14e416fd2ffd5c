"""The pages of people and of events: one search box, one person, one event, and why a person got no mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.api.queries import bad
from pipeline.console import tales, views
from pipeline.console.pages import Pages, link, segment
from pipeline.settings import DEFAULT_ACCOUNT
from pipeline.status.person import OUTCOMES, Finding, read_person
from pipeline.status.trace import trace_event
from pipeline.verbs.finding import Found, find
from pipeline.verbs.people import Ask, NotAsked, explain

MAX_TEXT: Final = 512
"""Characters that are looked for: an event's ids are shorter."""


class PeoplePages:
    """Who a person is to sailpipe, and what became of an event."""

    def __init__(self, pages: Pages, ask: Ask) -> None:
        self._pages = pages
        self._ask = ask

    async def search(self, request: Request) -> Response:
        """One box. What it says about one thing only leads to that."""
        account, text = self._pages.account(request), request.query_params.get("q", "").strip()
        found: Found | None = None
        if text:
            settings = self._pages.settings.account(account)
            found = await find(self._pages.redis, settings, _checked(text), self._pages.clock)
            if path := _only(found):
                query = views.filter_query(
                    {"account": "" if account == DEFAULT_ACCOUNT else account}
                )
                return RedirectResponse(f"{path}?{query}".rstrip("?"), 303)
        return self._pages.render(
            request,
            "people",
            title="People and events",
            text=text,
            found=found,
            since=found and found.since and tales.moment(found.since, self._pages.clock.now()),
        )

    async def person(self, request: Request) -> Response:
        """One person: what waits, what became of their events, email and cart."""
        return await self._person(request, request.path_params["user"], None, "")

    async def why(self, request: Request) -> Response:
        """The same, with what stands between the person and a mail; asks Sailthru once."""
        account = self._pages.account(request)
        form = await self._pages.form(request)
        user = form.values.get("user", "")
        if not user:
            raise bad("Say who.")
        settings = self._pages.settings.account(account)
        person = await read_person(self._pages.redis, settings, _checked(user))
        try:
            return await self._person(request, user, await explain(person, self._ask), "")
        except NotAsked as error:
            return await self._person(request, user, None, str(error))

    async def event(self, request: Request) -> Response:
        """What happened to one event, from its arrival on."""
        account, now = self._pages.account(request), self._pages.clock.now()
        settings, identity = self._pages.settings.account(account), request.path_params["id"]
        found = await trace_event(
            self._pages.redis, settings, _checked(identity), self._pages.clock
        )
        return self._pages.render(
            request,
            "event",
            status=200 if found["seen"] else 404,
            title=tales.event_title(found),
            identity=identity,
            events=[tales.event_tale(one, now) for one in found["events"]],
            complete=found["complete"],
            since=tales.since(found["log"], now),
        )

    async def _person(
        self, request: Request, identity: str, findings: Sequence[Finding] | None, wrong: str
    ) -> Response:
        account, now = self._pages.account(request), self._pages.clock.now()
        settings = self._pages.settings.account(account)
        person: Mapping[str, Any] = await read_person(
            self._pages.redis, settings, _checked(identity)
        )
        return self._pages.render(
            request,
            "person",
            status=200 if person["known"] or findings is not None or wrong else 404,
            title=person["user"],
            address=link(request, account, f"/console/people/{segment(person['user'])}"),
            person=tales.person_tale(person, self._pages.masking, now),
            findings=None if findings is None else [tales.finding(one) for one in findings],
            wrong=wrong,
            most=OUTCOMES,
        )


def _only(found: Found) -> str | None:
    """The page of the one thing that was found, None where there is none or a choice."""
    if found.user is not None and not found.events:
        return f"/console/people/{segment(found.user)}"
    if found.user is None and len(found.events) == 1:
        return f"/console/events/{segment(found.events[0].id)}"
    return None


def _checked(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise bad(f"This is longer than {MAX_TEXT} characters, which no id is.")
    return text
