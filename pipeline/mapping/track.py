"""The lane `event`: custom events -> POST /event."""

from __future__ import annotations

from typing import Any

from pipeline.errors import MappingRejected, Reason
from pipeline.events.models import Track
from pipeline.fields import Notes
from pipeline.mapping.flatten import flat_vars, keys_named
from pipeline.mapping.identity import addressee
from pipeline.mapping.options import text_option
from pipeline.mapping.plan import Plan, PlanContext, Send
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings

RESERVED_EVENTS = frozenset({"send", "cancel", "open", "click", "purchase", "daily"})
"""Sailthru's own event names (reference: sailthru-api 2.2). How it compares case is not known."""
_NOT_VARS = frozenset({"scheduletime"})


def is_reserved(name: str) -> bool:
    """Whether Sailthru refuses custom events of this name."""
    return name.strip().casefold() in RESERVED_EVENTS


def plan_custom(event: Track, context: PlanContext, settings: AccountSettings) -> Plan:
    """POST /event with the properties as flat vars.

    Raises:
        MappingRejected: reserved_event, unmappable, missing_user_id.
    """
    if is_reserved(event.event):
        raise MappingRejected(Reason.RESERVED_EVENT, "Sailthru reserves this event name")
    notes = Notes()
    params: dict[str, Any] = addressee(event, context, settings)
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
