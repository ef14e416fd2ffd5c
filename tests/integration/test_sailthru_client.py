"""Our client against the sandbox over real sockets: answers, faults, secrets, reuse."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from pipeline.clock import SystemClock
from pipeline.lanes import PAGEVIEW_ENDPOINT
from pipeline.sailthru.answers import Accepted, Answer, Failed, Failure
from pipeline.sailthru.calls import Call, Method
from pipeline.sailthru.client import Credentials, SailthruClient
from pipeline.sandbox.app import create_app
from pipeline.sandbox.faults import Fault, FaultKind
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.server import RunningSandbox, running_in_thread

KEY, SECRET, CUSTOMER = "key-4711", "hush-hush", "customer-1"
OPTIONS = SandboxOptions(api_key=KEY, api_secret=SECRET, customer_id=CUSTOMER)
POST_USER = Call("POST", "/user", {"id": "usr_42", "key": "extid", "vars": {"a": 1}})
GET_USER = Call("GET", "/user", {"id": "usr_42", "key": "extid"})
PAGEVIEW = Call("POST", PAGEVIEW_ENDPOINT, {"url": "http://shop/1"})


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSandbox]:
    with running_in_thread(OPTIONS) as found:
        yield found


@pytest.fixture
def sandbox(running: RunningSandbox) -> RunningSandbox:
    running.app.reset()
    running.app.sandbox.options = OPTIONS
    return running


def credentials(url: str, **changes: Any) -> Credentials:
    known = {"api_key": KEY, "api_secret": SECRET, "customer_id": CUSTOMER}
    return Credentials(**{**known, "api_url": url, "pageview_url": url, **changes})


@pytest.fixture
def client(sandbox: RunningSandbox, http: httpx.AsyncBaseTransport) -> SailthruClient:
    return SailthruClient(credentials(sandbox.url), http, timeout_s=5)


def refused(answer: Answer) -> Failed:
    assert isinstance(answer, Failed), answer
    return answer


async def test_a_post_is_accepted_and_read_back(client: SailthruClient) -> None:
    """The answer has the body, the rate headers and how long it took."""
    posted = await client.send(POST_USER)
    assert isinstance(posted, Accepted)
    assert posted.body == {"ok": True}
    assert posted.rate is not None
    assert posted.rate.limit == 18_000
    assert posted.duration_s > 0
    read = await client.send(GET_USER)
    assert isinstance(read, Accepted)
    assert read.body["vars"] == {"a": 1}
    assert isinstance(await client.send(Call("DELETE", "/user", GET_USER.params)), Accepted)
    assert refused(await client.send(GET_USER)).failure is Failure.USER_NOT_FOUND


@pytest.mark.parametrize("odd", ["a+b", "a b", "a&b=c", "100%", "%2B", "a;b", "é☕", "#?/", '"'])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_any_text_keeps_its_signature_on_the_way(
    client: SailthruClient, odd: str, method: Method
) -> None:
    """No layer may re-encode what was signed."""
    user = {"id": odd, "key": "extid"}
    assert isinstance(await client.send(Call("POST", "/user", user)), Accepted)
    answer = await client.send(Call(method, "/user", user))
    assert isinstance(answer, Accepted), answer


async def test_a_pageview_bears_the_customer_id_and_is_not_signed(
    client: SailthruClient, sandbox: RunningSandbox
) -> None:
    """It goes to its own URL as JSON."""
    assert isinstance(await client.send(PAGEVIEW), Accepted)
    assert sandbox.app.sandbox.state.pageviews[0]["params"] == PAGEVIEW.params


@pytest.mark.parametrize(
    ("changes", "call", "code"),
    [
        ({"api_key": "wrong"}, POST_USER, 3),
        ({"api_secret": "wrong"}, POST_USER, 5),
        ({"api_secret": "wrong"}, GET_USER, 5),
        ({"customer_id": "wrong"}, PAGEVIEW, None),
        ({"customer_id": None}, PAGEVIEW, None),
    ],
)
async def test_wrong_credentials_are_a_matter_of_configuration(
    sandbox: RunningSandbox,
    http: httpx.AsyncBaseTransport,
    changes: dict[str, Any],
    call: Call,
    code: int | None,
) -> None:
    """They say nothing about the event."""
    client = SailthruClient(credentials(sandbox.url, **changes), http)
    found = refused(await client.send(call))
    assert (found.failure, found.code, found.ambiguous) == (Failure.MISCONFIGURED, code, False)


async def test_past_the_limit_it_is_throttled_until_the_reset(
    client: SailthruClient, sandbox: RunningSandbox
) -> None:
    """The refusal carries the headers the gate needs."""
    sandbox.app.sandbox.options = OPTIONS.changed({"limits": {"POST /user": 1}, "window_s": 86_400})
    await client.send(POST_USER)
    found = refused(await client.send(POST_USER))
    assert (found.failure, found.code) == (Failure.THROTTLED, 43)
    assert found.rate is not None
    assert found.rate.remaining == 0
    assert found.rate.reset % 86_400 == 0


@pytest.mark.parametrize(
    ("kind", "failure", "ambiguous"),
    [
        (FaultKind.SERVER_ERROR, Failure.UNAVAILABLE, True),
        (FaultKind.ERROR_9, Failure.UNAVAILABLE, True),
        (FaultKind.ERROR_IN_200, Failure.REJECTED, False),
        (FaultKind.RESET, Failure.UNAVAILABLE, True),
        (FaultKind.GARBAGE, Failure.UNAVAILABLE, True),
        (FaultKind.HALF_BODY, Failure.UNAVAILABLE, True),
    ],
)
@pytest.mark.parametrize("warm", [False, True], ids=["new-socket", "kept-socket"])
@pytest.mark.parametrize("call", [POST_USER, GET_USER, PAGEVIEW], ids=["post", "get", "pageview"])
async def test_every_fault_is_an_answer_and_nothing_is_sent_twice(
    client: SailthruClient,
    sandbox: RunningSandbox,
    kind: FaultKind,
    failure: Failure,
    ambiguous: bool,
    warm: bool,
    call: Call,
) -> None:
    """Trouble never raises; a GET is never ambiguous; each call reaches the server once."""
    if warm:
        await client.send(POST_USER)
    before = sandbox.app.sandbox.state.calls_seen
    sandbox.app.faults.add(Fault(kind, times=1))
    found = refused(await client.send(call))
    assert found.failure is failure
    assert found.ambiguous is (ambiguous and call.method == "POST")
    assert isinstance(await client.send(POST_USER), Accepted)
    assert sandbox.app.sandbox.state.calls_seen - before == 2


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.LATENCY])
@pytest.mark.parametrize("call", [POST_USER, GET_USER, PAGEVIEW], ids=["post", "get", "pageview"])
async def test_a_call_without_an_answer_in_time_is_given_up(
    http: httpx.AsyncBaseTransport, kind: FaultKind, call: Call
) -> None:
    """The timeout is for the whole call. A sandbox of its own: the call goes on there."""
    with running_in_thread(OPTIONS) as own:
        own.app.faults.add(Fault(kind, times=1, seconds=0.5))
        client = SailthruClient(credentials(own.url), http, timeout_s=0.2)
        found = refused(await client.send(call))
    assert (found.failure, found.status) == (Failure.UNAVAILABLE, None)
    assert found.message == "timed out"
    assert found.ambiguous is (call.method == "POST")


async def test_latency_within_the_timeout_is_a_success(
    client: SailthruClient, sandbox: RunningSandbox
) -> None:
    """Slow is not broken."""
    sandbox.app.faults.add(Fault(FaultKind.LATENCY, seconds=0.05))
    found = await client.send(POST_USER)
    assert isinstance(found, Accepted)
    assert found.duration_s >= 0.05


async def test_a_lost_answer_may_have_been_processed(
    client: SailthruClient, sandbox: RunningSandbox
) -> None:
    """Which is why it is called ambiguous."""
    sandbox.app.faults.add(Fault(FaultKind.RESET, processed=True))
    assert refused(await client.send(POST_USER)).ambiguous
    assert len(list(sandbox.app.sandbox.state.profiles)) == 1


async def test_a_call_that_never_left_is_not_ambiguous(http: httpx.AsyncBaseTransport) -> None:
    """Nobody listens: repeating is safe."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        found = refused(await SailthruClient(credentials(url), http).send(POST_USER))
    assert (found.failure, found.ambiguous) == (Failure.UNAVAILABLE, False)


