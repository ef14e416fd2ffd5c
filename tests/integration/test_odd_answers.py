"""Whatever a server says is an answer: `send` is fed raw bytes over real sockets and never raises for them.

`make test-random` tries 4,000 replies.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import ssl
import time
import zlib
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import httpx
import pytest
import redis.asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from pipeline.alerting.watch import AlertWatch
from pipeline.clock import SystemClock
from pipeline.lanes import PAGEVIEW_ENDPOINT
from pipeline.sailthru import client as client_module
from pipeline.sailthru import transport
from pipeline.sailthru.answers import Accepted, Answer, Failed, Failure, RateHeaders
from pipeline.sailthru.calls import Call
from pipeline.sailthru.client import MAX_REPLY_BYTES, TOO_LONG, Credentials, SailthruClient
from pipeline.sailthru.transport import open_http
from pipeline.settings import Settings
from pipeline.storage import keys
from tests.support.odd_replies import BODIES, BOMB, HARMLESS, OK, VALUES, VISIBLE, heads, reply
from tests.support.odd_server import ENDINGS, OddServer, Script

EXAMPLES = 2_000 if settings.get_current_profile_name() == "deep" else 100
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here speaks TLS; an empty context is quick to make."""
WRITE = Call("POST", "/purchase", {"id": "usr_42", "key": "extid"})
READ = Call("GET", "/purchase", {"id": "usr_42", "key": "extid"})
PAGE = Call("POST", PAGEVIEW_ENDPOINT, {"url": "https://shop.example.org/"})
AMPLE_S, SHORT_S = 20.0, 0.2
LATE_S = 10.0
"""How much later than its timeout a call may end on a busy machine."""


class Loopback:
    """A loop with an odd server on it. `ask` makes a call over a connection of its own."""

    def __init__(self, runner: asyncio.Runner, server: OddServer) -> None:
        self.server = server
        self.trouble: list[dict[str, Any]] = []
        self._runner = runner
        runner.get_loop().set_exception_handler(lambda _, context: self.trouble.append(context))

    def ask(self, script: Script, call: Call = WRITE, timeout_s: float = AMPLE_S) -> Answer:
        return self._runner.run(self._ask(script, call, timeout_s))

    async def _ask(self, script: Script, call: Call, timeout_s: float) -> Answer:
        self.server.script, self.server.got = script, 0
        async with open_http(NO_TLS) as http:
            return await sailthru(self.server, http, timeout_s).send(call)


def sailthru(
    server: OddServer, http: httpx.AsyncBaseTransport, timeout_s: float = AMPLE_S
) -> SailthruClient:
    credentials = Credentials("key-4711", "hush-hush", server.url, "c1", server.url)
    return SailthruClient(credentials, http, timeout_s=timeout_s)


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with asyncio.Runner() as runner:
        server = runner.run(OddServer().__aenter__())
        yield Loopback(runner, server)
        runner.run(server.__aexit__())


# ---- raw bytes -------------------------------------------------------------------------------------


@settings(max_examples=EXAMPLES)
@given(
    whole=st.binary(max_size=80) | st.builds(bytes.__add__, heads(), BODIES),
    cut=st.integers(0, 100),
    ending=st.sampled_from(ENDINGS),
    call=st.sampled_from([WRITE, READ]),
)
def test_whatever_bytes_come_are_an_answer_in_time(
    loopback: Loopback, whole: bytes, cut: int, ending: Any, call: Call
) -> None:
    """A write that the server has received is not taken for one that it has not."""
    began = time.monotonic()
    answer = loopback.ask(Script([whole[:cut], whole[cut:]], ending), call, SHORT_S)
    assert time.monotonic() - began < SHORT_S + LATE_S
    assert isinstance(answer, Accepted | Failed)
    if isinstance(answer, Failed) and answer.ambiguous:
        assert (answer.failure, call) == (Failure.UNAVAILABLE, WRITE)
    elif isinstance(answer, Failed) and answer.failure is Failure.UNAVAILABLE:
        assert call is READ or loopback.server.got == 0
    assert loopback.trouble == []


@settings(max_examples=EXAMPLES)
@given(
    reason=VISIBLE,
    fields=st.lists(st.tuples(HARMLESS, VALUES).map(b": ".join), max_size=6),
    pack=st.sampled_from([bytes, gzip.compress, zlib.compress]),
    ending=st.sampled_from([one for one in ENDINGS if one != "reset"]),
)
def test_a_call_that_was_accepted_counts_however_it_is_said(
    loopback: Loopback, reason: bytes, fields: list[bytes], pack: Any, ending: Any
) -> None:
    """A call taken for a failure would be repeated as often as retries last."""
    script = Script([reply(b"200 " + reason, *fields, body=pack(OK))], ending)
    answer = loopback.ask(script)
    assert isinstance(answer, Accepted), answer
    assert answer.body == {"ok": True}


