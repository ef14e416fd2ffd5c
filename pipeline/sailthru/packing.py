"""Replies that come packed. Pure."""

from __future__ import annotations

import zlib

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 16 + zlib.MAX_WBITS
MAX_LAYERS = 3
"""How often a body may be packed over again."""


def unpacked(body: bytes, *, most: int) -> bytes | None:
    """The body without its packing, gzip or zlib, by its own first bytes; None if it is longer than `most`.

    Content-Encoding is not asked: proxies unpack bodies and keep the header, or drop the header. What
    is cut short is given as far as it goes, what is broken as it came.
    """
    for _ in range(MAX_LAYERS):
        window = _window_of(body)
        if window is None:
            break
        unpacker = zlib.decompressobj(window)
        try:
            inner = unpacker.decompress(body, most + 1)
        except zlib.error:
            break
        if len(inner) > most:
            return None
        body = inner
    return body


def _window_of(body: bytes) -> int | None:
    """What zlib needs to be told about this packing; None when these bytes are not packed."""
    if body.startswith(_GZIP_MAGIC):
        return _GZIP
    # A zlib stream's first two bytes: deflate, and a multiple of 31. No JSON object or list begins so.
    is_zlib = len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if is_zlib else None
