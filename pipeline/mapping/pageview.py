"""The lane `page`: page and screen -> the pageview endpoint."""

from __future__ import annotations

from typing import Any

from pipeline.events import Event
from pipeline.mapping.identity import user_key
from pipeline.mapping.items import is_web_url
from pipeline.mapping.options import sailthru_bid
from pipeline.mapping.plan import Known, Plan, Send
from pipeline.mapping.values import field, refuse, text
from pipeline.sailthru.calls import PAGEVIEW_ENDPOINT, Call
from pipeline.settings import AccountSettings


def plan_pageview(event: Event, known: Known, settings: AccountSettings) -> Plan:
    """POST to the pageview endpoint, as Sailthru's own tag does (reference: sailthru-api 2.4).

    Raises:
        Rejected: unmappable without an absolute properties.url or context.page.url.
    """
    url = text(event.properties.get("url"), "properties.url") or event.page_url
    if url is None or not is_web_url(url):
        refuse("properties.url", "is missing or no absolute address, and context.page.url too")
    user = user_key(event, known, settings)
    params: dict[str, Any] = {"url": url, "userIdKey": user["key"], "userIdValue": user["id"]}
    extras = {"tags": _tags(event), "messageId": sailthru_bid(event)}
    return Send(
        Call(
            "POST",
            PAGEVIEW_ENDPOINT,
            params | {name: value for name, value in extras.items() if value},
        )
    )


def _tags(event: Event) -> str | None:
    """Joined with commas, as the tag does; `keywords` is Segment's name for them."""
    key, tags = field(event.properties, ("tags", "keywords"))
    where = f"properties.{key}"
    if not isinstance(tags, list):
        return text(tags, where)
    return ",".join(tag for tag in (text(one, where) for one in tags) if tag)