class _AllTogether(SystemClock):
    """Latency that ends for all when as many calls are under way."""

    def __init__(self, calls: int) -> None:
        self._barrier = asyncio.Barrier(calls)

    async def sleep(self, seconds: float) -> None:
        await self._barrier.wait()


class StandingStill(SystemClock):
    """A process that is frozen for a minute after it has looked at the clock `looks` more times."""

    def __init__(self) -> None:
        self.looks = 0
        self._lost_s = 0.0

    def monotonic(self) -> float:
        now = super().monotonic() + self._lost_s
        self.looks -= 1
        if self.looks == 0:
            self._lost_s += 60.0
        return now


@pytest.mark.parametrize("looks", [1, 2], ids=["before connecting", "before writing"])
@pytest.mark.parametrize("reused", [False, True])
async def test_a_process_that_stood_still_before_the_first_byte_sends_none(
    reused: bool, looks: int, sandbox: RunningSandbox, http: httpx.AsyncBaseTransport
) -> None:
    """Another process may have made the call meanwhile; the socket may be new or kept."""
    clock = StandingStill()
    client = SailthruClient(credentials(sandbox.url), http, timeout_s=5, clock=clock)
    if reused:
        assert isinstance(await client.send(GET_USER), Failed)
    seen = len(sandbox.app.sandbox.state.calls)
    clock.looks = looks
    answer = refused(await client.send(POST_USER))
    assert (answer.failure, answer.ambiguous) == (Failure.UNAVAILABLE, False)
    assert len(sandbox.app.sandbox.state.calls) == seen
    assert isinstance(await client.send(POST_USER), Accepted)


