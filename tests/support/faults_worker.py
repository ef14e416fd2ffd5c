"""`celery -A tests.support.faults_worker worker`: the real app with places where it dies. FAULTS_TOKENS: see faults_deaths."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from pipeline.delivery import turn
from pipeline.events import Event
from pipeline.mailbox.claim import Claim, Deed
from pipeline.mailbox.store import MailboxStore
from pipeline.splitter import loop
from pipeline.splitter.loop import Splitter
from pipeline.splitter.sort import RawEntry, Read
from tests.support.faults_deaths import (
    AFTER_INTENT,
    AFTER_SETTLE,
    AFTER_SPLIT,
    BEFORE_SETTLE,
    BEFORE_SPLIT,
    HANGER,
    KILLER,
    SPLIT_HANGER,
    SPLIT_KILLER,
    die_at,
)
from workers.celery import app

__all__ = ["app"]

TOKENS = Path(os.environ.get("FAULTS_TOKENS", "/nonexistent"))


def _wrap(owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
    setattr(owner, name, wrapper(getattr(owner, name)))


def _dying_intent(real: Any) -> Any:
    @wraps(real)
    async def record_intent(store: MailboxStore, claim: Claim, intent: str) -> None:
        await real(store, claim, intent)
        die_at(TOKENS, AFTER_INTENT)

    return record_intent


def _dying_settle(real: Any) -> Any:
    @wraps(real)
    async def settle(store: MailboxStore, claim: Claim, deed: Deed) -> int:
        matters = bool(deed.pop and claim.intent)
        if matters:
            die_at(TOKENS, BEFORE_SETTLE)
        left: int = await real(store, claim, deed)
        if matters:
            die_at(TOKENS, AFTER_SETTLE)
        return left

    return settle


def _dying_split(real: Any) -> Any:
    @wraps(real)
    async def write(splitter: Splitter, batch: Sequence[Any]) -> None:
        die_at(TOKENS, BEFORE_SPLIT)
        await real(splitter, batch)
        die_at(TOKENS, AFTER_SPLIT)

    return write


def _end(*, dies: bool, hangs: bool) -> None:
    """End this process, or never return."""
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)
    while hangs:
        time.sleep(1.0)


def _deadly_plan(real: Any) -> Any:
    @wraps(real)
    def plan(events: Sequence[Event], *known: Any) -> Any:
        for event in events:
            message_id = event.message_id or ""
            _end(dies=message_id.startswith(KILLER), hangs=message_id.startswith(HANGER))
        return real(events, *known)

    return plan


def _deadly_read(real: Any) -> Any:
    @wraps(real)
    def read(entry: RawEntry) -> Read:
        _end(dies=SPLIT_KILLER.encode() in entry.raw, hangs=SPLIT_HANGER.encode() in entry.raw)
        found: Read = real(entry)
        return found

    return read


_wrap(MailboxStore, "record_intent", _dying_intent)
_wrap(MailboxStore, "settle", _dying_settle)
_wrap(Splitter, "_write", _dying_split)
_wrap(turn, "plan", _deadly_plan)
_wrap(loop, "read", _deadly_read)
