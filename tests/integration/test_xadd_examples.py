"""The programs of examples/ that need nothing but a Redis client: what they add is read as they mean it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from pipeline.events.models import Identify, Track, parse_event
from pipeline.splitter.triage import read_entry
from pipeline.storage import keys
from tests.support.node import FOLDER

EXAMPLES = Path(__file__).parents[2] / "examples"
DEADLINE_S = 30.0
UNREACHABLE = "redis://127.0.0.1:1/0"
PROGRAMS = ("xadd.sh", "xadd.js", "xadd.php")


def command(program: str) -> list[str]:
    """What runs the program. Skips the test where that is not installed."""
    runner = {"xadd.sh": "sh", "xadd.js": "node", "xadd.php": "php"}[program]
    if program == "xadd.sh" and shutil.which("redis-cli") is None:
        pytest.skip("no redis-cli (Debian: redis-tools)")
    if program == "xadd.js" and not (shutil.which("node") and (FOLDER / "node_modules").is_dir()):
        pytest.skip("no Node 20 with the packages of tests/node (make test installs them)")
    if program == "xadd.php" and not _php_has_redis():
        pytest.skip("no PHP with its extension redis (Debian: php-cli, php-redis)")
    return [shutil.which(runner) or runner, str(EXAMPLES / program)]


def _php_has_redis() -> bool:
    php = shutil.which("php")
    asked = [php or "", "-r", "exit(extension_loaded('redis') ? 0 : 1);"]
    return php is not None and subprocess.run(asked, check=False).returncode == 0  # noqa: S603 - our own words


def run(program: str, url: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with this Redis."""
    given = {"PATH": os.environ["PATH"], "NODE_PATH": str(FOLDER / "node_modules")}
    return subprocess.run(  # noqa: S603 - our own programs
        command(program),
        env={**given, "SAILPIPE_REDIS_URL": url},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=DEADLINE_S,
    )


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as opened:
        yield opened


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_adds_what_it_shows_a_reader(
    program: str, client: redis.Redis, redis_url: str
) -> None:
    """A profile that is live, and behind it at least one event of an import; quotes and accents as they are."""
    done = run(program, redis_url)
    assert (done.returncode, done.stderr) == (0, "")
    found: Any = client.xrange(keys.RAW)
    assert done.stdout.split() == [entry_id.decode() for entry_id, _ in found]
    first, *others = [read_entry(entry_id, fields) for entry_id, fields in found]
    identify = parse_event(first.raw)
    assert isinstance(identify, Identify)
    assert (identify.any_email, identify.traits["firstName"]) == ("zoe@example.com", "Zoë")
    assert (first.bulk, {entry.bulk for entry in others}) == (False, {True})
    events = [parse_event(entry.raw) for entry in others]
    assert {event.user_id for event in events} == {identify.user_id}
    assert isinstance(events[0], Track)
    assert events[0].event == "Joined Zoë's Club"
    ids = [event.message_id for event in (identify, *events)]
    assert len(set(ids)) == len(ids)
    assert None not in ids


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_is_told_by_redis_that_it_is_full(
    program: str, client: redis.Redis, redis_url: str
) -> None:
    """XADD is refused by Redis alone; the program ends with 1 and shows what it said."""
    client.config_set("maxmemory", "1")
    try:
        done = run(program, redis_url)
    finally:
        client.config_set("maxmemory", "0")
    assert done.returncode == 1
    assert "maxmemory" in done.stderr + done.stdout
    assert client.xlen(keys.RAW) == 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_does_not_wait_for_a_redis_that_is_away(program: str) -> None:
    """One try, one error."""
    done = run(program, UNREACHABLE)
    assert done.returncode == 1
    assert done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_user_of_redis_that_may_only_add_is_enough(
    program: str, client: redis.Redis, redis_url: str
) -> None:
    """The rules are those of docs/producers/redis.md."""
    page = (EXAMPLES.parent / "docs" / "producers" / "redis.md").read_text()
    [rules] = re.findall(r"`ACL SETUSER shop (.+?)`", page)
    admin: Any = client
    admin.execute_command("ACL", "SETUSER", "shop", *rules.split())
    try:
        done = run(program, redis_url.replace("//", "//shop:SECRET@"))
    finally:
        client.acl_deluser("shop")
    assert (done.returncode, done.stderr) == (0, "")
    assert client.xlen(keys.RAW) == len(done.stdout.split())
