"""Replies as no server should send them: strategies of raw bytes, and one reply of given parts."""

from __future__ import annotations

import gzip
import zlib

from hypothesis import strategies as st

from pipeline.sailthru.client import MAX_REPLY_BYTES

OK = b'{"ok":true}'
TOKEN = "abcXYZ019!#$%&'*+-.^_`|~"
FRAMING = {b"content-length", b"transfer-encoding", b"connection", b"upgrade"}
"""These say where a reply ends; the others are only to be read, or not."""
LINE = st.binary(max_size=40).map(lambda raw: bytes(byte for byte in raw if byte == 9 or byte > 31))
VISIBLE = LINE.map(lambda line: line.replace(b"\x7f", b""))
READ_BY_CLIENTS = st.sampled_from(
    [
        b"Location",
        b"Set-Cookie",
        b"Content-Encoding",
        b"Content-Type",
        b"Link",
        b"WWW-Authenticate",
        b"X-Rate-Limit-Limit",
        b"X-Rate-Limit-Remaining",
        b"X-Rate-Limit-Reset",
    ]
)
NAMES = READ_BY_CLIENTS | st.text(TOKEN, min_size=1, max_size=12).map(str.encode)
HARMLESS = NAMES.filter(lambda name: name.lower() not in FRAMING)
VALUES = VISIBLE | st.sampled_from(
    [
        b"mailto:x@y",
        b"http://[::1/",
        b"//",
        "\u0661\u0662".encode(),
        b"gzip",
        b"gzip, deflate, br, zstd",
        b"chunked",
        b"upgrade",
        b"text/html; charset=bogus",
        b"a=b; expires=Foo; \xff",
        b"1e999",
        b"9" * 400,
        b"9" * 5000,
        b"-1",
        b"0",
        b"11",
    ]
)
BOMB = gzip.compress(gzip.compress(bytes(40 * MAX_REPLY_BYTES)))
BODIES = st.binary(max_size=60) | st.sampled_from(
    [
        OK,
        b"b\r\n" + OK + b"\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n",
        b"[" * 100_000,
        b'{"error":1e999}',
        b'{"error":' + b"9" * 5000 + b"}",
        b'{"error":99,"errormsg":"\\ud800"}',
        gzip.compress(OK),
        gzip.compress(OK)[:-9],
        zlib.compress(OK)[:-3],
        BOMB,
    ]
)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """The head of a reply: HTTP as a rule, and broken by any of its parts."""
    informing = b"HTTP/1.1 100 Continue\r\n\r\n" * draw(st.sampled_from([0, 0, 0, 1, 3000]))
    version = draw(st.sampled_from([b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/2.0", b"ICY"]))
    code = draw(st.integers(0, 1000).map(b"%03d".__mod__) | st.sampled_from([b"200"] * 4 + [b""]))
    names = draw(st.lists(NAMES | st.sampled_from(sorted(FRAMING)) | LINE, max_size=5))
    colon = draw(st.sampled_from([b": "] * 8 + [b":", b" : ", b""]))
    fields = [name + colon + draw(VALUES) for name in names]
    end = draw(st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r"]))
    return informing + end.join([version + b" " + code + b" " + draw(LINE), *fields, b"", b""])


def reply(
    status: bytes = b"200 OK", *fields: bytes, body: bytes = OK, length: int | None = None
) -> bytes:
    """A reply as it should be, but for what the test makes odd."""
    size = b"Content-Length: %d" % (len(body) if length is None else length)
    return b"\r\n".join([b"HTTP/1.1 " + status, *fields, size, b"", body])