# ---- one by one --------------------------------------------------------------------------------------

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n" + OK + b"\r\n"
ACCEPTED = {
    "a reason phrase in Latin-1": reply(b"200 R\xe9ussi"),
    "a reason phrase of nothing": reply(b"200 "),
    "a long header": reply(b"200 OK", b"X: " + b"x" * 65_000),
    "many headers": reply(b"200 OK", *[b"X-%d: x" % number for number in range(200)]),
    "a cookie that is none": reply(b"200 OK", b"Set-Cookie: \xff=\xfe; expires=\xfd"),
    "a charset that is none": reply(b"200 OK", b"Content-Type: text/html; charset=bogus"),
    "gzip in name only": reply(b"200 OK", b"Content-Encoding: gzip"),
    "an encoding that is none": reply(b"200 OK", b"Content-Encoding: foo"),
    "gzip, unnamed": reply(body=gzip.compress(OK)),
    "gzip twice": reply(body=gzip.compress(gzip.compress(OK))),
    "gzip without its end": reply(body=gzip.compress(OK)[:-8]),
    "a length too great": reply(length=100),
    "no last chunk": CHUNKED,
    "informing words first": b"HTTP/1.1 103 \xe9\r\nLink: \xff\r\n\r\n" * 50 + reply(),
    "leave to go on first": b"HTTP/1.1 100 Continue\r\n\r\n" + reply(),
    "numbers that nothing can hold": reply(body=b'{"ok":true,"a":1e999,"b":' + b"9" * 5000 + b"}"),
    "a name twice": reply(body=b'{"ok":false,"ok":true}'),
}
"""Successes, each odd in its own way."""


@pytest.mark.parametrize("raw", ACCEPTED.values(), ids=ACCEPTED)
@pytest.mark.parametrize("cut", [0, 10, 100, -1])
def test_an_odd_success_is_accepted_in_one_piece_or_two(
    loopback: Loopback, raw: bytes, cut: int
) -> None:
    """The second comes late: most of it, what follows the head's first lines, or the last byte."""
    answer = loopback.ask(Script([raw[:cut], raw[cut:]] if cut else [raw], apart=True))
    assert isinstance(answer, Accepted), answer
    assert answer.body["ok"] is True


OUTAGES = {
    "a reason phrase in Latin-1": (reply(b"503 Servi\xe7o", body=b"<html>"), 503),
    "a Location that is no URL": (reply(b"302 Found", b"Location: mailto:x@y"), 302),
    "a Location without its bracket": (reply(b"301 Moved", b"Location: http://[::1/"), 301),
    "a Location of controls": (reply(b"307 T", b"Location: /\x01\x02"), 307),
    "a status beyond all": (reply(b"999 X"), 999),
    "a status of nothing": (reply(b"000 X"), 0),
    "another protocol": (
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        101,
    ),
    "a bomb": (reply(body=BOMB), 200),
    "gzip that is broken": (reply(body=b"\x1f\x8b" + OK), 200),
    "half a body": (reply(body=OK[:5], length=len(OK)), 200),
    "a length too small": (reply(length=5), None),
    "a broken last chunk": (CHUNKED + b"ZZ\r\n", None),
    "no end": (reply(body=b'{"ok":"' + b"y" * MAX_REPLY_BYTES + b'"}'), 200),
    "nesting without end": (reply(body=b'{"ok":' + b"[" * 500 + b"]" * 500 + b"}"), 200),
    "no body": (reply(body=b""), 200),
    "two lengths": (reply(b"200 OK", b"Content-Length: 12"), None),
    "headers without end": (reply(b"200 OK", *[b"X: y"] * 10_000), None),
    "a header without a colon": (b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n" + OK, None),
    "what is not HTTP": (b"SSH-2.0-OpenSSH_9\r\n", None),
    "nothing": (b"", None),
}
"""Replies that say nothing about the call, and the status that is known of each."""


@pytest.mark.parametrize(("raw", "status"), OUTAGES.values(), ids=OUTAGES)
def test_a_reply_that_says_nothing_is_an_outage_with_the_status_that_is_known(
    loopback: Loopback, raw: bytes, status: int | None
) -> None:
    """Sailthru may have carried the call out."""
    answer = loopback.ask(Script([raw]))
    assert isinstance(answer, Failed), answer
    assert (answer.failure, answer.status) == (Failure.UNAVAILABLE, status)
    assert answer.ambiguous
    read = loopback.ask(Script([raw]), READ)
    assert isinstance(read, Failed)
    assert not read.ambiguous


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (OUTAGES["no end"][0], TOO_LONG),
        (OUTAGES["a bomb"][0], TOO_LONG),
        (reply(body=b"", length=100), "Disconnected"),
    ],
    ids=["no end", "a bomb", "nothing of what was announced"],
)
def test_a_reply_of_which_nothing_is_kept_is_no_success_of_a_page_view(
    loopback: Loopback, raw: bytes, why: str
) -> None:
    """An empty reply is one, and this must not look like that."""
    answer = loopback.ask(Script([raw]), PAGE)
    assert isinstance(answer, Failed), answer
    assert (answer.failure, answer.ambiguous) == (Failure.UNAVAILABLE, True)
    assert why in answer.message


