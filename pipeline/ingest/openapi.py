"""`/openapi.json`: what every way in over HTTP and `/api` take and answer, as OpenAPI 3.1. Each describes its own paths."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from importlib.metadata import version
from typing import Any, Protocol, TypeAlias

from starlette.types import ASGIApp

from pipeline.api import DESCRIPTIONS, SCHEMES

Schema: TypeAlias = Mapping[str, Any]
PathItem: TypeAlias = Mapping[str, Any]
"""What OpenAPI says of one path."""


class Way(Protocol):
    """A way in over HTTP. Its paths have no slashes around them."""

    def apps(self) -> Mapping[str, ASGIApp]:
        """By path: what takes its requests."""

    def describe(self) -> Mapping[str, PathItem]:
        """By path: what it takes and answers."""


JSON = "application/json"
ANY_OBJECT: Schema = {"type": "object"}
"""An event: one whose content is wrong is taken, too, and becomes a dead letter."""
TEXT: Schema = {"type": "string"}
WRITE_KEY = "writeKey"
PLAIN_KEY = "plainWriteKey"

_REFUSED = {
    400: "The request cannot be read, or is too large.",
    401: "It shows no key that is known here, or its signature is wrong.",
    403: "The role of its key may not send this event.",
    413: "It is too large, or holds too many events.",
    502: "It was passed on, and no answer came: it may have taken effect.",
    503: "It cannot be taken now. Come again after so many seconds.",
}
_SCHEMES: Mapping[str, Any] = {
    WRITE_KEY: {
        "type": "http",
        "scheme": "basic",
        "description": "The write key is the user name; or it stands in the body as `writeKey`.",
    },
    PLAIN_KEY: {"type": "apiKey", "in": "header", "name": "Authorization"},
}


def document(ways: Iterable[Way]) -> dict[str, Any]:
    """The document of all ways in, and of `/api`."""
    described = [*(way.describe() for way in ways), DESCRIPTIONS]
    return {
        "openapi": "3.1.0",
        "info": {"title": "sailpipe", "version": version("sailpipe")},
        "paths": {f"/{path}": item for one in described for path, item in one.items()},
        "components": {"securitySchemes": {**_SCHEMES, **SCHEMES}},
    }


def operation(
    summary: str,
    answers: Mapping[str, Any],
    *,
    body: Schema | None = None,
    media: str = JSON,
    security: str | None = None,
    parameters: Collection[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """One method of a path. body: the schema of what it takes. security: the scheme by which a key is shown."""
    said: dict[str, Any] = {
        "summary": summary,
        "parameters": list(parameters),
        "responses": answers,
        "security": [{security: []}] if security else [],
    }
    if body is not None:
        said["requestBody"] = {"required": True, "content": {media: {"schema": body}}}
    return said


def exactly(**properties: Schema) -> Schema:
    """An object with these properties and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def answer(description: str, schema: Schema) -> dict[str, Any]:
    """An answer in JSON."""
    return {"description": description, "content": {JSON: {"schema": schema}}}


def refusals(statuses: Collection[int], schema: Schema) -> dict[str, Any]:
    """The answers with these statuses, all in one form."""
    answers = {str(status): answer(_REFUSED[status], schema) for status in statuses}
    for status in answers.keys() & {"503"}:
        seconds = {"type": "integer", "minimum": 1, "maximum": 300}
        answers[status]["headers"] = {"Retry-After": {"required": True, "schema": seconds}}
    return answers


_REFUSAL = exactly(success={"const": False}, code=TEXT, message=TEXT, error=TEXT)


def segment_post(
    summary: str,
    body: Schema,
    refused: Collection[int],
    *,
    security: str | None = None,
    parameters: Collection[Mapping[str, Any]] = (),
) -> PathItem:
    """A path that takes posted events, and answers as Segment does. refused: the statuses it may refuse a request with."""
    taken = answer("Every event of the request is in Redis.", exactly(success={"const": True}))
    answers = {"200": taken} | refusals(refused, _REFUSAL)
    return {
        "post": operation(summary, answers, body=body, security=security, parameters=parameters)
    }
