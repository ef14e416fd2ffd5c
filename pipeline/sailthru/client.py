"""One signed call at a time: the only code that speaks to Sailthru."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import aiohttp
import httpx

from pipeline.clock import Clock, SystemClock
from pipeline.sailthru.answers import Answer, Failure, Refused, read_answer
from pipeline.sailthru.calls import Call
from pipeline.sailthru.signing import signed, to_json
from pipeline.sailthru.transport import hide_queries_in_logs, not_after, was_sent
from pipeline.settings import AccountSettings

MAX_REPLY_BYTES = 1024 * 1024
"""A longer reply is not Sailthru's; it is dropped unread."""

_USER_AGENT = "sailpipe"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where and as whom to call. The repr shows neither key nor secret."""

    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    api_url: str = "https://api.sailthru.com"
    customer_id: str | None = None
    pageview_url: str = "https://api.sail-track.com"

    @classmethod
    def of(cls, account: AccountSettings) -> Credentials:
        """An account's own. Without a key they are empty, and Sailthru says no to them."""
        secret = account.api_secret
        return cls(
            api_key=account.api_key or "",
            api_secret=secret.get_secret_value() if secret else "",
            api_url=account.api_url,
            customer_id=account.customer_id,
            pageview_url=account.pageview_url,
        )


class SailthruClient:
    """Sends calls and reads what comes back. Safe to use from many tasks of one event loop."""

    def __init__(
        self,
        credentials: Credentials,
        http: httpx.AsyncClient,
        *,
        timeout_s: float = 8.0,
        clock: Clock | None = None,
    ) -> None:
        """Keep `http` (see `open_http`) without owning it; `timeout_s` bounds a whole call."""
        self._credentials = credentials
        self._http = http
        self._timeout_s = timeout_s
        self._clock = clock or SystemClock()
        hide_queries_in_logs()

    async def send(self, call: Call) -> Answer:
        """Make one call, once, and say what the answer means.

        Network trouble is an answer too (UNAVAILABLE), never an exception.

        Raises:
            ValueError: the call holds a float that no JSON number stands for.
        """
        if call.is_pageview and self._credentials.customer_id is None:
            return Refused(Failure.MISCONFIGURED, None, None, "no customer id for pageviews")
        request = self._request(call)
        started = self._clock.monotonic()
        ends = started + self._timeout_s
        with not_after(lambda: self._clock.monotonic() > ends):
            answer = await self._exchange(request, pageview=call.is_pageview)
        if isinstance(answer, Refused) and call.method == "GET":
            answer = replace(answer, ambiguous=False)
        return replace(answer, duration_s=self._clock.monotonic() - started)

    def _request(self, call: Call) -> httpx.Request:
        if call.is_pageview:
            return self._pageview_request(call)
        credentials = self._credentials
        url = credentials.api_url.rstrip("/") + call.endpoint
        fields = signed(call.params, credentials.api_key, credentials.api_secret)
        headers = {"User-Agent": _USER_AGENT}
        if call.method == "POST":
            return self._http.build_request("POST", url, data=fields, headers=headers)
        return self._http.build_request(call.method, url, params=fields, headers=headers)

    def _pageview_request(self, call: Call) -> httpx.Request:
        headers = {
            "User-Agent": _USER_AGENT,
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._credentials.customer_id}",
        }
        url = self._credentials.pageview_url.rstrip("/") + call.endpoint
        body = to_json(call.params).encode()
        return self._http.build_request(call.method, url, content=body, headers=headers)

    async def _exchange(self, request: httpx.Request, *, pageview: bool) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._round_trip(request, pageview=pageview)
        except TimeoutError:
            return _unavailable("timed out", ambiguous=True)
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            # The error's own text may quote the signed URL; its class says enough.
            cause = error.__cause__ or error
            return _unavailable(type(cause).__name__, ambiguous=was_sent(error))

    async def _round_trip(self, request: httpx.Request, *, pageview: bool) -> Answer:
        response = await self._http.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_REPLY_BYTES:
                    return _unavailable("the reply is too long", ambiguous=True)
            return read_answer(
                response.status_code, bytes(body), response.headers, pageview=pageview
            )
        finally:
            await response.aclose()


def _unavailable(message: str, *, ambiguous: bool) -> Refused:
    return Refused(Failure.UNAVAILABLE, None, None, message, ambiguous=ambiguous)
