"""What the descriptions of `/api` are made of: schemas, parameters, and an operation with its refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.deadletters.jobs import JobState
from pipeline.deadletters.states import GroupState
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.status.mailboxes import CAUSES
from pipeline.verbs.groups import MAX_HOURS
from pipeline.words import Fault

TOKEN: Final = "operatorToken"  # noqa: S105 - the name of a scheme
SCHEMES: Final[Mapping[str, Mapping[str, Any]]] = {
    TOKEN: {
        "type": "http",
        "scheme": "bearer",
        "description": "CONSOLE_TOKEN or CONSOLE_READ_TOKEN. On this machine, while no password is set, none is needed.",
    }
}
Json = Mapping[str, Any]
TEXT: Final[Json] = {"type": "string"}
COUNT: Final[Json] = {"type": "integer", "minimum": 0}
REFUSED: Final[Json] = {
    "type": "object",
    "properties": {"success": {"const": False}, "code": TEXT, "message": TEXT, "error": TEXT},
    "required": ["success", "code", "message", "error"],
    "additionalProperties": False,
}
REFUSALS: Final[Mapping[int, str]] = {
    400: "The request says something that is not known here, or came under a name that is not allowed.",
    401: "It shows no token that is known here.",
    403: "It may not change anything, or was sent by another site.",
    404: "There is no such thing.",
    409: "Nothing was done: what is meant has changed, or may not be done as things stand.",
    503: "Redis does not answer, or refuses.",
}
FILTER_SCHEMAS: Final[Mapping[str, Json]] = {
    "reason": {"enum": list(Reason), "description": "What they died of."},
    "lane": {"enum": list(Lane), "description": "The lane they were in."},
    "user": {**TEXT, "description": "The user they are about."},
    "since": {
        **TEXT,
        "description": "They died no longer ago than this (30m, 2h, 7d), or since this time (ISO 8601).",
    },
    "until": {**TEXT, "description": "They died at least so long ago."},
    "group": {**TEXT, "description": "Their fingerprint."},
    "endpoint": {
        **TEXT,
        "description": "Of the call that was refused: `POST /event`, or its path.",
    },
    "code": {**TEXT, "description": "Sailthru's error, or the HTTP status."},
    "event": {**TEXT, "description": "The event's name."},
    "order": {**TEXT, "description": "An order's number, wherever the event has it."},
    "match": {**TEXT, "description": "Text in the event, its id, its user or the detail."},
}
ROW: Final[Json] = {
    "type": "object",
    "properties": {
        "id": TEXT,
        "account": TEXT,
        "lane": {"enum": [*Lane, None]},
        "reason": TEXT,
        "first_seen": TEXT,
        "died_at": TEXT,
    },
    "required": ["id", "account", "lane", "reason", "first_seen", "died_at"],
}


def parameter(name: str, schema: Json, *, where: str = "query") -> Json:
    """One of a request's path or query."""
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


ACCOUNT: Final = parameter("account", {**TEXT, "default": "default"})
LANE: Final = parameter("lane", {"enum": [*Lane, "account"]}, where="path")


def shape(required: Mapping[str, Json], **optional: Json) -> Json:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def operation(
    summary: str,
    answer: Json,
    *,
    parameters: tuple[Json, ...] = (),
    body: Json | None = None,
    is_required: bool = True,
    refusals: tuple[int, ...] = (400, 401, 403, 404, 503),
    media_type: str = "application/json",
) -> Json:
    """What a path answers to one method, refusals included."""
    answers: dict[str, Json] = {
        "200": reply("Done.", answer, media_type),
        **{str(status): reply(REFUSALS[status], REFUSED) for status in refusals},
    }
    described: dict[str, Any] = {
        "summary": summary,
        "parameters": [*parameters, ACCOUNT],
        "responses": answers,
        "security": [{TOKEN: []}, {}],
    }
    if body is not None:
        content = {"application/json": {"schema": body}}
        described["requestBody"] = {"required": is_required, "content": content}
    return described


