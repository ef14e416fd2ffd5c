"""What `/openapi.json` says of `/api`, by path without slashes around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.api.schemas import (
    ACT,
    ANY,
    CHANGES,
    COUNT,
    DRY_RUN,
    FILTER_PARAMETERS,
    FIXED,
    GROUP,
    HOURS,
    ID,
    JOB,
    LANE,
    LIMIT,
    MEANT,
    MENDED,
    ROW,
    STATE,
    TEXT,
    WAITING_SCHEMAS,
    WAITS,
    WHERE_WAITING,
    WHY,
    Json,
    operation,
    parameter,
    shape,
)
from pipeline.status.let_go import DROPPED, RELEASED

DESCRIPTIONS: Final[Mapping[str, Json]] = {
    "api/status": {
        "get": operation("How everything stands, as `sailpipe status --json`", ANY),
    },
    "api/map": {
        "post": operation(
            "Which calls events would become, as `sailpipe map`; nothing is sent",
            shape({"results": {"type": "array", "items": ANY}}),
            body={
                "description": "An event, or an array of up to 100. What is none is said to be in its result."
            },
        )
    },
    "api/dead": {
        "get": operation(
            "Dead letters, newest first, as `sailpipe dead list --json`",
            shape(
                {"letters": {"type": "array", "items": ROW}, "next": {"type": ["string", "null"]}}
            ),
            parameters=(*FILTER_PARAMETERS, LIMIT, parameter("cursor", TEXT)),
        )
    },
    "api/dead/{id}": {
        "get": operation(
            "One dead letter: the event as it came, calls, every attempt, as `sailpipe dead show --json`",
            ROW,
            parameters=(ID,),
        ),
        "patch": operation(
            "Change a dead letter's event, by fields or as a whole; with `dry_run` show what would change in it and in the"
            " calls, as `sailpipe dead edit`",
            {
                **MENDED,
                "properties": {**MENDED["properties"], "changed": {"type": "boolean"}},
                "required": [*MENDED["required"], "changed"],
            },
            parameters=(ID,),
            body=shape({}, **CHANGES, event=ANY, dry_run=DRY_RUN, why=WHY),
            refusals=(400, 401, 403, 404, 409, 503),
        ),
    },
    "api/dead/fix": {
        "post": operation(
            "Make the same changes in the letters of `ids`, or in all that `filter` means, of which `count` were shown; at"
            " most 2,000. With `dry_run` show what they make of the first 20, as `sailpipe dead fix`",
            {
                "anyOf": [
                    shape(FIXED),
                    shape(
                        {
                            **FIXED,
                            "letters": COUNT,
                            "samples": {"type": "array", "items": MENDED},
                        }
                    ),
                ]
            },
            body=shape(
                {},
                **MEANT,
                **CHANGES,
                dry_run=DRY_RUN,
                why=WHY,
            ),
            refusals=(400, 401, 403, 404, 409, 503),
        )
    },
    "api/dead/drop": {
        "post": operation(
            "Delete the letters of `ids`, or all that `filter` means, of which `count` were shown, as `sailpipe dead drop`",
            {"anyOf": [shape({"dropped": COUNT, "gone": COUNT}), shape({"letters": COUNT})]},
            body=shape({}, **MEANT, dry_run=DRY_RUN, why=WHY),
            refusals=(400, 401, 403, 404, 409, 503),
        )
    },
    "api/dead/export": {
        "get": operation(
            "Dead letters as lines that can be enqueued again, oldest first, as `sailpipe dead export`",
            {**TEXT, "description": "A JSON object on each line."},
            parameters=FILTER_PARAMETERS,
            media_type="application/x-ndjson",
        )
    },
    "api/dead/replay": {
        "post": operation(
            "Send dead letters again: those of `ids` at once, or as a job all that `filter` means, of which `count` were"
            " shown",
            {
                "anyOf": [
                    shape({"replayed": COUNT, "gone": COUNT, "overtaken": COUNT}),
                    shape(
                        {
                            "letters": COUNT,
                            "overtaken": COUNT,
                            "older_than_a_day": COUNT,
                            "may_start_emails": COUNT,
                            "people": COUNT,
                        }
                    ),
                    shape({"job": JOB}),
                ]
            },
            body=shape(
                {},
                **MEANT,
                overtaken={
                    "type": "boolean",
                    "description": "Also what a later event of the same user has overtaken.",
                },
                dry_run={"type": "boolean", "description": "Count them and stop."},
                rate={"type": "number", "minimum": 0.1, "maximum": 10000},
                first={"type": "integer", "minimum": 0, "description": "Pause after so many."},
                why={**TEXT, "maxLength": 200},
                token={
                    **TEXT,
                    "pattern": "^[A-Za-z0-9_-]{8,64}$",
                    "description": "The job's id: twice is once.",
                },
            ),
            refusals=(400, 401, 403, 404, 409, 503),
        )
    },
    "api/dead/stats": {
        "get": operation(
            "Dead letters by cause, the largest group first, as `sailpipe dead stats --json`; `more` are smaller",
            shape({"groups": {"type": "array", "items": GROUP}, "more": COUNT}),
            parameters=(*FILTER_PARAMETERS, parameter("state", STATE), LIMIT, HOURS),
        )
    },
    "api/dead/mark": {
        "post": operation(
            "Say of a group of letters that it is seen to, may stay, or is open again, as `sailpipe dead mark`",
            shape({"group": TEXT, "state": STATE}),
            body=shape({"group": TEXT, "state": STATE}, why=WHY),
        )
    },
    "api/dead/audit": {
        "get": operation(
            "Who did what, the newest first, as `sailpipe dead audit --json`",
            shape({"acts": {"type": "array", "items": ACT}, "next": {"type": ["string", "null"]}}),
            parameters=(LIMIT, parameter("before", TEXT)),
        )
    },
    "api/trace/{id}": {
        "get": operation(
            "What happened to an event, by its messageId or order id, as `sailpipe trace --json`; `seen` is false of one"
            " that nothing is known of",
            {**ANY, "required": ["seen", "events"]},
            parameters=(ID,),
        ),
    },
    "api/users/{id}": {
        "get": operation(
            "What is known of a person, by userId, anonymousId or email, as `sailpipe user --json`",
            ANY,
            parameters=(ID,),
        ),
    },
    "api/users/{id}/forget": {
        "post": operation(
            "Erase a person from everything that is kept here, as `sailpipe forget`: with `yes` and the"
            " `digest` of the dry run do it, and answer with the receipt; with `dry_run` say which ids go, and count what"
            " there is",
            {
                "anyOf": [
                    shape(
                        {
                            "ids": {"type": "array", "items": TEXT},
                            "digest": TEXT,
                            "left_out": {"type": "array", "items": TEXT},
                            "unproven": {"type": "array", "items": TEXT},
                            "unfinished": {"type": "boolean"},
                            "found": COUNT,
                            "named_by_others": COUNT,
                            "spaces": ANY,
                        }
                    ),
                    {**ANY, "required": ["person", "removed", "left", "spaces", "disk"]},
                ]
            },
            parameters=(ID,),
            body=shape(
                {},
                also={"type": "array", "items": TEXT, "maxItems": 20},
                at_sailthru={"type": "boolean", "description": "Also delete the profile there."},
                digest={**TEXT, "description": "As the dry run gave it; with `yes`."},
                dry_run=DRY_RUN,
                yes={"const": True},
                why=WHY,
            ),
            refusals=(400, 401, 403, 404, 409, 503),
        ),
    },
    "api/why": {
        "post": operation(
            "Why a person got no mail, as `sailpipe user --why`: what is known, and one call to Sailthru within the limits",
            {**ANY, "required": ["user", "why"]},
            body=shape({"id": {**TEXT, "minLength": 1}}),
            refusals=(400, 401, 403, 404, 409, 503),
        ),
    },
    "api/waiting": {
        "get": operation(
            "What waits, by lane and cause, as `sailpipe waiting --json`; `complete` is false where there is more than is looked at",
            shape({"waiting": {"type": "array", "items": WAITS}, "complete": {"type": "boolean"}}),
            parameters=tuple(parameter(*one) for one in WAITING_SCHEMAS.items()),
        )
    },
    "api/waiting/release": {
        "post": operation(
            "Let what waits for a cause be tried now, as `sailpipe waiting --release`",
            {"anyOf": [shape({"released": COUNT}), shape({"people": COUNT, "events": COUNT})]},
            body=shape({"for": {"enum": list(RELEASED)}}, **WHERE_WAITING, dry_run=DRY_RUN),
        )
    },
    "api/waiting/drop": {
        "post": operation(
            "Remove what waits for a cause, of which `count` events were shown, as `sailpipe waiting --drop`",
            {"anyOf": [shape({"dropped": COUNT}), shape({"people": COUNT, "events": COUNT})]},
            body=shape(
                {"for": {"enum": list(DROPPED)}},
                **WHERE_WAITING,
                count={"type": "integer", "minimum": 1},
                dry_run=DRY_RUN,
                why=WHY,
            ),
            refusals=(400, 401, 403, 404, 409, 503),
        )
    },
    "api/jobs": {
        "get": operation(
            "Jobs, the newest first, as `sailpipe dead jobs --json`",
            shape({"jobs": {"type": "array", "items": JOB}}),
            parameters=(parameter("limit", {**LIMIT["schema"], "maximum": 100}),),
        ),
    },
    "api/jobs/{id}": {
        "get": operation("How far a job is", JOB, parameters=(ID,)),
    },
    "api/jobs/{id}/{verb}": {
        "post": operation(
            "Pause, resume or stop a job",
            JOB,
            parameters=(
                ID,
                parameter("verb", {"enum": ["pause", "resume", "stop"]}, where="path"),
            ),
        )
    },
    "api/lanes/{lane}/pause": {
        "post": operation(
            "Stop delivering in a lane, or with `account` in all; what arrives is kept",
            shape({"lane": TEXT, "paused": {"const": True}, "changed": {"type": "boolean"}}),
            parameters=(LANE,),
            body=shape({}, reason={**TEXT, "maxLength": 200}),
            is_required=False,
        )
    },
    "api/lanes/{lane}/resume": {
        "post": operation(
            "End a pause, and the brake that stopped a lane in which most events died",
            shape({"lane": TEXT, "ended": {"type": "array", "items": TEXT}}),
            parameters=(LANE,),
        )
    },
}
