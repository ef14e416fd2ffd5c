"""What commands say of an account whose data are another target's, and what an operator can do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.events.models import Lane
from pipeline.ownership.change import Change
from pipeline.storage import keys
from pipeline.targets import SANDBOX
from tests.support.commands import Command, Setup, sailpipe
from tests.support.letters import Pipeline, track

LIVE = {
    "SAILPIPE_API_KEY": "1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d",
    "SAILPIPE_API_SECRET": "secret",
    "SAILPIPE_API_URL": "http://127.0.0.1:9",
    "SAILPIPE_PAGEVIEW_URL": "http://127.0.0.1:9",
}
FOREIGN = (
    "account default belongs to the sandbox, and these settings deliver to 127.0.0.1:9 (API key"
    " 1a2b...) (waiting events: 3, dead letters: 1)"
)


@pytest.fixture
def trial(setup: Setup) -> None:
    """What a trial in the sandbox leaves: a dead letter, two events in mailboxes, one to be split."""

    async def work(pipeline: Pipeline) -> None:
        await pipeline.kill(track(1))
        await pipeline.send(track(2), track(3))
        await pipeline.split()
        await pipeline.send(track(4))

    setup(work)


@pytest.fixture
def live(trial: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the real key is set."""
    for name, value in LIVE.items():
        monkeypatch.setenv(name, value)


def ownership(command: Command) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command("status", "--json")[1])["accounts"]["default"]
    row: dict[str, Any] = found["ownership"]
    return row


def acts(command: Command) -> list[tuple[str, str, int, str | None]]:
    found = map(json.loads, command("dead", "audit", "--json")[1].splitlines())
    return [(act["verb"], act["what"], act["count"], act["why"]) for act in found]


@pytest.mark.usefixtures("trial")
def test_with_the_trial_s_own_settings_nothing_is_foreign(command: Command) -> None:
    """Its owner is named, and there is nothing to mend."""
    row = ownership(command)
    assert (row["owner"], row["target"], row["foreign"]) == (SANDBOX, SANDBOX, False)
    assert (row["why"], row["fix"]) == (None, None)
    assert "Not delivered" not in command("status")[1]
    assert "ok   default target: the sandbox" in command("doctor")[1]


@pytest.mark.usefixtures("live")
def test_status_begins_with_what_is_not_delivered_and_why(command: Command) -> None:
    """Lines for people come before all tables; programs find the same in the JSON."""
    lines = command("status")[1].splitlines()
    assert lines[1] == f"Not delivered: {FOREIGN}."
    assert "`sailpipe reset`" in lines[2]
    assert "`sailpipe adopt`" in lines[2]
    row = ownership(command)
    assert (row["owner"], row["foreign"], row["why"]) == (SANDBOX, True, FOREIGN)
    assert row["target"].startswith("127.0.0.1:9 1a2b-")


@pytest.mark.usefixtures("live")
def test_the_doctor_fails_an_account_of_another_target(command: Command) -> None:
    """The check's fix says how to go on."""
    code, out, _ = command("doctor", "--json")
    found = {row["check"]: row for row in map(json.loads, out.splitlines())}
    check = found["default target"]
    assert (code, check["result"], check["found"]) == (1, "fail", FOREIGN)
    assert "SAILPIPE_DATA_DIR" in check["fix"]


def test_before_anything_was_delivered_an_account_is_no_target_s(
    setup: Setup, command: Command
) -> None:
    """What was accepted and split goes to whichever target delivers first."""

    async def work(pipeline: Pipeline) -> None:
        await pipeline.send(track(1))
        await pipeline.split()

    setup(work)
    assert (ownership(command)["owner"], ownership(command)["foreign"]) == (None, False)


