"""What an account delivers to, and whose the account's data in Redis are.

Waiting events, carts and merged profiles speak of one Sailthru account. A process that delivers to another
target leaves them alone, so that a trial never reaches the live account. No I/O.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from pipeline.settings import DEFAULT_ACCOUNT, AccountSettings

SANDBOX = "sandbox"
DRY_RUN = "dry-run"
NO_TARGET = ""
"""What a process delivers to, for an account that its settings do not name."""
Verb: TypeAlias = Literal["adopt", "reset"]
_VERBS: tuple[Verb, ...] = ("adopt", "reset")
_SHOWN_KEY = 4
"""Characters of an API key that people are shown: enough to know it by."""
_LONG_KEY = 12
"""A shorter key is shown by its hash alone."""
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}


@dataclass(frozen=True, slots=True)
class Target:
    """One place that calls go to.

    name: what Redis keeps: `sandbox`, `dry-run`, or `HOST KEY`, where KEY is the start of the API key and a
        hash of all of it. The key itself is in no database.
    beside: the names by the other API keys that the settings list: the same account, while its key is being changed.
    """

    name: str
    beside: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of its names, the one that is written down first."""
        return self.name, *self.beside

    @property
    def is_trial(self) -> bool:
        """Whether nothing of it ever reached a Sailthru account."""
        return self.name in {SANDBOX, DRY_RUN}

    def __str__(self) -> str:
        """For people: `the sandbox`, `a dry run`, or the host and how its API key begins."""
        if self.is_trial:
            return "the sandbox" if self.name == SANDBOX else "a dry run"
        host, _, key = self.name.partition(" ")
        head, _, digest = key.rpartition("-")
        return f"{host} (API key {head}...)" if head else f"{host} (API key #{digest})"


def target_of(account: AccountSettings) -> Target:
    """What these settings deliver to. Every sandbox is the same one, whatever its port."""
    if account.dry_run:
        return Target(DRY_RUN)
    if account.target == "sandbox":
        return Target(SANDBOX)
    host = _host(account.api_url)
    name, *beside = dict.fromkeys(f"{host} {_key_id(key)}" for key, _ in account.credentials)
    return Target(name, tuple(beside))


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an account's data are.

    target: None before anything was delivered, or when a reset has begun before that.
    unfinished: the command that was begun and has not come to its end; until it has, no process delivers.
    """

    target: Target | None
    unfinished: Verb | None = None

    @classmethod
    def read(cls, text: str) -> Owner:
        """From what Redis keeps; '' when it keeps nothing."""
        verb, slash, name = text.partition("/")  # no host has a slash
        for known in _VERBS:
            if slash and verb == known:
                return cls(Target(name) if name else None, known)
        return cls(Target(text) if text else None)

    @property
    def text(self) -> str:
        """What Redis keeps."""
        name = self.target.name if self.target else ""
        return f"{self.unfinished}/{name}" if self.unfinished else name

    def lets(self, own: Target) -> bool:
        """Whether a process that delivers to `own` may deliver what waits."""
        return self.unfinished is None and (self.target is None or self.target.name in own.names)


def why_not(account: str, owner: Owner, own: Target) -> str:
    """Why the events of an account wait although a process delivers to `own`: a clause without an end."""
    if owner.unfinished:
        return f"`sailpipe {owner.unfinished}` of account {account} has not come to its end"
    return f"account {account} belongs to {owner.target}, and these settings deliver to {own}"


def ways_on(account: str, owner: Owner) -> str:
    """What a person can do about it: a clause without an end."""
    named = "" if account == DEFAULT_ACCOUNT else f" --account {account}"
    if owner.unfinished:
        return f"wait for it, or run `sailpipe {owner.unfinished}{named}` again"
    return (
        f"`sailpipe reset{named}` empties it, `sailpipe adopt{named}` delivers what waits here, and another"
        " SAILPIPE_DATA_DIR or SAILPIPE_REDIS_URL leaves it as it is"
    )


def _host(url: str) -> str:
    """Host and port, without a login that the URL may hold."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    return host.removesuffix(_DEFAULT_PORTS.get(parts.scheme, ""))


def _key_id(key: str) -> str:
    digest = hashlib.blake2b(key.encode(), digest_size=6).hexdigest()
    head = key[:_SHOWN_KEY] if len(key) >= _LONG_KEY and key.isalnum() else ""
    return f"{head}-{digest}"
