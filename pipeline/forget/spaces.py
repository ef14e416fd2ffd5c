"""Where a person may stand in Redis: every key of `storage/keys.py`, once. A test compares. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Space(StrEnum):
    """A part of what sailpipe keeps, as a receipt names it."""

    RAW = "raw stream"
    HELD = "held events"
    MAILBOXES = "mailboxes"
    WAKEUPS = "wake-ups"
    LETTERS = "dead letters"
    ORDERS = "order reservations"
    LINKS = "who is who"
    MEMORY = "learned of users"
    CARTS = "carts"
    SIGHTINGS = "emails seen"
    PROFILES = "profiles found"
    OUTCOMES = "log of outcomes"
    DRY_CALLS = "calls of a dry run"
    DEATHS = "deaths for the brake"
    AUDIT = "audit trail"
    WORDS = "what people wrote"


_NUMBERS = "numbers, names of parts and times alone"
_HASHES = "hashes of messageIds or contents, which name no person"
_IDS = "ids of letters"
_OWN = "this command's own: keyed hashes, or what it removes at its end"

KNOWN: Final[Mapping[str, Space | str]] = MappingProxyType(
    {
        "RAW": Space.RAW,
        "HELD": Space.HELD,
        "RAW_PROBE": _NUMBERS,
        "SPLITTER": _NUMBERS,
        "SPLITTER_HEAD": _NUMBERS,
        "SPLITTER_FALLEN": _NUMBERS,
        "ACCOUNTS": _NUMBERS,
        "VERDICT": _NUMBERS,
        "PROCESSES": _NUMBERS,
        "LAST_SEEN": _NUMBERS,
        "REFUSALS": _NUMBERS,
        "CONSOLE_KEY": _NUMBERS,
        "ALERTS": Space.WORDS,
        "ALERTS_TURN": _NUMBERS,
        "ALERTS_FAILED": _NUMBERS,
        "ALERTS_REFUSED": _NUMBERS,
        "FORMAT": _NUMBERS,
        "SLOTS_BEGAN": _NUMBERS,
        "celery_queue": Space.WAKEUPS,
        "slots": _NUMBERS,
        "limits": _NUMBERS,
        "gates": Space.WORDS,
        "deaths": Space.DEATHS,
        "share": "hashes of write keys",
        "once": "hashes of what is dropped as a repeat; they end by themselves",
        "found": Space.PROFILES,
        "import_of": _HASHES,
        "counts": _NUMBERS,
        "calls": _NUMBERS,
        "history": _NUMBERS,
        "due": Space.MAILBOXES,
        "due_bulk": Space.MAILBOXES,
        "leased": Space.MAILBOXES,
        "mail": Space.MAILBOXES,
        "mailbox_state": Space.MAILBOXES,
        "lane": _NUMBERS,
        "suspect": Space.MAILBOXES,
        "token": _NUMBERS,
        "user": Space.MEMORY,
        "cart": Space.CARTS,
        "cart_of": Space.CARTS,
        "order": Space.ORDERS,
        "orders_reused": _NUMBERS,
        "reuse_told": _NUMBERS,
        "seen": Space.SIGHTINGS,
        "alias_table": _NUMBERS,
        "aliases": Space.LINKS,
        "dedupe_depth": _NUMBERS,
        "dedupe_set": _HASHES,
        "dead": Space.LETTERS,
        "dead_by_time": _IDS,
        "dead_by_cause": _IDS,
        "dead_by_kind": _IDS,
        "dead_by_user": Space.LETTERS,
        "dead_causes": _HASHES,
        "dead_people": "a count of users, from which none can be read",
        "dead_groups": _NUMBERS,
        "dead_told": _NUMBERS,
        "dead_for_email": Space.LETTERS,
        "replayed": _IDS,
        "trace_book": _NUMBERS,
        "trace": Space.OUTCOMES,
        "dead_states": Space.WORDS,
        "dead_views": Space.WORDS,
        "jobs": _NUMBERS,
        "jobs_active": _NUMBERS,
        "jobs_lease": _NUMBERS,
        "job": Space.WORDS,
        "job_ids": _IDS,
        "job_sent": _IDS,
        "audit": Space.AUDIT,
        "audit_copy": _OWN,
        "dry_calls": Space.DRY_CALLS,
        "target": _NUMBERS,
        "reset_cut": _NUMBERS,
        "forgotten": _OWN,
        "forget_key": _OWN,
        "forgetting": _OWN,
        "forget_lease": _NUMBERS,
    }
)
"""What names a key in `keys.py` -> the space that is looked through for it, or why no person stands in it."""
