"""The guard around an app: log-ins, sessions, roles, tokens, headers."""

from __future__ import annotations

import hmac

import fakeredis
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from pipeline.clock import ManualClock
from pipeline.guard import Guard, Operator, operator_of
from pipeline.guard.credentials import Credentials
from pipeline.guard.guard import LOGIN
from pipeline.guard.sessions import COOKIE, log_in
from pipeline.guard.tries import MAX_ADDRESSES, MAX_TRIES, PAUSE_S, Tries
from pipeline.settings import Settings, load_settings
from pipeline.storage import keys

PASSWORD, READ_PASSWORD = "correct horse", "battery staple"
TOKEN, READ_TOKEN = "t" * 40, "r" * 40
SECRETS = {
    "SAILPIPE_CONSOLE_PASSWORD": PASSWORD,
    "SAILPIPE_CONSOLE_READ_PASSWORD": READ_PASSWORD,
    "SAILPIPE_CONSOLE_TOKEN": TOKEN,
    "SAILPIPE_CONSOLE_READ_TOKEN": READ_TOKEN,
}
OPEN = load_settings({})
CLOSED = load_settings(SECRETS)


class Site:
    """A guarded app of three pages and the log-in, and a browser for it."""

    def __init__(self, settings: Settings, redis: fakeredis.FakeAsyncRedis | None = None) -> None:
        self.redis = redis or fakeredis.FakeAsyncRedis()
        self.guard = Guard(settings, self.redis, ManualClock())
        routes = [
            Route("/console", self._who, methods=["GET", "POST"]),
            Route("/console/try", self._who, methods=["POST"]),
            Route("/console/static/{name}", self._who),
            Route("/api/status", self._who),
            Route(LOGIN, self._log_in, methods=["POST"]),
        ]
        app: ASGIApp = self.guard.around(
            Starlette(routes=routes), harmless=["/console/try"], public=["/console/static/"]
        )
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:8000"
        )

    async def log_in(self, password: str) -> httpx.Response:
        return await self.http.post(LOGIN, content=password)

    async def _log_in(self, request: Request) -> Response:
        operator = self.guard.credentials.by_password((await request.body()).decode())
        if operator is not None:
            log_in(request.scope, operator)
        return PlainTextResponse("welcome" if operator else "no")

    async def _who(self, request: Request) -> Response:
        operator = operator_of(request.scope)
        return PlainTextResponse(operator.who if operator else "nobody")


@pytest.fixture
def closed() -> Site:
    return Site(CLOSED)


async def test_without_a_password_this_machine_may_do_everything() -> None:
    """The console of `make run` opens at once."""
    site = Site(OPEN)
    assert (await site.http.get("/console")).text == "this machine"
    assert (await site.http.post("/console")).text == "this machine"
    assert await site.redis.keys() == []


async def test_who_is_not_logged_in_is_sent_to_the_log_in_and_back(closed: Site) -> None:
    """A link to one letter leads there, after the password."""
    reply = await closed.http.get("/console?q=1&r=2")
    assert reply.status_code == 303
    assert reply.headers["location"] == f"{LOGIN}?next=%2Fconsole%3Fq%3D1%26r%3D2"
    assert (await closed.http.post("/console")).status_code == 303
    assert (await closed.http.get("/console/static/x")).text == "nobody"
    assert (await closed.http.get("/console/static/../../console")).status_code == 303


async def test_a_script_that_is_not_logged_in_is_told_so_and_sent_nowhere(closed: Site) -> None:
    """The log-in page in the place of a part would empty the page that polls."""
    for ask in (closed.http.get, closed.http.post):
        assert (await ask("/console?q=1", headers={"HX-Request": "true"})).status_code == 401


async def test_the_password_opens_a_session_in_a_cookie_no_script_can_read(closed: Site) -> None:
    """And no other site's form can make the browser send."""
    reply = await closed.log_in(PASSWORD)
    cookie = reply.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert PASSWORD not in cookie
    assert (await closed.http.get("/console")).text == "password"


async def test_over_https_the_cookie_never_leaves_over_http(closed: Site) -> None:
    """The scheme is the server's word, or that of a proxy on this machine."""
    closed.http.base_url = httpx.URL("https://localhost:8000")
    assert "secure" in (await closed.log_in(PASSWORD)).headers["set-cookie"]


async def test_a_session_that_was_signed_with_another_key_is_none(closed: Site) -> None:
    """Another installation's, one of before the password was changed, or one that somebody made up."""
    await closed.log_in(PASSWORD)
    cookie = closed.http.cookies[COOKIE]
    for other in (
        Site(CLOSED),  # another Redis
        Site(load_settings({**SECRETS, "SAILPIPE_CONSOLE_PASSWORD": "another one"}), closed.redis),
    ):
        other.http.cookies.set(COOKIE, cookie)
        assert (await other.http.get("/console")).status_code == 303
    same = Site(CLOSED, closed.redis)
    same.http.cookies.set(COOKIE, cookie)
    assert (await same.http.get("/console")).text == "password"
    same.http.cookies.clear()
    same.http.cookies.set(COOKIE, "eyJhY2Nlc3MiOiJmdWxsIn0=" + cookie[cookie.index(".") :])
    assert (await same.http.get("/console")).status_code == 303


