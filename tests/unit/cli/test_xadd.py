"""`sailpipe xadd`: what redis-cli would add, by a machine that has none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from pipeline.cli.app import run
from pipeline.storage import keys
from pipeline.storage.verdict import Verdict
from tests.support.commands import sailpipe

EVENT = '{"type": "page", "userId": "zoë"}'


@pytest.fixture
def client(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[redis.Redis]:
    monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
    monkeypatch.chdir(tmp_path)
    with redis.Redis.from_url(redis_url) as opened:
        yield opened


def entries(client: redis.Redis) -> list[tuple[str, dict[str, str]]]:
    found: Any = client.xrange(keys.RAW)
    return [
        (entry_id.decode(), {name.decode(): value.decode() for name, value in fields.items()})
        for entry_id, fields in found
    ]


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ([], {}),
        (["--bulk"], {"class": "bulk"}),
        (["--role", "browser"], {"role": "browser"}),
        (["--account", "shoes"], {"account": "shoes"}),
    ],
)
def test_an_entry_is_what_the_options_say_and_its_id_is_printed(
    client: redis.Redis,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    fields: dict[str, str],
) -> None:
    Path("sailpipe.toml").write_text("[accounts.shoes]\n")
    assert run(["xadd", EVENT, *options]) == 0
    [(entry_id, found)] = entries(client)
    assert found == {"event": EVENT, **fields}
    assert capsys.readouterr().out == f"{entry_id}\n"


def test_an_event_from_stdin_may_stand_on_several_lines(client: redis.Redis) -> None:
    """As a heredoc or another program writes it."""
    done = sailpipe("xadd", "-", stdin=b'{\n "type": "page"\n}\n')
    [(entry_id, found)] = entries(client)
    assert (done.returncode, done.stdout.decode()) == (0, f"{entry_id}\n")
    assert found == {"event": '{\n "type": "page"\n}'}


def test_nothing_but_an_absent_event_is_refused(client: redis.Redis) -> None:
    """The contract of XADD: what is wrong becomes a dead letter."""
    assert run(["xadd", " "]) == 2
    assert run(["xadd", "no JSON"]) == 0
    assert [fields for _, fields in entries(client)] == [{"event": "no JSON"}]


def test_it_is_refused_while_redis_is_short_of_memory(
    client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unlike redis-cli it asks first, and says why."""
    client.set(keys.VERDICT, Verdict(memory=90).encode())
    assert run(["xadd", EVENT]) == 1
    assert "memory" in capsys.readouterr().err
    assert entries(client) == []
