"""What an event is found by in the log of outcomes: hashes of its ids, its person's ids and emails, its order. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b

from pipeline.events.kinds import ORDERS
from pipeline.events.models import Alias, Event, NativeCall, readable_id
from pipeline.mapping.basket import is_placeholder
from pipeline.mapping.values import field

NAME_BYTES = 5
"""Of a hash. Of ten million names in the log, one look-up in a hundred thousand finds another's record."""
_ORDER_FIELDS = ("order_id", "checkout_id")


def message_name(identity: str) -> bytes:
    """What a record is found by for its messageId, or the id of the letter or second entry that it was."""
    return _name("m", identity)


def order_name(identity: str) -> bytes:
    """The same for the id of an order."""
    return _name("o", identity)


def person_name(identity: str) -> bytes:
    """The same for an id or email of a person; an email is the same in any case."""
    return _name("p", identity.lower() if "@" in identity else identity)


def event_names(
    identity: str, event: Event | None, others: Iterable[str | None] = ()
) -> list[bytes]:
    """All names of an event that is kept under this id. `others`: of its person, beside those that it says itself."""
    if event is None:
        return [message_name(identity), *map(person_name, filter(None, dict.fromkeys(others)))]
    people = dict.fromkeys((event.user_id, event.anonymous_id, *others))
    if isinstance(event, Alias):
        people[event.previous_id] = None
    for place in (event.traits, event.properties, event.context.get("traits")):
        if place and isinstance(place, Mapping) and isinstance(email := place.get("email"), str):
            people[email.strip().lower()] = None
    names = [message_name(identity), *map(person_name, filter(None, people))]
    if event.message_id and event.message_id != identity:
        names.append(message_name(event.message_id))
    if event.kind in ORDERS and (order := event_order(event)):
        names.append(order_name(order))
    return names


def event_order(event: Event) -> str | None:
    """The id of the order that an event is about, as the mapping reads it; None when it has none."""
    if isinstance(event, NativeCall):
        keys = event.params.get("purchase_keys")
        return readable_id(keys.get("extid")) if isinstance(keys, Mapping) else None
    found = (readable_id(field(event.properties, (name,))[1]) for name in _ORDER_FIELDS)
    return next((one for one in found if one and not is_placeholder(one)), None)


def _name(kind: str, text: str) -> bytes:
    return blake2b(f"{kind}{text}".encode("utf-8", "replace"), digest_size=NAME_BYTES).digest()
