"""What each recorded version has left in Redis, worked on by the processes of today."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from pipeline.cli.app import run
from pipeline.clock import SystemClock
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.server import RunningSandbox, running_in_thread
from pipeline.storage import keys
from tests.support.commands import running, wait_until
from tests.support.key_table import key_rows, row_of
from tests.support.pipe import identify
from tests.support.redis_server import RedisServer
from tests.upgrades.recording import FOLDER, Recording, record
from tests.upgrades.story import GHOST, work

pytestmark = pytest.mark.long

RECORDED = sorted(FOLDER.glob("*.json"))
NOT_RECORDED = {
    *("sailpipe:processes", "sailpipe:processes:seen", "sailpipe:splitter"),
    *("sailpipe:splitter:fallen", "sailpipe:verdict", "sailpipe:raw:probe", "sailpipe:slots-began"),
    *(
        "sailpipe:alerts",
        "sailpipe:alerts:turn",
        "sailpipe:alerts:failed",
        "sailpipe:alerts:refused",
    ),
    *("sailpipe:console:key", "sailpipe:refusals", "sailpipe:ACCOUNT:share:WRITE_KEY"),
    *("sailpipe:ACCOUNT:calls", "sailpipe:ACCOUNT:found:NAME", "sailpipe:ACCOUNT:reset"),
    *("sailpipe:ACCOUNT:reused", "sailpipe:ACCOUNT:reused:told", "sailpipe:ACCOUNT:dead:told"),
    *("sailpipe:ACCOUNT:jobs:lease", "sailpipe:ACCOUNT:jobs:sent:IDENTITY"),
    *("sailpipe:ACCOUNT:forgotten:ids", "sailpipe:ACCOUNT:audit:copy:TOKEN"),
    "sailpipe:ACCOUNT:forgotten:lease",
    "sailpipe:ACCOUNT:dedupe:TIME_SLICE",
}
"""What speaks of processes that ended, counts for alerts and metrics alone, expires within an hour, is there while a person is erased, or
is a secret; and how deep the sets of ids are, which are split once they hold hundreds."""
ORDERS = {"o-2", "o-3", "o-4"}
"""Of the story's orders those that waited for something, or whose call was under way."""

REPEAT = {"type": "track", "userId": "ann", "event": "Reached the end"}
ADDED = [identify(one) for one in ("eve-2", "d-unheard")]


def ask(*words: str) -> list[dict[str, Any]]:
    """What a command says with --json, in this process: it starts faster than one of its own."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = run([*words, "--json"])
    assert code == 0, words
    return [json.loads(line) for line in out.getvalue().splitlines()]


@dataclass
class Upgraded:
    """A recording, what commands said of it before any process ran, and what they said once all had come to rest."""

    story: dict[str, Any]
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    sandbox: Any = None


def look(story: dict[str, Any]) -> dict[str, Any]:
    """Every kind of reading there is."""
    letters = ask("dead", "list", "--limit", "100")
    traced = [*story["delivered"], *story["waiting"], *(one["id"] for one in letters)]
    return look_briefly(story) | {
        "shown": [ask("dead", "show", one["id"])[0] for one in letters],
        "seen": {one: ask("trace", one)[0]["seen"] for one in traced},
        "waiting": ask("waiting"),
        "groups": ask("dead", "stats"),
        "audit": ask("dead", "audit"),
        "person": ask("user", "ann")[0],
        "limits": ask("limits"),
        "calls": ask("calls"),
    }


def look_briefly(story: dict[str, Any]) -> dict[str, Any]:
    """What has changed when all is delivered."""
    return {
        "status": ask("status")[0],
        "letters": ask("dead", "list", "--limit", "100"),
        "fates": Counter(ask("trace", one)[0]["events"][-1]["fate"] for one in story["waiting"]),
        "jobs": ask("dead", "jobs"),
    }


def deliver(client: redis.Redis, folder: Path, story: dict[str, Any]) -> None:
    """Start today's processes, and come to rest; then replay every letter."""
    repeated = story["delivered"][1]
    with running("splitter", directory=folder), running("worker", directory=folder):
        for event in (*ADDED, {**REPEAT, "messageId": repeated}):
            client.xadd(keys.RAW, {"event": json.dumps(event)})
        assert run(["resume", "--lane", "page"]) == 0
        wait_until(lambda: at_rest(client), "all that waited is delivered")
        assert run(["dead", "replay", "--all", "--yes", "--overtaken"]) == 0
        wait_until(lambda: at_rest(client), "all that was replayed is delivered, or dead again")


