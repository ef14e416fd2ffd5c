"""alias, Subscribed, User Deleted."""

from __future__ import annotations

from pipeline.errors import Reason
from tests.unit.mapping.tables.row import (
    Row,
    Table,
    call,
    lookup,
    options,
    post_event,
    post_user,
    track,
    with_email,
)
from tests.unit.mapping.tables.users import BY_EMAIL, EMAIL, KNOWN, U1

ALIASES = Table(
    "Alias -> POST /user",
    "Segment's destinations dropped alias. Here it does what it says: the profile of `previousId`"
    " becomes, or is merged into, that of `userId`.",
    (
        Row(
            "a known previousId is merged",
            {"type": "alias", "userId": "u1", "previousId": "anon-1"},
            (
                lookup("anon-1", "keys"),
                post_user(id="anon-1", key="extid", keys={"extid": "u1"}, keysconflict="merge"),
            ),
            profile=KNOWN,
        ),
        Row(
            "a previousId that Sailthru does not know leaves nothing to do",
            {"type": "alias", "userId": "u1", "previousId": "anon-1"},
            (lookup("anon-1", "keys"),),
            ignored="nothing_to_merge",
        ),
        Row(
            "a previousId that equals the userId leaves nothing to do",
            {"type": "alias", "userId": "u1", "previousId": "u1"},
            ignored="already_merged",
        ),
        Row(
            "a previousId that is a shared id is never merged",
            {"type": "alias", "userId": "u1", "previousId": "guest"},
            refused=(Reason.MISSING_USER_ID, "SHARED_IDS"),
        ),
        Row(
            "an alias without a previousId is invalid",
            {"type": "alias", "userId": "u1"},
            refused=(Reason.INVALID_EVENT, "previousId"),
        ),
    ),
)

SUBSCRIPTIONS = Table(
    "Subscribed, User Deleted -> /user",
    "As Sailthru's newer destination does. `Subscribed` is the one event that lifts an opt-out by"
    " itself: the person asked for mail.",
    (
        Row(
            "Subscribed joins a list and lifts the opt-out",
            track("Subscribed", {"list": "News"}, context=with_email()),
            (post_user(**U1, **BY_EMAIL, lists={"News": 1}, optout_email="none"),),
        ),
        Row(
            "the list may be the option defaultListName",
            track("Subscribed", integrations=options(defaultListName="Tea Letter")),
            (post_user(**U1, lists={"Tea Letter": 1}, optout_email="none"),),
            settings={"default_list": "Everyone"},
        ),
        Row(
            "a track of that name without a list is a custom event, and lifts no opt-out",
            track("Subscribed", {"plan": "gold", "list": False}),
            (post_event(**U1, event="Subscribed", vars={"plan": "gold", "list": False}),),
            settings={"default_list": "Everyone"},
        ),
        Row(
            "a list that cannot be read is refused: the person asked for one",
            track("Subscribed", {"list": {"name": "News"}}),
            refused=(Reason.UNMAPPABLE, "properties.list must be a string"),
        ),
        Row(
            "other lists are joined and left as of an identify",
            track("Subscribed", {"list": "News"}, integrations=options(lists={"Trial": 0})),
            (post_user(**U1, lists={"Trial": 0, "News": 1}, optout_email="none"),),
        ),
        Row(
            "User Deleted erases by the email in context.traits",
            track("User Deleted", context=with_email()),
            (call("DELETE", "/user", {"id": EMAIL, "key": "email"}),),
            settings={"allow_delete": True},
        ),
        Row(
            "or in userId",
            {"type": "track", "event": "User Deleted", "userId": EMAIL},
            (call("DELETE", "/user", {"id": EMAIL, "key": "email"}),),
            settings={"allow_delete": True},
        ),
        Row(
            "or in properties.userId",
            track("User Deleted", {"userId": EMAIL}),
            (call("DELETE", "/user", {"id": EMAIL, "key": "email"}),),
            settings={"allow_delete": True},
        ),
        Row(
            "which may be all that it says of the person",
            {"type": "track", "event": "User Deleted", "properties": {"userId": EMAIL}},
            (call("DELETE", "/user", {"id": EMAIL, "key": "email"}),),
            settings={"allow_delete": True},
        ),
        Row(
            "a deletion without an email is refused: Sailthru documents no other key to delete by",
            track("User Deleted"),
            refused=(Reason.MISSING_EMAIL, "email"),
            settings={"allow_delete": True},
        ),
    ),
)
