"""However much goes wrong, the log stays readable: sums once a minute, and troubles once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx
import redis
import redis.asyncio
from structlog.testing import capture_logs

from pipeline.storage import keys
from tests.support.letters import Pipeline
from tests.support.redis_server import free_port

DEADLINE_S = 20.0


async def test_two_thousand_events_that_die_as_they_are_split_are_one_line(
    client: redis.asyncio.Redis,
) -> None:
    """Each is a dead letter with a reason; the log says how many, and nothing of them."""
    pipeline = Pipeline(client)
    async with client.pipeline(transaction=False) as pipe:
        for number in range(2_000):
            pipe.xadd(keys.RAW, {"event": f"no json {number} of ann@example.com"})
        await pipe.execute()
    with capture_logs() as lines:
        await pipeline.split()
        assert lines == []
        pipeline._splitter._died.flush()
    [line] = lines
    assert (line["event"], line["events"], line["accounts"]) == (
        "split_died",
        2_000,
        "default:2000",
    )


def test_a_server_with_a_wrong_password_of_redis_says_where_it_listens_and_that_once(
    redis_url: str, tmp_path: Path
) -> None:
    """However many requests are refused for it. No password is in the log."""
    port = free_port()
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("requirepass", "the-right-one")
        try:
            text = _served(redis_url.replace("redis://", "redis://:a-wrong-one@"), port, tmp_path)
        finally:
            redis.Redis.from_url(
                redis_url.replace("redis://", "redis://:the-right-one@")
            ).config_set("requirepass", "")
    lines = text.splitlines()
    [started] = [line for line in lines if "event=process_started" in line]
    assert f"address=127.0.0.1:{port}" in started
    assert "target=sandbox" in started
    assert "trouble=wrong_login" in text
    assert text.count("event=redis_away") == 1
    assert len(lines) < 10
    assert "a-wrong-one" not in text


def _served(url: str, port: int, directory: Path) -> str:
    """What `sailpipe serve` logs while 200 requests are refused."""
    log = directory / "log"
    env = {"SAILPIPE_REDIS_URL": url, "PATH": "/usr/bin:/bin"}
    code = "from pipeline.cli import main; main()"
    with log.open("w") as stream:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", code, "serve", "--port", str(port)],
            env=env,
            cwd=directory,
            stderr=stream,
        )
        try:
            _ask(port)
            until = time.monotonic() + DEADLINE_S
            while "redis_away" not in log.read_text() and time.monotonic() < until:
                time.sleep(0.05)
        finally:
            process.terminate()
            process.wait(DEADLINE_S)
    return log.read_text()


def _ask(port: int) -> None:
    until = time.monotonic() + DEADLINE_S
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        while True:
            try:
                http.get("/healthz")
                break
            except httpx.ConnectError:
                assert time.monotonic() < until, "it does not listen"
                time.sleep(0.05)
        for _ in range(200):
            assert http.get("/readyz").status_code == 503
