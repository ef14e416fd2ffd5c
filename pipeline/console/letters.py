"""The pages of what was not delivered: problems, letters, one letter, sending again and discarding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.api.app import MAX_REPLAYED
from pipeline.api.queries import FILTERS, bad, not_found, read_cursor, read_filter
from pipeline.console import views
from pipeline.console.pages import Done, Form, Pages
from pipeline.deadletters.filters import Filter, Selection
from pipeline.deadletters.groups import Group
from pipeline.deadletters.store import SeveralLetters, UnknownLetter
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.guard.rules import Refusal
from pipeline.mapping import dry_run
from pipeline.verbs.letters import NotReplayed, check_count, choose, resend
from pipeline.words import FAULTS

PAGE_SIZE: Final = 50
DAY_MS: Final = 86_400_000
SAMPLES: Final = 3


class LetterPages:
    """What was not delivered, and what can be done about it."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def problems(self, request: Request) -> Response:
        """Groups of letters of one cause, the largest first."""
        account = self._pages.account(request)
        fault = request.query_params.get("fault", "")
        rows = [self._group(one) for one in await self._groups(account)]
        shown = [row for row in rows if fault in {"", row["fault"]}]
        chips = [
            (one.value, words, sum(row["fault"] == one.value for row in rows))
            for one, words in FAULTS.items()
        ]
        return self._pages.render(
            request, "problems", title="Problems", rows=shown, chips=chips, fault=fault
        )

    async def problem(self, request: Request) -> Response:
        """One cause: what it means, a sample, its letters."""
        account, name = self._pages.account(request), request.path_params["group"]
        found = [one for one in await self._groups(account) if one.fingerprint == name]
        if not found:
            return self._pages.refused(
                request,
                Refusal(404, "not_found", "This problem is gone: no letter has it any more."),
            )
        letters = self._pages.letters(account)
        sample = await letters.get(found[0].example.id)
        row = self._group(found[0])
        return self._pages.render(
            request,
            "problem",
            title=row["title"],
            problem=row,
            sample=views.letter_page(sample, self._pages.masking, self._pages.clock.now()),
            **await self._listed(request, {"group": name}),
        )

    async def list_letters(self, request: Request) -> Response:
        """Letters that match the filters in the address, newest first."""
        return self._pages.render(
            request,
            "letters",
            title="Not delivered",
            reasons=list(Reason),
            lanes=list(Lane),
            **await self._listed(request, _filters(request.query_params)),
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
        now = self._pages.clock.now()
        today = dry_run(letter.raw, self._pages.settings.account(account), None, now)
        shown = views.letter_page(letter, self._pages.masking, now)
        calls = [
            (
                f"{one['method']} {one['endpoint']}",
                views.pretty(self._pages.masking.value(one["params"])),
            )
            for one in today["calls"]
        ]
        return self._pages.render(
            request, "letter", title=shown["title"], letter=shown, today=today, calls=calls
        )

    async def find(self, request: Request) -> Response:
        """The search box: a letter of that id, else what the text stands in."""
        text = request.query_params.get("q", "").strip()
        account = self._pages.account(request)
        if not text:
            return RedirectResponse("/console/dead", 303)
        try:
            letter = await self._pages.letters(account).get(text)
        except UnknownLetter:
            query = views.filter_query({"match": text, "account": _unless_default(account)})
            return RedirectResponse(f"/console/dead?{query}", 303)
        query = views.filter_query({"account": _unless_default(account)})
        return RedirectResponse(
            f"/console/dead/{quote(letter.id, safe='')}?{query}".rstrip("?"), 303
        )

    async def confirm(self, request: Request) -> Response:
        """What would be sent again or discarded: the filter in words, how many, samples, what to know before."""
        account, verb = self._pages.account(request), request.url.path.rpartition("/")[2]
        identity = request.query_params.get("id", "")
        asked = _filters(request.query_params)
        chosen, wanted = await self._chosen(account, identity, asked)
        letters = self._pages.letters(account)
        now = self._pages.clock.now()
        samples = [one async for one in letters.read(chosen.ids[:SAMPLES])]
        old = 0 if identity else await letters.count(_older(wanted, int(now * 1000) - DAY_MS))
        return self._pages.render(
            request,
            "confirm",
            title="Send again" if verb == "resend" else "Discard",
            verb=verb,
            identity=identity,
            asked=asked,
            words=f"the letter {identity}" if identity else wanted.in_words(),
            count=len(chosen.ids),
            overtaken=len(chosen.overtaken),
            old=old,
            too_many=len(chosen.ids) > MAX_REPLAYED,
            most=MAX_REPLAYED,
            samples=[views.letter_row(one, now) for one in samples],
        )

    async def resend(self, _: Request, form: Form) -> Done:
        """Send again what was shown."""
        chosen = await self._agreed(form)
        overtaken = "overtaken" in form.values
        try:
            done = await resend(
                self._pages.redis, self._pages.settings, form.account, chosen, overtaken=overtaken
            )
        except NotReplayed as error:
            raise bad(str(error), "not_replayed") from None
        gone = f" {done.gone} were gone already." if done.gone else ""
        left = (
            f" {done.overtaken} stay: something newer was already sent." if done.overtaken else ""
        )
        notice = f"{done.replayed} sent again.{gone}{left}"
        return Done("replay", done.replayed, "/console/dead", notice)

    async def discard(self, _: Request, form: Form) -> Done:
        """Delete what was shown, for good."""
        chosen = await self._agreed(form)
        done = await self._pages.letters(form.account).drop(chosen.ids)
        return Done("drop", done, "/console/dead", f"{done} discarded.")

    async def _agreed(self, form: Form) -> Selection:
        identity = form.values.get("id", "")
        chosen, _ = await self._chosen(form.account, identity, _filters(form.values))
        shown = form.values.get("count", "")
        if not shown.isascii() or not shown.isdecimal():
            raise bad("The form does not say how many letters were shown.")
        try:
            check_count(chosen, int(shown[:9]))
        except NotReplayed as error:
            raise bad(str(error), "not_replayed") from None
        if len(chosen.ids) > MAX_REPLAYED:
            raise bad(f"These are more than {MAX_REPLAYED:,}: narrow the filter.", "too_many")
        return chosen

    async def _chosen(
        self, account: str, identity: str, asked: Mapping[str, str]
    ) -> tuple[Selection, Filter]:
        wanted = read_filter(asked, self._pages.clock.now())
        if bool(identity) == (wanted != Filter()):
            raise bad(
                "Say which letters: one, or those of a filter. A filter that is empty is refused."
            )
        try:
            ids = [identity] if identity else []
            return await choose(self._pages.letters(account), ids, wanted), wanted
        except (UnknownLetter, SeveralLetters):
            raise not_found("There is no such letter: it was sent again or discarded.") from None

    async def _listed(self, request: Request, asked: Mapping[str, str]) -> dict[str, Any]:
        account, now = self._pages.account(request), self._pages.clock.now()
        wanted = read_filter(asked, now)
        cursor = read_cursor({k: v for k, v in request.query_params.items() if k == "cursor" and v})
        letters = self._pages.letters(account)
        found = await letters.page(wanted, limit=PAGE_SIZE, after=cursor)
        return {
            "rows": [views.letter_row(one, now) for one in found.letters],
            "asked": asked,
            "words": wanted.in_words(),
            "is_filtered": wanted != Filter(),
            "count": await letters.count(wanted) if wanted.is_indexed else None,
            "next": str(found.after) if found.after else "",
            "is_first": cursor is None,
        }

    async def _groups(self, account: str) -> list[Group]:
        return await self._pages.letters(account).groups(Filter())

    def _group(self, group: Group) -> dict[str, Any]:
        return views.group_row(group, self._pages.clock.now())


def _filters(values: Mapping[str, str]) -> dict[str, str]:
    return {name: values[name].strip() for name in FILTERS if values.get(name, "").strip()}


def _older(wanted: Filter, at_ms: int) -> Filter:
    until = at_ms if wanted.until_ms is None else min(wanted.until_ms, at_ms)
    return replace(wanted, until_ms=until)


def _unless_default(account: str) -> str:
    return "" if account == "default" else account
