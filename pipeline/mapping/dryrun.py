"""What would be sent for one line of input: the answer of `sailpipe map` and /api/map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from hashlib import blake2s
from typing import Any

from pipeline.errors import InvalidEvent, MappingRejected, Reason
from pipeline.events.kinds import Ignored
from pipeline.events.models import Event, Lane, OptOut, parse_event
from pipeline.events.routing import read_facts
from pipeline.mapping.plan import Need, PlanContext, WaitForEmail, answered
from pipeline.mapping.planner import plan
from pipeline.mapping.profile import read_profile
from pipeline.settings import AccountSettings


def dry_run(
    raw: bytes,
    settings: AccountSettings,
    profile: Mapping[str, Any] | None,
    now: float = 0.0,
) -> dict[str, Any]:
    """One event on its own, unfolded; look-ups are shown as GET calls: a line of `sailpipe map`.

    `waits` says what it would wait for before it dies of its `error`, and for how many seconds at most.

    profile: what every GET /user would answer; None for a user Sailthru does not know.
    now: seconds since the epoch, which MAX_AGE and the age of a cart count to; 0 for no such time.
    """
    line: dict[str, Any] = {
        "messageId": None,
        "lane": None,
        "calls": [],
        "notes": [],
        "ignored": None,
        "error": None,
        "waits": None,
    }
    try:
        event = _with_message_id(parse_event(raw), raw)
        line["messageId"] = event.message_id
        facts = read_facts(event, settings)
        if isinstance(facts.way, Lane):
            line["lane"] = facts.way.value
            line["ignored"] = _follow(event, settings, profile, now, line)
        else:
            line["ignored"] = facts.way.reason
        if facts.has_second:
            _follow(OptOut.of(event), settings, profile, now, line)
    except (InvalidEvent, MappingRejected) as error:
        line["error"] = {"reason": error.reason.value, "detail": error.detail}
    return line


def _with_message_id(event: Event, raw: bytes) -> Event:
    """The HTTP server gives every event an id; here its hash stands for that."""
    if event.message_id:
        return event
    return event.model_copy(update={"message_id": blake2s(raw, digest_size=16).hexdigest()})


def _follow(
    event: Event,
    settings: AccountSettings,
    profile: Mapping[str, Any] | None,
    now: float,
    line: dict[str, Any],
) -> str | None:
    """Add the event's calls and notes to its line; answer why it is ignored, if it is."""
    context = PlanContext(now=now)
    found = read_profile(profile is not None, profile or {})
    while True:
        answer = plan([event], context, settings)
        if isinstance(answer, Ignored):
            return answer.reason
        if isinstance(answer, WaitForEmail):
            line["waits"] = {"for": "email", "at_most_s": settings.email_wait}
            raise MappingRejected(
                Reason.MISSING_EMAIL, "neither the event nor Sailthru has an email"
            )
        line["calls"].append(answer.call.as_json())
        if not isinstance(answer, Need):
            new = (asdict(note) for note in answer.notes)
            line["notes"] += [note for note in new if note not in line["notes"]]
            return None
        context = answered(context, answer, found)
