"""What of an event itself cannot be read, whatever call it becomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.events.emails import OWN_PROPERTIES, OWN_TRAITS
from pipeline.events.kinds import Kind
from pipeline.events.models import Event, read_email
from pipeline.fields import Note, is_nothing
from pipeline.mapping.options import unknown_options
from pipeline.times import READABLE


def unread(event: Event, kind: Kind) -> tuple[Note, ...]:
    """Notes about its ids, its envelope, its time, its options and the places where its email may stand."""
    return (*event.notes, *_time(event), *_emails(event, kind), *unknown_options(event))


def _time(event: Event) -> Iterator[Note]:
    if not is_nothing(event.timestamp) and event.occurred_at is None:
        yield Note("timestamp", READABLE)


def _emails(event: Event, kind: Kind) -> Iterator[Note]:
    places = {"context.traits": event.context.get("traits")}
    if kind in OWN_TRAITS:
        places = {"traits": event.traits, **places}
    if kind in OWN_PROPERTIES:
        places["properties"] = event.properties
    for name, place in places.items():
        if isinstance(place, Mapping):
            yield from _email(place.get("email"), f"{name}.email")
        elif not is_nothing(place):
            yield Note(name, "must be an object")


def _email(given: object, path: str) -> Iterator[Note]:
    if read_email(given) is None and not is_nothing(given):
        yield Note(path, "must be an email address like name@example.com")
