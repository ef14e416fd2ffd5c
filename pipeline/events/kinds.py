"""What an event is to Sailthru: the one reading that routing and mapping share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pipeline.events.integrations import options
from pipeline.events.models import Event, Lane, Track
from pipeline.events.names import Kind
from pipeline.fields import is_nothing
from pipeline.settings import AccountSettings

__all__ = ["LANES", "ORDERS", "IgnoreReason", "Ignored", "Kind", "kind_of"]


class IgnoreReason(StrEnum):
    """Why an event is counted as ignored. People build on the names: add, never rename."""

    INTEGRATIONS_OFF = "integrations_off"
    UNSUPPORTED_TYPE = "unsupported_type"
    USER_DELETE_OFF = "user_delete_off"
    NO_PAGE_IN_CLASSIC = "no_page_in_classic"
    PAGES_OFF = "pages_off"
    SCREENS_OFF = "screens_off"
    NO_CUSTOMER_ID = "no_customer_id"
    SCREEN_WITHOUT_URL = "screen_without_url"
    ALREADY_MERGED = "already_merged"
    NOTHING_TO_MERGE = "nothing_to_merge"
    UNKNOWN_USER = "unknown_user"
    DUPLICATE_ORDER = "duplicate_order"
    REFUSED_BY_ROLE = "refused_by_role"
    BOT = "bot"
    REPEATED_CONFIRMATION = "repeated_confirmation"
    REPEATED_OPEN = "repeated_open"


@dataclass(frozen=True, slots=True)
class Ignored:
    """The first `covers` events are not for Sailthru; counted under `reason`."""

    reason: IgnoreReason
    covers: int = 1


LANES: Mapping[Kind, Lane] = MappingProxyType(
    {
        Kind.IDENTIFY: Lane.USER,
        Kind.ALIAS: Lane.USER,
        Kind.SUBSCRIBED: Lane.USER,
        Kind.USER_DELETED: Lane.USER,
        Kind.OPTOUT: Lane.USER,
        Kind.CUSTOM: Lane.EVENT,
        Kind.ORDER: Lane.PURCHASE,
        Kind.REFUND: Lane.PURCHASE,
        Kind.CART_ADD: Lane.PURCHASE,
        Kind.CART_REMOVE: Lane.PURCHASE,
        Kind.PAGE: Lane.PAGE,
        Kind.SCREEN: Lane.PAGE,
        Kind.NATIVE_USER: Lane.USER,
        Kind.NATIVE_EVENT: Lane.EVENT,
        Kind.NATIVE_ORDER: Lane.PURCHASE,
        Kind.NATIVE_CART: Lane.PURCHASE,
        Kind.NATIVE_RETURN: Lane.PURCHASE,
    }
)
"""Where each kind waits. Groups wait nowhere: Sailthru has no such thing."""

ORDERS = frozenset({Kind.ORDER, Kind.REFUND, Kind.NATIVE_ORDER, Kind.NATIVE_RETURN})
"""What was bought, and what came back."""


def kind_of(event: Event, settings: AccountSettings) -> Kind:
    """What the event says it is, as the mapping of this account takes it.

    The classic destination knew one special name, Order Completed (reference: document 002).
    """
    kind = event.kind
    if settings.mapping == "classic" and isinstance(event, Track) and kind is not Kind.ORDER:
        return Kind.CUSTOM
    return Kind.CUSTOM if kind is Kind.SUBSCRIBED and not _names_a_list(event) else kind


def _names_a_list(event: Event) -> bool:
    """Whether a Subscribed says to what. A shop may call something else so: no opt-out may be lifted then."""
    asked = (
        event.properties.get("list"),
        *(value for _, value in options(event, "default_list_name")),
    )
    return not all(is_nothing(value) for value in asked)