def at_rest(client: redis.Redis) -> bool:
    mail = client.keys("sailpipe:*:mail:*")
    return not (
        mail
        or client.xlen(keys.RAW)
        or client.xlen(keys.HELD)
        or client.scard(keys.jobs_active("default"))
    )


@pytest.fixture(scope="module", params=RECORDED, ids=[path.stem for path in RECORDED])
def upgraded(
    request: pytest.FixtureRequest,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Upgraded]:
    """Each recording, looked at and delivered once; all tests look at what came of it."""
    folder = tmp_path_factory.mktemp("upgraded")
    recording = Recording.read(request.param)
    found = Upgraded(recording.story)
    options = SandboxOptions(unknown_user_on_event=False)
    ghosts = SandboxOptions(api_key="sandbox-ghost")
    with (
        pytest.MonkeyPatch.context() as patch,
        running_in_thread(options) as sandbox,
        running_in_thread(ghosts) as other,
    ):
        patch.chdir(folder)
        (folder / "sailpipe.toml").write_text(
            f'[accounts.{GHOST}]\napi_key = "sandbox-ghost"\napi_secret = "sandbox"\n'
            f'api_url = "{other.url}"\npageview_url = "{other.url}"\n'
        )
        for name, value in settings_for(redis_server, sandbox).items():
            patch.setenv(f"SAILPIPE_{name}", value)
        with redis.Redis.from_url(redis_server.url) as client:
            client.flushall()
            recording.load(client, int(SystemClock().now() * 1000))
            found.before = look(found.story)
            deliver(client, folder, found.story)
            found.after = look_briefly(found.story)
            found.sandbox = sandbox.app.sandbox
            yield found
            client.flushall()


def settings_for(server: RedisServer, sandbox: RunningSandbox) -> dict[str, str]:
    """Nothing dies of the hours that a recording is old, and nothing waits without need."""
    return {
        "REDIS_URL": server.url,
        "API_URL": sandbox.url,
        "PAGEVIEW_URL": sandbox.url,
        "API_KEY": "sandbox",
        "API_SECRET": "sandbox",
        "CUSTOMER_ID": "c",
        "READ_LAG": "0s",
        "USER_WAIT": "24h",
        "RETRY_FIRST": "1s",
        "RETRY_MAX": "1s",
    }


def accepted(status: dict[str, Any]) -> int:
    """Events that were accepted, by where they are now, over all accounts; without the second entries of some."""
    places = ("delivered", "dead", "ignored", "duplicates", "waiting", "removed")
    counts = [account["counts"] for account in status["accounts"].values()]
    return sum(int(one[name]) for one in counts for name in places) - sum(
        int(one["derived"]) for one in counts
    )


def test_every_event_that_waited_is_delivered(upgraded: Upgraded) -> None:
    """Also those of the raw stream, of an account that was not known, of a process that was killed."""
    lanes = upgraded.after["status"]["accounts"]["default"]["lanes"]
    assert {name: lane["backlog"] for name, lane in lanes.items()} == dict.fromkeys(lanes, 0)
    # The same order of another mailbox is a repeat of the first.
    one_less = len(upgraded.story["waiting"]) - 1
    assert upgraded.after["fates"] == {"delivered": one_less, "ignored": 1}
    purchases = Counter(one.extid for one in upgraded.sandbox.state.purchases)
    assert {number: purchases[number] for number in ORDERS} == dict.fromkeys(ORDERS, 1)
    raw = upgraded.story["raw"]
    status = upgraded.after["status"]["accounts"]
    assert status["default"]["counts"]["delivered"] >= len(raw) + one_less
    assert status[GHOST]["counts"]["delivered"] == len(upgraded.story["held"])


