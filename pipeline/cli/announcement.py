"""What `sailpipe up` says once everything runs: the console first, and the command to go on with. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.addresses import needs_sandbox
from pipeline.settings import DEFAULT_ACCOUNT, AccountSettings, Settings
from pipeline.targets import target_of

_STARTS_EMPTY = (
    "            The sandbox starts empty: it knows no person until an identify comes again, and custom",
    "            events of the people it knew before wait for that (`USER_WAIT`)",
)
FIRST_EVENT = '{"userId": "u-1", "traits": {"email": "ann@example.com"}}'


@dataclass(frozen=True, slots=True)
class Started:
    """What was started, and where.

    program: how a person calls sailpipe. has_sample: `make sample` can be run here. has_events: some were accepted before this
    start. is_foreign: the events of the default account belong to another target, so that nothing is delivered.
    """

    settings: Settings
    data_dir: Path
    host: str
    port: int
    program: str
    has_sample: bool
    has_events: bool = False
    is_foreign: bool = False

    @property
    def _account(self) -> AccountSettings:
        return self.settings.account(DEFAULT_ACCOUNT)

    @property
    def _http(self) -> str:
        name = reachable(self.host)
        return f"http://[{name}]:{self.port}" if ":" in name else f"http://{name}:{self.port}"

    def lines(self) -> Sequence[str]:
        """The block, whose last line is what to do next."""
        return (
            "",
            f"Console     {self._http}/console",
            f"HTTP        {self._http}",
            f"Write keys  {_shown_keys(self._account)}",
            *self._keys_of_others(),
            *self._target(),
            f"Data        {self.data_dir} (Ctrl-C stops)",
            f"next: {self._next()}",
        )

    def _keys_of_others(self) -> Sequence[str]:
        others = [one for one in self.settings.accounts.values() if one.name != DEFAULT_ACCOUNT]
        return [
            f"            {_shown_keys(one)} (account {one.name})"
            for one in others
            if one.write_keys
        ]

    def _target(self) -> Sequence[str]:
        if self._account.dry_run:
            return ("Delivers to nothing: SAILPIPE_DRY_RUN is set",)
        if needs_sandbox(self.settings):
            return (
                "Delivers to the sandbox in memory, because no API key is set",
                "            (SAILPIPE_API_KEY and SAILPIPE_API_SECRET deliver to Sailthru)",
                *(_STARTS_EMPTY if self.has_events else ()),
            )
        return (f"Delivers to {target_of(self._account)}",)

    def _next(self) -> str:
        if self.is_foreign:
            return f"{self.program} status    (in a second terminal: says why nothing is delivered, and what to do)"
        if self._account.target != "sandbox":
            return f"{self.program} doctor    (in a second terminal: checks the settings and the API key)"
        if self.has_events:
            return f"{self.program} status    (in a second terminal: what became of the events; the console shows it, too)"
        if self.has_sample:
            return "make sample    (in a second terminal: sends a shop's day, and compares how it ends)"
        key = next((one.key for one in self._account.write_keys), "")
        return f"curl -u {key}: {self._http}/v1/identify -d '{FIRST_EVENT}'"


def reachable(host: str) -> str:
    """Under which name a client on this machine finds what listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here


def _shown_keys(account: AccountSettings) -> str:
    if account.target == "sandbox":
        return ", ".join(one.key for one in account.write_keys)
    if account.write_keys:
        return f"{len(account.write_keys)} set"
    return "none: producers over HTTP are answered 401 (set SAILPIPE_WRITE_KEYS)"
