"""Events that wait in one mailbox -> the next thing to do about them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import assert_never

from pipeline.errors import MappingRejected, Reason
from pipeline.events.emails import OWN_PROPERTIES, OWN_TRAITS, address_key
from pipeline.events.kinds import LANES, ORDERS, Ignored, IgnoreReason, Kind, kind_of
from pipeline.events.models import (
    Alias,
    Event,
    Group,
    Identify,
    NativeCall,
    OptOut,
    Page,
    Screen,
    Track,
)
from pipeline.fields import Note, is_nothing
from pipeline.mapping.cart import plan_cart
from pipeline.mapping.native import plan_native
from pipeline.mapping.options import unknown_options
from pipeline.mapping.order import plan_order
from pipeline.mapping.pageview import plan_pageview
from pipeline.mapping.plan import Plan, PlanContext, Send
from pipeline.mapping.refund import plan_refund
from pipeline.mapping.track import plan_custom
from pipeline.mapping.user import (
    plan_alias,
    plan_deletion,
    plan_identify,
    plan_optout,
    plan_subscribed,
)
from pipeline.settings import AccountSettings
from pipeline.text import read_email
from pipeline.times import READABLE


def plan(events: Sequence[Event], context: PlanContext, settings: AccountSettings) -> Plan:
    """What to do about the longest prefix of `events` that can be one call.

    events: one user's, in order, all of one lane; at least one.

    Raises:
        MappingRejected: the first event can never be delivered. Nothing else, whatever its body holds.
    """
    head = events[0]
    kind = kind_of(head, settings)
    answer = _plan(events, kind, context, settings)
    if not isinstance(answer, Send) or isinstance(head, NativeCall):
        return answer
    notes = _unread(head, kind, context.refused)
    for event in events[1 : answer.covers]:
        notes += _unread(event, kind_of(event, settings), context.refused)
    return replace(answer, notes=(*notes, *answer.notes)) if notes else answer


def _plan(
    events: Sequence[Event], kind: Kind, context: PlanContext, settings: AccountSettings
) -> Plan:
    """`kind` is that of the first event."""
    head = events[0]
    if _is_too_old(head, kind, context, settings):
        raise MappingRejected(Reason.TOO_OLD, "older than MAX_AGE of its lane")
    if isinstance(head, NativeCall):
        return plan_native(head, context)
    if isinstance(head, Alias):
        return plan_alias(head, context, settings)
    if isinstance(head, Page | Screen):
        return plan_pageview(head, context, settings)
    if isinstance(head, Group):
        return Ignored(IgnoreReason.UNSUPPORTED_TYPE)
    if isinstance(head, OptOut):
        return plan_optout(head, context, settings)
    if isinstance(head, Identify):
        return plan_identify(_fresh(events, context, settings), context, settings)
    return _plan_tracked(head, _fresh(events, context, settings), kind, context, settings)


def _plan_tracked(
    head: Track,
    fresh: Sequence[Event],
    kind: Kind,
    context: PlanContext,
    settings: AccountSettings,
) -> Plan:
    match kind:
        case Kind.CART_ADD | Kind.CART_REMOVE:
            return plan_cart(fresh, context, settings)
        case Kind.ORDER:
            return plan_order(head, context, settings)
        case Kind.REFUND:
            return plan_refund(head, context, settings)
        case Kind.SUBSCRIBED:
            return plan_subscribed(head, context, settings)
        case Kind.USER_DELETED:
            return plan_deletion(head, context, settings)
        # kind_of says the others of no track event.
        case (
            Kind.CUSTOM
            | Kind.IDENTIFY
            | Kind.ALIAS
            | Kind.PAGE
            | Kind.SCREEN
            | Kind.GROUP
            | Kind.OPTOUT
            | Kind.NATIVE_USER
            | Kind.NATIVE_EVENT
            | Kind.NATIVE_ORDER
            | Kind.NATIVE_CART
            | Kind.NATIVE_RETURN
        ):
            return plan_custom(head, context, settings)
        case unmapped:
            assert_never(unmapped)


def _fresh(
    events: Sequence[Event], context: PlanContext, settings: AccountSettings
) -> Sequence[Event]:
    """The first event and those behind it, up to one that is too old to be sent."""
    later = takewhile(
        lambda event: not _is_too_old(event, kind_of(event, settings), context, settings),
        events[1:],
    )
    return [events[0], *later]


def _is_too_old(event: Event, kind: Kind, context: PlanContext, settings: AccountSettings) -> bool:
    """By the time it happened, else when it was accepted. Orders keep their own time in `date`."""
    if kind in ORDERS or kind is Kind.GROUP:
        return False
    limit = settings.max_age.get(LANES[kind])
    if limit is None:
        return False
    occurred = event.occurred_at
    at = occurred.timestamp() if occurred else context.accepted_at
    return at is not None and context.now - context.stopped_s - at > limit


def _unread(event: Event, kind: Kind, refused: Collection[str]) -> tuple[Note, ...]:
    """What of an event itself cannot be read, whatever call it becomes: its ids, its envelope, its time,
    its options and the places where its email may stand."""
    options = unknown_options(event) if event.integrations else ()
    return (*event.notes, *_unread_time(event), *_unread_emails(event, kind, refused), *options)


def _unread_time(event: Event) -> Iterator[Note]:
    if event.timestamp is None or event.occurred_at is not None:
        return
    if not is_nothing(event.timestamp):
        yield Note("timestamp", READABLE)


def _unread_emails(event: Event, kind: Kind, refused: Collection[str]) -> Iterator[Note]:
    places = {"context.traits": event.context.get("traits")}
    if kind in OWN_TRAITS:
        places = {"traits": event.traits, **places}
    if kind in OWN_PROPERTIES:
        places["properties"] = event.properties
    for name, place in places.items():
        if isinstance(place, Mapping):
            yield from _unread_email(place.get("email"), f"{name}.email", refused)
        elif place is not None and not is_nothing(place):
            yield Note(name, "must be an object")


def _unread_email(email: object, path: str, refused: Collection[str]) -> Iterator[Note]:
    if email is None or is_nothing(email):
        return
    found = read_email(email)
    if found is None:
        yield Note(path, "must be an email address like name@example.com")
    elif refused and address_key(found) in refused:
        yield Note(path, "is an address that Sailthru refused")
