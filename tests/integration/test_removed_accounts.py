"""Accounts that come into the settings, or are taken out, while events wait for them: every command that looks says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import OutOfMemoryError

from pipeline.events.models import Lane
from pipeline.ownership.accounts import enrol_accounts, removed_accounts
from pipeline.settings import AccountSettings, Settings
from pipeline.storage import keys
from tests.support.commands import Command, Setup, running, wait_until
from tests.support.letters import Pipeline, track

WHY = "account shoes is not in the settings (waiting events: 2, dead letters: 1)"
FIX = "put [accounts.shoes] back into the settings"
NOWHERE = dict.fromkeys(("SAILPIPE_API_URL", "SAILPIPE_PAGEVIEW_URL"), "http://127.0.0.1:9")
BOTH = Settings(accounts={name: AccountSettings(name=name) for name in ("default", "shoes")})


@pytest.fixture
def left(setup: Setup) -> None:
    """Two events and a letter of shoes, which only the workers' old settings name."""

    async def work(pipeline: Pipeline) -> None:
        shoes = Pipeline(pipeline.redis, BOTH, "shoes")
        await shoes.kill(track(1))
        await shoes.send(track(2), track(3))
        await shoes.split()
        await enrol_accounts(pipeline.redis, BOTH.accounts)

    setup(work)


@pytest.mark.usefixtures("left")
def test_status_says_that_the_events_of_a_removed_account_wait(command: Command) -> None:
    """In its first lines, and for programs."""
    lines = command("status")[1].splitlines()
    assert lines[1] == f"Not delivered: {WHY}."
    assert FIX in lines[2]
    found: dict[str, Any] = json.loads(command("status", "--json")[1])
    [row] = found["removed_accounts"]
    assert (row["account"], row["waiting"], row["dead"]) == ("shoes", 2, 1)
    assert FIX in row["fix"]


@pytest.mark.usefixtures("left")
def test_doctor_fails_for_a_removed_account_whose_events_wait(command: Command) -> None:
    """They would sleep unseen."""
    code, said, _ = command("doctor")
    assert code == 1
    assert f"fail shoes settings: {WHY} -> {FIX}" in said


@pytest.mark.usefixtures("left")
def test_a_worker_says_at_its_start_what_no_process_delivers(tmp_path: Path) -> None:
    """Once, in its log."""
    with running("worker", directory=tmp_path, **NOWHERE) as worker:
        worker.wait_for("event=account_removed account=shoes")
        [said] = [line for line in worker.lines if "account_removed" in line]
        assert "waiting=2" in said
        assert "letters=1" in said


async def test_an_account_is_remembered_by_the_workers_that_serve_it(
    client: redis.asyncio.Redis,
) -> None:
    """Also while Redis is full, which must keep no worker from starting; and forgotten once it is empty."""
    shoes = Pipeline(client, BOTH, "shoes")
    await shoes.send(track(1))
    await shoes.split()
    used = int((await client.info("memory"))["used_memory"])
    await client.config_set("maxmemory", used // 2)
    try:
        with pytest.raises(OutOfMemoryError):
            await client.sadd(keys.ACCOUNTS, "shoes")
        await enrol_accounts(client, BOTH.accounts)
    finally:
        await client.config_set("maxmemory", 0)
    assert await removed_accounts(client, ["default", "shoes"]) == []
    [found] = await removed_accounts(client, ["default"])
    assert (found.account, found.waiting, found.letters) == ("shoes", 1, 0)
    await client.delete(keys.counts("shoes"))
    assert await removed_accounts(client, ["default"]) == []


def test_an_account_may_be_added_and_processes_restarted_in_any_order(
    command: Command, redis_url: str, tmp_path: Path
) -> None:
    """Producers know it first here: its event waits for the splitter to be restarted, and every command says so."""
    event = {"event": json.dumps(track(1)), "account": "hats"}
    settings = tmp_path / "hats.toml"
    settings.write_text('[accounts.hats]\napi_key = "k"\napi_secret = "s"\n')
    with redis.Redis.from_url(redis_url) as store:
        store.xadd(keys.RAW, event)
        with running("splitter", directory=tmp_path, **NOWHERE) as before:
            before.wait_for("event=account_unknown account=hats")
            wait_until(lambda: store.xlen(keys.HELD) == 1, "its event is held")
            found: dict[str, Any] = json.loads(command("status", "--json")[1])
            [row] = found["unknown_accounts"]
            assert (row["account"], row["held"], found["raw"]) == (
                "hats",
                1,
                {"backlog": 0, "held": 1, "oldest_s": None},
            )
            assert found["accounts"]["default"]["counts"]["waiting"] == 1
            why = "account hats is not in the splitter's settings (events held: 1)"
            assert command("status")[1].splitlines()[1] == f"Not delivered: {why}."
            code, said, _ = command("doctor")
            assert code == 1
            assert f"fail hats settings: {why} -> put [accounts.hats] into the settings" in said
            before.stop()
        with running("splitter", directory=tmp_path, SAILPIPE_CONFIG=str(settings), **NOWHERE):
            waits = keys.mail("hats", Lane.EVENT, "u1")
            wait_until(lambda: store.llen(waits) == 1, "its event goes on")
        assert (store.xlen(keys.HELD), store.exists(keys.dead("default"))) == (0, 0)
