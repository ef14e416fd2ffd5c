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
    """A reason for people. title: what happened to one event, a clause. do: the next step, a clause.

    here: the next step as the console says it, to a colleague who sees no terminal; '' where `do` serves both.
    counted: what happened to one and to several, with their number; '' where there is no such sentence. by_people: the number
    is of people, not of letters.
    """

    title: str
    do: str
    fault: Fault
    here: str = ""
    counted: tuple[str, str] = ("", "")
    by_people: bool = False

    def sentence(self, letters: int, people: int = 0) -> str:
        """What happened to so many letters of so many people: `212 orders have no e-mail address`."""
        number = people or letters if self.by_people else letters
        return self.counted[number != 1].format(f"{number:,}") or self.title


REASONS: Mapping[Reason, Words] = MappingProxyType(
    {
        Reason.INVALID_JSON: Words(
            "what came is not JSON",
            "mend the producer, enqueue it again",
            Fault.DATA,
            here="tell who sends these events: they cannot be read",
            counted=("{} event is not JSON", "{} events are not JSON"),
        ),
        Reason.INVALID_EVENT: Words(
            "a field is missing or of the wrong kind",
            "mend the producer, enqueue it again",
            Fault.DATA,
            here="correct the field that is named here, and send again; tell who sends these events",
            counted=(
                "{} event lacks a field, or has one of the wrong kind",
                "{} events lack a field, or have one of the wrong kind",
            ),
        ),
        Reason.TOO_LARGE: Words(
            "it is larger than an event may be",
            "send less with it",
            Fault.DATA,
            here="tell who sends these events: there is too much in them",
            counted=(
                "{} event is larger than an event may be",
                "{} events are larger than an event may be",
            ),
        ),
        Reason.MISSING_USER_ID: Words(
            "it does not say whose it is",
            "send a userId; take an id that is a person's out of SHARED_IDS",
            Fault.DATA,
            here="tell who sends these events: each needs the id of its customer",
            counted=("{} event does not say whose it is", "{} events do not say whose they are"),
        ),
        Reason.RESERVED_EVENT: Words(
            "Sailthru keeps this event name for itself",
            "send it by another name",
            Fault.DATA,
            here="agree on another name with who sends these events",
            counted=(
                "{} event has a name that Sailthru keeps for itself",
                "{} events have a name that Sailthru keeps for itself",
            ),
        ),
        Reason.UNMAPPABLE: Words(
            "a value that Sailthru must have is missing or cannot be read",
            "mend the producer, or change the settings and replay",
            Fault.DATA,
            here="correct the value that is named here, and send again; tell who sends these events",
            counted=(
                "in {} event a value that Sailthru must have is missing or cannot be read",
                "in {} events a value that Sailthru must have is missing or cannot be read",
            ),
        ),
        Reason.NOTHING_TO_REMOVE: Words(
            "the product to be removed was not in the cart",
            "nothing as a rule: the cart is as it should be",
            Fault.DATA,
            counted=(
                "{} product was to be removed from a cart that does not have it",
                "{} products were to be removed from carts that do not have them",
            ),
        ),
        Reason.REJECTED: Words(
            "Sailthru said no",
            "mend what Sailthru names (a template, a list, a value), then replay",
            Fault.DATA,
            here="correct at Sailthru what it names (a template, a list), or here the value, and send again",
            counted=("Sailthru said no to {} event", "Sailthru said no to {} events"),
        ),
        Reason.UNKNOWN_USER: Words(
            "Sailthru does not know this customer",
            "send an identify, then replay; or set UNKNOWN_USER=ignore",
            Fault.DATA,
            here="send again when the customer has signed in or signed up",
            counted=("Sailthru does not know {} customer", "Sailthru does not know {} customers"),
            by_people=True,
        ),
        Reason.MISSING_EMAIL: Words(
            "it has no e-mail address",
            "send an identify with the email",
            Fault.DATA,
            here="an order is sent by itself when the customer signs in; or add the address, and send again",
            counted=(
                "{} order or cart has no e-mail address",
                "{} orders or carts have no e-mail address",
            ),
        ),
        Reason.CART_LOOKUP_FAILED: Words(
            "Sailthru did not say what is in the cart",
            "see the timeline; replay when Sailthru answers",
            Fault.SAILTHRU,
            here="send again when Sailthru answers; nothing is lost",
            counted=(
                "Sailthru did not say what is in the cart of {} event",
                "Sailthru did not say what is in the carts of {} events",
            ),
        ),
        Reason.EXHAUSTED: Words(
            "Sailthru did not answer, however often it was tried",
            "see the timeline; replay when the cause is gone",
            Fault.SAILTHRU,
            here="send again when Sailthru answers; nothing is lost",
            counted=(
                "Sailthru did not answer to {} event, however often it was tried",
                "Sailthru did not answer to {} events, however often they were tried",
            ),
        ),
        Reason.TOO_OLD: Words(
            "it came too late",
            "if it should be delivered all the same, raise MAX_AGE, then replay",
            Fault.DATA,
            here="ask the engineer to let older events through, and send again; or discard it",
            counted=("{} event came too late", "{} events came too late"),
        ),
        Reason.POISON: Words(
            "every process that worked on it ended",
            "replay if they were killed for another reason; else report it with the letter",
            Fault.OURS,
            here="tell the engineer; nothing is lost",
            counted=(
                "every process that worked on {} event ended",
                "every process that worked on {} events ended",
            ),
        ),
        Reason.CRASHED: Words(
            "sailpipe failed over it",
            "report it with the letter; replay after the upgrade",
            Fault.OURS,
            here="tell the engineer; nothing is lost",
            counted=("sailpipe failed over {} event", "sailpipe failed over {} events"),
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
        "the splitter: it is in the raw stream": "its turn to be sorted",
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


def console_do(reason: str) -> str:
    """What to do about an event that died of this, as the console says it: a clause."""
    words = words_of(reason)
    return words.here or console_words(words.do)


def words_of(reason: str) -> Words:
    """The words of a reason; one that this version does not know is shown as it is."""
    try:
        return REASONS[Reason(reason)]
    except ValueError:
        return Words(reason.replace("_", " "), "see the letter", Fault.OURS)
