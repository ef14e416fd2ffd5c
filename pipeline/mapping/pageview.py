"""The lane `page`: page and screen -> the pageview endpoint."""

from __future__ import annotations

from typing import Any

from pipeline.events.models import Event
from pipeline.fields import Notes
from pipeline.lanes import PAGEVIEW_ENDPOINT
from pipeline.mapping.identity import user_key
from pipeline.mapping.items import absolute_url, read_tags
from pipeline.mapping.options import page_url, sailthru_bid, switch_option, text_option
from pipeline.mapping.plan import Plan, PlanContext, Send
from pipeline.mapping.values import field, identifier, reject
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings


def plan_pageview(event: Event, context: PlanContext, settings: AccountSettings) -> Plan:
    """POST to the pageview endpoint, as Sailthru's own tag does (reference: sailthru-api 2.4).

    Raises:
        MappingRejected: unmappable without an absolute properties.url or context.page.url.
    """
    notes = Notes()
    url = _url(event, notes)
    user = user_key(event, context, settings)
    params: dict[str, Any] = {"url": url, "userIdKey": user["key"], "userIdValue": user["id"]}
    extras = {
        "tags": _tags(event, notes) or None,
        "messageId": sailthru_bid(event, notes),
        "visitorId": text_option(event, "visitor_id", notes, or_property=True),
        "useStoredTags": switch_option(event, "use_stored_tags", notes),
        "excludeContent": switch_option(event, "exclude_content", notes),
    }
    params |= {name: value for name, value in extras.items() if value is not None}
    return Send(Call("POST", PAGEVIEW_ENDPOINT, params), notes=tuple(notes))


def _url(event: Event, notes: Notes) -> str:
    """properties.url, which may be relative to the page's, else the page's."""
    page = absolute_url(page_url(event, notes), None)
    given = notes.optional(identifier, event.properties.get("url"), "properties.url")
    own = absolute_url(given, page)
    if given and own is None:
        notes.add("properties.url", "must be an absolute address")
    return (
        own or page or reject("properties.url", "must be an absolute address, or context.page.url")
    )


def _tags(event: Event, notes: Notes) -> str | None:
    """Joined with commas, as the tag does; `keywords` is Segment's name for them."""
    key, given = field(event.properties, ("tags", "keywords"))
    tags = read_tags(given, f"properties.{key}", notes)
    return ",".join(tags) if isinstance(tags, list) else tags
