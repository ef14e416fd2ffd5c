"""Segment's `integrations` object: whether an event is for Sailthru, and its per-event options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from pipeline.events.destinations import given_options, named
from pipeline.events.models import Event
from pipeline.fields import is_nothing
from pipeline.text import mend_line

OPTIONS = (
    *("id", "key", "schedule_time", "default_list_name", "lists", "login", "optout_value"),
    *(
        "send_template",
        "tenders",
        "channel",
        "app_id",
        "device_id",
        "user_agent",
        "cookies",
        "date",
    ),
    *("reminder_template", "reminder_time", "clear_incomplete_cart_after_n_hours"),
    *("message_id", "sailthru_bid", "use_stored_tags", "exclude_content", "visitor_id"),
)
"""Every option there is, whatever event it is of."""
OPTOUT_LEVELS = frozenset({"none", "basic", "blast", "all"})
_OFF_WORDS = frozenset({"", "0", "false", "no", "off"})


def is_for_sailthru(event: Event) -> bool:
    """A named destination wins over `All`, which is on when absent. Options mean on."""
    switches = [_is_on(value) for _, value in named(event.integrations)]
    if switches:
        return any(switches)
    return all(
        _is_on(value)
        for name, value in event.integrations.items()
        if name.strip().casefold() == "all" and value is not None
    )


def options(event: Event, name: str, *, or_property: bool = False) -> Iterator[tuple[str, object]]:
    """The per-event option called `name` (snake_case), in snake or camel case: (path, value).

    Wherever it is given, the one that counts first; null is left out, other nothings are not.

    or_property: people also put some of them into the properties, `reminder_time` say; look there
    next.
    """
    for destination, key, value in all_options(event):
        if value is not None and same_name(key, name):
            yield f"integrations.{destination}.{key}", value
    for key, value in event.properties.items() if or_property else ():
        if value is not None and same_name(key, name):
            yield f"properties.{key}", value


def read_optout(event: Event) -> str | None:
    """The level of the option optoutValue, in lower case; '' for one that cannot be read, or that is meant for the
    user whom the options `id` and `key` name; None without."""
    levels = [value for _, value in options(event, "optout_value") if not is_nothing(value)]
    if not levels:
        return None
    is_of_another = any(folded(key) in {"id", "key"} for _, key, _ in all_options(event))
    level = mend_line(levels[0]).strip().casefold() if isinstance(levels[0], str) else ""
    return level if level in OPTOUT_LEVELS and not is_of_another else ""


def all_options(event: Event) -> Iterator[tuple[str, str, object]]:
    """Everything that is given as an option: (destination, name, value)."""
    return given_options(event.integrations)


def same_name(key: str, name: str) -> bool:
    """Whether `key` is `name` in any of snake_case, camelCase and plain carelessness."""
    return folded(key) == folded(name)


@lru_cache(maxsize=4096)
def folded(name: str) -> str:
    """What all ways to write a name have in common."""
    return name.replace("_", "").casefold()


def _is_on(value: object) -> bool:
    """A switch: here false says something. PHP writes empty options as []."""
    if isinstance(value, str):
        return value.strip().casefold() not in _OFF_WORDS
    return isinstance(value, Mapping | list) or bool(value)
