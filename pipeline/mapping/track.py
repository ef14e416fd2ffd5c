"""The lane `event`: custom events -> POST /event."""

from __future__ import annotations

from typing import Any

from pipeline.errors import MappingRejected, Reason
from pipeline.events.models import Track, is_email
from pipeline.fields import Notes
from pipeline.mapping.flatten import flat_vars, keys_named
from pipeline.mapping.identity import extid, find_email, user_key
from pipeline.mapping.options import strict_option, text_option
from pipeline.mapping.plan import Plan, PlanContext, Send
from pipeline.mapping.values import reject
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings

RESERVED_EVENTS = frozenset({"send", "cancel", "open", "click", "purchase", "daily"})
"""Sailthru's own event names (reference: sailthru-api 2.2). How it compares case is not known."""
USER_KEYS = frozenset({"sid", "email", "extid", "cookie", "sms", "fb", "twitter"})
_NOT_VARS = frozenset({"scheduletime"})


def plan_custom(event: Track, context: PlanContext, settings: AccountSettings) -> Plan:
    """POST /event with the properties as flat vars.

    Raises:
        MappingRejected: reserved_event, unmappable, missing_user_id.
    """
    if event.event.strip().casefold() in RESERVED_EVENTS:
        raise MappingRejected(Reason.RESERVED_EVENT, "Sailthru reserves this event name")
    notes = Notes()
    params: dict[str, Any] = _addressee(event, context, settings)
    params["event"] = event.event
    not_vars = keys_named(event.properties, _NOT_VARS)
    values = flat_vars(event.properties, settings, "properties", notes, not_vars)
    if values:
        params["vars"] = values
    if event.integrations or not_vars:
        schedule = text_option(event, "schedule_time", notes, or_property=True)
        if schedule:
            params["schedule_time"] = schedule
    return Send(Call("POST", "/event", params), notes=tuple(notes))


def _addressee(event: Track, context: PlanContext, settings: AccountSettings) -> dict[str, Any]:
    """`id` and `key` as the integrations object says, else as the event's own ids do.

    Either is required where it is given: without it the event would go to another user.
    """
    if not event.integrations:
        return dict(user_key(event, context, settings))
    id_path, chosen = strict_option(event, "id")
    path, key = strict_option(event, "key")
    if key is not None and key not in USER_KEYS:
        reject(path, f"must be one of {', '.join(sorted(USER_KEYS))}")
    if chosen is not None and "\ufffd" in chosen:
        reject(id_path, "has a broken character: it may be another user's")
    if chosen is None and key is None:
        return dict(user_key(event, context, settings))
    if chosen is None:
        own = {
            "extid": extid(event, context, settings),
            "email": find_email(event, context, settings),
        }
        chosen = own.get(key or "")
    elif key is None and is_email(chosen):
        key = "email"
    if chosen is None or key is None:
        reject("integrations.Sailthru", "needs both id and key, or an email as id")
    return {"id": chosen, "key": key}
