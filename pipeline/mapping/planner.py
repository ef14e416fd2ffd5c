"""Events that wait in one mailbox -> the next thing to do about them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from pipeline.errors import MappingRejected, Reason
from pipeline.events.kinds import LANES, Ignored, IgnoreReason, Kind, kind_of
from pipeline.events.models import Alias, Event, Group, Identify, Page, Screen, Track
from pipeline.mapping.cart import plan_cart
from pipeline.mapping.order import plan_order
from pipeline.mapping.pageview import plan_pageview
from pipeline.mapping.plan import Plan, PlanContext, Send
from pipeline.mapping.refund import plan_refund
from pipeline.mapping.track import plan_custom
from pipeline.mapping.unread import unread
from pipeline.mapping.user import plan_alias, plan_deletion, plan_identify, plan_subscribed
from pipeline.settings import AccountSettings


def plan(events: Sequence[Event], context: PlanContext, settings: AccountSettings) -> Plan:
    """What to do about the longest prefix of `events` that can be one call.

    events: one user's, in order, all of one lane; at least one.

    Raises:
        MappingRejected: the first event can never be delivered. Nothing else, whatever its body holds.
    """
    answer = _plan(events, context, settings)
    if not isinstance(answer, Send):
        return answer
    covered = events[: answer.covers]
    notes = [note for event in covered for note in unread(event, kind_of(event, settings))]
    return replace(answer, notes=(*notes, *answer.notes)) if notes else answer


def _plan(events: Sequence[Event], context: PlanContext, settings: AccountSettings) -> Plan:
    head = events[0]
    fresh = list(takewhile(lambda event: not _is_too_old(event, context, settings), events))
    if not fresh:
        raise MappingRejected(Reason.TOO_OLD, "older than MAX_AGE of its lane")
    if isinstance(head, Identify):
        return plan_identify(fresh, context, settings)
    if isinstance(head, Alias):
        return plan_alias(head, context, settings)
    if isinstance(head, Page | Screen):
        return plan_pageview(head, context, settings)
    if isinstance(head, Group):
        return Ignored(IgnoreReason.UNSUPPORTED_TYPE)
    return _plan_tracked(head, fresh, context, settings)


def _plan_tracked(
    head: Track, events: Sequence[Event], context: PlanContext, settings: AccountSettings
) -> Plan:
    match kind_of(head, settings):
        case Kind.CART_ADD | Kind.CART_REMOVE:
            return plan_cart(events, context, settings)
        case Kind.ORDER:
            return plan_order(head, context, settings)
        case Kind.REFUND:
            return plan_refund(head, context, settings)
        case Kind.SUBSCRIBED:
            return plan_subscribed(head, context, settings)
        case Kind.USER_DELETED:
            return plan_deletion(head, context, settings)
        case _:
            return plan_custom(head, context, settings)


def _is_too_old(event: Event, context: PlanContext, settings: AccountSettings) -> bool:
    """By the time it happened, else when it was accepted. Orders keep their own time in `date`."""
    kind = kind_of(event, settings)
    if kind in {Kind.ORDER, Kind.REFUND, Kind.GROUP}:
        return False
    limit = settings.max_age.get(LANES[kind])
    at = event.occurred_at.timestamp() if event.occurred_at else context.accepted_at
    return limit is not None and at is not None and context.now - context.stopped_s - at > limit
