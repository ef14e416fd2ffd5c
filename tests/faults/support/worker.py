"""`celery -A tests.faults.support.worker worker`: the real app with places where it is struck. FAULTS_TOKENS: see deaths."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from pipeline.delivery import session
from pipeline.delivery.intents import IntentLog, PendingOrder
from pipeline.events.models import Event
from pipeline.mailbox.claim import Claim, Settlement
from pipeline.mailbox.reservations import Reservation, Taken
from pipeline.mailbox.store import MailboxStore
from pipeline.splitter import loop
from pipeline.splitter.entries import Moved, RawEntry, Read
from pipeline.splitter.stream import RawStream
from tests.faults.support.deaths import (
    AFTER_INTENT,
    AFTER_SETTLE,
    AFTER_SPLIT,
    BEFORE_SETTLE,
    BEFORE_SPLIT,
    CART,
    FREEZE_BEFORE_SPLIT,
    HANGER,
    KILLER,
    ORDER,
    SPLIT_HANGER,
    SPLIT_KILLER,
    at,
    strike_at,
)
from workers.app import app_from_environment
from workers.logs import set_up_worker_logging

set_up_worker_logging()
app = app_from_environment(__name__)

RECORDED: dict[str, str] = {}
"""Claim token -> the intent it has on record for the call under way."""
TOKENS = Path(os.environ.get("FAULTS_TOKENS", "/nonexistent"))


def _wrap(owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
    setattr(owner, name, wrapper(getattr(owner, name)))


def _kind(intent: str) -> str:
    return ORDER if isinstance(IntentLog.read(intent).pending, PendingOrder) else CART


def _dying_intent(real: Any) -> Any:
    @wraps(real)
    async def record_intent(
        store: MailboxStore, claim: Claim, intent: str, order: Reservation | None = None
    ) -> Taken | None:
        taken: Taken | None = await real(store, claim, intent, order)
        if taken is None:
            RECORDED[claim.token] = intent
            strike_at(TOKENS, at(AFTER_INTENT, _kind(intent)))
        return taken

    return record_intent


def _dying_settle(real: Any) -> Any:
    @wraps(real)
    async def settle(store: MailboxStore, settlement: Settlement) -> int:
        claim = settlement.claim
        intent = RECORDED.pop(claim.token, claim.intent)
        about = _kind(intent) if settlement.pop and intent else None
        if about:
            strike_at(TOKENS, at(BEFORE_SETTLE, about))
        left: int = await real(store, settlement)
        if about:
            strike_at(TOKENS, at(AFTER_SETTLE, about))
        return left

    return settle


def _dying_split(real: Any) -> Any:
    @wraps(real)
    async def move(stream: RawStream, batch: Sequence[Any], *fence: Any) -> Moved:
        strike_at(TOKENS, BEFORE_SPLIT)
        strike_at(TOKENS, FREEZE_BEFORE_SPLIT, signal.SIGSTOP)
        moved: Moved = await real(stream, batch, *fence)
        strike_at(TOKENS, AFTER_SPLIT)
        return moved

    return move


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
    def read(entry: RawEntry, *given: Any) -> Read:
        _end(dies=SPLIT_KILLER.encode() in entry.raw, hangs=SPLIT_HANGER.encode() in entry.raw)
        found: Read = real(entry, *given)
        return found

    return read


_wrap(MailboxStore, "record_intent", _dying_intent)
_wrap(MailboxStore, "settle", _dying_settle)
_wrap(RawStream, "move", _dying_split)
_wrap(session, "plan", _deadly_plan)
_wrap(loop, "read", _deadly_read)
