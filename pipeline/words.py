"""The words in which people are told of dead letters: one table, for command line, HTTP and console. No I/O.

CLI and HTTP keep their verbs (replay, drop) and codes; the console shows `TERMS`. docs/outcomes.md says more of each
reason; what to do stands here alone, and that page takes it from here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pipeline.errors import Reason


class Fault(StrEnum):
    """On whose side the cause of a death lies, and so who can mend it."""

    OURS = "ours"
    """sailpipe's, or the settings it runs with."""
    DATA = "data"
    """The producer's."""
    SAILTHRU = "sailthru"
    """Sailthru's."""


@dataclass(frozen=True, slots=True)
class Words:
    """A reason for people. title: what happened to one event, a clause. do: the next step, a clause."""

    title: str
    do: str
    fault: Fault


REASONS: Mapping[Reason, Words] = MappingProxyType(
    {
        Reason.INVALID_JSON: Words(
            "what came is not JSON", "mend the producer, enqueue it again", Fault.DATA
        ),
        Reason.INVALID_EVENT: Words(
            "a field is missing or of the wrong kind",
            "mend the producer, enqueue it again",
            Fault.DATA,
        ),
        Reason.TOO_LARGE: Words(
            "it is larger than an event may be", "send less with it", Fault.DATA
        ),
        Reason.MISSING_USER_ID: Words(
            "it does not say whose it is",
            "send a userId; take an id that is a person's out of SHARED_IDS",
            Fault.DATA,
        ),
        Reason.RESERVED_EVENT: Words(
            "Sailthru keeps this event name for itself", "send it by another name", Fault.DATA
        ),
        Reason.UNMAPPABLE: Words(
            "a value that Sailthru must have is missing or cannot be read",
            "mend the producer, or change the settings and replay",
            Fault.DATA,
        ),
        Reason.NOTHING_TO_REMOVE: Words(
            "the product to be removed was not in the cart",
            "nothing as a rule: the cart is as it should be",
            Fault.DATA,
        ),
        Reason.REJECTED: Words(
            "Sailthru said no",
            "mend what Sailthru names (a template, a list, a value), then replay",
            Fault.DATA,
        ),
        Reason.UNKNOWN_USER: Words(
            "Sailthru does not know this customer",
            "send an identify, then replay; or set UNKNOWN_USER=ignore",
            Fault.DATA,
        ),
        Reason.MISSING_EMAIL: Words(
            "it has no e-mail address", "send an identify with the email", Fault.DATA
        ),
        Reason.CART_LOOKUP_FAILED: Words(
            "Sailthru did not say what is in the cart",
            "see the timeline; replay when Sailthru answers",
            Fault.SAILTHRU,
        ),
        Reason.EXHAUSTED: Words(
            "Sailthru did not answer, however often it was tried",
            "see the timeline; replay when the cause is gone",
            Fault.SAILTHRU,
        ),
        Reason.TOO_OLD: Words(
            "it came too late",
            "if it should be delivered all the same, raise MAX_AGE, then replay",
            Fault.DATA,
        ),
        Reason.POISON: Words(
            "every process that worked on it ended",
            "replay if they were killed for another reason; else report it with the letter",
            Fault.OURS,
        ),
        Reason.CRASHED: Words(
            "sailpipe failed over it",
            "report it with the letter; replay after the upgrade",
            Fault.OURS,
        ),
    }
)

FAULTS: Mapping[Fault, str] = MappingProxyType(
    {Fault.OURS: "ours", Fault.DATA: "the data's", Fault.SAILTHRU: "Sailthru's"}
)
"""As people read them."""

TERMS: Mapping[str, str] = MappingProxyType(
    {
        "dead letter": "not delivered",
        "fingerprint": "problem",
        "mailbox": "waiting for this person",
        "replay": "send again",
        "drop": "discard",
        "release": "try now",
        "gate": "paused",
        "throttled": "at Sailthru's limit",
        "circuit": "Sailthru is down",
        "overtaken": "something newer was already sent",
        "user": "Profiles",
        "event": "Events",
        "purchase": "Orders & carts",
        "page": "Page views",
    }
)
"""Word of CLI, HTTP and docs (lanes included) -> what the console shows in its place."""


SAID: Mapping[str, str] = MappingProxyType(
    {
        "dead letters": "letters",
        "dead letter": "letter",
        "fingerprint": "problem",
        "mailboxes": "what waits",
        "mailbox": "what waits",
        "replayed": "sent again",
        "replays": "re-sends",
        "replay": "send again",
        "dropped": "discarded",
        "drop": "discard",
    }
)
"""The same in the middle of a sentence that command line and HTTP say, too."""
_PRIVATE = re.compile(rf"\b({'|'.join(SAID)})\b", re.IGNORECASE)


def console_words(text: str) -> str:
    """A sentence of command line and HTTP in the console's words. What stands between backticks is a command, and stays."""
    parts = text.split("`")
    parts[::2] = (
        _PRIVATE.sub(lambda found: SAID[found[0].casefold()], part) for part in parts[::2]
    )
    return "`".join(parts)


def words_of(reason: str) -> Words:
    """The words of a reason; one that this version does not know is shown as it is."""
    try:
        return REASONS[Reason(reason)]
    except ValueError:
        return Words(reason.replace("_", " "), "see the letter", Fault.OURS)
