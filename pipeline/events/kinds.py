"""What an event is to Sailthru: the one reading that routing and mapping share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pipeline.events.integrations import options
from pipeline.events.models import Alias, Event, Group, Identify, Lane, Page, Screen, Track
from pipeline.fields import is_nothing
from pipeline.settings import AccountSettings


class Kind(StrEnum):
    """One mapping each."""

    IDENTIFY = "identify"
    ALIAS = "alias"
    SUBSCRIBED = "subscribed"
    USER_DELETED = "user_deleted"
    CUSTOM = "custom"
    ORDER = "order"
    REFUND = "refund"
    CART_ADD = "cart_add"
    CART_REMOVE = "cart_remove"
    PAGE = "page"
    SCREEN = "screen"
    GROUP = "group"


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
        Kind.CUSTOM: Lane.EVENT,
        Kind.ORDER: Lane.PURCHASE,
        Kind.REFUND: Lane.PURCHASE,
        Kind.CART_ADD: Lane.PURCHASE,
        Kind.CART_REMOVE: Lane.PURCHASE,
        Kind.PAGE: Lane.PAGE,
        Kind.SCREEN: Lane.PAGE,
    }
)
"""Where each kind waits. Groups wait nowhere: Sailthru has no such thing."""

_TRACKED: Mapping[str, Kind] = MappingProxyType(
    {
        "ordercompleted": Kind.ORDER,
        "completedorder": Kind.ORDER,
        "orderrefunded": Kind.REFUND,
        "refundedorder": Kind.REFUND,
        "productadded": Kind.CART_ADD,
        "addedproduct": Kind.CART_ADD,
        "productremoved": Kind.CART_REMOVE,
        "removedproduct": Kind.CART_REMOVE,
        "subscribed": Kind.SUBSCRIBED,
        "userdeleted": Kind.USER_DELETED,
    }
)
_BY_TYPE: Mapping[type, Kind] = MappingProxyType(
    {
        Identify: Kind.IDENTIFY,
        Alias: Kind.ALIAS,
        Page: Kind.PAGE,
        Screen: Kind.SCREEN,
        Group: Kind.GROUP,
    }
)


ORDERS = frozenset({Kind.ORDER, Kind.REFUND})
"""What was bought, and what came back."""


def kind_of(event: Event, settings: AccountSettings) -> Kind:
    """Names are read as Segment's own matchers do: any case, words apart by space, `_` or nothing.

    The classic destination knew one special name, Order Completed (reference: document 002).
    """
    if not isinstance(event, Track):
        return _BY_TYPE[type(event)]
    kind = _TRACKED.get(event.event.replace(" ", "").replace("_", "").casefold(), Kind.CUSTOM)
    is_other = (settings.mapping == "classic" and kind is not Kind.ORDER) or (
        kind is Kind.SUBSCRIBED and not _names_a_list(event)
    )
    return Kind.CUSTOM if is_other else kind


def _names_a_list(event: Event) -> bool:
    """Whether a Subscribed says to what. A shop may call something else so: no opt-out may be lifted then."""
    asked = (
        event.properties.get("list"),
        *(value for _, value in options(event, "default_list_name")),
    )
    return not all(is_nothing(value) for value in asked)
