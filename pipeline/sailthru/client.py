"""One signed call at a time: the only code that speaks to Sailthru."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast
from urllib.parse import quote_plus

import httpx

from pipeline.clock import Clock, SystemClock
from pipeline.observe.logs import log_event
from pipeline.sailthru.answers import Answer, Failed, Failure, read_answer
from pipeline.sailthru.calls import Call, HandedCall, Upload
from pipeline.sailthru.connection import Departure
from pipeline.sailthru.packing import unpacked
from pipeline.sailthru.signing import signed, signed_text, to_json
from pipeline.sailthru.transport import DEPARTURE
from pipeline.settings import AccountSettings

MAX_REPLY_BYTES = 1024 * 1024
"""A longer reply, as it came or unpacked, is not Sailthru's; it is dropped unread."""
TOO_LONG = "the reply is too long"

_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip",
    "Connection": "keep-alive",
    "User-Agent": "sailpipe",
}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_JSON = {"Accept": "application/json", "Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where and as whom to call. The repr shows neither key nor secret."""

    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    api_url: str = "https://api.sailthru.com"
    customer_id: str | None = None
    pageview_url: str = "https://api.sail-track.com"
    others: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Further keys of the account with their secrets, which are tried when Sailthru refuses the first."""

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every key with its secret, the one that is used first."""
        return (self.api_key, self.api_secret), *self.others

    @classmethod
    def of(cls, account: AccountSettings) -> Credentials:
        """An account's own. Without a key they are empty, and Sailthru refuses them."""
        first, *others = account.credentials or (("", ""),)
        return cls(
            api_key=first[0],
            api_secret=first[1],
            others=tuple(others),
            api_url=account.api_url,
            customer_id=account.customer_id,
            pageview_url=account.pageview_url,
        )


class SailthruClient:
    """Sends calls and reads what comes back. Safe to use from many tasks of one event loop."""

    def __init__(
        self,
        credentials: Credentials,
        http: httpx.AsyncBaseTransport,
        *,
        timeout_s: float = 8.0,
        clock: Clock | None = None,
    ) -> None:
        """Keep `http` without owning it; `timeout_s` bounds a whole call.

        `http` comes from `open_http`: no other transport tells whether a call has left.
        """
        self._credentials = credentials
        self._http = http
        self._timeout_s = timeout_s
        self._clock = clock or SystemClock()
        self._addresses: dict[tuple[str, str], _Address] = {}
        self._pairs = credentials.pairs
        self._pair = 0

    async def send(self, call: Call, is_over: Callable[[], bool] = lambda: False) -> Answer:
        """Make one call, once, and say what the answer means.

        Network trouble is an answer too (UNAVAILABLE), and so is whatever the server says, however
        odd: it never raises. Such an answer is `ambiguous` if any byte of the call was sent, unless
        the call only reads. None is sent if `is_over()`, or the call's time, when the first would be.

        Raises:
            ValueError: the call holds a float that no JSON number stands for. Like any other
                mistake in the call itself it is raised before a byte has left.
        """
        return (await self.exchange(call, is_over))[0]

    async def exchange(
        self, call: Call, is_over: Callable[[], bool] = lambda: False
    ) -> tuple[Answer, Reply]:
        """As `send`, with the reply itself for who hands it on."""
        reply = Reply()
        if call.is_pageview and self._credentials.customer_id is None:
            no_id = "no customer id for pageviews"
            return Failed(Failure.MISCONFIGURED, None, None, no_id), reply
        request, pair = self._request(call), self._pair
        started = self._clock.monotonic()
        ends = started + self._timeout_s
        departure = Departure(lambda: is_over() or self._clock.monotonic() > ends)
        request.extensions[DEPARTURE] = departure
        answer = await self._answer(call, request, departure, reply)
        duration_s = self._clock.monotonic() - started
        if isinstance(answer, Failed):
            self._use_others(call, pair, answer.failure)
            if call.method == "GET":
                answer = replace(answer, ambiguous=False)
        return replace(answer, duration_s=duration_s), reply

    def _use_others(self, call: Call, pair: int, failure: Failure) -> None:
        """From the next call on use the next key, if Sailthru refuses this one: it was changed there first."""
        is_refused = failure is Failure.MISCONFIGURED and not call.is_pageview
        if is_refused and pair == self._pair and len(self._pairs) > 1:
            self._pair = (pair + 1) % len(self._pairs)
            log_event("api_key_changed", logging.WARNING, bucket=call.bucket)

    async def _answer(
        self, call: Call, request: httpx.Request, departure: Departure, reply: Reply
    ) -> Answer:
        """Exchange, then read. Once the call has left, nothing may come of it but an answer: an
        exception would end the claim unsettled, and the call would be made again and again."""
        try:
            await self._exchange(request, reply)
            return _read(reply, departure, pageview=call.is_pageview)
        except Exception as error:
            if not departure.left:
                raise
            name = type(error).__name__
            log_event("answer_unread", logging.ERROR, bucket=call.bucket, error=name)
            return Failed(Failure.UNAVAILABLE, None, None, name, ambiguous=True)

    def _request(self, call: Call) -> httpx.Request:
        key = call.method, call.endpoint
        address = self._addresses.get(key)
        if address is None:
            address = self._addresses[key] = _address_of(call, self._credentials)
        url, content = address.url, None
        if call.is_pageview:
            content = to_json(call.params).encode()
        elif isinstance(call, HandedCall) and call.upload is not None:
            return _with_file(address, self._signed(call), call.upload)
        else:
            form = _form(self._signed(call))
            content = form if call.method == "POST" else None
            url = url if content else url.copy_with(query=form)
        stream = httpx.ByteStream(content or b"")  # given so, httpx derives no headers from it
        return httpx.Request(call.method, url, headers=address.headers, stream=stream)

    def _signed(self, call: Call) -> dict[str, str]:
        api_key, secret = self._pairs[self._pair]
        if isinstance(call, HandedCall):
            return signed_text(call.text, api_key, secret, call.reply_format)
        return signed(call.params, api_key, secret)

    async def _exchange(self, request: httpx.Request, reply: Reply) -> None:
        """Send the request and take in what comes back, for as long as a call may last."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._receive(request, reply)
        except TimeoutError:
            reply.broken = "timed out"
        except (httpx.HTTPError, OSError) as error:
            # The error's own text may quote the signed URL; its class says enough.
            reply.broken = type(error.__cause__ or error).__name__

    async def _receive(self, request: httpx.Request, reply: Reply) -> None:
        response = await self._http.handle_async_request(request)
        try:
            reply.status, reply.headers = response.status_code, response.headers
            async for chunk in cast("httpx.AsyncByteStream", response.stream):
                reply.body += chunk
                if len(reply.body) > MAX_REPLY_BYTES:
                    reply.body, reply.broken = bytearray(), TOO_LONG
                    return
        finally:
            await response.aclose()


@dataclass(frozen=True, slots=True)
class _Address:
    """Where calls of one method and endpoint go, and the headers that all of them have."""

    url: httpx.URL
    headers: httpx.Headers


def _address_of(call: Call, credentials: Credentials) -> _Address:
    base = credentials.pageview_url if call.is_pageview else credentials.api_url
    url = httpx.URL(base.rstrip("/") + call.endpoint)
    headers = {"Host": url.netloc.decode(), **_HEADERS}
    if call.is_pageview:
        headers |= {**_JSON, "Authorization": f"Bearer {credentials.customer_id}"}
    elif call.method == "POST":
        headers |= _FORM
    return _Address(url, httpx.Headers(headers))


def _form(fields: Mapping[str, str]) -> bytes:
    """The parameters of a signed call, encoded. The signature needs it not."""
    key, kind, text = (quote_plus(fields[name]) for name in ("api_key", "format", "json"))
    return f"api_key={key}&format={kind}&json={text}&sig={fields['sig']}".encode()


def _with_file(address: _Address, fields: Mapping[str, str], upload: Upload) -> httpx.Request:
    headers = {name: value for name, value in address.headers.items() if name != "content-type"}
    file = upload.name, upload.content, upload.content_type
    return httpx.Request(
        "POST", address.url, headers=headers, data=fields, files={upload.field: file}
    )


@dataclass(slots=True)
class Reply:
    """What came back of a call: `status` None without a reply, `broken` why it is not whole.

    body: as it came; once it has been read without its packing.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    broken: str | None = None


def _read(reply: Reply, departure: Departure, *, pageview: bool) -> Answer:
    """What came back as an answer. Does no I/O."""
    if reply.status is None:
        message = reply.broken or "no reply"
        return Failed(Failure.UNAVAILABLE, None, None, message, ambiguous=departure.left)
    body = unpacked(bytes(reply.body), most=MAX_REPLY_BYTES)
    if body is None:
        reply.broken = TOO_LONG
    reply.body = bytearray(body or b"")
    return read_answer(
        reply.status, body or b"", reply.headers, pageview=pageview, broken=reply.broken
    )
