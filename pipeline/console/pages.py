"""What all pages have in common: templates, the frame around them, forms, and the one handler of every post."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

import redis.asyncio
from jinja2 import Environment, PackageLoader, StrictUndefined
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pipeline.api.queries import BadRequest, bad, not_found, read_body, who
from pipeline.clock import Clock
from pipeline.console import views
from pipeline.console.overview import verdicts
from pipeline.deadletters.audit import Act
from pipeline.deadletters.store import DeadLetters
from pipeline.guard import operator_of
from pipeline.guard.masking import Masking
from pipeline.guard.rules import Refusal
from pipeline.guard.sessions import logged_in
from pipeline.settings import DEFAULT_ACCOUNT, Settings
from pipeline.status.reader import StatusReader
from pipeline.status.signs import read_signs
from pipeline.verbs.acts import log_act, record_act
from pipeline.verbs.groups import count_open
from pipeline.words import TERMS, console_words

MAX_WHY: Final = 200
HOME: Final = "/console"
THEMES: Final = ("auto", "light", "dark")
THEME_COOKIE: Final = "sailpipe-theme"
NAV: Final = (
    (HOME, "Overview", "o"),
    ("/console/problems", "Problems", "p"),
    ("/console/people", "People", "e"),
    ("/console/try", "Try it", "t"),
    ("/console/activity", "Activity", "a"),
)
PARTS: Final = {
    "/console/problems": tuple(
        f"/console/{name}" for name in ("dead", "edit", "fix", "resend", "discard")
    ),
    HOME: ("/console/waiting", "/console/counts"),
    "/console/people": ("/console/events", "/console/why", "/console/forget"),
    "/console/activity": ("/console/resends", "/console/receipts"),
}
"""Pages that the navigation shows as parts of another."""
_MAX_FIELDS: Final = 50
Page = Callable[[Request], Awaitable[Response]]
Acting = Callable[[Request, "Form"], Awaitable["Done"]]


@dataclass(frozen=True, slots=True)
class Form:
    """What was posted, each field once, and the account it is about."""

    account: str
    values: Mapping[str, str]

    @property
    def why(self) -> str:
        """What a person says of the act; '' where they say nothing."""
        return self.values.get("why", "").strip()[:MAX_WHY]


@dataclass(frozen=True, slots=True)
class Done:
    """What an act did, and where to go now, with a notice.

    verb, what, count, why: the audit line; what names fields and filters, never values. is_written: the verb has written
    it already.
    """

    verb: str
    count: int
    path: str
    notice: str = ""
    what: str = ""
    why: str = ""
    is_written: bool = False


class Pages:
    """What pages are made of; one for each HTTP server."""

    def __init__(
        self, settings: Settings, client: redis.asyncio.Redis, status: StatusReader, clock: Clock
    ) -> None:
        self.settings = settings
        self.redis = client
        self.status = status
        self.clock = clock
        self.masking = Masking(settings)
        self._templates = _templates()

    def account(self, request: Request) -> str:
        """The account a page is about. Raises BadRequest."""
        return self._known(request.query_params.get("account", DEFAULT_ACCOUNT))

    def letters(self, account: str) -> DeadLetters:
        """The dead letters of an account."""
        return DeadLetters(self.redis, account)

    def render(
        self, request: Request, name: str, *, status: int = 200, **shown: Any
    ) -> HTMLResponse:
        """A whole page."""
        account = shown.get("account") or request.query_params.get("account", DEFAULT_ACCOUNT)
        operator = operator_of(request.scope)
        theme = request.cookies.get(THEME_COOKIE)
        path = request.scope["raw_path"].partition(b"?")[0].decode("ascii", "replace")
        frame = {
            "account": account,
            "accounts": sorted(self.settings.accounts),
            "operator": operator,
            "may_change": operator is not None and operator.may_change,
            "logged_in": logged_in(request.scope) is not None,
            "target": self._target(account),
            "theme": theme if theme in THEMES else THEMES[0],
            "path": path,
            "address": link(request, account, path),
            "here": path + (f"?{request.url.query}" if request.url.query else ""),
            "now": self.clock.now(),
            "notice": request.query_params.get("notice", "")[:200],
            "truth": getattr(request.state, "truth", None),
            "open_problems": getattr(request.state, "open_problems", 0),
            "nav": NAV,
            "nav_at": _nav_at(request.url.path),
            "url": _address(account),
            "terms": TERMS,
            "version": version("sailpipe"),
        }
        text = self._templates.get_template(f"{name}.html").render({**frame, **shown})
        return HTMLResponse(text, status)

    def refused(self, request: Request, refusal: Refusal) -> Response:
        """A page that says why there is nothing else to see."""
        return self.render(
            request,
            "message",
            status=refusal.status,
            title="This did not work",
            text=console_words(refusal.message),
        )

    async def _look(self, request: Request) -> None:
        """What every page that is looked at says first: how it stands, and how many problems are open. Where Redis is away
        the page itself says so, if it needs Redis."""
        account = request.query_params.get("account", DEFAULT_ACCOUNT)
        is_seen = request.method == "GET" and operator_of(request.scope) is not None
        if is_seen and account in self.settings.accounts:
            with contextlib.suppress(RedisError):
                found = (await self.status.read())["accounts"][account]
                request.state.truth = verdicts(found, await read_signs(self.redis))[0]
                request.state.open_problems = await count_open(self.redis, account)

    def page(self, answer: Page) -> Page:
        """A page that is only looked at."""

        async def answered(request: Request) -> Response:
            try:
                await self._look(request)
                return await answer(request)
            except BadRequest as error:
                return self.refused(request, error.refusal)

        return answered

    def acting(self, act: Acting) -> Page:
        """The one handler of what changes something: read the form, act, write it down, and lead on.

        The guard has seen to origin and role.
        """

        async def acted(request: Request) -> Response:
            form = await self.form(request)
            done = await act(request, form)
            act_line = Act(who(request), done.verb, done.what, done.count, done.why)
            if done.is_written:
                log_act(form.account, act_line)
            else:
                await record_act(self.redis, form.account, act_line)
            query = {"account": form.account} if form.account != DEFAULT_ACCOUNT else {}
            if done.notice:
                query["notice"] = done.notice
            joint = "&" if "?" in done.path else "?"
            return RedirectResponse(done.path + (joint + urlencode(query) if query else ""), 303)

        return self.page(acted)

    async def form(self, request: Request) -> Form:
        """A posted form. Raises BadRequest."""
        body = await read_body(request)
        try:
            pairs = parse_qsl(
                body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS
            )
        except ValueError:
            raise bad("The form cannot be read.") from None
        values = dict(pairs)
        if len(values) < len(pairs):
            raise bad("A field of the form stands twice.")
        return Form(self._known(values.pop("account", DEFAULT_ACCOUNT)), values)

    def _target(self, account: str) -> str:
        """Where an account's calls go; the installation's where there is no such account."""
        found = self.settings.accounts.get(account)
        if found is None:
            return self.settings.target
        return "dry run" if found.dry_run else found.target

    def _known(self, name: str) -> str:
        if name not in self.settings.accounts:
            raise not_found("There is no such account.")
        return name


def link(request: Request, account: str, path: str) -> str:
    """The whole address of a page, to be sent to a colleague."""
    return f"{str(request.base_url).rstrip('/')}{_address(account)(path)}"


def segment(text: str) -> str:
    """An id as one part of an address."""
    return quote(text, safe="")


def _nav_at(path: str) -> str:
    """The page of the navigation that a page belongs to; '' for those that belong to none."""
    for where, _, _ in NAV:
        parts = PARTS.get(where, ())
        names = parts if where == HOME else (where, *parts)
        if path == where or any(path == one or path.startswith(f"{one}/") for one in names):
            return where
    return ""


def _address(account: str) -> Callable[..., str]:
    """Makes addresses that stay in the account a page is about."""

    def address(path: str, **values: Any) -> str:
        query = {"account": account} if account != DEFAULT_ACCOUNT else {}
        query |= {name: str(value) for name, value in values.items() if value not in (None, "")}
        page, hash_sign, place = path.partition("#")
        return page + (f"?{urlencode(query)}" if query else "") + hash_sign + place

    return address


def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("pipeline.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "foreign": views.foreign,
        "plain": views.plain,
        "segment": segment,
        "said": console_words,
        "filter_words": views.filter_words,
        "at": views.at_tag,
        "clock": views.clock_tag,
        "moment": views.moment_tag,
        "with_times": views.with_times,
        "duration": views.duration,
        "sentence": lambda text: text[:1].upper() + text[1:],
        "many": lambda count, one, more: f"{count:,} {one if count == 1 else more}",
        "number": lambda value: f"{value:,}",
    }
    return made
