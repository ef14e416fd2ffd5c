"""The dead letters that the splitter writes. No I/O."""

from __future__ import annotations

from pipeline.deadletters.letter import Header
from pipeline.errors import InvalidEvent
from pipeline.events.kinds import ORDERS
from pipeline.splitter.entries import ActionKind, Read, RoutedEntry, SplitAction
from pipeline.storage import keys


def dead_letter(item: Read, problem: InvalidEvent, owning_account: str) -> RoutedEntry:
    """The letter that an entry becomes, kept in `owning_account`; its header names the account it asked for."""
    entry, key = item.entry, item.key
    header = Header(
        account=entry.account,
        reason=problem.reason,
        detail=problem.detail,
        first_seen_ms=entry.at_ms,
        died_at=entry.at_ms,
        key=key.hash,
        role=entry.role.said,
        order=item.event is not None and item.event.kind in ORDERS,
    )
    own = key._replace(p=keys.account_prefix(owning_account))
    action = SplitAction(own, ActionKind.DEAD, came=item.came)
    return RoutedEntry(entry.sid, action, header.as_line().encode() + b"\n" + entry.raw)
