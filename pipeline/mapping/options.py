"""Per-event options (reference: segment 2.4) and what may stand among the properties instead, and the
page an event names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from itertools import chain
from typing import TypeVar

from pydantic.alias_generators import to_camel

from pipeline.events.integrations import OPTIONS, all_options, folded, options
from pipeline.events.models import Event
from pipeline.fields import Note, Notes, is_nothing
from pipeline.mapping.values import identifier, switch, text

T = TypeVar("T")

_BY_PLAIN_NAME = {folded(name): name for name in OPTIONS}


def find_option(
    event: Event,
    name: str,
    read: Callable[[object, str], T | None],
    notes: Notes,
    *,
    or_property: bool = False,
) -> tuple[str, T | None]:
    """The option `name` (snake_case) of the integrations object, or else of the properties: its path
    and what `read` makes of it; ("", None) without.

    Where it cannot be read it is left out with a note, and the next place counts.
    """
    if not event.integrations and not (or_property and event.properties):
        return "", None
    for path, value in options(event, name, or_property=or_property):
        if is_nothing(value):
            continue
        found = notes.optional(read, value, path)
        if found is not None:
            return path, found
    return "", None


def text_option(event: Event, name: str, notes: Notes, *, or_property: bool = False) -> str | None:
    """As `find_option`, for text, without its path."""
    return find_option(event, name, text, notes, or_property=or_property)[1]


def switch_option(event: Event, name: str, notes: Notes) -> bool | None:
    """An option or property that is true or false; None without. Here false says something."""
    for path, value in options(event, name, or_property=True):
        if value is False or not is_nothing(value):
            return notes.optional(switch, value, path)
    return None


def strict_option(event: Event, name: str) -> tuple[str, str | None]:
    """An option that an event cannot do without where it is given: (path, text); ("", None) without.

    Raises:
        MappingRejected: unmappable, when it isn't text.
    """
    if not event.integrations:
        return "", None
    for path, value in options(event, name):
        if not is_nothing(value):
            return path, text(value, path)
    return "", None


def may_give(event: Event, plain_names: Collection[str]) -> bool:
    """Whether any of these is among the event's options or properties: most events have none of them."""
    keys = chain(event.properties, (key for _, key, _ in all_options(event)))
    return any(folded(key) in plain_names for key in keys)


def is_emptied(event: Event, name: str) -> bool:
    """Whether the option is given as blank text, to say that what the settings have is not meant.

    Null and false do not say so: SDKs and templates write them for what is not given.
    """
    given = options(event, name) if event.integrations else ()
    return any(isinstance(value, str) and is_nothing(value) for _, value in given)


def unknown_options(event: Event) -> Iterator[Note]:
    """A note for each option that is none, with the name that may be meant."""
    for destination, key, value in all_options(event):
        if is_nothing(value) or folded(key) in _BY_PLAIN_NAME:
            continue
        near = get_close_matches(folded(key), _BY_PLAIN_NAME, n=1)
        name = _BY_PLAIN_NAME[near[0]] if near else ""
        meant = f": did you mean {name if '_' in key else to_camel(name)}?" if near else ""
        yield Note(f"integrations.{destination}.{key}", f"is no option{meant}")


def sailthru_bid(event: Event, notes: Notes) -> str | None:
    """The message that led here, for revenue attribution: the value of the cookie sailthru_bid.

    Given as the option `message_id` or `sailthru_bid`, or as the property `sailthru_bid`.
    """
    named = text_option(event, "message_id", notes)
    return named or text_option(event, "sailthru_bid", notes, or_property=True)


def page_url(event: Event, notes: Notes) -> str | None:
    """context.page.url, which an item or a pageview without a url of its own falls back on."""
    page = event.context.get("page")
    if isinstance(page, Mapping):
        return notes.optional(identifier, page.get("url"), "context.page.url")
    if not is_nothing(page):
        notes.add("context.page", "must be an object")
    return None
