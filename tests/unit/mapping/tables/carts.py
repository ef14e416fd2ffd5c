"""Product Added, Product Removed."""

from __future__ import annotations

from typing import Any

from pipeline.errors import Reason
from tests.unit.mapping.tables.orders import EMAIL, GAME, GAME_ITEM
from tests.unit.mapping.tables.row import Row, Table, lookup, options, post_purchase, track

ANYBODY = {"cart_users": "any"}

GET = lookup("u1", "keys", "purchase_incomplete")
CARD = {"id": "card", "title": "Card", "qty": 1, "price": 100, "url": "https://shop.example/card"}
NO_CART: dict[str, Any] = {"keys": {"email": EMAIL}}
TEXT = "Nothing to remove from Incomplete Cart for this user."


def cart_of(*items: dict[str, Any]) -> dict[str, Any]:
    """The profile of a user with this cart."""
    return NO_CART | {
        "purchase_incomplete": {"time": "Thu, 21 Feb 2019 08:33:46 -0500", "items": list(items)}
    }


def posted(*items: dict[str, Any], **more: Any) -> tuple[dict[str, Any], ...]:
    """The look-up, and the whole cart written back."""
    return GET, post_purchase(email=EMAIL, items=list(items), incomplete=1, **more)


def added(**fields: Any) -> dict[str, Any]:
    """A Product Added of GAME."""
    return track("Product Added", GAME, **fields)


def removed(**fields: Any) -> dict[str, Any]:
    """A Product Removed of one GAME."""
    return track("Product Removed", {"product_id": "507f1f77"}, **fields)


def visitors(email: str | None) -> dict[str, Any]:
    """A Product Added by an anonymousId, which may show an email."""
    shown = {"email": email} if email else {}
    return {
        "type": "track",
        "event": "Product Added",
        "anonymousId": "anon-1",
        "properties": GAME | shown,
    }


def reminded(says: str, given: str, sent: str) -> Row:
    """A reminder time as people write it, and as it is sent."""
    chosen = options(reminder_template="abandoned cart", reminder_time=given)
    more = {"reminder_template": "abandoned cart", "reminder_time": sent}
    return Row(says, added(integrations=chosen), posted(GAME_ITEM, **more), profile=NO_CART)


def _unreadable(says: str, problems: dict[str, str], **given: Any) -> Row:
    """Options that are left out."""
    event = added(integrations=options(**given))
    notes = {f"integrations.Sailthru.{name}": problem for name, problem in problems.items()}
    return Row(says, event, posted(GAME_ITEM), notes=notes, profile=NO_CART)


_SEGMENTS_EXAMPLE = {
    "cart_id": "skdjsidjsdkdj29j",
    "product_id": "507f1f77bcf86cd799439011",
    "sku": "G-32",
    "category": "Games",
    "name": "Monopoly: 3rd Edition",
    "brand": "Hasbro",
    "variant": "200 pieces",
    "price": 18.99,
    "quantity": 1,
    "coupon": "MAYDEALS",
    "position": 3,
}
_EXAMPLES_VARS = ("sku", "category", "brand", "variant", "coupon", "position")

