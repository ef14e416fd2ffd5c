"""Custom events, flattening, and var names."""

from __future__ import annotations

from pipeline.errors import Reason
from tests.unit.mapping.tables.row import Row, Table, options, post_event, track

U1 = {"id": "u1", "key": "extid"}
SEGMENTS_EXAMPLE = {
    "levels": [1, 2, 3],
    "arcade": {
        "blips and chitz": {"planet": "Parblesnops"},
        "galaxy": {"coordinates": "1232.4832"},
        "games": ["Roy: A life well lived", "Whack a mole"],
    },
}
FLATTENED = {
    "levels_0": 1,
    "levels_1": 2,
    "levels_2": 3,
    "arcade_blips and chitz_planet": "Parblesnops",
    "arcade_galaxy_coordinates": "1232.4832",
    "arcade_games_0": "Roy: A life well lived",
    "arcade_games_1": "Whack a mole",
}

EVENTS = Table(
    "Track -> POST /event",
    "Every other track is a custom event. Sailthru has no idempotency key for them; see the"
    " promises in guarantees.md. `Order Updated` and `Order Cancelled` are custom events too: a"
    " purchase cannot be edited once it is posted, posting it as a cart would remind people of what"
    " they bought, and a return for a cancellation would be counted again by the refund.",
    (
        Row(
            "properties are vars",
            track("wishlist add", {"url": "https://shop.example/123", "name": "Widget"}),
            (
                post_event(
                    **U1,
                    event="wishlist add",
                    vars={"url": "https://shop.example/123", "name": "Widget"},
                ),
            ),
        ),
        Row(
            "an event without properties has no vars",
            track("userPostedComment"),
            (post_event(**U1, event="userPostedComment"),),
        ),
        Row(
            "without userId the anonymousId is the extid",
            {"type": "track", "event": "Seen", "anonymousId": "anon-1"},
            (post_event(id="anon-1", key="extid", event="Seen"),),
        ),
        Row(
            "an event with nothing but an email is addressed by it",
            {
                "type": "track",
                "event": "Seen",
                "context": {"traits": {"email": "a@example.com"}},
            },
            (post_event(id="a@example.com", key="email", event="Seen"),),
        ),
        Row(
            "the event may be scheduled",
            track(
                "attendingConcert",
                {"id": 12345678},
                integrations=options(schedule_time="March 1, 2017 8:00pm EST"),
            ),
            (
                post_event(
                    **U1,
                    event="attendingConcert",
                    vars={"id": 12345678},
                    schedule_time="March 1, 2017 8:00pm EST",
                ),
            ),
        ),
        Row(
            "the event may be addressed by another key",
            track("Seen", integrations=options(id="1234567890", key="sid")),
            (post_event(id="1234567890", key="sid", event="Seen"),),
        ),
        Row(
            "the time may be a property, in any spelling, which is no var",
            track("Seen", {"scheduleTime": "+2 hours", "colour": "red"}),
            (post_event(**U1, event="Seen", vars={"colour": "red"}, schedule_time="+2 hours"),),
        ),
        Row(
            "the options alone may say whom an event is about",
            {"type": "track", "event": "Seen", "integrations": options(id="1234567890", key="sid")},
            (post_event(id="1234567890", key="sid", event="Seen"),),
        ),
        Row(
            "an option that is none does nothing, and the note asks which was meant",
            track(
                "Seen", integrations=options(shedule_time="+2 hours", ScheduledTime="x", colour=1)
            ),
            (post_event(**U1, event="Seen"),),
            notes={
                "integrations.Sailthru.shedule_time": "is no option: did you mean schedule_time?",
                "integrations.Sailthru.ScheduledTime": "is no option: did you mean scheduleTime?",
                "integrations.Sailthru.colour": "is no option",
            },
        ),
        Row(
            "an email as id needs no key",
            track("Seen", integrations=options(id="b@example.com")),
            (post_event(id="b@example.com", key="email", event="Seen"),),
        ),
        Row(
            "another id without a key is refused",
            track("Seen", integrations=options(id="1234567890")),
            refused=(Reason.UNMAPPABLE, "both id and key"),
        ),
        Row(
            "an id option that is no text is refused: the event would go to another person",
            track("Seen", integrations=options(id=["1234567890"], key="sid")),
            refused=(Reason.UNMAPPABLE, "integrations.Sailthru.id"),
        ),
        Row(
            "a key that Sailthru does not have is refused",
            track("Seen", integrations=options(id="1", key="password")),
            refused=(Reason.UNMAPPABLE, "one of"),
        ),
        *(
            Row(
                f"`{name}` is Sailthru's own event name",
                track(name),
                refused=(Reason.RESERVED_EVENT, "reserves"),
            )
            for name in ("send", "cancel", "open", "click", "purchase", "daily", " Purchase ")
        ),
        Row(
            "Order Updated is a custom event",
            track("Order Updated", {"order_id": "o1"}),
            (post_event(**U1, event="Order Updated", vars={"order_id": "o1"}),),
        ),
        Row(
            "Order Cancelled is a custom event",
            track("Order Cancelled", {"order_id": "o1"}),
            (post_event(**U1, event="Order Cancelled", vars={"order_id": "o1"}),),
        ),
    ),
)