async def test_nothing_is_sent_once_the_lease_around_a_call_is_over(
    sandbox: RunningSandbox, http: httpx.AsyncBaseTransport
) -> None:
    """The lease decides, however much is left of the call's own timeout."""
    client = SailthruClient(credentials(sandbox.url), http, timeout_s=5)
    assert not refused(await client.send(POST_USER, lambda: True)).ambiguous
    assert sandbox.app.sandbox.state.calls_seen == 0
    assert isinstance(await client.send(POST_USER), Accepted)


async def test_many_calls_run_at_once_and_the_next_ones_reuse_their_sockets(
    http: httpx.AsyncBaseTransport,
) -> None:
    """400 calls that are answered only together need 400 sockets; 400 more need no new one."""
    app = create_app(OPTIONS.changed({"latency_s": 1}), clock=_AllTogether(400))
    sockets: list[int] = []
    with running_in_thread(app=app) as own:
        client = SailthruClient(credentials(own.url), http, timeout_s=30)
        for _ in range(2):
            answers = await asyncio.gather(*(client.send(POST_USER) for _ in range(400)))
            assert all(isinstance(answer, Accepted) for answer in answers), answers[0]
            sockets.append(_open_sockets(client))
    assert sockets == [400, 400]


def _open_sockets(client: SailthruClient) -> int:
    transport: Any = client._http
    return len(transport._open)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_no_proxy_of_the_environment_is_used(
    client: SailthruClient, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Calls go to the address that is set, whatever else runs on the machine."""
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert isinstance(await client.send(POST_USER), Accepted)


async def test_a_cancelled_call_raises_cancelled(
    client: SailthruClient, sandbox: RunningSandbox
) -> None:
    """A worker that stops must not take its own stop for an outage."""
    sandbox.app.faults.add(Fault(FaultKind.HANG, seconds=5))
    task = asyncio.create_task(client.send(POST_USER))
    async with asyncio.timeout(5):
        while sandbox.app.sandbox.state.calls_seen == 0:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_no_log_names_key_secret_or_signature(
    client: SailthruClient,
    sandbox: RunningSandbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A GET's URL holds key and signature: neither library may log it."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    asyncio.get_running_loop().set_debug(True)
    for kind in (None, FaultKind.RESET, FaultKind.HALF_BODY):
        if kind is not None:
            sandbox.app.faults.add(Fault(kind, times=1))
        answer = await client.send(GET_USER)
        assert KEY not in repr(answer)
    await client.send(PAGEVIEW)
    for secret in (KEY, SECRET, CUSTOMER, "sig=", "usr_42"):
        assert secret not in caplog.text


async def test_no_repr_names_key_or_secret(client: SailthruClient) -> None:
    """They end up in tracebacks and failed assertions."""
    shown = repr(client._credentials) + repr(client)
    assert KEY not in shown
    assert SECRET not in shown