def test_a_429_is_throttled_by_its_status_alone(loopback: Loopback) -> None:
    """The body may break off; the headers say until when."""
    fields = [b"X-Rate-Limit-Limit: 2400", b"X-Rate-Limit-Remaining: 0", b"X-Rate-Limit-Reset: 60"]
    answer = loopback.ask(Script([reply(b"429 \xff", *fields, body=b"<html", length=100)]))
    assert isinstance(answer, Failed)
    assert (answer.failure, answer.ambiguous) == (Failure.THROTTLED, False)
    assert answer.rate == RateHeaders(2400, 0, 60.0)


async def test_bytes_that_no_call_asked_for_answer_no_call() -> None:
    """A proxy says 408 to an idle socket; a hostile one says 200. The next call takes a new one."""
    async with OddServer() as server, open_http(NO_TLS) as http:
        client = sailthru(server, http)
        server.script = Script([reply() + reply()], "hang")
        assert isinstance(await client.send(WRITE), Accepted)
        server.script = Script([reply(), b"", reply(b"408 T")], "hang")
        assert isinstance(await client.send(WRITE), Accepted)
        async with asyncio.timeout(AMPLE_S):
            while http._open:
                await asyncio.sleep(0.01)
        assert isinstance(await client.send(WRITE), Accepted)
        assert server.got == 3


# ---- what leaves, and what does not ------------------------------------------------------------------


async def test_a_call_that_found_no_connection_in_time_was_not_sent() -> None:
    """An order need not be looked up after it."""

    async def wait(*_: object, **__: object) -> None:
        await asyncio.sleep(AMPLE_S)

    async with OddServer() as server, open_http(NO_TLS) as http:
        with patch.object(transport, "start_connection", wait):
            answer = await sailthru(server, http, SHORT_S).send(WRITE)
    assert isinstance(answer, Failed)
    assert (answer.message, answer.ambiguous) == ("timed out", False)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_a_server_that_reads_nothing_keeps_no_call_beyond_its_timeout() -> None:
    """A body that does not fit into the socket, and half a reply to it."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply()[:-3])
        await writer.drain()
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    server = OddServer()
    async with open_http(NO_TLS) as http:
        with patch.object(server, "_serve", serve):
            await server.__aenter__()
        client = sailthru(server, http, SHORT_S)
        answer = await client.send(Call("POST", "/user", {"vars": "x" * 20_000_000}))
        ended.set()
        await server.__aexit__()
    assert isinstance(answer, Failed)
    assert (answer.failure, answer.status, answer.ambiguous) == (Failure.UNAVAILABLE, 200, True)
    assert answer.duration_s < SHORT_S + LATE_S


async def test_an_answer_that_nothing_foresaw_is_an_outage_and_logged_by_its_class() -> None:
    """An exception would leave the claim unsettled and the call to be repeated."""

    def fail(*_: object, **__: object) -> Answer:
        msg = "who said usr_42"
        raise ZeroDivisionError(msg)

    async with OddServer() as server, open_http(NO_TLS) as http:
        server.script = Script([reply()])
        with patch.object(client_module, "read_answer", fail), capture_logs() as lines:
            answer = await sailthru(server, http).send(WRITE)
    assert isinstance(answer, Failed)
    assert (answer.failure, answer.message) == (Failure.UNAVAILABLE, "ZeroDivisionError")
    assert answer.ambiguous
    (line,) = lines
    assert (line["event"], line["bucket"]) == ("answer_unread", "POST /purchase")
    assert "usr_42" not in str(line)


async def test_a_mistake_before_the_call_leaves_is_no_answer() -> None:
    """A number that JSON does not have, a client that is closed: these are not retried as an outage of Sailthru."""
    async with OddServer() as server, open_http(NO_TLS) as http:
        client = sailthru(server, http)
        with pytest.raises(ValueError, match="not JSON compliant"):
            await client.send(Call("POST", "/user", {"vars": {"n": float("inf")}}))
        await http.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await client.send(WRITE)
        assert server.got == 0


async def test_no_log_quotes_what_a_server_says(caplog: pytest.LogCaptureFixture) -> None:
    """Its reason phrase and its Location may hold anything: an email, a line of their own."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    async with OddServer() as server, open_http(NO_TLS) as http:
        server.script = Script([reply(b"302 zoe@example.com", b"Location: zoe@example.com")])
        await sailthru(server, http).send(WRITE)
    assert "zoe" not in caplog.text


async def test_an_odd_answer_to_an_alert_is_logged_and_raises_nothing(
    client: redis.asyncio.Redis,
) -> None:
    """ALERT_URL's receiver is answered by the same client."""
    odd = (reply(b"503 Servi\xe7o"), reply(b"302 F", b"Location: mailto:x@y"), b"HTTP/9")
    await client.set(keys.orders_reused("default"), 1_000)
    async with OddServer() as server, open_http(NO_TLS) as http:
        for raw in odd:
            server.script = Script([raw])
            watch = AlertWatch(client, Settings(alert_url=server.url), http, SystemClock())
            await client.delete(keys.ALERTS_TURN)
            with capture_logs() as lines:
                await watch.turn()
            assert [line["event"] for line in lines] == ["alert_failed"]