_CHANGES = (
    Row(
        "Segment's own example, which has its url from the page",
        track(
            "Product Added",
            _SEGMENTS_EXAMPLE,
            context={"page": {"url": GAME["url"]}},
            integrations=options(reminder_template="abandoned cart", reminder_time="+20 minutes"),
        ),
        posted(
            GAME_ITEM
            | {
                "id": "507f1f77bcf86cd799439011",
                "vars": {name: _SEGMENTS_EXAMPLE[name] for name in _EXAMPLES_VARS},
            },
            reminder_template="abandoned cart",
            reminder_time="+20 minutes",
        ),
        profile=NO_CART,
    ),
    Row("a product joins an empty cart", added(), posted(GAME_ITEM), profile=NO_CART),
    Row(
        "V1's name does the same",
        track("Added Product", {**GAME, "product_id": None, "id": "507f1f77"}),
        posted(GAME_ITEM),
        profile=NO_CART,
    ),
    Row(
        "a product is added to the cart that is there",
        added(),
        posted(CARD, GAME_ITEM),
        profile=cart_of(CARD),
    ),
    Row(
        "a product that is in the cart is counted up by the event's quantity",
        track("Product Added", {**GAME, "quantity": 2}),
        posted(GAME_ITEM | {"qty": 5}),
        profile=cart_of(GAME_ITEM | {"qty": 3}),
    ),
    Row(
        "it takes the newest price, title, url and vars",
        track("Product Added", {**GAME, "name": "Monopoly", "price": 17, "variant": "blue"}),
        posted(
            GAME_ITEM | {"qty": 4, "title": "Monopoly", "price": 1700, "vars": {"variant": "blue"}}
        ),
        profile=cart_of(GAME_ITEM | {"qty": 3, "vars": {"variant": "red", "brand": "Hasbro"}}),
    ),
    Row(
        "and keeps what the event does not say, or says so that it cannot be read",
        track("Product Added", {"product_id": "507f1f77", "price": "17 EUR", "url": False}),
        posted(GAME_ITEM | {"qty": 4, "vars": {"variant": "red"}}),
        notes={"properties.price": "must be a number"},
        profile=cart_of(GAME_ITEM | {"qty": 3, "vars": {"variant": "red"}}),
    ),
    Row(
        "variants of a product are items of their own with CART_ITEM_ID",
        track("Product Added", {**GAME, "sku": "M-BLUE"}),
        posted(
            GAME_ITEM | {"id": "M-RED", "vars": {"product_id": "507f1f77"}},
            GAME_ITEM | {"id": "M-BLUE", "vars": {"product_id": "507f1f77"}},
        ),
        profile=cart_of(GAME_ITEM | {"id": "M-RED", "vars": {"product_id": "507f1f77"}}),
        settings={"cart_item_id": "sku"},
    ),
    Row(
        "by the variant's id, too",
        track("Product Removed", {**GAME, "variantId": 4402}),
        posted(CARD),
        profile=cart_of(CARD, GAME_ITEM | {"id": "4402"}),
        settings={"cart_item_id": "variant_id"},
    ),
    Row(
        "a product that has neither goes by its product_id",
        track("Product Removed", {**GAME, "sku": False}),
        posted(CARD),
        profile=cart_of(CARD, GAME_ITEM),
        settings={"cart_item_id": "sku"},
    ),
    Row(
        "without a quantity a product in the cart is counted up by one; its id is enough",
        track("Product Added", {"product_id": "507f1f77"}),
        posted(GAME_ITEM | {"qty": 4}),
        profile=cart_of(GAME_ITEM | {"qty": 3}),
    ),
    Row(
        "a cart is posted back with its images as POST wants them",
        added(),
        posted(CARD | {"images": {"full": {"url": "https://i.example/c.jpg"}}}, GAME_ITEM),
        profile=cart_of(CARD | {"images": {"full": "https://i.example/c.jpg"}}),
    ),
    Row(
        "removing a product counts it down",
        removed(),
        posted(GAME_ITEM | {"qty": 2}),
        profile=cart_of(GAME_ITEM | {"qty": 3}),
    ),
    Row(
        "removing the last of a product takes its item out",
        removed(),
        posted(CARD),
        profile=cart_of(CARD, GAME_ITEM),
    ),
    Row(
        "removing more than there are takes the item out, too",
        track("Removed Product", {"id": "507f1f77", "quantity": 9}),
        posted(CARD),
        profile=cart_of(CARD, GAME_ITEM),
    ),
    Row(
        "removing the last item posts the empty cart, without a reminder",
        removed(),
        posted(),
        profile=cart_of(GAME_ITEM),
        settings={"reminder_template": "cart", "reminder_time": "1 day"},
    ),
    Row(
        "removing from an empty cart is refused in Segment's words",
        removed(),
        (GET,),
        refused=(Reason.NOTHING_TO_REMOVE, TEXT),
        profile=NO_CART,
    ),
    Row(
        "removing what is not in the cart is refused, too",
        removed(),
        (GET,),
        refused=(Reason.NOTHING_TO_REMOVE, TEXT),
        profile=cart_of(CARD),
    ),
    Row(
        "other properties are vars of the item",
        track("Product Added", {**GAME, "cart_id": "c1", "brand": "Hasbro", "position": 3}),
        posted(GAME_ITEM | {"vars": {"brand": "Hasbro", "position": 3}}),
        profile=NO_CART,
    ),
    Row(
        "without a userId there is no cart to look up",
        {"type": "track", "event": "Product Added", "anonymousId": "a1", "properties": GAME},
        refused=(Reason.MISSING_USER_ID, "userId"),
    ),
    Row(
        "a fractional quantity is refused",
        track("Product Added", {**GAME, "quantity": "1.5"}),
        refused=(Reason.UNMAPPABLE, "properties.quantity"),
    ),
    Row(
        "a negative quantity is refused",
        track("Product Removed", {**GAME, "quantity": -1}),
        refused=(Reason.UNMAPPABLE, "properties.quantity"),
    ),
)
_REMINDERS = (
    reminded("`60 minutes` gets a +", "60 minutes", "+60 minutes"),
    reminded("`24 hrs` are hours", "24 hrs", "+24 hours"),
    reminded("`2 weeks`", "2 weeks", "+2 weeks"),
    reminded("`+20 minutes` keeps its +", "+20 minutes", "+20 minutes"),
    Row(
        "the reminder options may be in camel case",
        added(integrations=options(reminderTemplate="cart", reminderTime="1 day")),
        posted(GAME_ITEM, reminder_template="cart", reminder_time="+1 day"),
        profile=NO_CART,
    ),
    Row(
        "or properties in camel case, which are no vars",
        track("Product Added", GAME | {"reminderTemplate": "cart", "reminderTime": "1 day"}),
        posted(GAME_ITEM, reminder_template="cart", reminder_time="+1 day"),
        profile=NO_CART,
    ),
    Row(
        "what else Sailthru takes is passed on",
        track("Product Added", GAME | {"channel": "app", "date": "2019-02-21T08:33:46Z"})
        | {"integrations": options(app_id="a1", sailthruBid="bid1")},
        posted(
            GAME_ITEM,
            channel="app",
            date="Thu, 21 Feb 2019 08:33:46 +0000",
            app_id="a1",
            message_id="bid1",
        ),
        profile=NO_CART,
    ),
    Row(
        "the reminder options may be properties",
        track("Product Added", GAME | {"reminder_template": "cart", "reminder_time": "1 day"}),
        posted(GAME_ITEM, reminder_template="cart", reminder_time="+1 day"),
        profile=NO_CART,
    ),
    Row(
        "without reminder options REMINDER_TEMPLATE and REMINDER_TIME are sent",
        added(),
        posted(GAME_ITEM, reminder_template="cart", reminder_time="+24 hours"),
        profile=NO_CART,
        settings={"reminder_template": "cart", "reminder_time": "24 hours"},
    ),
    Row(
        "the settings complete what the event leaves out of the reminder",
        added(integrations=options(reminder_template="special")),
        posted(GAME_ITEM, reminder_template="special", reminder_time="+24 hours"),
        profile=NO_CART,
        settings={"reminder_template": "cart", "reminder_time": "24 hours"},
    ),
    Row(
        "a reminder time without a template in the settings sends no reminder",
        added(),
        posted(GAME_ITEM),
        profile=NO_CART,
        settings={"reminder_time": "24 hours"},
    ),
    _unreadable(
        "a reminder template without a time is left out",
        {"reminder_template": "needs a reminder_time, too"},
        reminder_template="cart",
    ),
    _unreadable(
        "a reminder time without a template is left out",
        {"reminder_time": "needs a reminder_template, too"},
        reminder_time="1 day",
    ),
    _unreadable(
        "a reminder time that cannot be read is left out, and its template with it",
        {
            "reminder_time": "must be like 60 minutes, 24 hours or 2 weeks",
            "reminder_template": "needs a reminder_time, too",
        },
        reminder_template="cart",
        reminder_time="tomorrow",
    ),
    _unreadable(
        "and no time at all is none",
        {
            "reminder_time": "must be like 60 minutes, 24 hours or 2 weeks",
            "reminder_template": "needs a reminder_time, too",
        },
        reminder_template="cart",
        reminder_time="0 minutes",
    ),
    _unreadable(
        "hours of clearIncompleteCartAfterNHours that are no number are left out",
        {"clearIncompleteCartAfterNHours": "must be a number"},
        clearIncompleteCartAfterNHours="a day",
    ),
    Row(
        "false is neither a template nor a picture",
        track("Product Added", GAME | {"image_url": False, "reminder_template": False}),
        posted(GAME_ITEM, reminder_template="cart", reminder_time="+24 hours"),
        profile=NO_CART,
        settings={"reminder_template": "cart", "reminder_time": "24 hours"},
    ),
)

