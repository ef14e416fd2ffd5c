"""Dead letters as lines that can be enqueued again, wherever their letters then are. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic_core

from pipeline.deadletters.letter import Letter
from pipeline.errors import InvalidEvent
from pipeline.events.models import MAX_EVENT_BYTES, parse_event, readable_id
from pipeline.json_text import read_json


def export_line(letter: Letter) -> bytes | None:
    """The raw event on one line, with the replay flag: enqueued, it takes its letter's place.

    The flag names the letter and its dedupe key, whether the event's optoutValue has been seen to, and the role of its
    write key unless that is `server`, so that the line finds its letter and no other,
    whatever is mended in it. An event without a messageId is given its letter's id as one; nothing
    else changes. None when no line can bring the event back: it is not a JSON object or was meant for
    another account, or the flag makes it longer than an event may be.
    """
    if letter.header.account != letter.account:
        return None
    try:
        body = read_json(letter.raw)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    flag = {"replay": True, "letter": letter.id, "key": letter.header.key}
    if letter.header.optout:
        flag["optout"] = letter.header.optout
    if letter.header.role:
        flag["role"] = letter.header.role
    extra: dict[str, Any] = {"sailpipe": flag}
    if not _message_id(letter.raw, body):
        extra["messageId"] = letter.id
    line = _with(letter.raw, body, extra)
    return None if len(line) > MAX_EVENT_BYTES >= len(letter.raw) else line


def _message_id(raw: bytes, body: Mapping[str, Any]) -> str | None:
    """The id that the splitter will read, from an event that is valid and from one that is not."""
    try:
        return parse_event(raw).message_id
    except InvalidEvent:
        return readable_id(body.get("messageId"))


def _with(raw: bytes, body: Mapping[str, Any], extra: Mapping[str, Any]) -> bytes:
    if extra.keys() & body.keys():
        return pydantic_core.to_json({**body, **extra})
    # JSON allows line breaks only between its tokens, where a space means the same. (Inside a text,
    # where they ought to be escaped, one becomes a space.)
    text = raw.strip().replace(b"\r", b" ").replace(b"\n", b" ")
    return text[:-1] + (b"," if body else b"") + pydantic_core.to_json(extra)[1:]
