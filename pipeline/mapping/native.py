"""Calls of Sailthru's own API: sent as they are, with what makes an order findable and a cart known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from pipeline.errors import MappingRejected, Reason
from pipeline.events.models import NativeCall
from pipeline.events.names import Kind
from pipeline.events.native import misspelt_address
from pipeline.fields import is_nothing
from pipeline.mapping.basket import is_placeholder
from pipeline.mapping.plan import Cart, OrderIntent, PlanContext, Send
from pipeline.mapping.profile import read_items
from pipeline.mapping.track import is_reserved
from pipeline.mapping.values import identifier, reject
from pipeline.sailthru.calls import Call
from pipeline.sailthru.signing import to_json

EMAIL_RULE = "must be an email address like name@example.com"
_KEY_PREFIX = "sailpipe-"


def plan_native(event: NativeCall, context: PlanContext) -> Send:
    """The call itself. It needs no look-up, and folds with no other.

    An order is looked up by its extid before it is posted again. One that has none is given one (`order_key`).

    Raises:
        MappingRejected: reserved_event; unmappable, for what Sailthru cannot take: a POST /event without a name, an
            order or return without items, an address that is none, a number that JSON cannot hold.
    """
    params = _checked(event)
    if event.kind is Kind.NATIVE_ORDER:
        extid, params = _with_extid(params, context)
        call, cart = Call("POST", event.endpoint, params), Cart()
        return Send(call, intent=OrderIntent(extid), cart_after=_own(cart, params, context))
    call = Call("POST", event.endpoint, params)
    if event.kind is Kind.NATIVE_CART:
        cart = Cart(read_items(params.get("items")))
        return Send(call, cart_after=_own(cart, params, context))
    return Send(call)


def order_key(params: Mapping[str, Any], accepted_at: float) -> str:
    """The extid of an order that came without one: of all its parameters and the day (UTC) it was accepted on.

    The same request made again on that day has the same, in whatever order it names its parameters.
    """
    day = datetime.fromtimestamp(accepted_at, UTC).date().isoformat()
    text = f"{day} {json.dumps(params, sort_keys=True)}"
    return _KEY_PREFIX + blake2b(text.encode(), digest_size=10).hexdigest()


def _checked(event: NativeCall) -> Mapping[str, Any]:
    params = event.params
    if event.endpoint == "/event":
        name = event.event
        if name is None:
            reject("params.event", "is missing")
        if is_reserved(name):
            raise MappingRejected(Reason.RESERVED_EVENT, "Sailthru reserves this event name")
    if event.kind in {Kind.NATIVE_ORDER, Kind.NATIVE_RETURN} and is_nothing(params.get("items")):
        reject("params.items", "is missing or empty")
    misspelt = misspelt_address(event.endpoint, params)
    if misspelt:
        reject(f"params.{misspelt}", EMAIL_RULE)
    try:
        to_json(params)
    except ValueError:
        reject("params", "holds too large a number")
    return params


def _with_extid(params: Mapping[str, Any], context: PlanContext) -> tuple[str, Mapping[str, Any]]:
    """The order's extid, and its params with that among the purchase keys.

    Sailthru's Python client sends it as a parameter of its own (reference: sailthru-api 1).
    """
    given = params.get("purchase_keys")
    keys = dict(given) if isinstance(given, Mapping) else {}
    own = identifier(keys.get("extid"), "params.purchase_keys.extid")
    if own and not is_placeholder(own):
        return own, params
    named = identifier(params.get("extid"), "params.extid")
    if not named or is_placeholder(named):
        at = context.first_accepted_at
        named = order_key(params, context.now if at is None else at)
    return named, {**params, "purchase_keys": {**keys, "extid": named}}


def _own(cart: Cart, params: Mapping[str, Any], context: PlanContext) -> Cart:
    """What is remembered of a cart that a call leaves: whose it is tells it from others of the same device."""
    return Cart(cart.items, context.now, str(params["email"]))
