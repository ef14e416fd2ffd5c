"""`sailpipe doctor`: what would lose events is a failure, and every line that isn't ok has a fix."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.checks import credentials, storage
from pipeline.checks.check import Verdict
from pipeline.cli.app import run
from pipeline.clock import SystemClock
from pipeline.lanes import Lane
from pipeline.processes.heartbeat import Heartbeat
from pipeline.processes.records import ProcessRole, this_process
from pipeline.sailthru.answers import Accepted, Answer, Failed, Failure
from pipeline.sandbox.server import running_in_thread
from pipeline.settings import AccountSettings
from pipeline.storage.redis_client import open_async_redis

GOOD: dict[str, Any] = {
    "redis_version": "7.2.4",
    "redis_mode": "standalone",
    "role": "master",
    "aof_enabled": 1,
    "maxmemory_policy": "noeviction",
    "used_memory": 2**20,
    "maxmemory": 0,
}


@pytest.mark.parametrize(
    ("info", "name", "verdict"),
    [
        ({}, None, None),
        ({"redis_version": "6.2.0"}, None, None),
        ({"redis_version": "6.0.16"}, "redis version", Verdict.FAIL),
        ({"redis_mode": "cluster"}, "redis role", Verdict.FAIL),
        ({"role": "slave"}, "redis role", Verdict.FAIL),
        ({"aof_enabled": 0}, "redis persistence", Verdict.WARN),
        ({"aof_last_write_status": "err"}, "redis persistence", Verdict.FAIL),
        ({"maxmemory_policy": "allkeys-lru"}, "redis eviction", Verdict.FAIL),
        ({"maxmemory": 2 * 2**20}, None, None),
        ({"maxmemory": int(1.3 * 2**20)}, "redis memory", Verdict.WARN),
        ({"maxmemory": int(1.2 * 2**20)}, "redis memory", Verdict.FAIL),
        ({"total_system_memory": int(1.2 * 2**20)}, "redis memory", Verdict.FAIL),
    ],
)
def test_redis_is_judged_by_what_would_lose_events(
    info: dict[str, Any], name: str | None, verdict: Verdict | None
) -> None:
    """Eviction loses them silently, a cluster cannot run the scripts, no AOF loses them at restart."""
    checks = storage.judge(GOOD | info, memory_high=0.8)
    wrong = [check for check in checks if check.verdict is not Verdict.OK]
    assert [(check.name, check.verdict) for check in wrong] == ([(name, verdict)] if name else [])
    assert all(check.fix for check in wrong)


def test_a_valkey_is_called_by_its_own_version() -> None:
    """INFO's redis_version is the Redis it is compatible with, which says little to its operator."""
    checks = storage.judge(GOOD | {"valkey_version": "9.1.2"}, memory_high=0.8)
    assert "7.2.4 (Valkey 9.1.2)" in [check.found for check in checks]


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Accepted(200, {}), Verdict.OK),
        (Failed(Failure.REJECTED, 400, 99, "User not found"), Verdict.OK),
        (Failed(Failure.USER_NOT_FOUND, 400, 99, "User not found"), Verdict.OK),
        (Failed(Failure.MISCONFIGURED, 401, 3, "Invalid API key"), Verdict.FAIL),
        (Failed(Failure.UNAVAILABLE, None, None, "ClientConnectorError"), Verdict.FAIL),
        (Failed(Failure.THROTTLED, 429, 43, "Too many"), Verdict.WARN),
    ],
)
def test_credentials_are_fine_when_sailthru_speaks_of_the_user(
    answer: Answer, verdict: Verdict
) -> None:
    """`No such user` proves that key and signature were accepted."""
    found = credentials.judge("credentials", answer, AccountSettings())
    assert found.verdict is verdict


def lines(capfd: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    return {line["check"]: line for line in found}


async def all_processes_beat(redis_url: str) -> None:
    """As a worker of all lanes and a splitter do every few seconds."""
    clock = SystemClock()
    async with open_async_redis(redis_url) as client:
        for role, lanes in ((ProcessRole.WORKER, list(Lane)), (ProcessRole.SPLITTER, [])):
            await Heartbeat(client, this_process(role, clock, lanes=lanes), [], clock).beat()


def test_a_healthy_installation_ends_with_0(
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Every line is one JSON object."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
    asyncio.run(all_processes_beat(redis_url))
    with running_in_thread() as sandbox:
        monkeypatch.setenv("SAILPIPE_API_URL", sandbox.url)
        monkeypatch.setenv("SAILPIPE_PAGEVIEW_URL", sandbox.url)
        assert run(["doctor", "--json"]) == 0
    found = lines(capfd)
    assert {name for name, line in found.items() if line["result"] != "ok"} == {"redis persistence"}


def test_wrong_credentials_end_with_1_and_say_which_setting(
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The sandbox answers a bad signature as Sailthru does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
    monkeypatch.setenv("SAILPIPE_API_KEY", "sandbox")
    monkeypatch.setenv("SAILPIPE_API_SECRET", "hunter2")
    with running_in_thread() as sandbox:
        monkeypatch.setenv("SAILPIPE_API_URL", sandbox.url)
        monkeypatch.setenv("SAILPIPE_PAGEVIEW_URL", sandbox.url)
        assert run(["doctor", "--json"]) == 1
    line = lines(capfd)["default credentials"]
    assert line["result"] == "fail"
    assert "SAILPIPE_API_SECRET" in line["fix"]
    assert "hunter2" not in str(line)


def test_an_unknown_setting_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A typo in a variable's name would otherwise be silence."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAILPIPE_RETRY_FRIST", "2s")
    assert run(["doctor", "--json"]) == 1
    assert "SAILPIPE_RETRY_FIRST" in lines(capfd)["settings"]["found"]
