"""The page of how it is set up: what is checked, what runs, and the settings without secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from pipeline.addresses import with_sandbox
from pipeline.checks.check import Check, Verdict
from pipeline.checks.credentials import PROBE, check_settings, credentials_check, judge
from pipeline.checks.local import check_here
from pipeline.console import views
from pipeline.console.pages import Pages
from pipeline.errors import ConfigError
from pipeline.guard.credentials import Credentials
from pipeline.lanes import KNOWN_BUCKETS, SPECS
from pipeline.ratelimit.limiter import Limiter
from pipeline.ratelimit.slots import Source, default_limit
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.roles import WriteKey
from pipeline.settings import Settings
from pipeline.status.signs import read_signs
from pipeline.verbs.people import Ask, NotAsked
from pipeline.words import TERMS, console_words

_SOURCES: Final[Mapping[Source, str]] = {
    "operator": "set by an operator",
    "setting": "the setting LIMITS",
    "header": "learned from Sailthru's answers",
    "default": "Sailthru's default",
}
_KINDS: Final[Mapping[str, list[str]]] = {
    bucket: [
        TERMS[lane] for lane, spec in SPECS.items() if bucket in (spec.bucket, *spec.other_buckets)
    ]
    for bucket in KNOWN_BUCKETS
}
"""Which kinds of events each call is made for."""


class SetupPages:
    """How it is set; changed is it where sailpipe is started."""

    def __init__(self, pages: Pages, ask: Ask) -> None:
        self._pages = pages
        self._ask = ask

    async def setup(self, request: Request) -> Response:
        """The checks that ask Redis alone, and the settings."""
        return await self._shown(request, self._pages.account(request))

    async def check(self, request: Request) -> Response:
        """The same, and one call to Sailthru, within its limit."""
        account = (await self._pages.form(request)).account
        name = credentials_check(account)
        if self._pages.settings.account(account).dry_run:
            found = Check(
                name, Verdict.WARN, "not asked: DRY_RUN sends nothing", "see sailpipe doctor"
            )
            return await self._shown(request, account, [found])
        try:
            found = judge(
                name, await self._ask(account, PROBE), self._pages.settings.account(account)
            )
        except NotAsked as error:
            found = Check(name, Verdict.WARN, str(error))
        return await self._shown(request, account, [found])

    async def _shown(self, request: Request, account: str, asked: Sequence[Check] = ()) -> Response:
        found = await self._pages.status.read()
        where, settings = found["redis_url"], self._pages.settings
        checks = await check_here(self._pages.redis, where, settings, [account], TERMS.__getitem__)
        checks += [*check_settings(settings.account(account)), *asked]
        credentials = Credentials(settings)
        return self._pages.render(
            request,
            "setup",
            title="Set-up",
            account=account,
            checks=[replace(one, found=console_words(one.found)) for one in checks],
            is_asked=bool(asked),
            installation=_shown(self._pages.settings, leave={"accounts"}),
            settings=_account_shown(self._pages.settings, account),
            redis_url=found["redis_url"],
            signs=await read_signs(self._pages.redis),
            ownership=found["accounts"][account]["ownership"],
            limits=await self._limits(account),
            has_password=credentials.has_password,
            has_token=credentials.has_token,
        )

    async def _limits(self, account: str) -> list[dict[str, Any]]:
        """The calls that an account makes: for what, the limit that is set, and the one in force, as `sailpipe limits` has it."""
        own, now = self._pages.settings.account(account).limits, self._pages.clock.now()
        found = await Limiter(RedisSlotStore(self._pages.redis), {account: own}).usage(account)
        return [
            {
                "bucket": one.bucket,
                "kinds": ", ".join(_KINDS.get(one.bucket, ())),
                "set": own.get(one.bucket, default_limit(one.bucket)),
                "limit": one.limit,
                "source": _SOURCES[one.source],
                "used": one.used,
                "closed_until": one.closed_until and views.moment_tag(one.closed_until, now),
            }
            for one in found
        ]


def _account_shown(settings: Settings, name: str) -> list[tuple[str, str]]:
    """An account's settings as text, and of the sandbox's what was filled in. Reads where the sandbox is."""
    account = settings.account(name)
    if account.target != "sandbox":
        return _shown(account, leave={"name"})
    key = account.api_key or ""
    filled_in = (key, SecretStr(key), (WriteKey(key),))
    shown = dict(_shown(account, leave={"name"}))
    fields = type(account).model_fields
    shown |= {
        name.upper(): "not set: the sandbox's"
        for name in fields
        if name != "name" and getattr(account, name) in filled_in
    }
    addresses = ("api_url", "pageview_url")
    try:
        there = with_sandbox(settings).account(name)
        shown |= {one.upper(): getattr(there, one) for one in addresses}
    except ConfigError:
        shown |= {one.upper(): "the sandbox's, which does not run" for one in addresses}
    return list(shown.items())


def _shown(values: Any, *, leave: set[str]) -> list[tuple[str, str]]:
    """Settings as text. Of what is secret only whether it is set."""
    fields = type(values).model_fields
    return [
        (name.upper(), _text(getattr(values, name), is_secret=not field.repr))
        for name, field in fields.items()
        if name not in leave
    ]


def _text(value: Any, *, is_secret: bool) -> str:
    if value is None or value in ((), frozenset(), {}):
        return ""
    if is_secret or isinstance(value, SecretStr):
        return "set"
    if isinstance(value, (frozenset, tuple)):
        return ", ".join(sorted(map(str, value)))
    if isinstance(value, dict):
        return ", ".join(f"{name}={one:.12g}" for name, one in value.items())
    return f"{value:.12g}" if isinstance(value, float) else str(value)
