"""From a request of Vibetrace's event API to Segment's events. No I/O.

Reference: document 003; sailthru-api 7. `user` names a person, `event` has one object, under the name of its type:

| type | becomes |
|---|---|
| `update`, `login` | identify; its fields are the traits. A `login` has the person's email where `user` has none |
| `generic` | track of its `event_name` |
| `confirmation` | Order Completed if each of its items has id, title, price and url; else track `confirmation` |
| `addtocart` | Product Added, one for each of its items, or of itself, on the same condition; else track `addtocart` |
| `email_open`, `open` | track `email_open`: `open` is reserved at Sailthru |
| any other | track of that name |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic_core import to_json

from pipeline.events.models import MAX_EVENT_BYTES, read_person_id, readable_id
from pipeline.fields import is_nothing
from pipeline.ingest.answers import HttpError
from pipeline.text import read_email

EventBody = tuple[str, dict[str, Any]]
"""The type of a Segment event, and the event."""


class EventType(StrEnum):
    """The types that are more than a name."""

    UPDATE = "update"
    LOGIN = "login"
    GENERIC = "generic"
    CONFIRMATION = "confirmation"
    CART = "addtocart"
    OPEN = "email_open"


_TYPES: Mapping[str, EventType] = {kind.replace("_", ""): kind for kind in EventType} | {
    "open": EventType.OPEN
}
"""By their names without case, `_`, `-` and blanks."""


_NEEDED = (("product_id", "id", "sku"), ("title", "name"), ("price",), ("url",))
"""What an item must have to be a product; of each, the names that the mapping reads."""


class Person(NamedTuple):
    """Whom a request is about: `_id`, email, or both."""

    id: str | None
    email: str | None


class VibetraceEvent(NamedTuple):
    """One request, read.

    name: its type as it was written. fields: what it says, the inner `generic` object among it.
    """

    person: Person
    type: EventType | None
    name: str
    fields: Mapping[str, Any]
    user_agent: str | None = None
    message_id: str | None = None

    @property
    def order_id(self) -> str | None:
        """Of a confirmation, as text; None when it has none that can be read."""
        return readable_id(_find(self.fields, "orderid"))


def read_request(data: Mapping[str, Any]) -> VibetraceEvent:
    """Read a request's body. Raises HttpError: 400, in the words of Vibetrace where it has some."""
    name, fields = _event(data.get("event"))
    inner = fields.get("generic")
    if isinstance(inner, Mapping):
        fields = {**_without(fields, "generic"), **inner}
    agents = [_find(place, "useragent") for place in (fields, data["event"])]
    kind = _TYPES.get(_folded(name))
    if kind is EventType.GENERIC:
        name = _generic_name(fields)
        fields = _without(fields, "eventname")
    if len(to_json(fields)) > MAX_EVENT_BYTES:  # or each of many items would come with all the rest
        raise HttpError(400, "too_large", f"The event is larger than {MAX_EVENT_BYTES} bytes.")
    person = _person(data.get("user"))
    if kind is EventType.LOGIN and person.email is None:
        person = person._replace(email=read_email(fields.get("email")))
    return VibetraceEvent(
        person,
        kind,
        name,
        _without(fields, "useragent"),
        next((one for one in agents if isinstance(one, str)), None),
        readable_id(data.get("messageId")),
    )


def segment_events(event: VibetraceEvent, *, may_have_cart: bool) -> Iterator[EventBody]:
    """The Segment events that a request is; several are only the items of an `addtocart`.

    may_have_cart: False for a person of whom an email alone is known, since cart changes need a userId.
    """
    for n, (kind, said) in enumerate(_said(event, may_have_cart)):
        email = {"email": event.person.email} if event.person.email else {}
        if kind == "identify":
            said["traits"] = {**said["traits"], **email}
        context: dict[str, Any] = {"traits": email} if email else {}
        if event.user_agent:
            context["userAgent"] = event.user_agent
        body = {"userId": event.person.id, "context": context, **said}
        if event.message_id:
            body["messageId"] = f"{event.message_id}/{n}" if n else event.message_id
        yield kind, body


