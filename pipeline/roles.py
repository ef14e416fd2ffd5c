"""What a write key is for, and so what the events that come with it may do (`pipeline.events.rights`)."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    """server: a secret of the shop's own programs. browser: it stands in a page, where every visitor may read it."""

    SERVER = "server"
    BROWSER = "browser"

    @classmethod
    def read(cls, text: str | None) -> Role:
        """As a raw entry, a mailbox entry or a letter says it. None and '' are `server`; what is not known has the
        least rights."""
        return cls.SERVER if text in (None, "", cls.SERVER.value) else cls.BROWSER

    @property
    def said(self) -> str:
        """What an entry says of it: nothing where nothing is understood."""
        return "" if self is Role.SERVER else self.value


class WriteKey(NamedTuple):
    """One of WRITE_KEYS or WEBHOOK_SECRETS. rate: events a second, over all processes, that go ahead of bulk; None for no bound."""

    key: str
    role: Role = Role.SERVER
    rate: float | None = None
