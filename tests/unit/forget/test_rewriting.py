"""Redis' files are written anew after an erasure, or the receipt says why they are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from pipeline.forget.forgetting import Forgetting
from pipeline.forget.rewriting import Rewriting
from tests.support.forgetting import (
    ANN,
    erase,
    known,
)
from tests.support.pipe import ACCOUNT, Pipe


async def test_redis_files_are_written_anew(pipe: Pipe) -> None:
    """The append-only file and the snapshot hold what was removed until then."""
    client = pipe.redis
    folder = Path((await client.config_get("dir"))["dir"])
    await client.config_set("save", "3600 100000")
    await client.config_set("appendonly", "yes")
    try:
        await known(pipe, ANN)
        await until_written(client, folder, ANN.email.encode())
        receipt = await erase(pipe, ANN.user)
        assert (receipt.disk.is_clean, receipt.is_whole) == (True, True)
        assert receipt.disk.text == "append-only file rewritten; snapshot rewritten"
        assert not holds(folder, ANN.email.encode())
    finally:
        await client.config_set("appendonly", "no")
        await client.config_set("save", "")


async def until_written(client: Any, folder: Path, text: bytes) -> None:
    """Redis writes its file a second later at most."""
    for _ in range(100):
        if holds(folder, text):
            return
        await asyncio.sleep(0.05)
    pytest.fail("Redis has written no file")


def holds(folder: Path, text: bytes) -> bool:
    """Whether a file of Redis' holds a text."""
    return any(text in path.read_bytes() for path in folder.rglob("*") if path.is_file())


@asynccontextmanager
async def narrow(pipe: Pipe, *rights: str) -> AsyncIterator[Forgetting]:
    """As a user of Redis who may not do everything."""
    client, name = pipe.redis, "narrow"
    url = client.connection_pool.connection_kwargs
    allowed = "on", ">pw", "~*", "&*", "+@all", *rights
    await client.execute_command("ACL", "SETUSER", name, *allowed)
    try:
        address = f"redis://{name}:pw@{url['host']}:{url['port']}/0"
        async with redis.asyncio.Redis.from_url(address) as one:
            yield Forgetting(one, pipe._all, ACCOUNT, pipe.clock, time_ms=pipe.now_ms)
    finally:
        await client.execute_command("ACL", "DELUSER", name)


async def test_a_redis_that_forbids_it_is_said(pipe: Pipe) -> None:
    """The receipt is not whole then: the file still holds the person."""
    await pipe.redis.config_set("appendonly", "yes")
    try:
        async with narrow(pipe, "-bgrewriteaof") as doing:
            receipt = await doing.erase(await doing.plan(ANN.user), by="eve")
    finally:
        await pipe.redis.config_set("appendonly", "no")
    assert (receipt.is_clean, receipt.is_whole) == (True, False)
    assert receipt.disk.text.startswith("Redis forbids BGREWRITEAOF (")


async def test_a_redis_that_does_not_say_what_it_keeps_is_not_called_clean(pipe: Pipe) -> None:
    """Many a hosted one forbids CONFIG and makes snapshots: one that is known of is written anew."""
    await pipe.redis.config_set("save", "3600 100000")
    folder = Path((await pipe.redis.config_get("dir"))["dir"])

    async def none_yet(_: Rewriting) -> dict[str, Any]:
        return {"aof_enabled": 0, "rdb_last_bgsave_time_sec": -1}

    try:
        async with narrow(pipe, "-config") as doing:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Rewriting, "_info", none_yet)
                unsaid = await doing.erase(await doing.plan(ANN.user), by="eve")
            await known(pipe, ANN)
            await pipe.redis.bgsave()
            await until_written(pipe.redis, folder, ANN.user.encode())
            saved = await doing.erase(await doing.plan(ANN.user), by="eve")
        assert ANN.user.encode() not in (folder / "dump.rdb").read_bytes()
    finally:
        await pipe.redis.config_set("save", "")
    assert (unsaid.is_clean, unsaid.is_whole) == (True, False)
    assert unsaid.disk.text.startswith("Redis does not say whether it keeps snapshots")
    assert (saved.is_whole, saved.disk.text) == (True, "snapshot rewritten")


async def test_a_redis_that_keeps_no_file_may_have_one_that_was_made_by_hand(pipe: Pipe) -> None:
    """The receipt does not say that there is none."""
    receipt = await erase(pipe, ANN.user)
    assert receipt.disk.text.startswith("Redis keeps no file by its settings; a dump.rdb")
