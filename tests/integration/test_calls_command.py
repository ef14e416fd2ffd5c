"""`sailpipe calls`: what a dry run would have sent, one comparable line a call."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import redis

from pipeline.dryrun.calls import KeptCalls
from pipeline.sailthru.calls import Call
from pipeline.storage import keys
from tests.support.commands import Command, Setup, running, sailpipe
from tests.support.letters import Pipeline

IDENTIFY = Call("POST", "/user", {"key": "extid", "id": "u1", "keys": {"email": "ann@example.org"}})
ORDER = Call("POST", "/purchase", {"items": [{"qty": 1, "id": "p"}], "email": "bob@example.org"})
LOOK_UP = Call("GET", "/user", {"id": "u2", "key": "extid"})


@pytest.fixture
def kept(setup: Setup) -> None:
    async def work(pipeline: Pipeline) -> None:
        calls = KeptCalls(pipeline.redis, "default")
        await calls.add(IDENTIFY, "u1", ["m1", "m2"])
        await calls.add(LOOK_UP, "u2", ["m3"])
        await calls.add(ORDER, "u2", ["m3"])

    setup(work)


@pytest.mark.usefixtures("kept")
def test_calls_are_lines_of_one_shape_in_their_order(command: Command) -> None:
    """The same call is the same line but for its time: keys are in order, and nothing of the credentials is there."""
    code, out, _ = command("calls", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["endpoint"] for row in rows] == ["/user", "/user", "/purchase"]
    assert list(rows[0]) == ["time", "account", "messageIds", "method", "endpoint", "params"]
    shown = '"params":{"email":"bob@example.org","items":[{"id":"p","qty":1}]}}'
    assert out.splitlines()[2].endswith(shown)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("--user ANN@example.org", [["m1", "m2"]]),
        ("--user u2", [["m3"], ["m3"]]),
        ("--user U2", []),
        ("--endpoint /user", [["m1", "m2"], ["m3"]]),
        ("--endpoint POST_/purchase", [["m3"]]),
        ("--since 1h --user u1", [["m1", "m2"]]),
        ("--since 2100-01-01", []),
    ],
)
def test_calls_are_chosen_by_person_endpoint_and_time(
    command: Command, words: str, found: list[list[str]]
) -> None:
    """A person by each of the names they have."""
    given = [word.replace("_", " ") for word in words.split()]
    _, out, _ = command("calls", "--json", *given)
    assert [json.loads(line)["messageIds"] for line in out.splitlines()] == found


@pytest.mark.usefixtures("kept")
def test_people_read_a_call_in_a_line(command: Command) -> None:
    _, out, _ = command("calls", "--endpoint", "/purchase")
    assert out.strip().endswith(
        'POST /purchase  m3  {"email":"bob@example.org","items":[{"id":"p","qty":1}]}'
    )


@pytest.mark.usefixtures("kept")
def test_calls_are_forgotten_after_a_question(command: Command) -> None:
    """Or by a reset of the account, with the rest of the trial."""
    assert command("calls", "--clear", "--dry-run")[:2] == (0, "Would be forgotten: 3 calls.\n")
    assert sailpipe("calls", "--clear", stdin=b"n\n").returncode == 1
    assert len(command("calls", "--json")[1].splitlines()) == 3
    assert command("calls", "--clear", "--user", "u1")[0] == 2
    assert command("calls", "--clear", "--yes")[:2] == (0, "Forgotten: 3 calls.\n")
    code, out, err = command("calls")
    assert (code, out) == (0, "")
    assert "SAILPIPE_DRY_RUN" in err


@pytest.mark.usefixtures("kept")
def test_a_reset_forgets_them_too(command: Command, redis_url: str) -> None:
    """They are part of the trial."""
    assert command("reset", "--yes")[0] == 0
    with redis.Redis.from_url(redis_url) as client:
        assert client.exists(keys.dry_calls("default")) == 0


@pytest.mark.usefixtures("kept")
def test_calls_are_followed(setup: Setup, tmp_path: Path, redis_url: str) -> None:
    """Those that are kept by now, and then each as it comes."""

    async def later(pipeline: Pipeline) -> None:
        await KeptCalls(pipeline.redis, "default").add(LOOK_UP, "u9", ["m9"])

    words = ("calls", "--follow", "--json")
    with running(*words, directory=tmp_path, SAILPIPE_REDIS_URL=redis_url) as following:
        following.wait_for('"m3"')
        setup(later)
        following.wait_for('"m9"')
        assert following.stop(signal.SIGINT) == 0