FLATTENING = Table(
    "Nested values",
    "Names are joined with `_`, list positions count as names. Sailthru takes nested vars by now;"
    " flows and templates written for Segment's destination expect them flat.",
    (
        Row(
            "Segment's own example",
            track("Played Game", SEGMENTS_EXAMPLE),
            (post_event(**U1, event="Played Game", vars=FLATTENED),),
        ),
        Row(
            "null, empty lists and empty objects become no vars",
            track("Seen", {"a": None, "b": [], "c": {}, "d": [None, {"e": False}], "f": ""}),
            (post_event(**U1, event="Seen", vars={"d_1_e": False, "f": ""}),),
        ),
        Row(
            "a whole number is written without a point",
            track("Seen", {"customerId": 10423.0, "share": 0.5}),
            (post_event(**U1, event="Seen", vars={"customerId": 10423, "share": 0.5}),),
        ),
        Row(
            "half an emoji and control characters are mended; tabs and line breaks stay",
            track("Seen\x00", {"title": "Tea \ud83d", "text": "one\x07\n\ttwo"}),
            (post_event(**U1, event="Seen", vars={"title": "Tea \ufffd", "text": "one\n\ttwo"}),),
        ),
        Row(
            "a number that Sailthru cannot hold is left out",
            track("Seen", {"a": [1, 10**40]}),
            (post_event(**U1, event="Seen", vars={"a_0": 1}),),
            notes={"properties.a.1": "is too large a number"},
        ),
        Row(
            "when two properties come to the same name, the less nested one keeps it",
            track("Seen", {"a": {"b": 1}, "a_b": 2}),
            (post_event(**U1, event="Seen", vars={"a_b_fe11785f": 1, "a_b": 2}),),
        ),
    ),
)

NAMES = Table(
    "Var names",
    "Sailthru refuses names of more than 32 characters and strips what it does not like. A name"
    " that breaks a rule gets `_` for each forbidden character, `_` before a leading digit, and eight"
    " hex digits of its own hash, so that it is the same in every event and never another name's."
    " `VAR_NAMES=as_is` sends names as they are.",
    (
        Row(
            "32 characters pass",
            track("Seen", {"n" * 32: 1}),
            (post_event(**U1, event="Seen", vars={"n" * 32: 1}),),
        ),
        Row(
            "33 are shortened",
            track("Seen", {"n" * 33: 1}),
            (post_event(**U1, event="Seen", vars={"n" * 23 + "_804ae309": 1}),),
        ),
        Row(
            "two different long names stay different",
            track("Seen", {"n" * 33: 1, "n" * 34: 2}),
            (
                post_event(
                    **U1,
                    event="Seen",
                    vars={"n" * 23 + "_804ae309": 1, "n" * 23 + "_92f5323f": 2},
                ),
            ),
        ),
        Row(
            "a leading digit gets a `_` before it",
            track("Seen", {"1st": 1}),
            (post_event(**U1, event="Seen", vars={"_1st_1cbd987c": 1}),),
        ),
        Row(
            "forbidden characters become `_`, and different names stay different",
            track("Seen", {"x-y": 1, "x.y": 2, "$x%y": 3, "x_y": 4}),
            (
                post_event(
                    **U1,
                    event="Seen",
                    vars={"x_y_2ba32e55": 1, "x_y_c1d7dc9b": 2, "_x_y_17b1215a": 3, "x_y": 4},
                ),
            ),
        ),
        Row(
            "spaces and letters of every script are kept",
            track("Seen", {"größe in cm": 1}),
            (post_event(**U1, event="Seen", vars={"größe in cm": 1}),),
        ),
        Row(
            "VAR_NAMES=as_is changes no name",
            track("Seen", {"1st": 1, "x-y": 2, "n" * 33: 3}),
            (post_event(**U1, event="Seen", vars={"1st": 1, "x-y": 2, "n" * 33: 3}),),
            settings={"var_names": "as_is"},
        ),
    ),
)
