"""/event and pageviews (reference: sailthru-api 2.2, 2.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.sandbox.params import text, user_key, user_vars
from pipeline.sandbox.replies import ApiError, Reply, invalid, user_not_found
from pipeline.sandbox.state import Moment

RESERVED_EVENTS = frozenset({"send", "cancel", "open", "click", "purchase", "daily"})


def post_event(params: Mapping[str, Any], moment: Moment) -> dict[str, Any]:
    """Record a custom event. Letter case of reserved names is undocumented; here it is ignored."""
    key, value = user_key(params)
    name = text(params, "event")
    if name.strip().lower() in RESERVED_EVENTS:
        raise invalid(f"The event name {name} is reserved")
    found = user_vars(params)
    profile = moment.state.profiles.find(key, value)
    if profile is None and moment.options.unknown_user_on_event:
        raise user_not_found(key, value)
    moment.state.events.append(
        {
            "at": moment.now,
            "sid": None if profile is None else profile.sid,
            "id": value,
            "key": key,
            "event": name,
            "vars": found,
            "params": dict(params),
        }
    )
    return {"ok": True}


def post_pageview(params: Mapping[str, Any], bearer: str | None, moment: Moment) -> Reply:
    """Record a pageview. It isn't signed; a customer id is the bearer token."""
    wanted = moment.options.customer_id
    if not bearer or (wanted is not None and bearer != wanted):
        return Reply(401, {"error": "Unauthorized", "message": "unknown customer"})
    try:
        url = text(params, "url")
    except ApiError:
        return Reply(400, {"error": "Bad Request", "message": "url is required"})
    moment.state.pageviews.append({"at": moment.now, "params": dict(params)})
    return Reply(200, {"contentHash": f"{len(url):08x}", "visitorId": params.get("visitorId")})