def test_no_event_is_lost_or_counted_twice_on_the_way(upgraded: Upgraded) -> None:
    """What was accepted before and what was added, a repeat among it, lies where `status` says, whatever became of it."""
    before, after = (accepted(one["status"]) for one in (upgraded.before, upgraded.after))
    assert (before > 0, after) == (True, before + len(ADDED) + 1)


def test_every_letter_is_listed_shown_and_replayed(upgraded: Upgraded) -> None:
    """One of every reason, with its event, its attempts and its group."""
    reasons = Counter(one["reason"] for one in upgraded.before["letters"])
    assert {*upgraded.story["dead"].values()} <= {*reasons}
    assert [one["raw"] != "" for one in upgraded.before["shown"]] == [True] * reasons.total()
    rejected = next(one for one in upgraded.before["shown"] if one["reason"] == "rejected")
    assert rejected["calls"][0]["endpoint"] == "/event"
    assert rejected["timeline"][0]["status"] == 400
    assert sum(one["letters"] for one in upgraded.before["groups"]) == reasons.total()
    again = {one["reason"] for one in upgraded.after["letters"]}
    assert "rejected" not in again, "this Sailthru takes it"
    assert {"invalid_json", "unmappable"} <= again, "what is wrong with them, is"


def test_every_trace_is_found(upgraded: Upgraded) -> None:
    """Of what was delivered, waits or died; before any process of today has written one."""
    assert [name for name, seen in upgraded.before["seen"].items() if not seen] == []


def test_what_was_remembered_is_still_known(upgraded: Upgraded) -> None:
    """Who a person is, which message was sent, how fast it may go, what a person has said of a group and asked for."""
    assert upgraded.before["person"]["email"]["address"] == "ann@example.org"
    duplicates = [
        one["status"]["accounts"]["default"]["counts"]["duplicates"]
        for one in (upgraded.before, upgraded.after)
    ]
    assert duplicates[1] - duplicates[0] == 1
    assert any(row.get("limit") == 37 for row in upgraded.before["limits"])
    assert "acknowledged" in {row["state"] for row in upgraded.before["groups"]}
    assert [(row["state"], row["total"]) for row in upgraded.before["jobs"]] == [("running", 1)]
    assert [(row["state"], row["sent"]) for row in upgraded.after["jobs"]] == [("done", 1)]
    assert [row["messageIds"] for row in upgraded.before["calls"]] == [["t-ann"]]
    assert {"mark", "replay"} <= {row["verb"] for row in upgraded.before["audit"]}


def test_the_newest_recording_has_every_key() -> None:
    """But for what is gone within minutes, or lies nowhere unless something is wrong: see NOT_RECORDED."""
    rows = {row.template for row in key_rows()}
    found = {row.template for key in newest().keys if (row := row_of(key.encode()))}
    assert rows - found == NOT_RECORDED


def test_the_newest_recording_has_all_that_this_version_writes(redis_url: str) -> None:
    """A kind of key or a field that it lacks asks for a new one: `python -m tests.upgrades.record`."""
    asyncio.run(work(redis_url))
    with redis.Redis.from_url(redis_url) as client:
        now = record(client, "", int(SystemClock().now() * 1000), {})
    assert newest().format == keys.FORMAT_NUMBER
    assert now.shape() - newest().shape() == set()


def newest() -> Recording:
    return max(map(Recording.read, RECORDED), key=lambda one: (one.format, one.recorded_at))