async def test_a_read_only_operator_changes_nothing(closed: Site) -> None:
    """The server says so, whatever the page shows; what changes nothing may be posted."""
    await closed.log_in(READ_PASSWORD)
    assert (await closed.http.get("/console")).text == "read-only password"
    assert (await closed.http.post("/console")).status_code == 403
    assert (await closed.http.request("DELETE", "/console")).status_code == 403
    assert (await closed.http.post("/console/try")).text == "read-only password"
    token = {"Authorization": f"Bearer {READ_TOKEN}"}
    assert (await closed.http.post("/console", headers=token)).status_code == 403


async def test_a_token_is_enough_for_programs_and_a_wrong_one_is_not(closed: Site) -> None:
    """Even beside a session: who shows a token means it."""
    good, bad = ({"Authorization": f"Bearer {one}"} for one in (TOKEN, TOKEN[:-1]))
    assert (await closed.http.get("/api/status", headers=good)).text == "token"
    for headers in (bad, {}, {"Authorization": f"Basic {TOKEN}"}):
        reply = await closed.http.get("/api/status", headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (401, "not_logged_in")
        assert reply.headers["www-authenticate"] == "Bearer"
    await closed.log_in(PASSWORD)
    assert (await closed.http.get("/api/status", headers=bad)).status_code == 401


async def test_a_password_is_no_token_and_a_token_no_password(closed: Site) -> None:
    """Tries at a token are not slowed down."""
    headers = {"Authorization": f"Bearer {PASSWORD}"}
    assert (await closed.http.get("/api/status", headers=headers)).status_code == 401
    assert (await closed.log_in(TOKEN)).text == "no"


async def test_a_cross_site_post_and_a_foreign_host_are_refused_before_the_log_in(
    closed: Site,
) -> None:
    """With the cookie of who is logged in."""
    await closed.log_in(PASSWORD)
    site = {"Sec-Fetch-Site": "cross-site"}
    assert (await closed.http.post("/console", headers=site)).status_code == 403
    assert (await closed.http.post(LOGIN, headers=site)).status_code == 403
    reply = await closed.http.get("/console", headers={"Host": "evil.example"})
    assert reply.status_code == 400
    assert "evil" not in reply.text


async def test_every_answer_has_the_headers_that_keep_a_browser_strict(closed: Site) -> None:
    """Refusals as well."""
    for path in ("/console", "/console/static/x", "/api/status", "/nowhere"):
        headers = (await closed.http.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


async def test_without_redis_the_guard_says_so_and_lets_nobody_in() -> None:
    """The key of the sessions is there."""
    server = fakeredis.FakeServer()
    server.connected = False
    site = Site(CLOSED, fakeredis.FakeAsyncRedis(server=server))
    reply = await site.http.get("/console")
    assert (reply.status_code, "Redis" in reply.text) == (503, True)


async def test_the_key_of_the_sessions_is_made_once(closed: Site) -> None:
    """All HTTP servers share it."""
    await closed.http.get("/console")
    before = await closed.redis.get(keys.CONSOLE_KEY)
    await Site(CLOSED, closed.redis).http.get("/console")
    assert await closed.redis.get(keys.CONSOLE_KEY) == before
    assert isinstance(before, bytes)
    assert len(before) == 32


def test_passwords_are_compared_by_digest_and_in_constant_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each with all that there are, of one length, right or wrong."""
    seen: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def noting(one: bytes, other: bytes) -> bool:
        seen.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noting)
    credentials = Credentials(CLOSED)
    assert isinstance(credentials.by_password(PASSWORD), Operator)
    assert credentials.by_password("x" * 5000 + "\ud800") is None
    assert seen == [(32, 32)] * 4
    assert PASSWORD not in repr(vars(credentials))


def test_after_five_tries_an_address_waits_and_others_do_not() -> None:
    """Thirty seconds, from the last try that was looked at: asking again in between costs nothing."""
    clock = ManualClock()
    tries = Tries(clock)
    assert [tries.take("10.0.0.1") for _ in range(MAX_TRIES)] == [0] * MAX_TRIES
    assert tries.take("10.0.0.1") == PAUSE_S
    assert tries.take("10.0.0.2") == 0
    clock.advance(PAUSE_S - 1)
    assert tries.take("10.0.0.1") == 1
    clock.advance(1)
    assert tries.take("10.0.0.1") == 0


def test_a_network_of_ipv6_is_one_address() -> None:
    """Who has one address has 2^64."""
    tries = Tries(ManualClock())
    for number in range(MAX_TRIES):
        assert tries.take(f"2001:db8::{number}") == 0
    assert tries.take("2001:db8::ffff") > 0
    assert tries.take("2001:db8:0:1::1") == 0


def test_who_knew_the_password_may_mistype_it_again() -> None:
    """And an address that is remembered no more may try: memory has a bound."""
    tries = Tries(ManualClock())
    for _ in range(MAX_TRIES):
        tries.take("10.0.0.1")
    tries.forget("10.0.0.1")
    assert tries.take("10.0.0.1") == 0
    for number in range(MAX_ADDRESSES + 1):
        tries.take(f"10.1.{number // 256}.{number % 256}")
    assert len(tries._spent) == MAX_ADDRESSES
