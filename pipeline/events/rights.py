"""What an event may do by the role of its write key. No I/O.

`server` may do everything. A key of role `browser` stands in a page: any visitor can read it and send what they like
about anybody. So an event that came with one may neither unsubscribe, re-address, merge nor delete a person, nor buy or
refund anything for them, nor send a mail of its own choice. Three places make that so:

* the table below says what is refused, and which options are taken away (`restricted`);
* what it shows of an email is the weakest evidence there is (`pipeline.events.emails`, `pipeline.identity.placement`);
* what it may change of a profile's keys and lists is in `pipeline.mapping.restricted`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from pipeline.errors import InvalidEvent, Reason, RefusedByRole
from pipeline.events.destinations import named
from pipeline.events.integrations import folded, read_optout
from pipeline.events.models import Event
from pipeline.events.names import Kind
from pipeline.fields import Note, is_nothing
from pipeline.roles import Role

_REMOVED = "is for server keys only"


class Right(NamedTuple):
    """What an event of one kind may do. options: those that people also write into its properties, and that are taken
    away there as they are from `integrations`, in snake case. refused: all of it."""

    options: tuple[str, ...] = ()
    refused: bool = False


_ALL = Right()
_TAKEN = Right()
_REFUSED = Right(refused=True)
_AS_CUSTOM = ("schedule_time",)
"""A tracked event of any name is a custom one where the account's mapping knows no more of it (`kind_of`)."""
_CART = Right(
    options=(
        *("reminder_template", "reminder_time", "clear_incomplete_cart_after_n_hours", "date"),
        *_AS_CUSTOM,
    )
)

BROWSER: Mapping[Kind, Right] = MappingProxyType(
    {
        Kind.IDENTIFY: Right(options=("lists", "login")),
        Kind.SUBSCRIBED: Right(options=("lists", "login", *_AS_CUSTOM)),
        Kind.CUSTOM: Right(options=_AS_CUSTOM),
        Kind.CART_ADD: _CART,
        Kind.CART_REMOVE: _CART,
        Kind.PAGE: _TAKEN,
        Kind.SCREEN: _TAKEN,
        Kind.GROUP: _TAKEN,
        Kind.ORDER: _REFUSED,
        Kind.REFUND: _REFUSED,
        Kind.ALIAS: _REFUSED,
        Kind.USER_DELETED: _REFUSED,
        Kind.OPTOUT: _REFUSED,
        Kind.NATIVE_USER: _REFUSED,
        Kind.NATIVE_EVENT: _REFUSED,
        Kind.NATIVE_ORDER: _REFUSED,
        Kind.NATIVE_CART: _REFUSED,
        Kind.NATIVE_RETURN: _REFUSED,
    }
)
"""By what the event says it is, whatever the mapping of the account makes of it."""


def restricted(event: Event, role: Role) -> Event:
    """The event with what its role may not do taken away, with a note for each thing; `event.role` says the role.

    Raises:
        RefusedByRole: an event of its kind, or with its opt-out, is not taken from this role.
        InvalidEvent: only an option said whom it is about.
    """
    if role is Role.SERVER:
        return event
    right = BROWSER[event.kind]
    if right.refused:
        raise RefusedByRole(f"{_name(event.kind)} is taken from a server key only")
    if read_optout(event) is not None:
        raise RefusedByRole("optoutValue is taken from a server key only")
    if not (event.user_id or event.anonymous_id or event.any_email):
        raise InvalidEvent(
            Reason.MISSING_USER_ID,
            "no userId, anonymousId or email; its options are for server keys only",
        )
    given = tuple(_option_properties(event.properties, right.options))
    options = tuple(_with_options(event.integrations))
    kept = {name: value for name, value in event.properties.items() if name not in given}
    switches = {**event.integrations, **dict.fromkeys(options, True)}
    made = event.model_copy(update={"properties": kept, "integrations": switches})
    notes = [Note(f"integrations.{name}", _REMOVED) for name in options]
    notes += [Note(f"properties.{name}", _REMOVED) for name in given]
    made.__dict__.update(role=role, notes=(*event.notes, *notes))
    return made


def _with_options(integrations: Mapping[str, Any]) -> Iterator[str]:
    """The names under which Sailthru is given options."""
    for name, value in named(integrations):
        if isinstance(value, Mapping) and not is_nothing(value):
            yield name


def _option_properties(properties: Mapping[str, Any], options: tuple[str, ...]) -> Iterator[str]:
    plain = {folded(name) for name in options}
    for name, value in properties.items():
        if folded(name) in plain and not is_nothing(value):
            yield name


def _name(kind: Kind) -> str:
    return f"an event of kind {kind.value}"
