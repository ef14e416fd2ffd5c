"""Passwords and tokens, and whose they are. No I/O.

Digests are compared, each time all of them and in constant time, so that neither the length of a password nor how much
of it is right shows in the time an answer takes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from pydantic import SecretStr

from pipeline.guard.operators import Access, Operator
from pipeline.settings import Settings


class Credentials:
    """What the settings let in. Digests alone are kept."""

    def __init__(self, settings: Settings) -> None:
        self._passwords = _digests(
            ("password", Access.FULL, settings.console_password),
            ("read-only password", Access.READ, settings.console_read_password),
        )
        self._tokens = _digests(
            ("token", Access.FULL, settings.console_token),
            ("read-only token", Access.READ, settings.console_read_token),
        )
        self._metrics = _digests(("metrics token", Access.READ, settings.metrics_token))

    @property
    def has_password(self) -> bool:
        return bool(self._passwords)

    @property
    def has_token(self) -> bool:
        return bool(self._tokens)

    def by_password(self, text: str) -> Operator | None:
        """Whose password this is."""
        return _whose(self._passwords, text)

    def by_token(self, text: str, *, metrics: bool = False) -> Operator | None:
        """Whose bearer token this is; one that is for metrics alone counts only there."""
        return _whose(self._tokens + (self._metrics if metrics else ()), text)

    def session_key(self, random: bytes) -> str:
        """What signs sessions. Another password makes another key: a change of it ends all sessions."""
        digests = b"".join(digest for digest, _ in self._passwords)
        return hmac.new(random, digests, hashlib.sha256).hexdigest()


def bearer(authorization: str | None) -> str | None:
    """The token of an `Authorization: Bearer` header."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _digests(
    *given: tuple[str, Access, SecretStr | None],
) -> tuple[tuple[bytes, Operator], ...]:
    return tuple(
        (_digest(secret.get_secret_value()), Operator(who, access))
        for who, access, secret in given
        if secret is not None
    )


def _whose(known: Iterable[tuple[bytes, Operator]], text: str) -> Operator | None:
    shown, found = _digest(text), None
    for digest, operator in known:
        if hmac.compare_digest(digest, shown) and found is None:
            found = operator
    return found


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
