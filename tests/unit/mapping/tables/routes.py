"""Which events are for Sailthru at all."""

from __future__ import annotations

from typing import Any

from tests.unit.mapping.tables.row import Row, Table, page, post_event, track

SENT = (post_event(id="u1", key="extid", event="Registered"),)


def _named(says: str, integrations: dict[str, Any], *, sent: bool) -> Row:
    event = track("Registered", integrations=integrations)
    return Row(says, event, SENT) if sent else Row(says, event, ignored="integrations_off")


ROUTES = Table(
    "Which events are for Sailthru",
    "Segment's `integrations` object decides first. Both destinations' names are meant: `Sailthru`"
    " and `Sailthru v2`.",
    (
        _named("an empty object means all", {}, sent=True),
        _named("All off blocks what is not named", {"All": False}, sent=False),
        _named("a name wins over All", {"All": False, "Sailthru": True}, sent=True),
        _named("a name that is off wins over All", {"All": True, "Sailthru": False}, sent=False),
        _named(
            "the name of the newer destination counts, too",
            {"All": False, "Sailthru v2": True},
            sent=True,
        ),
        _named(
            "the case of a name does not matter", {"all": False, "SAILTHRU V2": True}, sent=True
        ),
        _named("a destination with options is on", {"All": False, "sailthru": {}}, sent=True),
        _named(
            "a destination with PHP's empty object is on", {"All": False, "sailthru": []}, sent=True
        ),
        _named("other destinations decide nothing", {"Mixpanel": False}, sent=True),
        _named("null means absent", {"All": None, "Sailthru": None}, sent=True),
        Row(
            "groups are not for Sailthru, as in its newer destination",
            {"type": "group", "userId": "u1", "groupId": "g1"},
            ignored="unsupported_type",
        ),
        Row(
            "pages need CUSTOMER_ID",
            page({"url": "https://shop.example/a"}),
            ignored="no_customer_id",
        ),
        Row(
            "a screen without a url is dropped, as in the newer destination",
            {"type": "screen", "userId": "u1", "name": "Home"},
            ignored="screen_without_url",
            settings={"customer_id": "c1"},
        ),
        Row(
            "one with a url needs TRACK_SCREENS",
            {"type": "screen", "userId": "u1", "properties": {"url": "https://shop.example/a"}},
            ignored="screens_off",
            settings={"customer_id": "c1"},
        ),
        Row(
            "pages may be left out with TRACK_PAGES",
            page({"url": "https://shop.example/a"}),
            ignored="pages_off",
            settings={"customer_id": "c1", "track_pages": False},
        ),
        Row(
            "deleting people is off unless ALLOW_DELETE is on: anyone with a write key could",
            track("User Deleted", context={"traits": {"email": "a@example.com"}}),
            ignored="user_delete_off",
        ),
    ),
)
