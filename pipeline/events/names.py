"""The kinds of event there are to Sailthru, and which names of tracked events mean which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


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
    OPTOUT = "optout"
    """What else an event of another kind says of its user: the option `optoutValue`."""
    NATIVE_USER = "native_user"
    """This and the following: a call of Sailthru's own API, which is sent as it is."""
    NATIVE_EVENT = "native_event"
    NATIVE_ORDER = "native_order"
    NATIVE_CART = "native_cart"
    NATIVE_RETURN = "native_return"


TRACKED: Mapping[str, Kind] = MappingProxyType(
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

"""Names as Segment's own matchers read them: any case, words apart by space, `_` or nothing."""
