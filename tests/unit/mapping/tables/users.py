"""identify."""

from __future__ import annotations

from pipeline.errors import Reason
from tests.unit.mapping.tables.row import (
    Row,
    Table,
    identify,
    lookup,
    options,
    post_event,
    post_user,
    track,
    with_email,
)

KNOWN = {"keys": {"sid": "5f1e", "extid": "anon-1"}}
EMAIL = "a@example.com"
BY_EMAIL = {"keys": {"email": EMAIL}, "keysconflict": "merge"}
U1 = {"id": "u1", "key": "extid"}

IDENTIFIES = Table(
    "Identify -> POST /user",
    "Traits become flat vars, the email a key. An identify with an email always says what happens"
    " when that email has another profile (`KEYSCONFLICT`): many people are at Sailthru by email"
    " alone. Nothing is sent as a default that could subscribe a person again: Segment's default"
    " opt-out `none` does, so `optout_email` is sent only when `OPTOUT` or the event says so."
    " Computed traits and audiences arrive as identifies and need nothing special.",
    (
        Row(
            "userId is the extid, traits are vars",
            identify(traits={"name": "Hamurai", "vip": True, "visits": 3}),
            (post_user(**U1, vars={"name": "Hamurai", "vip": True, "visits": 3}),),
        ),
        Row(
            "the email is a key and not repeated in vars",
            identify(traits={"name": "Hamurai", "email": EMAIL}),
            (post_user(**U1, **BY_EMAIL, vars={"name": "Hamurai"}),),
        ),
        Row(
            "the email may be in context.traits",
            identify(context=with_email()),
            (post_user(**U1, **BY_EMAIL),),
        ),
        Row(
            "a clash may be refused instead of merged",
            identify(traits={"email": EMAIL}),
            (post_user(**U1, keys={"email": EMAIL}, keysconflict="error"),),
            settings={"keysconflict": "error"},
        ),
        Row(
            "an identify with a userId alone makes a profile that only the API can find",
            identify(),
            (post_user(**U1),),
        ),
        Row(
            "without userId the anonymousId is the extid",
            {"type": "identify", "anonymousId": "anon-1", "traits": {"name": "Duck"}},
            (post_user(id="anon-1", key="extid", vars={"name": "Duck"}),),
        ),
        Row(
            "an identify with nothing but an email is addressed by it",
            {"type": "identify", "traits": {"email": EMAIL, "name": "Duck"}},
            (post_user(id=EMAIL, key="email", keysconflict="merge", vars={"name": "Duck"}),),
        ),
        Row(
            "with both ids an anonymous profile is renamed, or merged if the user has one",
            identify(anonymousId="anon-1", traits={"name": "Duck"}),
            (
                lookup("anon-1", "keys"),
                post_user(
                    id="anon-1",
                    key="extid",
                    keys={"extid": "u1"},
                    keysconflict="merge",
                    vars={"name": "Duck"},
                ),
            ),
            profile=KNOWN,
        ),
        Row(
            "with both ids and an email all three end on one profile",
            identify(anonymousId="anon-1", traits={"email": EMAIL}),
            (
                lookup("anon-1", "keys"),
                post_user(
                    id="anon-1",
                    key="extid",
                    keys={"extid": "u1", "email": EMAIL},
                    keysconflict="merge",
                ),
            ),
            profile=KNOWN,
        ),
        Row(
            "an anonymousId without a profile needs no merge",
            identify(anonymousId="anon-1", traits={"name": "Duck"}),
            (lookup("anon-1", "keys"), post_user(**U1, vars={"name": "Duck"})),
        ),
        Row(
            "the list is the event's defaultListName",
            identify(integrations=options(defaultListName="testingList")),
            (post_user(**U1, lists={"testingList": 1}),),
            settings={"default_list": "Everyone"},
        ),
        Row(
            "a blank one says that the person joins none",
            identify(integrations=options(defaultListName="")),
            (post_user(**U1),),
            settings={"default_list": "Everyone"},
        ),
        Row(
            "more lists may be joined and left",
            identify(integrations=options(lists={"News": 1, "Offers": 0, "Old": False})),
            (post_user(**U1, lists={"Everyone": 1, "News": 1, "Offers": 0, "Old": 0}),),
            settings={"default_list": "Everyone"},
        ),
        Row(
            "or named, which joins them",
            identify(properties={"lists": ["News", 7]}),
            (post_user(**U1, lists={"News": 1, "7": 1}),),
        ),
        Row(
            "lists that cannot be read are left out",
            identify(integrations=options(lists={"News": "sometimes"})),
            (post_user(**U1),),
            notes={"integrations.Sailthru.lists.News": "must be true or false"},
        ),
        Row(
            "what a login says is passed on",
            identify(integrations=options(login={"site": "shop", "ip": "192.0.2.1", "x": None})),
            (post_user(**U1, login={"site": "shop", "ip": "192.0.2.1"}),),
        ),
        Row(
            "without a defaultListName the list is DEFAULT_LIST",
            identify(),
            (post_user(**U1, lists={"Everyone": 1}),),
            settings={"default_list": "Everyone"},
        ),
        Row(
            "Segment's own example",
            identify(
                traits={
                    "name": "Hamurai",
                    "email": EMAIL,
                    "quote": "Rick, you love those BBQs, Rick",
                },
                integrations=options(defaultListName="testingList"),
            ),
            (
                post_user(
                    **U1,
                    **BY_EMAIL,
                    lists={"testingList": 1},
                    vars={"name": "Hamurai", "quote": "Rick, you love those BBQs, Rick"},
                ),
            ),
        ),
        Row(
            "the opt-out is the event's optoutValue",
            identify(integrations=options(optoutValue="basic")),
            (post_user(**U1, optout_email="basic"),),
            settings={"optout": "all"},
        ),
        Row(
            "without an optoutValue the opt-out is OPTOUT",
            identify(),
            (post_user(**U1, optout_email="none"),),
            settings={"optout": "none"},
        ),
        *(
            Row(
                f"`{level}` is an opt-out level",
                identify(integrations=options(optoutValue=level)),
                (post_user(**U1, optout_email=level),),
            )
            for level in ("none", "basic", "blast", "all")
        ),
        *(
            Row(
                f"OPTOUT=`{level}` is sent with every identify",
                identify(),
                (post_user(**U1, optout_email=level),),
                settings={"optout": level},
            )
            for level in ("basic", "blast", "all")
        ),
        Row(
            "an opt-out that Sailthru does not know is refused: what it meant must not be guessed",
            identify(integrations=options(optoutValue="maybe")),
            refused=(Reason.UNMAPPABLE, "none, basic, blast or all"),
        ),
        Row(
            "the opt-out of any other event is a call of its own, without list and email",
            track("Seen", context=with_email(), integrations=options(optoutValue="all")),
            (post_event(**U1, event="Seen"), post_user(**U1, optout_email="all")),
            settings={"default_list": "Everyone", "optout": "none"},
        ),
        Row(
            "so is that of an event that is ignored",
            {"type": "group", "userId": "u1", "groupId": "g1"}
            | {"integrations": options(optoutValue="all")},
            (post_user(**U1, optout_email="all"),),
            ignored="unsupported_type",
        ),
        Row(
            "one that cannot be read is refused beside its event",
            track("Seen", integrations=options(optoutValue="maybe")),
            (post_event(**U1, event="Seen"),),
            refused=(Reason.UNMAPPABLE, "none, basic, blast or all"),
        ),
        *(
            Row(
                f"`{email}` is no address: it is left out",
                identify(traits={"email": email, "name": "Hamurai"}),
                (post_user(**U1, vars={"name": "Hamurai"}),),
                notes={"traits.email": "must be an email address like name@example.com"},
            )
            for email in ("Hamurai", "hamurai@example", "hamurai@example.")
        ),
        Row(
            "an address may have a plus, and letters of every script",
            identify(traits={"email": "grün+news@bücher.example"}),
            (post_user(**U1, keys={"email": "grün+news@bücher.example"}, keysconflict="merge"),),
        ),
        Row(
            "an email of false means no email",
            identify(traits={"email": False, "name": "Hamurai"}),
            (post_user(**U1, vars={"name": "Hamurai"}),),
        ),
        Row(
            "context.traits that are no object are left out",
            identify(context={"traits": [EMAIL]}),
            (post_user(**U1),),
            notes={"context.traits": "must be an object"},
        ),
        Row(
            "a list that is no text is left out",
            identify(integrations=options(defaultListName={"name": "News"})),
            (post_user(**U1, lists={"Everyone": 1}),),
            notes={"integrations.Sailthru.defaultListName": "must be a string"},
            settings={"default_list": "Everyone"},
        ),
        Row(
            "a trait that Sailthru cannot hold is left out",
            identify(traits={"name": "Hamurai", "balance": 10**30}),
            (post_user(**U1, vars={"name": "Hamurai"}),),
            notes={"traits.balance": "is too large a number"},
        ),
        Row(
            "an audience is a trait like any other",
            identify(traits={"order_completed_last_30days": True}),
            (post_user(**U1, vars={"order_completed_last_30days": True}),),
        ),
        Row(
            "false is a value: it says that a user left an audience",
            identify(traits={"order_completed_last_30days": False}),
            (post_user(**U1, vars={"order_completed_last_30days": False}),),
        ),
        Row(
            "a trait that is null becomes no var",
            identify(traits={"name": None, "plan": "gold"}),
            (post_user(**U1, vars={"plan": "gold"}),),
        ),
        Row(
            "PII_PROPERTIES stay here, by name or by path",
            identify(traits={"phone": "1", "address": {"street": "s", "city": "c"}}),
            (post_user(**U1, vars={"address_city": "c"}),),
            settings={"pii_properties": ["phone", "address.street"]},
        ),
        Row(
            "a shared id (SHARED_IDS) addresses no profile",
            {"type": "identify", "userId": "guest", "anonymousId": "anon-1"},
            (post_user(id="anon-1", key="extid"),),
        ),
        Row(
            "an identify whose ids are all shared and that has no email is refused",
            {"type": "identify", "userId": "guest"},
            refused=(Reason.MISSING_USER_ID, "SHARED_IDS"),
        ),
    ),
)
