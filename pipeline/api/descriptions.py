"""What `/openapi.json` says of `/api`, by path without slashes around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.deadletters.jobs import JobState
from pipeline.errors import Reason
from pipeline.events.models import Lane

TOKEN: Final = "operatorToken"  # noqa: S105 - the name of a scheme
SCHEMES: Final[Mapping[str, Mapping[str, Any]]] = {
    TOKEN: {
        "type": "http",
        "scheme": "bearer",
        "description": "CONSOLE_TOKEN or CONSOLE_READ_TOKEN. On this machine, while no password is set, none is needed.",
    }
}
_Json = Mapping[str, Any]
_TEXT: Final[_Json] = {"type": "string"}
_COUNT: Final[_Json] = {"type": "integer", "minimum": 0}
_REFUSED: Final[_Json] = {
    "type": "object",
    "properties": {"success": {"const": False}, "code": _TEXT, "message": _TEXT, "error": _TEXT},
    "required": ["success", "code", "message", "error"],
    "additionalProperties": False,
}
_REFUSALS: Final[Mapping[int, str]] = {
    400: "The request says something that is not known here, or came under a name that is not allowed.",
    401: "It shows no token that is known here.",
    403: "It may not change anything, or was sent by another site.",
    404: "There is no such thing.",
    409: "Nothing was done: what is meant has changed, or may not be done as things stand.",
    503: "Redis does not answer, or refuses.",
}
_FILTER_SCHEMAS: Final[Mapping[str, _Json]] = {
    "reason": {"enum": list(Reason), "description": "What they died of."},
    "lane": {"enum": list(Lane), "description": "The lane they were in."},
    "user": {**_TEXT, "description": "The user they are about."},
    "since": {**_TEXT, "description": "They died no longer ago than this: 30m, 2h, 7d."},
    "until": {**_TEXT, "description": "They died at least so long ago."},
    "group": {**_TEXT, "description": "Their fingerprint."},
    "endpoint": {
        **_TEXT,
        "description": "Of the call that was refused: `POST /event`, or its path.",
    },
    "code": {**_TEXT, "description": "Sailthru's error, or the HTTP status."},
    "event": {**_TEXT, "description": "The event's name."},
    "order": {**_TEXT, "description": "An order's number, wherever the event has it."},
    "match": {**_TEXT, "description": "Text in the event, its id, its user or the detail."},
}
_ROW: Final[_Json] = {
    "type": "object",
    "properties": {
        "id": _TEXT,
        "account": _TEXT,
        "lane": {"enum": [*Lane, None]},
        "reason": _TEXT,
        "first_seen": _TEXT,
        "died_at": _TEXT,
    },
    "required": ["id", "account", "lane", "reason", "first_seen", "died_at"],
}


def _parameter(name: str, schema: _Json, *, where: str = "query") -> _Json:
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


_ACCOUNT: Final = _parameter("account", {**_TEXT, "default": "default"})
_LANE: Final = _parameter("lane", {"enum": [*Lane, "account"]}, where="path")


def _object(required: Mapping[str, _Json], **optional: _Json) -> _Json:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def _operation(
    summary: str,
    answer: _Json,
    *,
    parameters: tuple[_Json, ...] = (),
    body: _Json | None = None,
    is_required: bool = True,
    refusals: tuple[int, ...] = (400, 401, 403, 404, 503),
    media_type: str = "application/json",
) -> _Json:
    answers: dict[str, _Json] = {
        "200": {"description": "Done.", "content": {media_type: {"schema": answer}}}
    }
    answers |= {str(status): _answer(_REFUSALS[status], _REFUSED) for status in refusals}
    operation: dict[str, Any] = {
        "summary": summary,
        "parameters": [*parameters, _ACCOUNT],
        "responses": answers,
        "security": [{TOKEN: []}, {}],
    }
    if body is not None:
        content = {"application/json": {"schema": body}}
        operation["requestBody"] = {"required": is_required, "content": content}
    return operation


def _answer(description: str, schema: _Json) -> _Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_FILTER_PARAMETERS: Final = tuple(_parameter(*one) for one in _FILTER_SCHEMAS.items())
_LIMIT: Final = _parameter(
    "limit", {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}
)
_ANY: Final[_Json] = {"type": "object"}
_ID: Final = _parameter("id", _TEXT, where="path")
_JOB: Final[_Json] = {
    "type": "object",
    "properties": {
        "id": _TEXT,
        "state": {"enum": list(JobState)},
        "total": _COUNT,
        "sent": _COUNT,
        "gone": _COUNT,
        "died_again": _COUNT,
    },
    "required": ["id", "state", "total", "sent", "gone", "died_again"],
}

_CHANGES: Final[Mapping[str, _Json]] = {
    "set": {**_ANY, "description": "Path -> the value to write there: `properties.email`."},
    "unset": {"type": "array", "items": _TEXT, "description": "Paths of fields to remove."},
    "rename": {**_ANY, "additionalProperties": _TEXT, "description": "Path -> its new path."},
    "cast": {
        **_ANY,
        "additionalProperties": {"enum": ["number", "int", "text", "bool"]},
        "description": "Path -> what its value becomes.",
    },
}
_WHY: Final[_Json] = {**_TEXT, "maxLength": 200}
_DRY_RUN: Final[_Json] = {"type": "boolean", "description": "Show what would change, and stop."}
_MENDED: Final[_Json] = {
    "type": "object",
    "properties": {
        "id": _TEXT,
        "event_diff": {"type": "array", "items": _TEXT},
        "before": _ANY,
        "after": _ANY,
    },
    "required": ["id", "event_diff", "before", "after"],
}
_FIXED: Final[Mapping[str, _Json]] = {
    "changed": _COUNT,
    "unchanged": _COUNT,
    "gone": _COUNT,
    "refused": {"type": "array", "items": _object({"why": _TEXT, "letters": _COUNT})},
}

DESCRIPTIONS: Final[Mapping[str, _Json]] = {
    "api/status": {
        "get": _operation("How everything stands, as `sailpipe status --json`", _ANY),
    },
    "api/map": {
        "post": _operation(
            "Which calls events would become, as `sailpipe map`; nothing is sent",
            _object({"results": {"type": "array", "items": _ANY}}),
            body={
                "description": "An event, or an array of up to 100. What is none is said to be in its result."
            },
        )
    },
    "api/dead": {
        "get": _operation(
            "Dead letters, newest first, as `sailpipe dead list --json`",
            _object(
                {"letters": {"type": "array", "items": _ROW}, "next": {"type": ["string", "null"]}}
            ),
            parameters=(*_FILTER_PARAMETERS, _LIMIT, _parameter("cursor", _TEXT)),
        )
    },
    "api/dead/{id}": {
        "get": _operation(
            "One dead letter: the event as it came, calls, every attempt, as `sailpipe dead show --json`",
            _ROW,
            parameters=(_ID,),
        ),
        "patch": _operation(
            "Change a dead letter's event, by fields or as a whole; with `dry_run` show what would change in it and in the"
            " calls, as `sailpipe dead edit`",
            {
                **_MENDED,
                "properties": {**_MENDED["properties"], "changed": {"type": "boolean"}},
                "required": [*_MENDED["required"], "changed"],
            },
            parameters=(_ID,),
            body=_object({}, **_CHANGES, event=_ANY, dry_run=_DRY_RUN, why=_WHY),
            refusals=(400, 401, 403, 404, 409, 503),
        ),
    },
    "api/dead/fix": {
        "post": _operation(
            "Make the same changes in the letters of `ids`, or in all that `filter` means, of which `count` were shown; at"
            " most 2,000. With `dry_run` show what they make of the first 20, as `sailpipe dead fix`",
            {
                "anyOf": [
                    _object(_FIXED),
                    _object(
                        {
                            **_FIXED,
                            "letters": _COUNT,
                            "samples": {"type": "array", "items": _MENDED},
                        }
                    ),
                ]
            },
            body=_object(
                {},
                ids={"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 1000},
                filter=_object({}, **_FILTER_SCHEMAS),
                count={"type": "integer", "minimum": 1},
                **_CHANGES,
                dry_run=_DRY_RUN,
                why=_WHY,
            ),
            refusals=(400, 401, 403, 404, 409, 503),
        )
    },
    "api/dead/export": {
        "get": _operation(
            "Dead letters as lines that can be enqueued again, oldest first, as `sailpipe dead export`",
            {**_TEXT, "description": "A JSON object on each line."},
            parameters=_FILTER_PARAMETERS,
            media_type="application/x-ndjson",
        )
    },
    "api/dead/replay": {
        "post": _operation(
            "Send dead letters again: those of `ids` at once, or as a job all that `filter` means, of which `count` were"
            " shown",
            {
                "anyOf": [
                    _object({"replayed": _COUNT, "gone": _COUNT, "overtaken": _COUNT}),
                    _object({"letters": _COUNT, "overtaken": _COUNT}),
                    _object({"job": _JOB}),
                ]
            },
            body=_object(
                {},
                ids={"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 1000},
                filter=_object({}, **_FILTER_SCHEMAS),
                count={"type": "integer", "minimum": 1},
                overtaken={
                    "type": "boolean",
                    "description": "Also what a later event of the same user has overtaken.",
                },
                dry_run={"type": "boolean", "description": "Count them and stop."},
                rate={"type": "number", "minimum": 0.1, "maximum": 10000},
                first={"type": "integer", "minimum": 0, "description": "Pause after so many."},
                why={**_TEXT, "maxLength": 200},
                token={
                    **_TEXT,
                    "pattern": "^[A-Za-z0-9_-]{8,64}$",
                    "description": "The job's id: twice is once.",
                },
            ),
            refusals=(400, 401, 403, 404, 409, 503),
        )
    },
    "api/trace/{id}": {
        "get": _operation(
            "What happened to an event, by its messageId or order id, as `sailpipe trace --json`; `seen` is false of one"
            " that nothing is known of",
            {**_ANY, "required": ["seen", "events"]},
            parameters=(_ID,),
        ),
    },
    "api/users/{id}": {
        "get": _operation(
            "What is known of a person, by userId, anonymousId or email, as `sailpipe user --json`",
            _ANY,
            parameters=(_ID,),
        ),
    },
    "api/jobs/{id}": {
        "get": _operation("How far a job is", _JOB, parameters=(_ID,)),
    },
    "api/jobs/{id}/{verb}": {
        "post": _operation(
            "Pause, resume or stop a job",
            _JOB,
            parameters=(
                _ID,
                _parameter("verb", {"enum": ["pause", "resume", "stop"]}, where="path"),
            ),
        )
    },
    "api/lanes/{lane}/pause": {
        "post": _operation(
            "Stop delivering in a lane, or with `account` in all; what arrives is kept",
            _object({"lane": _TEXT, "paused": {"const": True}, "changed": {"type": "boolean"}}),
            parameters=(_LANE,),
            body=_object({}, reason={**_TEXT, "maxLength": 200}),
            is_required=False,
        )
    },
    "api/lanes/{lane}/resume": {
        "post": _operation(
            "End a pause, and the brake that stopped a lane in which most events died",
            _object({"lane": _TEXT, "ended": {"type": "array", "items": _TEXT}}),
            parameters=(_LANE,),
        )
    },
}
