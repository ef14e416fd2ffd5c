"""The pages that mend a letter, and that follow what is being sent again."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.app import change_job
from pipeline.api.mended import call_lines
from pipeline.api.queries import bad, not_found, parse_json
from pipeline.console import views
from pipeline.console.pages import Done, Form, Pages
from pipeline.console.tries import shown_calls, sign_of
from pipeline.deadletters.edits import BadChange, Change, Set, apply, read_path
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.jobs import Jobs, UnknownJob
from pipeline.deadletters.letter import Letter
from pipeline.deadletters.mending import ChangedMeanwhile, Mended, Mending, preview, shown_event
from pipeline.deadletters.store import UnknownLetter
from pipeline.errors import Reason
from pipeline.guard import operator_of
from pipeline.guard.rules import Refusal
from pipeline.verbs.letters import NotReplayed, choose, resend

EMAIL_PATH: Final = "properties.email"
"""Where an order's own address is looked for (docs/mapping.md)."""


class MendingPages:
    """Editing one letter, and jobs."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def edit(self, request: Request) -> Response:
        """The event to be edited; posted, what the edit would change. Nothing is written."""
        if request.method == "POST":
            form = await self._pages.form(request)
            account, identity = form.account, form.values.get("id", "")
        else:
            form, account = None, self._pages.account(request)
            identity = request.query_params.get("id", "")
        operator = operator_of(request.scope)
        if self._pages.settings.redact and not (operator and operator.may_change):
            refusal = Refusal(
                403,
                "redacted",
                "An edit shows what REDACT masks: it takes a log-in that may change it.",
            )
            return self._pages.refused(request, refusal)
        letter = await self._letter(account, identity)
        text, email, mended, wrong = _text(letter), "", None, ""
        if form is not None:
            text, email = form.values.get("event", text), form.values.get("email", "")
            try:
                mended = self._mended(account, letter, text, email)
            except BadChange as error:
                wrong = str(error)
        return self._pages.render(
            request,
            "edit",
            title="Edit",
            letter=views.letter_page(letter, self._pages.masking, self._pages.clock.now()),
            account=account,
            text=text,
            email=email,
            asks_email=letter.header.reason == Reason.MISSING_EMAIL,
            wrong=wrong,
            mended=self._shown(mended) if mended else None,
            is_overtaken=await self._is_overtaken(account, letter),
            overtaken=form is not None and "overtaken" in form.values,
            why=form.values.get("why", "") if form is not None else "",
            is_masked=bool(self._pages.settings.redact),
        )

    async def save(self, _: Request, form: Form) -> Done:
        """Write the edit; with `send`, send the letter again at once."""
        letter = await self._letter(form.account, form.values.get("id", ""))
        try:
            mended = self._mended(
                form.account, letter, form.values.get("event", ""), form.values.get("email", "")
            )
            if mended.is_changed:
                await Mending(self._pages.redis, form.account).write(mended)
        except (BadChange, ChangedMeanwhile) as error:
            raise bad(str(error), "not_edited") from None
        changed = ", ".join(sorted({line[2:].partition(": ")[0] for line in mended.event_diff}))
        what, path = f"{letter.id}: {changed}", f"/console/dead/{quote(letter.id, safe='')}"
        why, saved = form.why, int(mended.is_changed)
        if "send" not in form.values:
            return Done("edit", saved, path, "Saved.", what, why)
        letters = self._pages.letters(form.account)
        chosen = await choose(letters, [letter.id], Filter())
        overtaken = "overtaken" in form.values
        try:
            done = await resend(
                self._pages.redis, self._pages.settings, form.account, chosen, overtaken=overtaken
            )
        except NotReplayed as error:
            raise bad(f"It was saved. {error}", "not_replayed") from None
        if done.overtaken:
            notice = "Saved, but not sent: something newer was already sent. Tick the box to send it all the same."
            return Done("edit", saved, path, notice, what, why)
        return Done("edit and replay", 1, "/console/dead", "Saved and sent again.", what, why)

    async def job(self, request: Request) -> Response:
        """How far a re-send is."""
        account = self._pages.account(request)
        try:
            job = await Jobs(self._pages.redis, account).get(request.path_params["job"])
        except UnknownJob:
            return self._pages.refused(
                request,
                Refusal(404, "not_found", "There is no such re-send, or it ended long ago."),
            )
        row = views.job_row(job, self._pages.clock.now())
        return self._pages.render(request, "job", title="Sending again", job=row)

    async def change(self, request: Request, form: Form) -> Done:
        """Pause a re-send, let it go on, or stop it."""
        identity, verb = request.path_params["job"], request.path_params["verb"]
        try:
            job = await change_job(Jobs(self._pages.redis, form.account), identity, verb)
        except UnknownJob:
            raise not_found("There is no such re-send, or it ended long ago.") from None
        return Done(verb, 1, f"/console/resends/{quote(job.id, safe='')}", what=f"job {job.id}")

    async def _is_overtaken(self, account: str, letter: Letter) -> bool:
        try:
            chosen = await self._pages.letters(account).select_ids([letter.id])
        except UnknownLetter:  # it has just gone; to save it says so
            return False
        return bool(chosen.overtaken)

    async def _letter(self, account: str, identity: str) -> Letter:
        try:
            return await self._pages.letters(account).get(identity)
        except UnknownLetter:
            raise not_found("There is no such letter: it was sent again or discarded.") from None

    def _mended(self, account: str, letter: Letter, text: str, email: str) -> Mended:
        event = parse_json(text.encode("utf-8", "replace"))
        if not isinstance(event, dict):
            raise BadChange("The event is not a JSON object.")
        changes: list[Change] = [Set(read_path(EMAIL_PATH), email.strip())] if email.strip() else []
        settings, now = self._pages.settings.account(account), self._pages.clock.now()
        return preview(letter, apply(event, changes), settings, now)

    def _shown(self, mended: Mended) -> dict[str, Any]:
        return {
            "lines": [sign_of(line) for line in mended.event_diff],
            "differs": [sign_of(line) for line in call_lines(mended, self._pages.masking)],
            "before": shown_calls(self._pages.masking.value(mended.before["calls"])),
            "after": shown_calls(self._pages.masking.value(mended.after["calls"])),
            "error": mended.after["error"],
            "ignored": mended.after["ignored"],
        }


def _text(letter: Letter) -> str:
    try:
        return views.pretty(shown_event(letter))
    except BadChange:
        return letter.raw.decode("utf-8", "replace")
