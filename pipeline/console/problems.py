"""The pages of problems: letters of one cause together, and where a person stands with them."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.queries import bad, not_found, who
from pipeline.console import views
from pipeline.console.letters import LetterPages
from pipeline.console.pages import Done, Form, Pages
from pipeline.console.tries import answer, shown_calls
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.states import GroupState
from pipeline.guard.rules import Refusal
from pipeline.verbs.groups import MarkedGroup, UnknownGroup, mark_group, read_groups
from pipeline.words import FAULTS

SHOWN: Final = 50
"""Problems on one page."""
HOURS: Final = 24
_EVERYTHING: Final = Filter()


class ProblemPages:
    """What was not delivered, by cause."""

    def __init__(self, pages: Pages, letters: LetterPages) -> None:
        self._pages = pages
        self._letters = letters

    async def problems(self, request: Request) -> Response:
        """Groups of letters of one cause, the largest first."""
        account, asked = self._pages.account(request), request.query_params
        fault, state = asked.get("fault", ""), asked.get("state", GroupState.OPEN.value)
        found = await read_groups(self._pages.redis, account, _EVERYTHING)
        tabs = [(one.value, sum(group.mark.state is one for group in found)) for one in GroupState]
        found = [one for one in found if one.mark.state == state]
        chips = [
            (one.value, words, sum(group.words.fault is one for group in found))
            for one, words in FAULTS.items()
        ]
        found = [one for one in found if fault in {"", one.words.fault}]
        begin = _place(asked.get("from", ""))
        return self._pages.render(
            request,
            "problems",
            title="Problems",
            rows=await self._rows(account, found[begin : begin + SHOWN]),
            chips=chips,
            fault=fault,
            tabs=tabs,
            state=state,
            begin=begin,
            next=begin + SHOWN if len(found) > begin + SHOWN else 0,
            count=len(found),
        )

    async def problem(self, request: Request) -> Response:
        """One cause: what it means, a sample, its letters."""
        account, name = self._pages.account(request), request.path_params["group"]
        found = await read_groups(self._pages.redis, account, Filter(group=name))
        if not found:
            return self._pages.refused(
                request,
                Refusal(404, "not_found", "This problem is gone: no letter has it any more."),
            )
        sample = await self._pages.letters(account).get(found[0].group.example.id)
        shown = views.letter_page(sample, self._pages.masking, self._pages.clock.now())
        (row,) = await self._rows(account, found)
        return self._pages.render(
            request,
            "problem",
            title=row["title"],
            problem=row,
            sample=shown,
            calls=shown_calls(shown["sent"]),
            answer=answer(sample),
            **await self._letters.listed(request, {"group": name}),
        )

    async def mark(self, request: Request, form: Form) -> Done:
        """Say of a problem that a person works on it, or that it may stay, or that it is open again."""
        group, why = request.path_params["group"], form.why
        try:
            state = GroupState(form.values.get("state", ""))
        except ValueError:
            raise bad("There is no such state.") from None
        try:
            act = await mark_group(self._pages.redis, form.account, group, state, who(request), why)
        except UnknownGroup:
            raise not_found("There is no such problem: no letter has it any more.") from None
        path = "/console/problems" if "list" in form.values else f"/console/problems/{group}"
        return Done(act.verb, act.count, path, f"Now {state.value}.", act.what, why)

    async def _rows(self, account: str, found: list[MarkedGroup]) -> list[dict[str, Any]]:
        names = [one.group.fingerprint for one in found]
        hours = await self._pages.letters(account).by_hour(names, HOURS)
        now = self._pages.clock.now()
        return [views.group_row(one, now, hours[one.group.fingerprint]) for one in found]


def _place(text: str) -> int:
    if text and not (text.isascii() and text.isdecimal()):
        raise bad("from is where the page before ended.")
    return int(text[:6] or 0)
