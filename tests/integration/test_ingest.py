"""The HTTP server as a process, a real Redis, and clients that know nothing of us: curl's way, the
official Segment SDK."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import redis
import segment.analytics as segment

from pipeline.errors import ConfigError
from pipeline.ingest.server import serve
from pipeline.settings import load_settings
from pipeline.storage import keys
from tests.support.commands import wait_until
from tests.support.node import FOLDER, run_node
from tests.support.redis_server import RedisServer

START_S = 15.0
SERVE = (
    "import os, sys; from pipeline.settings import load_settings;"
    " from pipeline.ingest.server import serve;"
    " serve(load_settings(os.environ), '127.0.0.1', int(sys.argv[1]))"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_alive(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail(f"the server did not come up (exit code {process.poll()})")


@pytest.fixture(scope="module")
def base_url(redis_server: RedisServer) -> Iterator[str]:
    """The base URL of a served process."""
    with serving(redis_server.url) as url:
        yield url


@contextmanager
def serving(redis_url: str, code: str = SERVE, log: Path | None = None) -> Iterator[str]:
    """A server process for as long as the block lasts; its base URL."""
    port = free_port()
    env = {**os.environ, "SAILPIPE_REDIS_URL": redis_url}
    with (log or Path(os.devnull)).open("ab") as said:
        process = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-c", code, str(port)], env=env, stderr=said if log else None
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_alive(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def taken(store: redis.Redis) -> list[dict[str, Any]]:
    entries: Any = store.xrange(keys.RAW)
    return [json.loads(fields[b"event"]) for _, fields in entries]


def test_one_curl_like_request_puts_one_event_into_redis(base_url: str, store: redis.Redis) -> None:
    """The README's first event: Basic auth with the sandbox's key, a JSON body."""
    body = {"userId": "u1", "traits": {"email": "ann@example.com"}}
    reply = httpx.post(f"{base_url}/v1/identify", json=body, auth=("sandbox", ""))
    assert (reply.status_code, reply.json()) == (200, {"success": True})
    assert "server" not in reply.headers  # a stranger is told no version to look up faults of
    (event,) = taken(store)
    assert (event["type"], event["traits"]) == ("identify", {"email": "ann@example.com"})
    assert [fields[b"via"] for _, fields in cast("Any", store.xrange(keys.RAW))] == [b"segment"]


@pytest.mark.parametrize("packed", [False, True])
def test_the_official_python_sdk_needs_only_a_host_and_a_key(
    base_url: str, store: redis.Redis, packed: bool
) -> None:
    """segment-analytics-python, unmodified: batches, explicit nulls, gzip; no error reported."""
    errors: list[object] = []
    client = segment.Client(
        "sandbox",
        host=base_url,
        gzip=packed,
        on_error=lambda error, _: errors.append(error),
        max_retries=0,
    )
    client.identify("u1", {"email": "ann@example.com"})
    for n in range(250):
        client.track("u1", "Viewed", {"n": n})
    client.alias("anon-1", "u1")
    client.flush()
    client.join()
    events = taken(store)
    assert errors == []
    assert [event["type"] for event in events] == ["identify", *["track"] * 250, "alias"]
    assert [event["properties"]["n"] for event in events[1:-1]] == list(range(250))
    assert all(event["messageId"] and "writeKey" not in event for event in events)


def test_the_sdk_drops_nothing_silently_when_its_key_is_wrong(
    base_url: str, store: redis.Redis
) -> None:
    """A 401 reaches on_error at once instead of being retried ten times."""
    errors: list[Any] = []
    client = segment.Client("nope", host=base_url, on_error=lambda error, _: errors.append(error))
    client.track("u1", "Viewed")
    client.flush()
    client.join()
    assert [(error.status, error.code) for error in errors] == [(401, "invalid_write_key")]
    assert taken(store) == []


def test_the_sdk_with_a_pages_key_sends_all_but_what_a_page_may_not(
    redis_server: RedisServer, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One refused event costs none of the others in the SDK's batch, and no error."""
    monkeypatch.setenv("SAILPIPE_WRITE_KEYS", "erp,page:browser:200")
    errors: list[Any] = []
    with serving(redis_server.url) as url:
        client = segment.Client(
            "page", host=url, on_error=lambda error, _: errors.append(error), max_retries=0
        )
        client.identify("u1", {"email": "ann@example.com"})
        client.track("u1", "Order Completed", {"order_id": "o1"})
        client.alias("anon-1", "u1")
        client.track("u1", "Viewed")
        client.flush()
        client.join()
        alone = httpx.post(
            f"{url}/v1/alias", json={"userId": "a", "previousId": "b"}, auth=("page", "")
        )
    assert (errors, alone.status_code) == ([], 403)
    assert [event["type"] for event in taken(store)] == ["identify", "track"]
    entries: Any = store.xrange(keys.RAW)
    assert {fields[b"role"] for _, fields in entries} == {b"browser"}
    assert store.hget(keys.counts("default"), "ignored:refused_by_role") == b"2"


