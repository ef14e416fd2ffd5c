"""Reading a request's body without trusting its size, its encoding or its headers."""

from __future__ import annotations

import zlib
from typing import Any

from starlette.types import Receive

from pipeline.ingest.answers import HttpError
from pipeline.json_text import read_json

MAX_BODY_BYTES = 512 * 1024
"""Of a request, packed or not. Segment says 500 KB (reference: segment 1.3), but Ruby's and Java's
SDKs fill 512,000 bytes with events and add an envelope."""

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_JSON_BEGINS = b'{["tfn-0123456789 \t\r\n\xef'
"""What JSON may begin with, a byte order mark among it. `deflate`, with or without zlib's header, does not."""


async def read_body(receive: Receive) -> bytes:
    """The whole body as it came.

    Raises:
        HttpError: 400 when it is larger than MAX_BODY_BYTES, or the sender went before its end.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise HttpError(400, "incomplete", "The request ended early.")
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise too_large()
        if not message.get("more_body", False):
            return bytes(body)


def is_packed(body: bytes) -> bool:
    """Whether it is gzip or deflate by its first bytes.

    Proxies unpack bodies and keep the header, or drop the header, so that it says nothing.
    """
    return body[:1] not in _JSON_BEGINS


def unpacked(body: bytes) -> bytes:
    """The body without its gzip or deflate, if it has any.

    Raises:
        HttpError: 400 when it is larger than MAX_BODY_BYTES or is broken gzip.
    """
    if body.startswith(_GZIP_MAGIC):
        return _gunzip(body)
    return _inflated(body) if is_packed(body) else body


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object a body holds, whatever its Content-Type says (browsers send text/plain).

    Raises:
        HttpError: 400 for anything else: cut short, NaN, nested deeper than 200, an array. A broken text
            in it is mended (`read_json`).
    """
    try:
        data = read_json(body)
    except ValueError as error:
        raise HttpError(400, "invalid_json", f"The body is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise HttpError(400, "invalid_json", "The body is not a JSON object.")
    return data


def too_large() -> HttpError:
    """The refusal of a request that is larger than MAX_BODY_BYTES."""
    return HttpError(400, "too_large", f"The body is larger than {MAX_BODY_BYTES} bytes.")


def _gunzip(packed: bytes) -> bytes:
    """All members of it: `cat a.gz b.gz` is one file, and some senders flush each event as one."""
    body, rest = bytearray(), packed
    while rest.startswith(_GZIP_MAGIC):
        unpacker = zlib.decompressobj(_GZIP_WINDOW)
        try:
            body += unpacker.decompress(rest, MAX_BODY_BYTES + 1 - len(body))
        except zlib.error:
            raise HttpError(400, "invalid_gzip", "The body is not valid gzip.") from None
        if len(body) > MAX_BODY_BYTES:
            raise too_large()
        if not unpacker.eof:
            raise HttpError(400, "invalid_gzip", "The gzip body ends early.")
        rest = unpacker.unused_data.lstrip(b"\0")
    return bytes(body)


def _inflated(packed: bytes) -> bytes:
    """With zlib's header, as HTTP means `deflate`, or without, as some write it; as it came when it is neither."""
    for window in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        unpacker = zlib.decompressobj(window)
        try:
            body = unpacker.decompress(packed, MAX_BODY_BYTES + 1)
        except zlib.error:
            continue
        if len(body) > MAX_BODY_BYTES:
            raise too_large()
        if unpacker.eof:
            return body
    return packed
