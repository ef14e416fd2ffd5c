"""What may be the matter with a Redis that answers: brought about on a real one, and mended again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import redis

from tests.support.commands import wait_until
from tests.support.redis_server import free_port


@contextmanager
def configured(client: redis.Redis, **options: str) -> Iterator[None]:
    """With these options, and as it was afterwards."""
    before = {name.replace("_", "-"): client.config_get(name.replace("_", "-")) for name in options}
    for name, value in options.items():
        client.config_set(name.replace("_", "-"), value)
    try:
        yield
    finally:
        for name, found in before.items():
            client.config_set(name, found[name] or "")


def full(client: redis.Redis) -> AbstractContextManager[None]:
    return configured(client, maxmemory="1")


def without_replicas(client: redis.Redis) -> AbstractContextManager[None]:
    return configured(client, min_replicas_to_write="1")


@contextmanager
def read_only(client: redis.Redis) -> Iterator[None]:
    client.replicaof("127.0.0.1", str(free_port()))
    try:
        yield
    finally:
        client.replicaof("NO", "ONE")


@contextmanager
def without_disk(client: redis.Redis) -> Iterator[None]:
    """A snapshot could not be written: its file's name is a folder's."""
    taken = Path(str(client.config_get("dir")["dir"]), "dump.rdb")
    taken.unlink(missing_ok=True)
    taken.mkdir()
    with configured(client, save="1000 1000"):
        client.bgsave()
        wait_until(
            lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "it fails"
        )
        yield
    taken.rmdir()
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok", "it succeeds")


@contextmanager
def with_password(client: redis.Redis) -> Iterator[None]:
    client.config_set("requirepass", "right")
    try:
        yield
    finally:
        client.config_set("requirepass", "")