def test_the_official_node_sdk_comes_again_after_a_503(base_url: str, store: redis.Redis) -> None:
    """@segment/analytics-node keeps its events while Redis is full, and nothing is lost or there twice."""
    env = {"HOST": base_url, "WRITE_KEY": "sandbox", "SAYS": "20"}
    store.config_resetstat()
    store.config_set("maxmemory", "1")
    with ThreadPoolExecutor() as pool:
        try:
            running = pool.submit(run_node, FOLDER / "segment.cjs", env)
            wait_until(
                lambda: running.done() or "errorstat_OOM" in store.info("errorstats"), "full"
            )
        finally:
            store.config_set("maxmemory", "0")
        said = json.loads(running.result())
    assert said["errors"] == []
    assert {"200", "503"} == set(map(str, said["statuses"]))
    assert "1" in said["retries"]
    assert sorted(one["event"] for one in taken(store)) == sorted(f"Seen {n}" for n in range(20))
    wait_until(lambda: store.hget(keys.REFUSALS, "unavailable"), "what was refused is counted")


def test_a_client_that_offers_http_2_keeps_its_body(base_url: str, store: redis.Redis) -> None:
    """Java's own HTTP client sends `Upgrade: h2c` with every request; HTTP/1.1 is our answer."""
    offer = {
        "Connection": "Upgrade, HTTP2-Settings",
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAMAAABk",
    }
    event = {"userId": "u1", "event": "Signed Up"}
    answer = httpx.post(f"{base_url}/v1/track", json=event, headers=offer, auth=("sandbox", ""))
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert store.xlen(keys.RAW) == 1


def send_one(base_url: str) -> httpx.Response:
    event = {"userId": "u1", "event": "Viewed"}
    return httpx.post(f"{base_url}/v1/track", json=event, auth=("sandbox", ""), timeout=30)


def assert_come_again(refused: httpx.Response) -> None:
    """What SDKs keep the event and try again on."""
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert int(refused.headers["Retry-After"]) > 0


def test_a_full_redis_is_503_and_the_server_recovers(base_url: str, store: redis.Redis) -> None:
    """`noeviction` at maxmemory: nothing is acknowledged that was not taken."""
    store.config_set("maxmemory", "1")
    try:
        refused = send_one(base_url)
    finally:
        store.config_set("maxmemory", "0")
    assert_come_again(refused)
    assert "memory" in refused.json()["message"]
    assert taken(store) == []
    assert send_one(base_url).status_code == 200
    assert len(taken(store)) == 1


def test_a_read_only_redis_is_503_and_the_server_recovers(
    base_url: str, store: redis.Redis
) -> None:
    """A master that was demoted: it answers, and takes nothing."""
    store.replicaof("127.0.0.1", str(free_port()))
    try:
        refused = send_one(base_url)
    finally:
        store.replicaof("NO", "ONE")
    assert_come_again(refused)
    assert taken(store) == []
    assert send_one(base_url).status_code == 200
    assert len(taken(store)) == 1


def test_a_redis_that_is_gone_is_503_and_the_server_recovers(tmp_path: Path) -> None:
    """Killed and started again: the server finds it without being told, its connections broken."""
    server = RedisServer(tmp_path, append_only=True, fsync="always")
    server.start()
    try:
        with serving(server.url) as base_url, redis.Redis.from_url(server.url) as store:
            assert send_one(base_url).status_code == 200
            server.kill()
            for _ in range(3):
                assert_come_again(send_one(base_url))
            server.start()
            assert send_one(base_url).status_code == 200
            assert len(taken(store)) == 2
    finally:
        server.kill()


FEW_DESCRIPTORS = (
    "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300));"
    " from pipeline.observe.logs import set_up_logging; set_up_logging();" + SERVE
)
HALF = b"POST /v1/track HTTP/1.1\r\nHost: shop\r\nContent-Length: 500\r\n"


@pytest.mark.parametrize("half", [b"", HALF, HALF + b"\r\n{"], ids=["nothing", "head", "body"])
def test_senders_of_half_a_request_keep_no_client_out(
    redis_url: str, store: redis.Redis, tmp_path: Path, half: bytes
) -> None:
    """More of them than the process has descriptors for: the slowest go, and the log stays short."""
    log = tmp_path / "log"
    with serving(redis_url, FEW_DESCRIPTORS, log) as base_url:
        port = int(base_url.rpartition(":")[2])
        senders = []
        try:
            for _ in range(600):
                sender = socket.create_connection(("127.0.0.1", port))
                senders.append(sender)
                sender.sendall(half)
            assert send_one(base_url).status_code == 200
            assert httpx.get(f"{base_url}/healthz", timeout=30).status_code == 200
        finally:
            for sender in senders:
                sender.close()
        assert send_one(base_url).status_code == 200
    assert len(taken(store)) == 2
    assert log.stat().st_size < 2_000
    assert "senders_cut_off" in log.read_text()


def test_two_lengths_end_the_connection(base_url: str, store: redis.Redis) -> None:
    """What comes behind such a request is not read as another."""
    port = int(base_url.rpartition(":")[2])
    event = b'{"writeKey":"sandbox","userId":"u1","event":"Viewed"}'
    head = b"POST /v1/track HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n" % len(event)
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(event), event)
    second = head + b"\r\n" + event
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sender:
        sender.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + second)
        answer = b""
        while received := sender.recv(65_536):
            answer += received
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert taken(store) == []


def test_a_taken_port_is_one_clear_sentence(redis_url: str) -> None:
    """The user does not get uvicorn's log line and exit code 3."""
    settings = load_settings({"SAILPIPE_REDIS_URL": redis_url})
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ConfigError, match=f"Port {port} is taken"):
            serve(settings, "127.0.0.1", port)
