"""`sailpipe doctor --live`: asks a real account what is not documented, on a profile of its own that goes afterwards."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipeline.addresses import resolve_redis_url, with_sandbox
from pipeline.checks.check import Check, Verdict
from pipeline.cli.live_points import POINTS, Group
from pipeline.clock import Clock
from pipeline.errors import ConfigError
from pipeline.ingest.upstream import NotNow, Upstream
from pipeline.lanes import PAGEVIEW_ENDPOINT
from pipeline.sailthru.answers import Accepted, Answer, Failed, Failure
from pipeline.sailthru.calls import Method
from pipeline.settings import AccountSettings, Settings
from pipeline.storage.redis_client import open_async_redis

LAG_MOST_S = 20.0
"""For so long a write is looked for."""
LAG_EVERY_S = 0.25
LARGE_BYTES = 32 * 1024
EVENT = "sailpipe doctor"
URL = "https://example.com/sailpipe-doctor"
PRICE = 1
"""Cents of each order that is made."""
NO_CUSTOMER = "sailpipe-doctor"
"""A customer id that no account has."""
SEVERAL_TRIES = 3
"""How often a call is made that must wait for its slot."""


class Finding(NamedTuple):
    """What was answered, for people, and whether it is what sailpipe assumes; None where that cannot be said."""

    answer: str
    agrees: bool | None


class ProfileExists(Exception):
    """The email has a profile already, which is not ours to delete."""


@dataclass(frozen=True, slots=True)
class Live:
    """One account that is asked. email: of the test profile. extid: of it, made up; no other profile has it."""

    upstream: Upstream
    nowhere: Upstream
    """The same with a customer id that does not exist."""
    account: AccountSettings
    email: str
    extid: str
    clock: Clock

    async def ask(self, method: Method, endpoint: str, params: Mapping[str, Any]) -> Answer:
        """One call, within the limits that all processes share. Raises NotNow."""
        for _ in range(SEVERAL_TRIES):
            try:
                return await self.upstream.call(self.account.name, method, endpoint, params)
            except NotNow as later:
                if later.wait_s > LAG_MOST_S:
                    raise
                await self.clock.sleep(later.wait_s)
        return await self.upstream.call(self.account.name, method, endpoint, params)

    async def profile(self, **fields: int) -> Mapping[str, Any]:
        """The test profile; empty where Sailthru shows none."""
        params: dict[str, Any] = {"id": self.email, "key": "email"}
        answer = await self.ask("GET", "/user", params | ({"fields": fields} if fields else {}))
        return answer.body if isinstance(answer, Accepted) else {}

    @property
    def unknown(self) -> str:
        """An extid that no profile has."""
        return f"{self.extid}-unknown"


def shown(answer: Answer) -> str:
    """An answer in a few words, without what was sent."""
    if isinstance(answer, Accepted):
        return f"taken (HTTP {answer.status})"
    code = "" if answer.code is None else f", error {answer.code}"
    return f"refused: HTTP {answer.status}{code}, {answer.message}"


async def _extid_look_up(live: Live) -> Finding:
    keyed = {"id": live.email, "key": "email", "keys": {"extid": live.extid}}
    written = await live.ask("POST", "/user", keyed)
    if isinstance(written, Failed):
        return Finding(shown(written), agrees=False)
    found = await _until(live, lambda: _finds_extid(live))
    return Finding("found" if found else "not found by its extid", agrees=found)


async def _finds_extid(live: Live) -> bool:
    answer = await live.ask("GET", "/user", {"id": live.extid, "key": "extid"})
    return isinstance(answer, Accepted)


async def _until(live: Live, what: Callable[[], Awaitable[bool]]) -> bool:
    ends = live.clock.monotonic() + LAG_MOST_S
    while not await what():
        if live.clock.monotonic() >= ends:
            return False
        await live.clock.sleep(LAG_EVERY_S)
    return True


async def _unknown_read(live: Live) -> Finding:
    answer = await live.ask("GET", "/user", {"id": live.unknown, "key": "extid"})
    return Finding(shown(answer), agrees=_is_not_found(answer))


async def _unknown_event(live: Live) -> Finding:
    params = {"id": live.unknown, "key": "extid", "event": EVENT}
    answer = await live.ask("POST", "/event", params)
    return Finding(shown(answer), agrees=_is_not_found(answer))


def _is_not_found(answer: Answer) -> bool:
    return isinstance(answer, Failed) and answer.failure is Failure.USER_NOT_FOUND


async def _unknown_order(live: Live) -> Finding:
    params = {"purchase_id": live.unknown, "purchase_key": "extid"}
    answer = await live.ask("GET", "/purchase", params)
    if isinstance(answer, Accepted):
        return Finding(shown(answer), agrees=not answer.body)
    says_so = answer.status == 404 or "not found" in answer.message.lower()
    return Finding(shown(answer), agrees=says_so)


async def _rate_headers(live: Live) -> Finding:
    answer = await live.ask("GET", "/user", {"id": live.email, "key": "email"})
    if answer.rate is None:
        return Finding("no X-Rate-Limit headers", agrees=None)
    a_second = answer.rate.limit / 60
    set_to = live.account.limits.get("GET /user", 300.0)
    says = f"{answer.rate.limit} calls a minute, {a_second:g} calls/s"
    return Finding(says, agrees=abs(a_second - set_to) < 0.5)


async def _read_lag(live: Live) -> Finding:
    mark = secrets.token_hex(6)
    params = {"id": live.email, "key": "email", "vars": {"sailpipe_doctor": mark}}
    written = await live.ask("POST", "/user", params)
    if isinstance(written, Failed):
        return Finding(shown(written), agrees=None)
    began = live.clock.monotonic()

    async def is_shown() -> bool:
        return _vars(await live.profile()).get("sailpipe_doctor") == mark

    if not await _until(live, is_shown):
        return Finding(f"not shown after {LAG_MOST_S:g} s", agrees=False)
    lag = live.clock.monotonic() - began
    return Finding(f"shown after {lag:.1f} s", agrees=lag <= live.account.read_lag)


def _vars(profile: Mapping[str, Any]) -> Mapping[str, Any]:
    found = profile.get("vars")
    return found if isinstance(found, Mapping) else {}


async def _var_names(live: Live) -> Finding:
    params = {"id": live.email, "key": "email", "vars": {"sailpipe a.b": "1"}}
    answer = await live.ask("POST", "/user", params)
    if isinstance(answer, Failed):
        return Finding(shown(answer), agrees=True)
    await live.clock.sleep(live.account.read_lag)
    names = [name for name in _vars(await live.profile()) if "a" in name and "b" in name]
    kept = "sailpipe a.b" in names
    rewritten = ", ".join(name for name in names if name != "sailpipe_doctor") or "nothing"
    return Finding("kept" if kept else f"taken, and shown as {rewritten}", agrees=not kept)


async def _long_names(live: Live) -> Finding:
    params = {"id": live.email, "key": "email", "vars": {"sailpipe_" + "x" * 24: "1"}}
    answer = await live.ask("POST", "/user", params)
    return Finding(shown(answer), agrees=isinstance(answer, Failed))


async def _large_call(live: Live) -> Finding:
    many = {f"sailpipe_{n}": "x" * 1000 for n in range(LARGE_BYTES // 1000)}
    answer = await live.ask("POST", "/user", {"id": live.email, "key": "email", "vars": many})
    return Finding(shown(answer), agrees=isinstance(answer, Accepted))


async def _reserved(live: Live) -> Finding:
    params = {"id": live.email, "key": "email", "event": "Daily"}
    answer = await live.ask("POST", "/event", params)
    return Finding(shown(answer), agrees=isinstance(answer, Failed))


async def _conflict(live: Live) -> Finding:
    other = {"id": f"{live.extid}-2", "key": "extid"}
    await live.ask("POST", "/user", other)
    params = {**other, "keys": {"email": live.email}, "keysconflict": "error"}
    answer = await live.ask("POST", "/user", params)
    await live.ask("DELETE", "/user", other)
    return Finding(shown(answer), agrees=isinstance(answer, Failed))


async def _customer_id(live: Live) -> Finding:
    params = {"url": URL, "userIdKey": "extid", "userIdValue": live.unknown}
    answer = await live.nowhere.call(live.account.name, "POST", PAGEVIEW_ENDPOINT, params)
    is_refused = isinstance(answer, Failed) and answer.failure is Failure.MISCONFIGURED
    return Finding(shown(answer), agrees=is_refused)


async def _same_order(live: Live) -> Finding:
    first, second = [
        await live.ask("POST", "/purchase", _purchase(live, live.extid)) for _ in range(2)
    ]
    if isinstance(first, Failed):
        return Finding(f"the first was {shown(first)}", agrees=None)
    if isinstance(second, Failed):
        return Finding(f"the second was {shown(second)}", agrees=False)
    await live.clock.sleep(live.account.read_lag)
    found = (await live.profile(purchases=1)).get("purchases")
    count = len(found) if isinstance(found, list) else 0
    return Finding(f"the profile shows {count}", agrees=None if count == 0 else count > 1)


async def _cart_after_order(live: Live) -> Finding:
    cart = _purchase(live, None) | {"incomplete": 1}
    await live.ask("POST", "/purchase", cart)
    await live.clock.sleep(live.account.read_lag)
    if not (await live.profile(purchase_incomplete=1)).get("purchase_incomplete"):
        return Finding("the cart was not shown before the order", agrees=None)
    await live.ask("POST", "/purchase", _purchase(live, f"{live.extid}-cart"))
    await live.clock.sleep(live.account.read_lag)
    left = (await live.profile(purchase_incomplete=1)).get("purchase_incomplete")
    is_full = isinstance(left, Mapping) and bool(left.get("items"))
    return Finding("the cart is still there" if is_full else "empty", agrees=not is_full)


def _purchase(live: Live, extid: str | None) -> dict[str, Any]:
    item = {"id": "sailpipe-doctor", "title": EVENT, "qty": 1, "price": PRICE, "url": URL}
    params: dict[str, Any] = {"email": live.email, "items": [item], "incomplete": 0}
    return params | ({"purchase_keys": {"extid": extid}} if extid else {})


CHECKS: Mapping[str, Callable[[Live], Awaitable[Finding]]] = {
    "extid look-up": _extid_look_up,
    "unknown user, read": _unknown_read,
    "unknown user, event": _unknown_event,
    "unknown order": _unknown_order,
    "rate headers": _rate_headers,
    "read lag": _read_lag,
    "var names": _var_names,
    "long var names": _long_names,
    "large call": _large_call,
    "reserved event names": _reserved,
    "keysconflict": _conflict,
    "customer id": _customer_id,
    "cart after an order": _cart_after_order,
    "same order twice": _same_order,
}
"""One for each point that is asked, in the order in which they are."""


def judged(account: str, name: str, finding: Finding) -> Check:
    """A finding beside what is assumed. Only a warning: nothing of it keeps sailpipe from running. No I/O."""
    point, title = POINTS[name], f"{account} live: {name}"
    found = f"{point.question} {finding.answer[:1].upper()}{finding.answer[1:]}."
    if finding.agrees:
        return Check(title, Verdict.OK, f"{found} As assumed.")
    unsaid = "" if finding.agrees is False else " Neither confirmed nor refuted."
    return Check(title, Verdict.WARN, f"{found}{unsaid} Assumed: {point.assumes}", point.change)


async def ask_points(live: Live, groups: frozenset[Group]) -> list[Check]:
    """Ask each point of these groups; the test profile is deleted whatever happens.

    Raises:
        ProfileExists: the email has a profile already. Nothing was written.
        NotNow: delivery is paused, or Redis cannot be asked.
    """
    before = await live.ask("GET", "/user", {"id": live.email, "key": "email"})
    if isinstance(before, Accepted):
        raise ProfileExists
    checks: list[Check] = []
    try:
        for name, check in CHECKS.items():
            if POINTS[name].group in groups:
                checks.append(await _one(live, name, check))
    finally:
        checks.append(await asyncio.shield(_clean_up(live)))
    return checks


async def _one(live: Live, name: str, check: Callable[[Live], Awaitable[Finding]]) -> Check:
    try:
        return judged(live.account.name, name, await check(live))
    except NotNow as error:
        title = f"{live.account.name} live: {name}"
        return Check(title, Verdict.WARN, f"not asked: {error.what}", "try again later")


async def _clean_up(live: Live) -> Check:
    title, fix = f"{live.account.name} live: test profile", "delete it in Sailthru's user look-up"
    try:
        answer = await live.ask("DELETE", "/user", {"id": live.email, "key": "email"})
    except NotNow as error:
        return Check(title, Verdict.WARN, f"was not deleted: {error.what}", fix)
    if isinstance(answer, Accepted):
        return Check(title, Verdict.OK, "deleted")
    return Check(title, Verdict.WARN, f"was not deleted: {shown(answer)}", fix)


def groups_of(*, orders: bool) -> frozenset[Group]:
    """What is asked: with `orders` also what leaves orders behind."""
    return frozenset({"profile", "orders"} if orders else {"profile"})


def announced(account: AccountSettings, email: str, groups: frozenset[Group]) -> list[str]:
    """What will be asked, line by line, before it is."""
    lines = [f"On {account.api_url}, with the profile {email}, which is deleted afterwards:"]
    lines += [f"  {name}: {POINTS[name].asks}" for name in CHECKS if POINTS[name].group in groups]
    if "orders" in groups:
        lines.append(
            f"Three orders of {PRICE} cent stay in the purchase log, and the item {URL} in the content library."
        )
    return lines


async def check_live(
    settings: Settings, name: str, email: str, groups: frozenset[Group], clock: Clock
) -> list[Check]:
    """Ask one account. Nothing is raised: what could not be asked is a check that failed."""
    title = f"{name} live"
    try:
        pointed = with_sandbox(settings)
        url = resolve_redis_url(settings)
    except ConfigError as error:
        return [Check(title, Verdict.FAIL, str(error))]
    account = pointed.account(name)
    if account.dry_run:
        return [Check(title, Verdict.FAIL, "not asked in a dry run", "unset SAILPIPE_DRY_RUN")]
    no_id = account.model_copy(update={"customer_id": NO_CUSTOMER})
    async with open_async_redis(url) as client:
        upstream = Upstream(pointed, client)
        nowhere = Upstream(
            pointed.model_copy(update={"accounts": {**pointed.accounts, name: no_id}}), client
        )
        extid = f"sailpipe-doctor-{secrets.token_hex(8)}"
        try:
            return await ask_points(Live(upstream, nowhere, account, email, extid, clock), groups)
        except ProfileExists:
            found = "the email has a profile already, which is not ours to delete"
            return [Check(title, Verdict.FAIL, found, "name an address that no profile has")]
        except NotNow as error:
            fix = "let delivery go on (`sailpipe status`), and try again"
            return [Check(title, Verdict.FAIL, f"not asked: {error.what}", fix)]
        finally:
            await upstream.aclose()
            await nowhere.aclose()
