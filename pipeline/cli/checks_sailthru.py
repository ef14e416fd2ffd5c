"""Whether an account can be delivered to: credentials, and the settings lanes depend on."""

from __future__ import annotations

from pipeline.addresses import with_sandbox
from pipeline.cli.checks import Check, Verdict
from pipeline.errors import ConfigError
from pipeline.sailthru.answers import Accepted, Answer, Failure
from pipeline.sailthru.calls import Call
from pipeline.sailthru.client import Credentials, SailthruClient
from pipeline.sailthru.transport import open_http
from pipeline.settings import AccountSettings, Settings

UNKNOWN_EXTID = "sailpipe-doctor-unknown"
"""An extid no profile has; asking for it changes nothing."""
_KNOWN_CREDENTIALS = frozenset({Failure.USER_NOT_FOUND, Failure.REJECTED})


async def check_account(settings: Settings, name: str) -> list[Check]:
    """One harmless signed call, and what is not set that page events or producers need."""
    account = settings.account(name)
    checks = []
    if account.target == "live" and not account.write_keys:
        found = "none: HTTP producers are answered 401"
        checks.append(Check(f"{name} write keys", Verdict.WARN, found, "set SAILPIPE_WRITE_KEYS"))
    if account.customer_id is None:
        found = "none: page events are ignored"
        checks.append(Check(f"{name} customer id", Verdict.WARN, found, "set SAILPIPE_CUSTOMER_ID"))
    call = Call("GET", "/user", {"id": UNKNOWN_EXTID, "key": "extid"})
    return [*checks, await _try(settings, account, call, f"{name} credentials")]


async def _try(
    settings: Settings,
    account: AccountSettings,
    call: Call,
    name: str,
) -> Check:
    try:
        account = with_sandbox(settings).account(account.name)
    except ConfigError as error:
        return Check(name, Verdict.WARN, str(error))
    if account.api_key is None:
        found, fix = "no API key is set", "set SAILPIPE_API_KEY and SAILPIPE_API_SECRET"
        return Check(name, Verdict.FAIL, found, fix)
    async with open_http() as http:
        client = SailthruClient(Credentials.of(account), http, timeout_s=account.http_timeout)
        answer = await client.send(call)
    return judge(name, answer, account)


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