def _said(event: VibetraceEvent, may_have_cart: bool) -> Iterator[EventBody]:
    fields = event.fields
    match event.type:
        case EventType.UPDATE | EventType.LOGIN:
            yield "identify", {"traits": _without(fields, "email")}
        case EventType.CONFIRMATION if products := _products(_listed(fields)):
            rest = _without(fields, "items", "products", "orderid")
            order = {"order_id": event.order_id, "products": products}
            yield "track", {"event": "Order Completed", "properties": {**rest, **order}}
        case EventType.CART if may_have_cart and (
            products := _products(_listed(fields) or [fields])
        ):
            rest = _without(fields, "items", "products")
            for one in products:
                yield "track", {"event": "Product Added", "properties": {**rest, **one}}
        case EventType.GENERIC | None:
            yield "track", {"event": event.name, "properties": dict(fields)}
        case kind:
            yield "track", {"event": kind.value, "properties": dict(fields)}


def _event(given: object) -> tuple[str, Mapping[str, Any]]:
    """The type of the one event, and its object. PHP writes an empty one as []."""
    events = given.items() if isinstance(given, Mapping) else ()
    found = [(name, one) for name, one in events if isinstance(one, Mapping) or one == []]
    if not found:
        raise HttpError(
            400, "missing_event_information", "Please send event information along with user"
        )
    if len(found) > 1:
        raise HttpError(400, "several_events", "Please send one event in a request")
    name, fields = found[0]
    return name, fields or {}


def _person(given: object) -> Person:
    user = given if isinstance(given, Mapping) else {}
    email = read_email(user.get("email"))
    try:
        person = Person(read_person_id(user.get("_id")), email)
    except ValueError as error:
        raise HttpError(400, "invalid_user_information", f"user._id {error}") from None
    if person.id or email:
        return person
    if is_nothing(user.get("email")):
        raise HttpError(
            400, "missing_user_information", "Please send email or _id in user along with event"
        )
    raise HttpError(400, "invalid_user_information", "user.email is not an email address")


def _generic_name(fields: Mapping[str, Any]) -> str:
    name = _find(fields, "eventname")
    if not isinstance(name, str) or is_nothing(name):
        raise HttpError(400, "missing_event_name", "Please send event_name in the generic event")
    return name


def _listed(fields: Mapping[str, Any]) -> list[Any]:
    """The items of an event; none if it has no list of them."""
    given = _find(fields, "items", "products")
    return given if isinstance(given, list) else []


def _products(items: Iterable[Any]) -> list[dict[str, Any]]:
    """The items as Segment's products, if each has what Sailthru asks of one; else none."""
    products = [_product(one) for one in items]
    return [one for one in products if one] if all(products) else []


def _product(item: object) -> dict[str, Any] | None:
    """None for what is no object, or lacks something."""
    if not isinstance(item, Mapping):
        return None
    item_id = _find(item, "itemid", "productid")
    product = dict(item)
    if item_id is not None:
        product = {**_without(item, "itemid", "productid"), "product_id": item_id}
    whole = all(any(not is_nothing(product.get(name)) for name in names) for names in _NEEDED)
    return product if whole else None


def _find(fields: Mapping[str, Any], *names: str) -> Any:
    """The first field that is one of `names` and not nothing; None without one."""
    for field, value in fields.items():
        if not is_nothing(value) and _folded(field) in names:
            return value
    return None


def _without(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {field: value for field, value in fields.items() if _folded(field) not in names}


def _folded(name: str) -> str:
    """What the ways to write a name have in common: `addToCart`, `add_to_cart`, `Add to cart`."""
    return "".join(name.replace("_", "").replace("-", "").split()).casefold()
