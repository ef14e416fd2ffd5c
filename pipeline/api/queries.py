"""What a request to `/api` asks for, read strictly: a filter that is misspelt must not mean everything."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from pipeline.deadletters.filters import Cursor, Filter
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.guard import operator_of
from pipeline.guard.rules import Refusal
from pipeline.json_text import read_json
from pipeline.settings import DEFAULT_ACCOUNT, Settings
from pipeline.settings.values import parse_duration

MAX_BODY_BYTES: Final = 512 * 1024
MAX_CODE: Final = 99_999
MAX_REASON: Final = 200
MAX_DIGITS: Final = 9
FILTERS: Final = (
    *("reason", "lane", "user", "since", "until", "group"),
    *("endpoint", "code", "event", "order", "match"),
)
"""As `Filter` has them; times are durations before now, or ISO times."""


_PLACE: Final = re.compile(r"[0-9]{1,15}-[0-9]{1,10}")


class BadRequest(Exception):
    """A request is refused; `refusal` quotes nothing of it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def bad(message: str, code: str = "invalid") -> BadRequest:
    """The refusal of a request that says something wrong."""
    return BadRequest(Refusal(400, code, message))


def not_found(message: str) -> BadRequest:
    """The refusal of a request about something that is not there."""
    return BadRequest(Refusal(404, "not_found", message))


def known_account(settings: Settings, values: Mapping[str, str]) -> str:
    """The account that a request is about. Raises BadRequest."""
    name = values.get("account", DEFAULT_ACCOUNT)
    if name not in settings.accounts:
        raise not_found("There is no such account.")
    return name


def who(request: Request) -> str:
    """Who asks, for the audit trail."""
    operator = operator_of(request.scope)
    return operator.who if operator else ""


def query(request: Request, allowed: Collection[str]) -> dict[str, str]:
    """The parameters of a request, each once. Raises BadRequest for one that is not allowed."""
    pairs = request.query_params.multi_items()
    check_names([name for name, _ in pairs], {*allowed, "account"})
    if len(pairs) > len(dict(pairs)):
        raise bad("A parameter stands twice.")
    return {name: value for name, value in pairs if value or name == "limit"}


def check_names(names: Collection[str], allowed: Collection[str]) -> None:
    """Raises BadRequest when a name is none of those that are allowed."""
    if set(names) - set(allowed):
        raise bad(
            f"There is a name that is not known here; known are {', '.join(sorted(allowed))}."
        )


def read_filter(values: Mapping[str, Any], now: float) -> Filter:
    """The letters that these values mean. `now`: seconds since the epoch. Raises BadRequest."""
    if any(not isinstance(value, str) for value in values.values()):
        raise bad("Each filter is a text.")
    texts = {
        name: values.get(name) for name in ("user", "group", "endpoint", "event", "order", "match")
    }
    return Filter(
        reason=_one_of(Reason, values, "reason"),
        lane=_one_of(Lane, values, "lane"),
        since_ms=_before(values, "since", now),
        until_ms=_before(values, "until", now),
        code=read_number(values, "code", 0, MAX_CODE) or None,
        **texts,
    )


def read_cursor(values: Mapping[str, str]) -> Cursor | None:
    """Where a page begins. Raises BadRequest."""
    try:
        return Cursor.read(values["cursor"]) if "cursor" in values else None
    except ValueError:
        raise bad("cursor is what the page before said.") from None


def read_place(values: Mapping[str, str], name: str = "before") -> str:
    """An act of the audit trail, behind which a page begins, say; '' where none is named. Raises BadRequest."""
    text = values.get(name, "")
    if text and not (_PLACE.fullmatch(text) and text.strip("0-")):
        raise bad(f"{name} is what the page before said.")
    return text


def read_number(values: Mapping[str, str], name: str, default: int, most: int) -> int:
    """A whole number from 1 to `most`. Raises BadRequest."""
    text = values.get(name)
    if text is None:
        return default
    is_number = text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS
    value = int(text) if is_number else 0
    if not 1 <= value <= most:
        raise bad(f"{name} is a whole number from 1 to {most}.")
    return value


def read_flag(body: Mapping[str, Any], name: str) -> bool:
    """Whether a body says so; false when it says nothing. Raises BadRequest."""
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise bad(f"{name} is true or false.")
    return value


def read_why(body: Mapping[str, Any]) -> str:
    """What a person says of an act. Raises BadRequest."""
    why = body.get("why", "")
    if not isinstance(why, str) or len(why) > MAX_REASON:
        raise bad(f"why is a text of at most {MAX_REASON} characters.")
    return why


async def read_body(request: Request) -> bytes:
    """The whole body. Raises BadRequest when it is too large, or its sender went before its end."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY_BYTES:
                raise bad(f"The body is larger than {MAX_BODY_BYTES} bytes.", "too_large")
    except ClientDisconnect:
        raise bad("The request ended early.", "incomplete") from None
    return bytes(body)


async def read_json_object(request: Request) -> dict[str, Any]:
    """The JSON object a body holds; an empty body is an empty one. Raises BadRequest."""
    body = await read_body(request)
    found = parse_json(body) if body.strip() else {}
    if not isinstance(found, dict):
        raise bad("The body is not a JSON object.", "invalid_json")
    return found


def parse_json(body: bytes) -> Any:
    """Raises BadRequest when it is not JSON."""
    try:
        return read_json(body)
    except ValueError:
        raise bad("The body is not JSON.", "invalid_json") from None


def compact(value: Any) -> bytes:
    """A JSON value as bytes, as a producer would send it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _one_of(kind: Any, values: Mapping[str, str], name: str) -> Any:
    if name not in values:
        return None
    try:
        return kind(values[name])
    except ValueError:
        raise bad(f"{name} is one of {', '.join(kind)}.") from None


def _before(values: Mapping[str, str], name: str, now: float) -> int | None:
    if name not in values:
        return None
    text = values[name]
    try:
        if "T" in text:
            moment = datetime.fromisoformat(text)
            return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)
        return int((now - float(str(parse_duration(text)))) * 1000)
    except (ValueError, OverflowError):
        raise bad(f"{name} is a duration (30m, 2h, 7d) or a time (2026-11-27T14:20:00Z).") from None
