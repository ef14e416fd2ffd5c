"""Writes down who changed what: in the account's audit trail, and a line in the log without what it was about."""

from __future__ import annotations

import logging

import redis.asyncio

from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.observe.logs import log_event


def log_act(account: str, act: Act) -> None:
    """A line in the log: who, verb and number. The filter may hold a person's id, and stays out."""
    log_event(
        "operator_acted",
        logging.WARNING,
        account=account,
        who=act.by,
        verb=act.verb,
        count=act.count,
    )


async def record_act(client: redis.asyncio.Redis, account: str, act: Act) -> None:
    """Write it into both."""
    log_act(account, act)
    await AuditTrail(client, account).record(act)