def test_status_shows_each_of_several_accounts_by_itself(
    setup: Setup, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One may be foreign and the others not."""

    async def work(pipeline: Pipeline) -> None:
        await pipeline.redis.set(keys.target("shoes"), "api.sailthru.com x-1")
        leased = await pipeline.mailboxes.wake(Lane.EVENT, bound=1, max_queue_length=9, own_tick=0)
        assert not leased.boxes

    setup(work)
    Path("sailpipe.toml").write_text("[accounts.shoes]\n[accounts.hats]\n")
    lines = [line for line in command("status")[1].splitlines() if "Not delivered" in line]
    assert len(lines) == 1
    assert "account shoes belongs to api.sailthru.com (API key x...)" in lines[0]
    assert "sailpipe adopt --account shoes" in command("status", "--account", "shoes")[1]
    assert "Not delivered" not in command("status", "--account", "hats")[1]


@pytest.mark.usefixtures("live")
def test_letters_of_the_trial_are_not_replayed_into_the_live_account(command: Command) -> None:
    """One sentence says whose they are; a dry run says the same, and dropping is never refused."""
    for more in ("--yes", "--dry-run"):
        code, out, err = command("dead", "replay", "--all", more)
        assert (code, out) == (1, "")
        assert "Nothing was replayed, since account default belongs to the sandbox" in err
        assert "`sailpipe adopt`" in err
    assert command("dead", "replay", "--reason", "too_old", "--yes")[:2] == (0, "")
    assert command("dead", "drop", "--all", "--yes")[:2] == (0, "Dropped: 1.\n")


def test_a_letter_says_where_it_died_and_goes_nowhere_else(setup: Setup, command: Command) -> None:
    """The account may belong to another target by now; a letter that names no target is the account's."""

    async def work(pipeline: Pipeline) -> None:
        await pipeline.kill(track(1), track(2))
        blob: Any = await pipeline.redis.hget(keys.dead("default"), "m1")
        header, _, raw = blob.partition(b"\n")
        named = json.dumps(json.loads(header) | {"target": "api.sailthru.com x-1"}).encode()
        await pipeline.redis.hset(keys.dead("default"), "m1", named + b"\n" + raw)

    setup(work)
    assert (
        json.loads(command("dead", "show", "m1", "--json")[1])["target"] == "api.sailthru.com x-1"
    )
    code, _, err = command("dead", "replay", "--all", "--yes")
    assert code == 1
    assert "letters among these died at api.sailthru.com (API key x...)" in err
    assert command("dead", "replay", "m2", "--yes")[:2] == (0, "Replayed: 1.\n")


@pytest.mark.usefixtures("live")
def test_adopt_counts_first_and_asks(command: Command) -> None:
    """A dry run or a no changes nothing; afterwards the account is this target's."""
    code, out, err = command("adopt", "--dry-run")
    assert (code, out) == (0, "Would be adopted: 3 events, 1 dead letters.\n")
    assert "belongs to the sandbox, and is adopted by 127.0.0.1:9 (API key 1a2b...)" in err
    assert "Kept: 3 events, 1 dead letters" in err
    refused = sailpipe("adopt", stdin=b"n\n")
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"Deliver them to 127.0.0.1:9" in refused.stderr
    assert ownership(command)["foreign"]
    code, out, _ = command("adopt", "--yes", "--why", "we are live")
    assert (code, out) == (0, "Adopted: 3 events, 1 dead letters.\n")
    [act] = acts(command)
    assert act[1:] == ("from the sandbox to 127.0.0.1:9 (API key 1a2b...)", 3, "we are live")
    assert not ownership(command)["foreign"]
    assert command("dead", "replay", "--all", "--yes")[:2] == (0, "Replayed: 1.\n")
    code, out, err = command("adopt", "--yes")
    assert (code, out) == (0, "")
    assert "belongs to 127.0.0.1:9 (API key 1a2b...) already" in err


def test_what_is_no_target_s_needs_no_adoption(command: Command) -> None:
    """The next that delivers has it."""
    code, out, err = command("adopt", "--yes")
    assert (code, out) == (0, "")
    assert "was delivered yet" in err


@pytest.mark.usefixtures("live")
def test_an_interrupted_change_is_reported_and_can_be_ended(command: Command, setup: Setup) -> None:
    """Nothing is delivered meanwhile, so a person must hear of it, and what to do."""

    async def begin(pipeline: Pipeline) -> None:
        await Change(pipeline.redis, "default", "adopt").begin()

    setup(begin)
    assert "`sailpipe adopt` of account default has not come to its end" in command("status")[1]
    assert "run `sailpipe adopt` again" in command("doctor")[1]
    assert command("adopt", "--yes")[0] == 0
    assert not ownership(command)["foreign"]


@pytest.mark.usefixtures("live")
def test_a_full_redis_is_adopted_all_the_same(setup: Setup, command: Command) -> None:
    """A trial may have filled it, and only what is delivered makes room."""

    async def fill(pipeline: Pipeline) -> None:
        await pipeline.redis.config_set("maxmemory", "1")

    async def relieve(pipeline: Pipeline) -> None:
        await pipeline.redis.config_set("maxmemory", "0")

    setup(fill)
    try:
        assert command("adopt", "--yes")[0] == 0
    finally:
        setup(relieve)
    assert not ownership(command)["foreign"]


def waits(command: Command) -> int:
    found: dict[str, Any] = json.loads(command("status", "--json")[1])["accounts"]["default"]
    return int(found["counts"]["enqueued"])


@pytest.mark.usefixtures("live")
def test_reset_counts_first_and_asks(command: Command) -> None:
    """A trial needs a yes; a dry run or a no changes nothing. The next target that delivers has the account."""
    code, out, err = command("reset", "--dry-run")
    assert (code, out) == (0, "Would be removed: 3 events, 1 dead letters.\n")
    assert "Account default belongs to the sandbox: 3 events, 1 dead letters" in err
    assert "A worker is running" in err, "the test's own splitter has the lease"
    refused = sailpipe("reset", stdin=b"default\n")
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert waits(command) == 4
    agreed = sailpipe("reset", stdin=b"y\n")
    assert (agreed.returncode, agreed.stdout) == (0, b"Removed: 3 events, 1 dead letters.\n")
    assert waits(command) == 0
    assert (ownership(command)["owner"], ownership(command)["foreign"]) == (None, False)


@pytest.mark.usefixtures("live")
def test_a_reset_empties_the_audit_trail_and_stands_there_itself(command: Command) -> None:
    """Who emptied the account is known afterwards, and nothing of what people said before."""
    assert command("pause", "--why", "Ann called")[0] == 0
    assert command("reset", "--yes", "--why", "the trial is over")[0] == 0
    numbers = "3 events, 1 dead letters"
    assert acts(command) == [("reset", numbers, 4, "the trial is over")]


@pytest.mark.usefixtures("live")
def test_before_a_live_account_is_emptied_its_name_must_be_typed(
    setup: Setup, command: Command
) -> None:
    """The same when nothing of the account was delivered yet. With --yes no question is asked."""
    for owner in ("api.sailthru.com x-1", None):

        async def give(pipeline: Pipeline, owner: str | None = owner) -> None:
            await pipeline.redis.delete(keys.target("default"))
            if owner:
                await pipeline.redis.set(keys.target("default"), owner)

        setup(give)
        refused = sailpipe("reset", stdin=b"y\n")
        assert refused.returncode == 1
        assert b"Type default to go on:" in refused.stderr
        assert waits(command) == 4
    assert sailpipe("reset", stdin=b"default\n").returncode == 0
    assert waits(command) == 0
    assert command("reset", "--yes")[:2] == (0, "Removed: 0 events, 0 dead letters.\n")


@pytest.mark.usefixtures("live")
def test_an_interrupted_reset_is_reported_and_ended_before_anything_else(
    command: Command, setup: Setup
) -> None:
    """What is half gone is not taken over."""

    async def begin(pipeline: Pipeline) -> None:
        await Change(pipeline.redis, "default", "reset").begin()

    setup(begin)
    assert "`sailpipe reset` of account default has not come to its end" in command("status")[1]
    code, _, err = command("adopt", "--yes")
    assert (code, "run `sailpipe reset` again" in err) == (1, True)
    assert command("reset", "--yes")[:2] == (0, "Removed: 3 events, 1 dead letters.\n")
    assert not ownership(command)["foreign"]
