"""Whether an account can be delivered to: credentials, and the settings lanes depend on."""

from __future__ import annotations

from typing import Final

from pipeline.addresses import with_sandbox
from pipeline.checks.check import Check, Verdict
from pipeline.errors import ConfigError
from pipeline.sailthru.answers import Accepted, Answer, Failure
from pipeline.sailthru.calls import Call
from pipeline.sailthru.client import Credentials, SailthruClient
from pipeline.sailthru.transport import open_http
from pipeline.settings import AccountSettings, Settings

PROBE: Final = Call("GET", "/user", {"id": "sailpipe-doctor-unknown", "key": "extid"})
"""Asks for an extid that no profile has, which changes nothing."""
_KNOWN_CREDENTIALS = frozenset({Failure.USER_NOT_FOUND, Failure.REJECTED})


def check_settings(account: AccountSettings) -> list[Check]:
    """What is not set that page events or producers need. No I/O."""
    checks = []
    if account.target == "live" and not account.write_keys:
        found = "none: HTTP producers are answered 401"
        name = f"{account.name} write keys"
        checks.append(Check(name, Verdict.WARN, found, "set SAILPIPE_WRITE_KEYS"))
    if account.customer_id is None:
        found, name = "none: page events are ignored", f"{account.name} customer id"
        checks.append(Check(name, Verdict.WARN, found, "set SAILPIPE_CUSTOMER_ID"))
    return checks


async def check_credentials(settings: Settings, account: str) -> Check:
    """Make PROBE, beside what else is sent."""
    name = credentials_check(account)
    try:
        there = with_sandbox(settings).account(account)
    except ConfigError as error:
        return Check(name, Verdict.WARN, str(error))
    if there.api_key is None:
        found, fix = "no API key is set", "set SAILPIPE_API_KEY and SAILPIPE_API_SECRET"
        return Check(name, Verdict.FAIL, found, fix)
    async with open_http() as http:
        client = SailthruClient(Credentials.of(there), http, timeout_s=there.http_timeout)
        answer = await client.send(PROBE)
    return judge(name, answer, there)


def credentials_check(account: str) -> str:
    """What the check of an account's key and secret is called."""
    return f"{account} credentials"


def judge(name: str, answer: Answer, account: AccountSettings) -> Check:
    """What an answer says about the credentials. No I/O."""
    where = "the sandbox" if account.target == "sandbox" else account.api_url
    if isinstance(answer, Accepted):
        return Check(name, Verdict.OK, f"{where} accepts them")
    if answer.failure in _KNOWN_CREDENTIALS:
        return Check(name, Verdict.OK, f"{where} accepts them")
    said = f"{where}: {answer.message}"
    match answer.failure:
        case Failure.THROTTLED:
            return Check(name, Verdict.WARN, said, "the limit is used up; try again in a minute")
        case Failure.MISCONFIGURED:
            fix = "mend SAILPIPE_API_KEY and SAILPIPE_API_SECRET"
        case Failure.UNAVAILABLE:
            fix = "mend SAILPIPE_API_URL, or let this machine reach it"
        case _:
            fix = "act on what Sailthru says"
    return Check(name, Verdict.FAIL, said, fix)