BY_EMAIL = lookup(EMAIL, "keys", "purchase_incomplete", key="email")
_VISITORS = (
    Row(
        "a cart needs a userId",
        visitors(EMAIL),
        refused=(Reason.MISSING_USER_ID, "CART_USERS=any"),
    ),
    Row(
        "or with CART_USERS=any an anonymousId whose email is known; the cart is read by the email",
        visitors(EMAIL),
        (BY_EMAIL, post_purchase(email=EMAIL, items=[CARD, GAME_ITEM], incomplete=1)),
        profile=cart_of(CARD),
        settings=ANYBODY,
    ),
    Row(
        "or known to Sailthru",
        visitors(None),
        (
            lookup("anon-1", "keys", "purchase_incomplete"),
            post_purchase(email=EMAIL, items=[CARD, GAME_ITEM], incomplete=1),
        ),
        profile=cart_of(CARD),
        settings=ANYBODY,
    ),
    Row(
        "an anonymousId without an email has no cart",
        visitors(None),
        (lookup("anon-1", "keys", "purchase_incomplete"),),
        refused=(Reason.MISSING_USER_ID, "no email of its anonymousId is known"),
        settings=ANYBODY,
    ),
)

CARTS = Table(
    "Product Added, Product Removed -> GET /user, POST /purchase",
    "Sailthru cannot add to a cart: the whole cart is read, changed and written back, by one worker"
    " at a time. What we wrote ourselves is the base while Sailthru's reads may lag behind it."
    " Segment adds one whatever the event says; here the event's quantity counts. Segment passes"
    " `24 hrs` on; Sailthru's times are PHP's, which has no `hrs`, so units are written out.",
    _CHANGES + _REMINDERS + _VISITORS,
)
