"""/purchase and /return: carts, orders and what comes back (reference: sailthru-api 2.3, 2.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.sandbox.params import email, flag, mapping, text
from pipeline.sandbox.profiles import Cart, Profile
from pipeline.sandbox.replies import OTHER, ApiError, invalid, rfc2822
from pipeline.sandbox.state import Moment, Purchase

_ITEM_FIELDS = ("id", "title", "price", "qty", "url")
_RETURN_FIELDS = ("qty", "price", "url")


def post_purchase(params: Mapping[str, Any], moment: Moment) -> dict[str, Any]:
    """Replace the user's cart (`incomplete`), or record an order, which empties it."""
    address = email(text(params, "email"))
    items = _items(params, _ITEM_FIELDS)
    incomplete = flag(params.get("incomplete"))
    if not items and not incomplete:
        raise invalid("No items in purchase")
    profile = _owner(address, moment)
    if not incomplete:
        return _order(params, items, address, profile, moment)
    cart = _cart(params, items, profile, moment) if items else None
    moment.save(replace(profile, cart=cart))
    return {"purchase": dict(cart.shown) if cart else {"items": [], "qty": 0, "price": 0}}


def get_purchase(params: Mapping[str, Any], moment: Moment) -> dict[str, Any]:
    """Look an order up by Sailthru's id (`sid`) or the shop's (`extid`), as of `lag_s` ago."""
    wanted = text(params, "purchase_id")
    key = text(params, "purchase_key") if params.get("purchase_key") else "sid"
    if key not in {"sid", "extid"}:
        raise invalid("purchase_key must be sid or extid")
    order = moment.state.order(key, wanted, moment.as_of)
    if order is None:
        raise ApiError(404, OTHER, f"Purchase not found with {key}: {wanted}")
    return dict(order.shown)


def post_return(params: Mapping[str, Any], moment: Moment) -> dict[str, Any]:
    """Record returned items. Whether the user must exist is undocumented; here it needn't."""
    address = email(text(params, "email"))
    if not _items(params, _RETURN_FIELDS):
        raise invalid("No items in return")
    moment.state.returns.append({"at": moment.now, "params": {**params, "email": address}})
    return {"ok": True}


def _owner(address: str, moment: Moment) -> Profile:
    profile = moment.state.profiles.find("email", address)
    if profile is not None:
        return profile
    fresh = moment.state.profiles.new(moment.now)
    return replace(fresh, keys={**fresh.keys, "email": address})


def _cart(
    params: Mapping[str, Any], items: list[dict[str, Any]], profile: Profile, moment: Moment
) -> Cart:
    template = params.get("reminder_template")
    reminder = {"template": template, "time": params.get("reminder_time"), "set_at": moment.now}
    return Cart(
        shown=_shown(f"cart{profile.sid[-20:]}", params, items, moment.now),
        changed_at=moment.now,
        reminder=reminder if template else None,
    )


def _order(
    params: Mapping[str, Any],
    items: list[dict[str, Any]],
    address: str,
    profile: Profile,
    moment: Moment,
) -> dict[str, Any]:
    order_id = f"{len(moment.state.purchases) + 1:024x}"
    shown = _shown(order_id, params, items, moment.now)
    # The official Python client sends extid at the top, the others in purchase_keys.
    extid = mapping(params, "purchase_keys").get("extid") or params.get("extid")
    order = Purchase(
        id=order_id,
        at=moment.now,
        sid=profile.sid,
        email=address,
        extid=None if extid is None else str(extid),
        shown=shown if extid is None else {**shown, "purchase_keys": {"extid": str(extid)}},
        params=dict(params),
    )
    moment.state.add_order(order)
    moment.save(replace(profile, cart=None, purchases=(*profile.purchases, order_id)))
    return {"purchase": order.shown}


def _shown(
    purchase_id: str, params: Mapping[str, Any], items: list[dict[str, Any]], now: float
) -> dict[str, Any]:
    """A purchase as GET shows it: totals at the root, images as bare strings."""
    shown: dict[str, Any] = {
        "_id": purchase_id,
        "unique_id": purchase_id,
        "time": rfc2822(now),
        "channel": params.get("channel", "online"),
        "qty": sum(int(item["qty"]) for item in items),
        "price": sum(int(item["qty"]) * int(item["price"]) for item in items),
        "items": [_shown_item(item) for item in items],
    }
    copied = ("adjustments", "tenders", "vars", "date")
    return shown | {name: params[name] for name in copied if params.get(name)}


def _shown_item(item: Mapping[str, Any]) -> dict[str, Any]:
    images = item.get("images")
    if not isinstance(images, dict):
        return dict(item)
    flat = {size: at["url"] if isinstance(at, dict) else at for size, at in images.items()}
    return {**item, "images": flat}


def _items(params: Mapping[str, Any], required: tuple[str, ...]) -> list[dict[str, Any]]:
    """`items` with every required field; the official client writes none as `{}`."""
    items = params.get("items")
    if items is None or items in ([], {}):
        return []
    if not isinstance(items, list):
        raise invalid("items must be an array")
    for item in items:
        _check_item(item, required)
    return [dict(item) for item in items]


def _check_item(item: object, required: tuple[str, ...]) -> None:
    if not isinstance(item, dict):
        raise invalid("Every item must be an object")
    for name in required:
        if item.get(name) in (None, ""):
            raise invalid(f"Item is missing {name}")
    for name in ("qty", "price"):
        if not _is_whole(item[name]):
            raise invalid(f"Item {name} must be an integer")
    images = item.get("images") or {}
    if not isinstance(images, dict) or any(
        isinstance(image, dict) and "url" not in image for image in images.values()
    ):
        raise invalid("Item images must have a url each")


def _is_whole(value: object) -> bool:
    """Integers, also as strings: the official Java client sends those."""
    if isinstance(value, str):
        return value.removeprefix("-").isdecimal()
    return isinstance(value, int) and not isinstance(value, bool)
