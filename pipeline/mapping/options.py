"""Per-event options as text (reference: segment 2.4)."""

from __future__ import annotations

from pipeline.events import Event
from pipeline.integrations import option
from pipeline.mapping.values import text


def text_option(event: Event, name: str, *, or_property: bool = False) -> str | None:
    """The option `name` (snake_case) of the integrations object, or else of the properties.

    Raises:
        Rejected: unmappable, when it isn't text.
    """
    return text(option(event, name, or_property=or_property), name)


def sailthru_bid(event: Event) -> str | None:
    """The message that led here, for revenue attribution: the value of the cookie sailthru_bid.

    Given as the option `message_id` or `sailthru_bid`, or as the property `sailthru_bid`.
    """
    named = text_option(event, "message_id")
    return named or text_option(event, "sailthru_bid", or_property=True)
