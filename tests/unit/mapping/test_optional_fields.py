"""No event dies of a field that Sailthru does not ask for, whatever stands in it.

Each sample is valid. Fields it can do without are filled with what they cannot hold, or with what
counts as nothing, several at a time; what Sailthru requires must arrive as if they were absent.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.events.note_paths import counted_path
from pipeline.mapping import dry_run
from pipeline.settings import AccountSettings
from tests.unit.mapping.tables.orders import EMAIL, GAME, GAME_ITEM
from tests.unit.mapping.tables.row import JSON, identify, track

EXAMPLES = 2_500 if settings.get_current_profile_name() == "deep" else 200
SETTINGS = AccountSettings(
    customer_id="c1", allow_delete=True, default_list="Everyone", track_screens=True
)
SECRET = "4111 1111 1111 1111"
Path = tuple[Any, ...]

NOTHING: tuple[Any, ...] = (None, False, "", " ", "\x00", "\ufeff\t", [], {})
NO_TEXT = st.recursive(
    st.sampled_from((True, 1.5, 1e300, 10**40, 10**400, [SECRET], {"a": SECRET}, *NOTHING)),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(
            st.sampled_from(("a", "0", "src", "\ud83d", "x" * 50)), inner, min_size=1, max_size=3
        )
    ),
    max_leaves=6,
)
ODD_TEXT = st.sampled_from(
    (
        *(
            "NaN",
            "Infinity",
            "1e400",
            "-0",
            "10%",
            "Free",
            "tomorrow",
            "//",
            "http://[",
            "mailto:x",
        ),
        *(SECRET, "half \ud83d", "\ude00", "a\x00b\x1fc\r\nd", "x" * 2000, "<script>", "__proto__"),
    )
)

PAGE: tuple[Path, ...] = (("context",), ("context", "page"), ("context", "page", "url"))
ENVELOPE: tuple[Path, ...] = (
    *(("timestamp",), ("messageId",), ("anonymousId",), ("context", "traits"), ("integrations",)),
    *(
        ("integrations", "Sailthru", name)
        for name in (
            *("reminder_template", "reminderTime", "sendTemplate", "message_id", "sailthru_bid"),
            *("schedule_time", "clearIncompleteCartAfterNHours", "defaultListName", "login"),
            *("tenders", "channel", "appId", "device_id", "userAgent", "cookies", "date"),
            *("visitorId", "no_such_option"),
        )
    ),
)


def properties(*names: str) -> tuple[Path, ...]:
    return tuple(("properties", name) for name in names)


def products(*names: str) -> tuple[Path, ...]:
    return tuple(("properties", "products", 0, name) for name in names)


ORDER = properties("order_id", "checkout_id", "shipping", "tax", "discount", "adjustments")
REMINDED = properties("reminder_template", "reminderTime", "sailthru_bid")
SWITCHES: tuple[Path, ...] = (
    *properties("use_stored_tags"),
    ("integrations", "Sailthru", "excludeContent"),
)
"""Of which false is a value, as of data."""
PASSED = properties("tenders", "channel", "appId", "device_id", "userAgent", "cookies", "date")
PRODUCT = ("image_url", "image_url_thumb", "imageUrl", "tags", "id", "sku", "title")
"""And the names that stand aside while product_id and name are given."""
TRAITS: tuple[Path, ...] = (("traits",), ("traits", "email"))
PASSED_ON = frozenset({"no_such_option"})
NOT_TEXT = frozenset(
    {"anonymousId", "defaultListName", "order_id", "checkout_id", "integrations", "context"}
)
"""Where text would rightly change what is sent."""


@dataclass(frozen=True)
class Sample:
    """A valid event; the paths of fields it can do without; those of mere data, of which false is."""

    event: JSON
    known: tuple[Path, ...]
    data: tuple[Path, ...] = ()

    @property
    def optional(self) -> tuple[Path, ...]:
        return self.known + self.data


def _bought(name: str) -> JSON:
    return track(name, {"order_id": "o1", "products": [GAME]}, messageId="m1")


_PAID_BACK = track("Order Refunded", {"total": 5}, context={"page": {"url": GAME["url"]}})
_COMMON = (*PAGE, *ENVELOPE, *TRAITS)
_LISTED = tuple(path for path in _COMMON if path[-1] != "defaultListName")
"""Blank text for the list of an identify says that it is none, whatever the settings have."""
_UNDATED = tuple(path for path in _COMMON if path != ("timestamp",))
"""The time of an order is required where it is given."""
_SEEN = {"type": "page", "userId": "u1", "properties": {"url": GAME["url"]}}
_DATA = properties("brand", "variant", "coupon", "total", "email_sent", "\ud83d")
SAMPLES = {
    "identify": Sample(identify(), (*_LISTED, ("properties",)), (("traits", "address"),)),
    "alias": Sample(
        {"type": "alias", "userId": "u1", "previousId": "a1"}, (*_COMMON, ("properties",))
    ),
    "custom": Sample(
        track("Seen"),
        (*_COMMON, ("properties",), *properties("scheduleTime")),
        (*_DATA, ("properties", "email")),
    ),
    "subscribed": Sample(
        track("Subscribed", {"list": "News"}), (*_COMMON, ("properties", "email"))
    ),
    "deleted": Sample(
        {"type": "track", "event": "User Deleted", "userId": EMAIL}, (*_COMMON, ("properties",))
    ),
    "order": Sample(
        _bought("Order Completed"),
        (
            *_UNDATED,
            *ORDER,
            *REMINDED,
            *PASSED[:-1],
            *products(*PRODUCT),
            *properties("email", "send_template"),
        ),
        (*_DATA, *products("brand", "images")),
    ),
    "refund": Sample(
        _bought("Order Refunded"), (*_COMMON, *ORDER[:2], ("properties", "email")), _DATA
    ),
    "full refund": Sample(_PAID_BACK, (*ENVELOPE, *TRAITS, *ORDER[:1], ("properties", "email"))),
    "added": Sample(
        track("Product Added", GAME),
        (*_COMMON, *REMINDED, *PASSED[1:], *properties(*PRODUCT, "email")),
        _DATA,
    ),
    "removed": Sample(
        track("Product Removed", GAME), (*_COMMON, *REMINDED, *properties(*PRODUCT, "email"))
    ),
    "page": Sample(
        _SEEN,
        (
            *_COMMON,
            *properties("tags", "keywords", "visitor_id"),
            ("name",),
            ("category",),
        ),
        (*_DATA, *SWITCHES),
    ),
    "screen": Sample({**_SEEN, "type": "screen"}, (*_COMMON, ("name",), ("category",)), SWITCHES),
}
PROFILE: JSON = {
    "keys": {"email": EMAIL, "extid": "u1"},
    "purchase_incomplete": {"items": [GAME_ITEM]},
}
REQUIRED = {
    "/user": ("id", "key", "keys", "lists"),
    "/event": ("id", "key", "event"),
    "/purchase": ("email", "items", "incomplete", "purchase_keys"),
    "/return": ("email", "items"),
    "/v1/track/event/pageview": ("url", "userIdKey", "userIdValue"),
}
OF_ITEM = ("id", "title", "qty", "price", "url")


def filled(event: JSON, values: dict[Path, Any]) -> JSON:
    """The event with these values at these paths; an object that a value replaces is gone."""
    event = deepcopy(event)
    for path in sorted(values, key=len, reverse=True):
        place: Any = event
        for part in path[:-1]:
            place = place[part] if isinstance(place, list) else place.setdefault(part, {})
        place[path[-1]] = values[path]
    return event


def mapped(event: JSON) -> JSON:
    return dry_run(json.dumps(event).encode(), SETTINGS, PROFILE)


def required(line: JSON) -> list[JSON]:
    """The calls without what Sailthru does not ask for."""
    return [
        {
            "endpoint": (call["method"], call["endpoint"]),
            **{name: _items(call["params"].get(name)) for name in REQUIRED[call["endpoint"]]},
        }
        for call in line["calls"]
    ]


def _items(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [{name: item.get(name) for name in OF_ITEM} for item in value]


@st.composite
def wrong(draw: st.DrawFn) -> tuple[str, dict[Path, Any]]:
    """A sample, and what to put where."""
    name = draw(st.sampled_from(sorted(SAMPLES)))
    chosen = draw(
        st.lists(st.sampled_from(SAMPLES[name].optional), min_size=1, max_size=5, unique=True)
    )
    return name, {path: draw(_junk(path)) for path in chosen}


def _junk(path: Path) -> st.SearchStrategy[Any]:
    return NO_TEXT if path[-1] in NOT_TEXT else NO_TEXT | ODD_TEXT


@settings(max_examples=EXAMPLES, deadline=None)
@given(wrong())
def test_no_event_dies_of_what_it_can_do_without(case: tuple[str, dict[Path, Any]]) -> None:
    """And what Sailthru requires arrives as if it were absent. Notes quote nothing."""
    name, values = case
    plain = mapped(SAMPLES[name].event)

    line = mapped(filled(SAMPLES[name].event, values))

    assert (line["error"], line["ignored"]) == (None, None)
    if ("properties", "order_id") not in values:
        assert required(line) == required(plain)
    assert SECRET not in json.dumps(line["notes"])


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_in_a_known_field_is_an_absent_field(name: str) -> None:
    """Null, false, blank text, [] and {}: the same calls, and not worth a note."""
    for path in SAMPLES[name].known:
        absent = _without(SAMPLES[name].event, path)
        plain = mapped(absent)
        for value in NOTHING:
            line = mapped(filled(absent, {path: value}))
            assert {**line, "messageId": ""} == {**plain, "messageId": ""}, path


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("value", NOTHING, ids=repr)
def test_an_event_full_of_nothing_is_the_bare_event(name: str, value: object) -> None:
    """As PHP's templates write it: every field is there, and false."""
    context = SAMPLES[name].known
    inner = [
        path for path in context if not any(one[: len(path)] == path != one for one in context)
    ]
    bare = {"messageId": "m1", **SAMPLES[name].event}
    values = dict.fromkeys(inner, value) | {("messageId",): "m1"}
    if ("properties", "order_id") in values:
        values["properties", "order_id"] = "o1"
    if name == "full refund":
        bare["properties"] = {**bare["properties"], "order_id": "o1"}

    assert mapped(filled(bare, values)) == mapped(bare)


def _without(event: JSON, path: Path) -> JSON:
    event = deepcopy(event)
    place: Any = event
    for part in path[:-1]:
        place = place[part] if isinstance(place, list) else place.get(part, {})
    place.pop(path[-1], None)
    return event


@pytest.mark.parametrize("name", SAMPLES)
def test_a_note_about_a_field_that_is_read_is_counted_under_that_fields_name(name: str) -> None:
    """Only fields that are passed on as they came, and options that are none, share a row."""
    for path in SAMPLES[name].known:
        for note in mapped(filled(SAMPLES[name].event, {path: [{"a": 1}, 10**400]}))["notes"]:
            is_shared = counted_path(note["path"]).endswith("*")
            assert is_shared == (path[-1] in PASSED_ON), note["path"]
