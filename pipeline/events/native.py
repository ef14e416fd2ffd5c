"""Calls of Sailthru's own API as events: which four there are, and whom each is about (reference: sailthru-api 2). No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pipeline.events.names import Kind
from pipeline.fields import is_nothing
from pipeline.text import email_in, read_email

Endpoint = Literal["/event", "/user", "/purchase", "/return"]
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)
"""Those whose POST waits in a mailbox, as every event does."""
_BY_EMAIL = frozenset({"/purchase", "/return"})
"""These know no other way to name a person."""
_KINDS = {
    "/event": Kind.NATIVE_EVENT,
    "/user": Kind.NATIVE_USER,
    "/purchase": Kind.NATIVE_ORDER,
    "/return": Kind.NATIVE_RETURN,
}


def kind_of_call(endpoint: str, params: Mapping[str, Any]) -> Kind:
    """Its kind; a purchase that is incomplete is a cart."""
    is_cart = endpoint == "/purchase" and not _is_zero(params.get("incomplete"))
    return Kind.NATIVE_CART if is_cart else _KINDS[endpoint]


def person(endpoint: object, params: object) -> dict[str, Any]:
    """Whom a call is about, as fields that every event has.

    An extid is a userId. An email stands where that kind of event has its own, so that it is learned of an extid that a
    POST /user names, and of no other person. Any other key (sid, cookie, sms ...) is an anonymousId with the key before it,
    which no visitor has. Empty when it says nothing.
    """
    if not isinstance(params, Mapping):
        return {}
    place = "traits" if endpoint == "/user" else "properties"
    key, name = _named(endpoint, params)
    own = read_email(name) if key in ("email", "") else None
    keys = params.get("keys") if endpoint == "/user" else None
    user_id = name if key == "extid" else keys.get("extid") if isinstance(keys, Mapping) else None
    if not is_nothing(user_id):
        email = email_in(keys) or own
        return {"userId": user_id} | ({place: {"email": email}} if email else {})
    email = own or email_in(keys)
    if email:
        return {place: {"email": email}}
    is_id = isinstance(name, str | int) and not is_nothing(name)
    return {"anonymousId": f"{key or 'sid'}:{name}"} if is_id else {}


def misspelt_address(endpoint: str, params: Mapping[str, Any]) -> str | None:
    """The parameter that must be an email address and is none; None when there is no such."""
    key, name = _named(endpoint, params)
    is_address = key == "email" or (not key and isinstance(name, str) and "@" in name)
    if is_nothing(name) or not is_address or read_email(name):
        return None
    return "email" if endpoint in _BY_EMAIL else "id"


def _named(endpoint: object, params: Mapping[str, Any]) -> tuple[str, Any]:
    """The key that a call names its person by, '' when it leaves that to Sailthru, and the value."""
    if endpoint in _BY_EMAIL:
        return "email", params.get("email")
    key = params.get("key")
    return key.strip() if isinstance(key, str) else "", params.get("id")


def _is_zero(value: object) -> bool:
    """What PHP takes for no."""
    return is_nothing(value) or value in (0, "0")
