"""alias, Subscribed, User Deleted."""

from __future__ import annotations

from pipeline.errors import Reason
from tests.unit.mapping.tables.row import Row, Table, call, lookup, post_user, track, with_email
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
            "Subscribed without a list joins DEFAULT_LIST",
            track("Subscribed"),
            (post_user(**U1, lists={"Everyone": 1}, optout_email="none"),),
            settings={"default_list": "Everyone"},
        ),
        Row(
            "Subscribed without a list and without DEFAULT_LIST is refused",
            track("Subscribed"),
            refused=(Reason.UNMAPPABLE, "properties.list"),
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
            "a deletion without an email is refused: Sailthru documents no other key to delete by",
            track("User Deleted"),
            refused=(Reason.MISSING_EMAIL, "email"),
            settings={"allow_delete": True},
        ),
    ),
)
