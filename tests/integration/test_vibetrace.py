"""Vibetrace's event API as a process, with a real Redis and the sandbox: a plain caller, as its page shows one."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from pipeline.clock import SystemClock
from pipeline.sandbox.server import RunningSandbox, running_in_thread
from pipeline.storage import keys
from tests.support.redis_server import RedisServer

PAGE = Path(__file__).parents[2] / "docs" / "producers" / "vibetrace.md"
START_S = 15.0
ANN = "ann@example.com"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    with running_in_thread() as running:
        yield running


@pytest.fixture(scope="module")
def base_url(redis_server: RedisServer, sandbox: RunningSandbox) -> Iterator[str]:
    """The base URL of `sailpipe serve`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "SAILPIPE_REDIS_URL": redis_server.url, "SAILPIPE_API_URL": sandbox.url}
    env["SAILPIPE_PAGEVIEW_URL"] = sandbox.url
    words = [sys.executable, "-m", "pipeline.cli", "serve", "--port", str(port)]
    process = subprocess.Popen(words, env=env, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        wait_until_alive(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def wait_until_alive(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail(f"the server did not come up (exit code {process.poll()})")


@pytest.fixture
def store(redis_url: str, sandbox: RunningSandbox) -> Iterator[redis.Redis]:
    sandbox.app.reset()
    with redis.Redis.from_url(redis_url) as client:
        yield client


def taken(store: redis.Redis) -> list[dict[str, Any]]:
    entries: Any = store.xrange(keys.RAW)
    return [json.loads(fields[b"event"]) for _, fields in entries]


def know_ann(sandbox: RunningSandbox) -> None:
    """Sailthru has her, and we have never heard of her."""
    sandbox.app.sandbox.handle("POST", "/user", {"id": ANN, "key": "email"}, SystemClock().now())


def test_the_example_of_the_page_creates_an_event_once_sailthru_knows_the_user(
    base_url: str, store: redis.Redis, sandbox: RunningSandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it stands there, at this test's address: an error before, a custom event after, and one look-up for both."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    example = example.replace("http://127.0.0.1:8000", base_url)
    exec(example, {})  # noqa: S102 - our own page
    assert capsys.readouterr().out.startswith("400 {'errors': [{'message': 'User not found'")
    assert taken(store) == []
    know_ann(sandbox)
    for _ in range(2):
        exec(example, {})  # noqa: S102
        assert capsys.readouterr().out.startswith("200 {'results': {'message': 'Event created'")
    asked = [(one.method, one.endpoint) for one in sandbox.app.sandbox.state.calls]
    assert asked == [("GET", "/user")] * 2
    first, second = taken(store)
    assert (first["type"], first["event"]) == ("track", "my_event")
    assert first["properties"] == {"firstname": "Ann"}
    assert first["context"]["traits"] == {"email": ANN}
    assert first["messageId"] != second["messageId"]
