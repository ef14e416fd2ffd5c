"""Per-event options as text (reference: segment 2.4), and the page an event names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from pipeline.events.integrations import options
from pipeline.events.models import Event
from pipeline.fields import Notes, is_nothing
from pipeline.mapping.values import identifier, text

T = TypeVar("T")


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
    if not event.integrations and not or_property:
        return "", None
    for path, value in options(event, name, or_property=or_property):
        found = notes.optional(read, value, path)
        if found is not None:
            return path, found
    return "", None


def text_option(event: Event, name: str, notes: Notes, *, or_property: bool = False) -> str | None:
    """As `find_option`, for text, without its path."""
    return find_option(event, name, text, notes, or_property=or_property)[1]


def strict_option(event: Event, name: str) -> tuple[str, str | None]:
    """An option that an event cannot do without where it is given: (path, text); ("", None) without.

    Raises:
        MappingRejected: unmappable, when it isn't text.
    """
    if not event.integrations:
        return "", None
    for path, value in options(event, name):
        return path, text(value, path)
    return "", None


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
