"""Where an email may stand in an event, and what it says there. No I/O.

Segment's spec puts a person's email into the traits, and Segment's Sailthru destination reads it from
`context.traits` (reference: document 001). An order, refund, cart change or subscription is about one
person, so that its own `properties.email` is that person's. In every other event `properties.email` is
data: the friend who was invited, the colleague a file was shared with. The `traits` of a group are the
group's. `properties.traits.email` and `context.email` are documented nowhere, so they are data, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from pipeline.events.models import Event
from pipeline.events.names import Kind
from pipeline.roles import Role
from pipeline.text import email_in, is_email

CARRIES_KEY = frozenset({Kind.IDENTIFY, Kind.SUBSCRIBED})
"""Their calls give a profile its email."""

OWN_PROPERTIES = frozenset(
    {Kind.SUBSCRIBED, Kind.ORDER, Kind.REFUND, Kind.CART_ADD, Kind.CART_REMOVE}
    | {Kind.NATIVE_EVENT, Kind.NATIVE_ORDER, Kind.NATIVE_CART, Kind.NATIVE_RETURN}
)
"""Whose `properties.email` is the person's they are about."""
OWN_TRAITS = frozenset({Kind.IDENTIFY, Kind.ALIAS, Kind.SUBSCRIBED, Kind.NATIVE_USER})
"""Whose `traits.email` is. They speak of the person itself, so that theirs is the strongest evidence."""

EMAILS_A_DAY = 5
"""An id that comes with more emails than this in a day is shared by several people."""


class SharedBy(StrEnum):
    """What makes an id a shared one."""

    SETTING = "SHARED_IDS"
    MANY_EMAILS = "EMAILS_A_DAY"


STATED = 1
"""Strength of the evidence: identify, alias or Subscribed, in `traits` or `context.traits`."""
SHOWN = 2
"""Strength: another event's `context.traits`."""
BOUGHT = 3
"""Strength: the own `properties` of an order, refund, cart change or Subscribed, since the buyer of a present may write
the other's address there; and whatever came with a key of role `browser`, since any visitor may say so."""


class Emails(NamedTuple):
    """What one event says with its emails, each as it was written.

    shown: the email that the event itself shows of the person it is about. It addresses the event, is
        learned for later ones, and counts as a sighting of its ids. The first well-formed one of `traits`
        (identify, alias and Subscribed), `context.traits`, and the own `properties` of an order, refund, cart
        change or Subscribed.
    owned: the email that the event says is its user's own: events without a userId that show it are this
        user's. As `shown`, without the properties of orders, refunds and carts: who pays for a present may
        write the other's address there. A userId that is an email itself is the last choice of an identify
        or Subscribed, whose call makes it the profile's email. A key of role `browser` says it of no email.
    address: the email that the event itself may be addressed by: the one it shows. Only an event without
        any id, shared or not, may be addressed by an email that is data.
    strength: of `shown` as evidence: STATED, SHOWN or BOUGHT. What is learned is replaced by nothing weaker; of
        equals the newer counts. What Sailthru's profile shows is weaker than all.
    """

    shown: str | None = None
    owned: str | None = None
    address: str | None = None
    strength: int = BOUGHT


NO_EMAILS = Emails()


def read_emails(event: Event, kind: Kind, refused: Collection[str] = ()) -> Emails:
    """What an event says with its emails. `refused`: those, as `address_key` writes them, that count for nothing."""
    if refused:
        return _without_refused(event, kind, refused)
    own = email_in(event.traits) if kind in OWN_TRAITS else None
    owned = own or email_in(event.context.get("traits"))
    shown, strength = owned, BOUGHT
    if owned:
        strength = STATED if kind in OWN_TRAITS else SHOWN
    elif kind in OWN_PROPERTIES:
        shown = email_in(event.properties)
    if kind in CARRIES_KEY:
        owned = shown or email_in_user_id(event.user_id)
    if event.role is Role.BROWSER:
        owned, strength = None, BOUGHT
    return Emails(shown, owned, shown or (None if event.has_id else event.any_email), strength)


def shown_email(event: Event, kind: Kind, refused: Collection[str] = ()) -> str | None:
    """`Emails.shown` alone."""
    return read_emails(event, kind, refused).shown


def address(event: Event, kind: Kind, refused: Collection[str] = ()) -> str | None:
    """`Emails.address` alone."""
    return read_emails(event, kind, refused).address


def address_key(email: str) -> str:
    """An address as it is remembered: two of one key are one address.

    Only ASCII letters lose their case, as in the scripts, which know no others.
    """
    return email.encode().lower().decode()


def first_usable(emails: Iterable[str | None], refused: Collection[str]) -> str | None:
    """The first of these that is one and was not refused."""
    return next((one for one in emails if one and address_key(one) not in refused), None)


def _without_refused(event: Event, kind: Kind, refused: Collection[str]) -> Emails:
    """Where a refused address stands there is none: the next place counts."""

    def kept(place: object) -> dict[str, Any]:
        email = email_in(place)
        is_refused = email is not None and address_key(email) in refused
        given = dict(place) if isinstance(place, Mapping) else {}
        return given | {"email": None} if is_refused else given

    context = event.context | {"traits": kept(event.context.get("traits"))}
    places = {"traits": kept(event.traits), "properties": kept(event.properties)}
    return read_emails(event.model_copy(update={**places, "context": context}), kind)


def email_in_user_id(user_id: str | None) -> str | None:
    """The userId, when it is an email: small shops and guest checkouts have no other id."""
    return user_id if user_id and "@" in user_id and is_email(user_id) else None
