"""Calls of Sailthru's own API."""

from __future__ import annotations

from pipeline.errors import Reason
from tests.unit.mapping.tables.row import (
    JSON,
    Row,
    Table,
    post_event,
    post_purchase,
    post_return,
    post_user,
)

_EMAIL = "ann@example.com"
_ITEM = {"id": "p1", "title": "Tea", "price": 450, "qty": 2, "url": "https://shop.example/p1"}


def _call(endpoint: str, **params: object) -> JSON:
    return {"type": "sailthru", "endpoint": endpoint, "params": params}


def _as_it_is(says: str, endpoint: str, sent: JSON) -> Row:
    return Row(says, _call(endpoint, **sent["params"]), (sent,))


NATIVE = Table(
    "Calls of Sailthru's own API",
    "What comes in over `/event`, `/user`, `/purchase` and `/return`, or as an event of type `sailthru`, goes out as it"
    " is: nothing is mapped, looked up or added but the key of an order that has none.",
    (
        _as_it_is(
            "a custom event goes to the email it names, with all its parameters",
            "/event",
            post_event(
                id=_EMAIL,
                event="attendingConcert",
                vars={"id": 12345678, "seats": {"row": "C"}},
                schedule_time="March 1, 2017 8:00pm EST",
            ),
        ),
        _as_it_is(
            "or to whom another key names",
            "/event",
            post_event(id="1234567890", key="sid", event="userPostedComment"),
        ),
        _as_it_is(
            "a profile is changed as the call says",
            "/user",
            post_user(
                id="u1", key="extid", keys={"email": _EMAIL}, lists={"News": 1}, optout_email="none"
            ),
        ),
        _as_it_is(
            "an order with a key keeps it",
            "/purchase",
            post_purchase(email=_EMAIL, items=[_ITEM], incomplete=0, purchase_keys={"extid": "o1"}),
        ),
        Row(
            "an order without one gets a key made of its parameters and the day it was accepted on",
            _call("/purchase", email=_EMAIL, items=[_ITEM], incomplete=0),
            (
                post_purchase(
                    email=_EMAIL,
                    items=[_ITEM],
                    incomplete=0,
                    purchase_keys={"extid": "sailpipe-173f459ec9d4c8173448"},
                ),
            ),
        ),
        Row(
            "or the one that Sailthru's Python client sends beside the parameters",
            _call("/purchase", email=_EMAIL, items=[_ITEM], incomplete=0, extid="o1"),
            (
                post_purchase(
                    email=_EMAIL,
                    items=[_ITEM],
                    incomplete=0,
                    extid="o1",
                    purchase_keys={"extid": "o1"},
                ),
            ),
        ),
        Row(
            "or when its own is what a broken program sends for every order",
            _call(
                "/purchase",
                email=_EMAIL,
                items=[_ITEM],
                incomplete=0,
                purchase_keys={"extid": "undefined"},
                extid="o1",
            ),
            (
                post_purchase(
                    email=_EMAIL,
                    items=[_ITEM],
                    incomplete=0,
                    extid="o1",
                    purchase_keys={"extid": "o1"},
                ),
            ),
        ),
        _as_it_is(
            "an incomplete purchase replaces the cart",
            "/purchase",
            post_purchase(
                email=_EMAIL,
                items=[_ITEM],
                incomplete=1,
                reminder_template="cart",
                reminder_time="+3 hours",
            ),
        ),
        _as_it_is(
            "one without items clears it",
            "/purchase",
            post_purchase(email=_EMAIL, items=[], incomplete=1),
        ),
        _as_it_is("a return is a return", "/return", post_return(email=_EMAIL, items=[_ITEM])),
        Row(
            "a name that Sailthru reserves is refused",
            _call("/event", id=_EMAIL, event="Click"),
            refused=(Reason.RESERVED_EVENT, "reserves"),
        ),
        Row(
            "an event needs a name",
            _call("/event", id=_EMAIL),
            refused=(Reason.UNMAPPABLE, "params.event"),
        ),
        Row(
            "an order needs items",
            _call("/purchase", email=_EMAIL, items={}),
            refused=(Reason.UNMAPPABLE, "params.items"),
        ),
        Row(
            "a call must say whom it is about",
            _call("/purchase", items=[_ITEM]),
            refused=(Reason.MISSING_USER_ID, "no userId"),
        ),
        Row(
            "an email must be one",
            _call("/user", id="ann@", key="email"),
            refused=(Reason.UNMAPPABLE, "params.id"),
        ),
    ),
)