def reply(description: str, schema: Json, media_type: str = "application/json") -> Json:
    """One of the answers of a path."""
    return {"description": description, "content": {media_type: {"schema": schema}}}


FILTER_PARAMETERS: Final = tuple(parameter(*one) for one in FILTER_SCHEMAS.items())
LIMIT: Final = parameter("limit", {"type": "integer", "minimum": 1, "maximum": 500, "default": 50})
HOURS: Final = parameter("hours", {"type": "integer", "minimum": 1, "maximum": MAX_HOURS})
ANY: Final[Json] = {"type": "object"}
ID: Final = parameter("id", TEXT, where="path")
JOB: Final[Json] = {
    "type": "object",
    "properties": {
        "id": TEXT,
        "state": {"enum": list(JobState)},
        "total": COUNT,
        "sent": COUNT,
        "gone": COUNT,
        "overtaken": COUNT,
        "through": COUNT,
        "died_again": COUNT,
    },
    "required": ["id", "state", "total", "sent", "gone", "died_again"],
}
STATE: Final[Json] = {"enum": list(GroupState)}
GROUP: Final[Json] = {
    "type": "object",
    "properties": {
        "fingerprint": TEXT,
        "letters": COUNT,
        "users": COUNT,
        "reason": TEXT,
        "first": TEXT,
        "last": TEXT,
        "fault": {"enum": list(Fault)},
        "state": STATE,
        "by_hour": {
            "type": "array",
            "items": COUNT,
            "description": "With `hours`; the oldest first.",
        },
    },
    "required": ["fingerprint", "letters", "users", "reason", "first", "last", "fault", "state"],
}
ACT: Final[Json] = {
    "type": "object",
    "properties": {"at": TEXT, "by": TEXT, "verb": TEXT, "what": TEXT, "count": COUNT},
    "required": ["at", "by", "verb", "what", "count"],
}
WHERE_WAITING: Final[Mapping[str, Json]] = {
    "lane": {"enum": list(Lane)},
    "user": {**TEXT, "description": "Only this person's mailbox."},
}
WAITING_SCHEMAS: Final[Mapping[str, Json]] = {
    "for": {"enum": list(CAUSES), "description": "What the first event of a mailbox waits for."},
    **WHERE_WAITING,
}
WAITS: Final[Json] = {
    "type": "object",
    "properties": {
        "lane": {"enum": list(Lane)},
        "waits_for": {"enum": list(CAUSES)},
        "people": COUNT,
        "events": COUNT,
        "oldest": TEXT,
        **{name: {"type": ["string", "null"]} for name in ("next_try", "first_ends", "last_ends")},
    },
    "required": ["lane", "waits_for", "people", "events", "oldest", "next_try"],
}

CHANGES: Final[Mapping[str, Json]] = {
    "set": {**ANY, "description": "Path -> the value to write there: `properties.email`."},
    "unset": {"type": "array", "items": TEXT, "description": "Paths of fields to remove."},
    "rename": {**ANY, "additionalProperties": TEXT, "description": "Path -> its new path."},
    "cast": {
        **ANY,
        "additionalProperties": {"enum": ["number", "int", "text", "bool"]},
        "description": "Path -> what its value becomes.",
    },
}
MEANT: Final[Mapping[str, Json]] = {
    "ids": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 1000},
    "filter": shape({}, **FILTER_SCHEMAS),
    "count": {"type": "integer", "minimum": 1},
}
WHY: Final[Json] = {**TEXT, "maxLength": 200}
DRY_RUN: Final[Json] = {"type": "boolean", "description": "Show what would change, and stop."}
MENDED: Final[Json] = {
    "type": "object",
    "properties": {
        "id": TEXT,
        "event_diff": {"type": "array", "items": TEXT},
        "before": ANY,
        "after": ANY,
    },
    "required": ["id", "event_diff", "before", "after"],
}
FIXED: Final[Mapping[str, Json]] = {
    "changed": COUNT,
    "unchanged": COUNT,
    "gone": COUNT,
    "refused": {"type": "array", "items": shape({"why": TEXT, "letters": COUNT})},
}
