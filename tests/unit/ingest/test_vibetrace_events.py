"""What a request of Vibetrace's event API becomes, without any HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.ingest.answers import HttpError
from pipeline.ingest.vibetrace_events import read_request, segment_events
from pipeline.mapping.dryrun import dry_run
from pipeline.settings import AccountSettings

ANN = {"_id": "42", "email": "ann@example.com"}
LAMP: dict[str, Any] = {
    "id": "l1",
    "title": "Lamp",
    "price": 18.99,
    "url": "https://shop.example/l1",
}
CUP = {"itemId": 7, "name": "Cup", "price": "4.50", "url": "https://shop.example/7", "quantity": 2}
NAMELESS = {name: LAMP[name] for name in ("title", "price", "url")}
BARE = {"id": "l1", "quantity": 1}
CUP_READ = {
    "name": "Cup",
    "price": "4.50",
    "url": "https://shop.example/7",
    "quantity": 2,
    "product_id": 7,
}


def events(
    event: dict[str, Any], user: dict[str, Any] = ANN, *, may_have_cart: bool = True, **beside: Any
) -> list[dict[str, Any]]:
    """Each with its type."""
    read = read_request({"user": user, "event": event, **beside})
    found = segment_events(read, may_have_cart=may_have_cart)
    return [{"type": kind, **body} for kind, body in found]


def tracks(event: dict[str, Any], **more: Any) -> list[tuple[str, dict[str, Any]]]:
    """Name and properties of each, all of them track events of Ann's."""
    found = events(event, **more)
    assert all(one["type"] == "track" and one["userId"] == "42" for one in found)
    return [(one["event"], one["properties"]) for one in found]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"generic": {"generic": {"event_name": "my_event", "a": 1}}}, [("my_event", {"a": 1})]),
        ({"generic": {"event_name": "my_event", "a": 1}}, [("my_event", {"a": 1})]),
        ({"viewitem": {"itemId": "l1"}}, [("viewitem", {"itemId": "l1"})]),
        ({"search": []}, [("search", {})]),
        ({"email_open": {"campaign": "c"}}, [("email_open", {"campaign": "c"})]),
        ({"emailOpen": {}}, [("email_open", {})]),
        ({"open": {}}, [("email_open", {})]),
        (
            {"confirmation": {"items": [LAMP, CUP], "generic": {"orderId": 12, "total": 28}}},
            [
                (
                    "Order Completed",
                    {"total": 28, "order_id": "12", "products": [LAMP, CUP_READ]},
                )
            ],
        ),
        (
            {"confirmation": {"orderId": "A-1", "items": [LAMP]}},
            [("Order Completed", {"order_id": "A-1", "products": [LAMP]})],
        ),
        (
            {"confirmation": {"orderId": "A-1", "items": [LAMP, BARE]}},
            [("confirmation", {"orderId": "A-1", "items": [LAMP, BARE]})],
        ),
        (
            {"confirmation": {"items": [LAMP, "a cup"]}},
            [("confirmation", {"items": [LAMP, "a cup"]})],
        ),
        ({"confirmation": {"items": [NAMELESS]}}, [("confirmation", {"items": [NAMELESS]})]),
        ({"confirmation": {"orderId": "A-1"}}, [("confirmation", {"orderId": "A-1"})]),
        (
            {"addtocart": {"cartId": "c", **LAMP}},
            [("Product Added", {"cartId": "c", **LAMP})],
        ),
        (
            {"addToCart": {"cartId": "c", "items": [LAMP, CUP]}},
            [
                ("Product Added", {"cartId": "c", **LAMP}),
                ("Product Added", {"cartId": "c", **CUP_READ}),
            ],
        ),
        ({"addtocart": {"itemId": "l1"}}, [("addtocart", {"itemId": "l1"})]),
        ({"addtocart": {**LAMP, "price": ""}}, [("addtocart", {**LAMP, "price": ""})]),
    ],
)
def test_each_type_becomes_what_the_page_says(
    event: dict[str, Any], expected: list[tuple[str, dict[str, Any]]]
) -> None:
    """The table of `docs/producers.md`, and the ways in which callers write the same."""
    assert tracks(event) == expected


@pytest.mark.parametrize(
    ("event", "user", "traits"),
    [
        ({"update": {"firstname": "Ann"}}, ANN, {"firstname": "Ann", "email": "ann@example.com"}),
        ({"update": {"firstname": "Ann"}}, {"_id": 42}, {"firstname": "Ann"}),
        ({"update": {"email": "new@example.com"}}, {"_id": "42"}, {}),
        (
            {"login": {"email": "ann@example.com", "x": 1}},
            {"_id": "42"},
            {"x": 1, "email": "ann@example.com"},
        ),
        (
            {"login": {"email": "other@example.com"}},
            ANN,
            {"email": "ann@example.com"},
        ),
        ({"login": {"email": "no address"}}, {"_id": "42"}, {}),
        ({"login": {"generic": {"city": "Oslo"}}}, {"_id": "42"}, {"city": "Oslo"}),
    ],
)
def test_update_and_login_are_identifies_and_only_login_says_who_it_is(
    event: dict[str, Any], user: dict[str, Any], traits: dict[str, Any]
) -> None:
    """Both set attributes; the email of a login is its person's unless `user` names another."""
    (found,) = events(event, user)
    assert (found["type"], found["userId"], found["traits"]) == ("identify", "42", traits)


