"""Whose email it is, and what a visitor who shows one becomes."""

from __future__ import annotations

from pipeline.errors import Reason
from tests.unit.mapping.tables.orders import EMAIL, GAME, bought
from tests.unit.mapping.tables.row import (
    JSON,
    Row,
    Table,
    call,
    identify,
    lookup,
    options,
    post_event,
    post_user,
    track,
    with_email,
)

FRIEND = "friend@example.net"
U1 = {"id": "u1", "key": "extid"}
BY_EMAIL = {"keys": {"email": EMAIL}, "keysconflict": "merge"}
ASKED = lookup(EMAIL, "keys", key="email")
BASKET: JSON = {"order_id": "o1", "products": [GAME]}
INVITED: JSON = {"email": FRIEND, "role": "viewer"}


def invite(**ids: object) -> JSON:
    """An event that holds another person's email."""
    return {"type": "track", "event": "Invite Sent", **ids, "properties": INVITED}


def visitor(**fields: object) -> JSON:
    """An identify by `anonymousId: anon-1` that shows an email."""
    traits = {"email": EMAIL, "name": "Duck"}
    return {"type": "identify", "anonymousId": "anon-1", "traits": traits, **fields}


ADDRESSES = Table(
    "Whose email",
    "See *Where the email may stand* in [mapping.md](mapping.md). One event alone is shown here: an email"
    " learned from earlier events comes right after the one that the event shows itself.",
    (
        Row(
            "the email of a custom event's properties is a var, and addresses nothing",
            invite(userId="u1"),
            (post_event(**U1, event="Invite Sent", vars=INVITED),),
        ),
        Row(
            "the email in the properties of an event whose id is shared (SHARED_IDS) addresses nothing, either",
            invite(userId="guest"),
            refused=(Reason.MISSING_USER_ID, "SHARED_IDS"),
        ),
        Row(
            "only an event without any id is addressed by the email in its properties",
            invite(),
            (post_event(id=FRIEND, key="email", event="Invite Sent", vars=INVITED),),
        ),
        Row(
            "a custom event that asks for `key: email` goes to its own person's email",
            invite(userId="u1") | {"context": with_email(), "integrations": options(key="email")},
            (post_event(id=EMAIL, key="email", event="Invite Sent", vars=INVITED),),
        ),
        Row(
            "a custom event that asks for `key: email` and whose person shows none is refused, not sent to the friend",
            invite(userId="u1") | {"integrations": options(key="email")},
            refused=(Reason.UNMAPPABLE, "both id and key"),
        ),
        Row(
            "an option `id` with half an emoji in it may be another user's",
            invite(userId="u1") | {"integrations": options(id="u\ud83d", key="extid")},
            refused=(Reason.UNMAPPABLE, "broken character"),
        ),
        Row(
            "the email in an order's properties is its person's",
            track("Order Completed", {**BASKET, "email": EMAIL}),
            (bought(),),
        ),
        Row(
            "the email in context.traits comes before the one in an order's properties",
            track("Order Completed", {**BASKET, "email": FRIEND}, context=with_email()),
            (bought(),),
        ),
        Row(
            "the email in the properties of Subscribed is its person's",
            track("Subscribed", {"list": "News", "email": EMAIL}),
            (post_user(**U1, **BY_EMAIL, lists={"News": 1}, optout_email="none"),),
        ),
        Row(
            "other emails of an order are data",
            track("Order Completed", BASKET, context={"email": FRIEND}),
            (lookup("u1", "keys"), bought()),
            profile={"keys": {"email": EMAIL}},
        ),
        Row(
            "a userId that is an email addresses an order without a look-up",
            track("Order Completed", BASKET, userId=EMAIL),
            (bought(),),
        ),
        Row(
            "a userId that is an email becomes the email of its profile",
            identify(userId=EMAIL, traits={"name": "Ida"}),
            (post_user(id=EMAIL, key="extid", **BY_EMAIL, vars={"name": "Ida"}),),
        ),
        Row(
            "a userId that is an email does not replace another email that the identify shows",
            identify(userId=FRIEND, traits={"email": EMAIL}),
            (post_user(id=FRIEND, key="extid", **BY_EMAIL),),
        ),
        Row(
            "`42@shop` is an id of another kind: an address has a dot in its domain",
            identify(userId="42@shop"),
            (post_user(id="42@shop", key="extid"),),
        ),
        Row(
            "an email in the properties of a deletion deletes no profile",
            track("User Deleted", {"email": FRIEND}, context=with_email()),
            (call("DELETE", "/user", {"id": EMAIL, "key": "email"}),),
            settings={"allow_delete": True},
        ),
    ),
)

VISITORS = Table(
    "A visitor who shows an email",
    "An identify or Subscribed with an email and without a userId. When an earlier event showed"
    " whose the email is, the event goes to that user. Else the profile that has the email is looked up, once for"
    " an anonymousId and email. No anonymousId ever takes the place of another extid.",
    (
        Row(
            "an email that no profile has goes to the anonymousId",
            visitor(),
            (ASKED, post_user(id="anon-1", key="extid", **BY_EMAIL, vars={"name": "Duck"})),
        ),
        Row(
            "a profile without an extid gets the anonymousId",
            visitor(),
            (ASKED, post_user(id="anon-1", key="extid", **BY_EMAIL, vars={"name": "Duck"})),
            profile={"keys": {"sid": "5f1e", "email": EMAIL}},
        ),
        Row(
            "a profile that has both the email and the anonymousId gets neither again",
            visitor(),
            (ASKED, post_user(id="anon-1", key="extid", vars={"name": "Duck"})),
            profile={"keys": {"email": EMAIL, "extid": "anon-1"}},
        ),
        Row(
            "a profile with another extid is addressed by the email and keeps its extid",
            visitor(),
            (
                ASKED,
                post_user(id=EMAIL, key="email", keysconflict="merge", vars={"name": "Duck"}),
            ),
            profile={"keys": {"email": EMAIL, "extid": "u1"}},
        ),
        Row(
            "an extid of digits, which PHP writes as a number, is an extid, too",
            visitor(),
            (
                ASKED,
                post_user(id=EMAIL, key="email", keysconflict="merge", vars={"name": "Duck"}),
            ),
            profile={"keys": {"email": EMAIL, "extid": 4711}},
        ),
        Row(
            "Subscribed of a visitor is addressed in the same way",
            {
                "type": "track",
                "event": "Subscribed",
                "anonymousId": "anon-1",
                "properties": {"list": "News", "email": EMAIL},
            },
            (
                ASKED,
                post_user(
                    id=EMAIL,
                    key="email",
                    keysconflict="merge",
                    lists={"News": 1},
                    optout_email="none",
                ),
            ),
            profile={"keys": {"email": EMAIL, "extid": "u1"}},
        ),
        Row(
            "a userId that several people share (SHARED_IDS) does not make the visitor a user",
            visitor(userId="guest"),
            (
                ASKED,
                post_user(id=EMAIL, key="email", keysconflict="merge", vars={"name": "Duck"}),
            ),
            profile={"keys": {"email": EMAIL, "extid": "u1"}},
        ),
        Row(
            "an identify of a visitor without an email needs no look-up",
            {"type": "identify", "anonymousId": "anon-1", "traits": {"name": "Duck"}},
            (post_user(id="anon-1", key="extid", vars={"name": "Duck"}),),
        ),
    ),
)
