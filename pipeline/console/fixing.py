"""The page that makes the same changes in many letters, and the download of letters as lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.letters import export_letters
from pipeline.api.mended import call_lines, event_lines
from pipeline.api.queries import MAX_REASON, bad, not_found, read_filter
from pipeline.console import views
from pipeline.console.letters import MUST_TYPE, asked_filters, shown_count
from pipeline.console.pages import Done, Form, Pages
from pipeline.console.tries import sign_of
from pipeline.deadletters.edits import BadChange, Change, describe
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.fixing import Fixed
from pipeline.deadletters.mending import Mended
from pipeline.deadletters.replays import Refused
from pipeline.deadletters.store import SeveralLetters, UnknownLetter
from pipeline.verbs.fixing import MAX_FIXED, RULES, fix_shown, read_rule, sample_fix
from pipeline.verbs.letters import choose

MAX_RULES: Final = 3
"""Changes at once; more are made one after the other."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One change as the form has it."""

    kind: str
    path: str
    value: str


class FixingPages:
    """Many letters at a time."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def ask(self, request: Request) -> Response:
        """What is to be changed in the letters of a filter; posted, a sample of what that does. Nothing is written."""
        account, form = self._pages.account(request), None
        if request.method == "POST":
            form = await self._pages.form(request)
            account = form.account
        values = request.query_params if form is None else form.values
        wanted = self._wanted(asked_filters(values))
        rules = [] if form is None else _rules(form.values)
        letters, now = self._pages.letters(account), self._pages.clock.now()
        chosen, found, wrong = await letters.select(wanted), None, ""
        try:
            if changes := _changes(rules):
                settings = self._pages.settings.account(account)
                found = await sample_fix(letters, chosen, changes, settings, now)
        except BadChange as error:
            wrong = str(error)
        return self._pages.render(
            request,
            "fix",
            title="Fix",
            account=account,
            asked=asked_filters(values),
            words=wanted.in_words(),
            count=len(chosen.ids),
            most=MAX_FIXED,
            must_type=MUST_TYPE,
            reads_event=wanted.reads_raw,
            rules=[*rules, *[Rule(RULES[0], "", "")] * (MAX_RULES - len(rules))],
            kinds=RULES,
            found=found and self._shown(found),
            wrong=wrong,
        )

    async def apply(self, _: Request, form: Form) -> Done:
        """Write what was shown into all letters of the filter, and lead on to send them again."""
        asked = asked_filters(form.values)
        wanted = self._wanted(asked)
        try:
            changes = _changes(_rules(form.values))
        except BadChange as error:
            raise bad(str(error), "bad_change") from None
        if not changes:
            raise bad("Say what to change.")
        chosen = await self._pages.letters(form.account).select(wanted)
        settings, now = self._pages.settings.account(form.account), self._pages.clock.now()
        try:
            done = await fix_shown(
                self._pages.redis, chosen, shown_count(form), changes, settings, now
            )
        except Refused as error:
            raise bad(str(error), "not_fixed") from None
        what = f"{wanted.in_words()}: {describe(changes)}"
        path = f"/console/resend?{views.filter_query(asked)}"
        why = form.values.get("why", "").strip()[:MAX_REASON]
        return Done("fix", done.changed, path, _notice(done), what=what, why=why)

    async def export(self, request: Request) -> Response:
        """One letter, or those of a filter, as a file that `sailpipe enqueue` takes."""
        letters = self._pages.letters(self._pages.account(request))
        wanted = read_filter(asked_filters(request.query_params), self._pages.clock.now())
        ids = request.query_params.getlist("id")
        try:
            chosen = await choose(letters, ids, wanted)
        except (UnknownLetter, SeveralLetters):
            raise not_found("There is no such letter: it was sent again or discarded.") from None
        return export_letters(request, self._pages.settings, letters, chosen)

    def _wanted(self, asked: Mapping[str, str]) -> Filter:
        wanted = read_filter(asked, self._pages.clock.now())
        if wanted == Filter():
            raise bad("Say which letters. A filter that is empty is refused.")
        return wanted

    def _shown(self, found: Fixed) -> dict[str, Any]:
        return {
            "changed": found.changed,
            "unchanged": found.unchanged,
            "looked": found.changed + found.unchanged + sum(found.refused.values()),
            "refused": found.refused.most_common(),
            "samples": [self._sample(one) for one in found.samples],
        }

    def _sample(self, mended: Mended) -> dict[str, Any]:
        masking = self._pages.masking
        return {
            "id": mended.letter.id,
            "what": views.what(mended.letter),
            "who": mended.letter.header.user,
            "event": [sign_of(one) for one in event_lines(mended, masking)],
            "calls": [sign_of(one) for one in call_lines(mended, masking)],
            "error": mended.after["error"],
        }


def _rules(values: Mapping[str, str]) -> list[Rule]:
    """Those of the form's rules that say a path."""

    def read() -> Iterator[Rule]:
        for n in range(MAX_RULES):
            kind, path = values.get(f"kind{n}", RULES[0]), values.get(f"path{n}", "").strip()
            if kind not in RULES:
                raise bad("There is no such change.")
            if path:
                yield Rule(kind, path, values.get(f"value{n}", "").strip())

    return list(read())


def _changes(rules: list[Rule]) -> list[Change]:
    return [read_rule(one.kind, one.path, one.value) for one in rules]


def _notice(done: Fixed) -> str:
    parts = [f"{done.changed} changed"]
    parts += [f"{done.unchanged} were so already"] if done.unchanged else []
    parts += [f"{done.gone} gone meanwhile"] if done.gone else []
    left = sum(done.refused.values())
    parts += [f"{left} could not be changed"] if left else []
    return f"{', '.join(parts)}. They can be sent again now."