def test_a_person_without_an_id_goes_by_the_email() -> None:
    """Its cart change would die for want of a userId, so it is an event; an order needs an email alone."""
    user = {"email": "ann@example.com"}
    (added,) = events({"addtocart": LAMP}, user, may_have_cart=False)
    (bought,) = events({"confirmation": {"items": [LAMP]}}, user, may_have_cart=False)
    assert (added["userId"], added["event"]) == (None, "addtocart")
    assert added["context"] == {"traits": {"email": "ann@example.com"}}
    assert bought["event"] == "Order Completed"


@pytest.mark.parametrize(
    "event",
    [
        {"viewitem": {"itemId": 1, "userAgent": "Firefox"}},
        {"viewitem": {"itemId": 1, "generic": {"user_agent": "Firefox"}}},
        {"viewitem": {"itemId": 1}, "useragent": "Firefox"},
    ],
)
def test_the_user_agent_of_an_event_is_context_and_no_property(event: dict[str, Any]) -> None:
    """Wherever in the event it stands."""
    (found,) = events(event)
    assert found["context"]["userAgent"] == "Firefox"
    assert found["properties"] == {"itemId": 1}


def test_a_message_id_of_the_callers_tells_each_event_apart() -> None:
    """So that a repeat of the request is a repeat of each."""
    found = events({"addtocart": {"items": [LAMP, CUP]}}, messageId="m1")
    assert [one["messageId"] for one in found] == ["m1", "m1/1"]
    assert "messageId" not in events({"search": {}})[0]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "missing_event_information"),
        ({"user": ANN}, "missing_event_information"),
        ({"user": ANN, "event": {}}, "missing_event_information"),
        ({"user": ANN, "event": []}, "missing_event_information"),
        ({"user": ANN, "event": {"update": "x"}}, "missing_event_information"),
        ({"user": ANN, "event": {"update": {}, "search": {}}}, "several_events"),
        ({"user": ANN, "event": {"generic": {"generic": {}}}}, "missing_event_name"),
        ({"user": ANN, "event": {"search": {"x": "x" * 33_000}}}, "too_large"),
        ({"event": {"search": {}}}, "missing_user_information"),
        ({"user": [], "event": {"search": {}}}, "missing_user_information"),
        ({"user": {"name": "Ann"}, "event": {"search": {}}}, "missing_user_information"),
        ({"user": {"email": "ann"}, "event": {"search": {}}}, "invalid_user_information"),
        ({"user": {"_id": ["42"]}, "event": {"search": {}}}, "invalid_user_information"),
        ({"user": {"_id": "x" * 600}, "event": {"search": {}}}, "invalid_user_information"),
    ],
)
def test_a_request_that_says_too_little_is_refused(body: dict[str, Any], code: str) -> None:
    """400, and no value is quoted."""
    with pytest.raises(HttpError) as refused:
        read_request(body)
    assert (refused.value.status, refused.value.code) == (400, code)
    assert "ann" not in refused.value.message


@pytest.mark.parametrize(
    ("event", "endpoint", "said"),
    [
        ({"update": {"city": "Oslo"}}, "/user", {"vars": {"city": "Oslo"}}),
        (
            {"confirmation": {"orderId": 12, "items": [LAMP, CUP]}},
            "/purchase",
            {"purchase_keys": {"extid": "12"}, "items": [("l1", 1, 1899), ("7", 2, 450)]},
        ),
        ({"addtocart": {"cartId": "c", **CUP}}, "/purchase", {"items": [("7", 2, 450)]}),
        ({"open": {}}, "/event", {"event": "email_open"}),
        ({"confirmation": {"orderId": "A-1"}}, "/event", {"event": "confirmation"}),
    ],
)
def test_sailthru_is_told_what_was_meant(
    event: dict[str, Any], endpoint: str, said: dict[str, Any]
) -> None:
    """The mapping reads what is made here: ids, quantities, cents, and no reserved name."""
    (made,) = events(event)
    profile = {"keys": {"extid": "42", "email": "ann@example.com"}}
    line = dry_run(json.dumps(made).encode(), AccountSettings(), profile)
    call = line["calls"][-1]
    items = [(one["id"], one["qty"], one["price"]) for one in call["params"].get("items", ())]
    told = call["params"] | ({"items": items} if items else {})
    assert (line["error"], line["notes"], call["endpoint"]) == (None, [], endpoint)
    assert {name: told[name] for name in said} == said
