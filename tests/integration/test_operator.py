"""The operator's commands, as they are typed, on a real Redis."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.dead_options import person
from pipeline.counters import Count, counter
from pipeline.deadletters.store import DeadLetters
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.gates.gates import Closure, Gates
from pipeline.producer import AsyncProducer
from pipeline.splitter.triage import dedupe_hash
from pipeline.storage import keys
from tests.support.commands import Command, Setup, sailpipe
from tests.support.letters import Pipeline, order, track


@pytest.fixture
def letters(setup: Setup) -> None:
    """Three dead letters: m1, m2 rejected, m3 too old."""

    async def work(pipeline: Pipeline) -> None:
        await pipeline.kill(track(1), track(2))
        await pipeline.kill(track(3), reason=Reason.TOO_OLD)

    setup(work)


def rows(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def counts(command: Command) -> dict[str, int]:
    found: dict[str, int] = rows(command("status", "--json")[1])[0]["accounts"]["default"]["counts"]
    return {name: count for name, count in found.items() if count}


@pytest.mark.usefixtures("letters")
def test_status_is_a_table_for_people_and_one_object_for_programs(command: Command) -> None:
    """Both say the same; the JSON is one line."""
    code, out, _ = command("status")
    assert code == 0
    assert "Account default: enqueued 3, delivered 0, dead 3" in out
    assert "Dead: rejected 2, too_old 1" in out
    assert counts(command) == {"enqueued": 3, "dead": 3}
    assert list(rows(command("status", "--json", "--account", "default")[1])[0]) == [
        "headline",
        "version",
        "format",
        "redis_url",
        "target",
        "raw",
        "processes",
        "refusals",
        "refused_lately",
        "accounts",
        "removed_accounts",
        "unfinished_erasures",
        "unknown_accounts",
        "jobs",
        "needs_person",
    ]


@pytest.mark.usefixtures("letters")
def test_status_says_when_letters_had_to_go(setup: Setup, command: Command) -> None:
    """While no letter had to go, status shows no such line."""
    assert "DEAD_MAX" not in command("status")[1]

    async def trim(pipeline: Pipeline) -> None:
        await DeadLetters(pipeline.redis, "default").trim(2)

    setup(trim)
    out = command("status")[1]
    assert "Trimmed, as there were more than DEAD_MAX: rejected 1" in out
    assert "dead 2, ignored 0, duplicates 0, waiting 0, removed 1" in out


def test_status_says_how_many_users_sailthru_was_not_asked_about(
    setup: Setup, command: Command
) -> None:
    """Beside the counts of what became of events."""
    assert "was not asked about" not in command("status")[1]

    async def take_unchecked(pipeline: Pipeline) -> None:
        await AsyncProducer(pipeline.redis).count("default", counter(Count.UNCHECKED_USERS), 3)

    setup(take_unchecked)
    assert "Requests whose user Sailthru was not asked about: 3\n" in command("status")[1]
    assert counts(command) == {}


@pytest.mark.usefixtures("letters")
def test_dead_letters_are_listed_and_shown_in_the_agreed_shape(command: Command) -> None:
    """`show` is the row of `list` and more."""
    listed = rows(command("dead", "list", "--reason", "rejected", "--since", "1h", "--json")[1])
    assert [row["id"] for row in listed] == ["m2", "m1"]
    assert set(listed[0]) == {
        *("id", "account", "lane", "user", "type", "event", "reason", "detail", "endpoint"),
        *("status", "error", "attempts", "first_seen", "died_at", "fingerprint"),
    }
    [shown] = rows(command("dead", "show", "m1", "--json")[1])
    assert {name: shown[name] for name in listed[1]} == listed[1]
    assert json.loads(shown["raw"]) == track(1)
    assert shown["calls"][0]["endpoint"] == "/event"
    assert shown["timeline"] == []
    _, out, err = command("dead", "list", "--limit", "2")
    assert ("m3" in out, "m2" in out, "m1" in out) == (True, True, False)
    assert "more than these 2" in err
    assert '"messageId": "m1"' in command("dead", "show", "m1")[1]
    [biggest, _] = rows(command("dead", "stats", "--json")[1])
    assert (biggest["letters"], biggest["fingerprint"]) == (2, listed[0]["fingerprint"])


def test_letters_of_one_message_id_are_shown_or_named(setup: Setup, command: Command) -> None:
    """A messageId that is no letter's id leads to the one letter there is, or all are named."""

    async def kill(pipeline: Pipeline) -> None:
        for kind in ("a", "b", "c"):
            await pipeline.send({"messageId": "m[1]*", "type": kind})
        await pipeline.send(
            {"messageId": "m1~", "type": "d"}, {"messageId": "other~1", "type": "d"}
        )
        await pipeline.split()

    async def drop(pipeline: Pipeline, identity: str) -> None:
        await pipeline.moves.drop([identity])

    setup(kill)
    ids = [row["id"] for row in rows(command("dead", "list", "--json")[1]) if "[" in row["id"]]
    first, *others = sorted(ids)
    assert first == "m[1]*"
    code, out, err = command("dead", "show", first, "--json")
    assert (code, rows(out)[0]["id"]) == (0, first)
    assert err == f"Others of the same messageId: {', '.join(others)}.\n"
    setup(lambda pipeline: drop(pipeline, first))
    code, out, err = command("dead", "show", first)
    assert (code, out) == (1, "")
    assert ", ".join(others) in err
    setup(lambda pipeline: drop(pipeline, others[0]))
    code, out, err = command("dead", "show", first, "--json")
    assert (code, rows(out)[0]["id"], err) == (0, others[1], "")


def test_a_letter_with_hostile_bytes_can_still_be_shown(setup: Setup, command: Command) -> None:
    """Terminal escapes are not obeyed, and bytes that are no text do not break JSON."""

    async def work(pipeline: Pipeline) -> None:
        await pipeline.send(b"\x1b[2J\xff")
        await pipeline.split()

    setup(work)
    [row] = rows(command("dead", "list", "--json")[1])
    code, out, _ = command("dead", "show", row["id"])
    assert (code, "\x1b" in out, "[2J" in out) == (0, False, True)
    [shown] = rows(command("dead", "show", row["id"], "--json")[1])
    assert shown["raw"] == "\x1b[2J\\xff"


@pytest.mark.usefixtures("letters")
def test_a_replay_counts_first_and_asks(command: Command) -> None:
    """A dry run or a no changes nothing; --yes does not ask."""
    code, out, err = command("dead", "replay", "--reason", "rejected", "--dry-run")
    assert (code, out) == (0, "Would be replayed: 2.\n")
    assert "2 dead letters: rejected 2." in err
    refused = sailpipe("dead", "replay", "m1", stdin=b"n\n")
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"Replay them?" in refused.stderr
    assert counts(command) == {"enqueued": 3, "dead": 3}
    agreed = sailpipe("dead", "replay", "m1", stdin=b"y\n")
    assert (agreed.returncode, agreed.stdout) == (0, b"Replayed: 1.\n")
    code, out, _ = command("dead", "replay", "--all", "--yes", "--rate", "1000")
    assert (code, out) == (0, "Replayed: 2.\n")
    assert counts(command) == {"enqueued": 3, "waiting": 3}


@pytest.mark.usefixtures("letters")
def test_what_was_overtaken_stays_unless_it_is_asked_for(setup: Setup, command: Command) -> None:
    """An old identify must not undo a later one because an operator replayed all that died."""

    async def overtake(pipeline: Pipeline) -> None:
        blob: Any = await pipeline.redis.hget(keys.dead("default"), "m1")
        header, _, raw = blob.partition(b"\n")
        follows = json.dumps(json.loads(header) | {"follows": "identify"}).encode()
        await pipeline.redis.hset(keys.dead("default"), "m1", follows + b"\n" + raw)
        newest: dict[Any, Any] = {"newest:identify": str(json.loads(header)["first_seen_ms"] + 1)}
        await pipeline.redis.hset(keys.user("default", "u1"), mapping=newest)

    setup(overtake)
    code, out, err = command("dead", "replay", "--all", "--yes")
    assert (code, out) == (0, "Replayed: 2.\n")
    assert "1 of them are overtaken and stay; --overtaken sends them." in err
    assert command("dead", "replay", "m1", "--yes")[1] == ""
    assert command("dead", "replay", "m1", "--yes", "--overtaken")[1] == "Replayed: 1.\n"


@pytest.mark.usefixtures("letters")
def test_a_drop_asks_and_is_counted(command: Command) -> None:
    """Without an answer nothing is dropped."""
    assert sailpipe("dead", "drop", "m1").returncode == 1
    assert command("dead", "drop", "m1", "m1", "m2", "--yes")[:2] == (0, "Dropped: 2.\n")
    assert command("dead", "drop", "--reason", "rejected", "--yes")[:2] == (0, "")
    assert counts(command) == {"enqueued": 3, "dead": 1, "removed": 2}


@pytest.mark.parametrize(("verb", "done"), [("drop", "dropped"), ("replay", "replayed")])
@pytest.mark.usefixtures("letters")
def test_a_change_of_many_letters_tells_how_far_it_is(
    command: Command, verb: str, done: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand take a while."""
    monkeypatch.setattr("pipeline.cli.progress.LINE_EVERY", 2)
    err = command("dead", verb, "--reason", "rejected", "--yes")[2]
    assert err.endswith(f"2 {done} ...\n")


@pytest.mark.usefixtures("letters")
def test_an_export_can_be_enqueued_again(setup: Setup, command: Command) -> None:
    """Each event takes the place of its letter; what no line can bring back is told of."""
    code, out, err = command("dead", "export", "--reason", "too_old")
    assert (code, err) == (0, "Exported: 1.\n")
    key = dedupe_hash("m3", "track", "Signed Up")
    flag = {"replay": True, "letter": "m3", "key": key}
    assert json.loads(out) == track(3) | {"sailpipe": flag}
    Path("old.jsonl").write_text(out)
    assert command("enqueue", "old.jsonl")[0] == 0

    async def split_with_one_more(pipeline: Pipeline) -> None:
        await pipeline.send(b"no json")
        await pipeline.split()

    setup(split_with_one_more)
    left = {"enqueued": 5, "dead": 3, "waiting": 1, "removed": 1}
    assert counts(command) == left
    code, out, err = command("dead", "export")
    assert (code, len(out.splitlines())) == (1, 2)
    assert "Left out: 1" in err


def test_a_pause_lasts_until_it_is_resumed(setup: Setup, command: Command) -> None:
    """A lane by itself or all of an account; both say what stands now."""
    _, out, _ = command("pause", "--lane", "event", "--why", "a bad release")
    assert out.startswith("Closed: event is paused since ")
    assert f"(by {person()}: a bad release); sailpipe resume --lane event" in out
    assert "paused already" in command("pause", "--lane", "event")[2]
    assert "Closed: account is paused" in command("pause")[1]

    async def nothing_is_leased(pipeline: Pipeline) -> None:
        await pipeline.send(track(1))
        await pipeline.split()
        leased = await pipeline.mailboxes.wake(Lane.EVENT, bound=9, max_queue_length=9, own_tick=0)
        assert (leased.gate, leased.boxes) == ("closed", ())

    setup(nothing_is_leased)
    _, out, err = command("resume")
    assert err == "Account default was paused.\n"
    assert out.startswith("Closed: event is paused")
    assert command("resume", "--lane", "event")[1] == "All gates are open.\n"
    assert "was not paused" in command("resume", "--lane", "event")[2]
    acts = [row["verb"] for row in rows(command("dead", "audit", "--json")[1])]
    assert acts == ["resume", "resume", "pause", "pause"]


def test_what_waits_for_sailthru_is_tried_at_once_when_a_person_says_so(
    setup: Setup, command: Command
) -> None:
    """An outage and refused credentials, with the next mailbox that is due; a lane's own alone, if one is named."""
    far = 4_000_000_000_000

    async def stop(pipeline: Pipeline) -> None:
        gates = Gates(pipeline.redis, "default")
        await gates.close(Closure("POST /purchase", "circuit", far, 1_000, "", 6))
        await gates.close(Closure("api", "misconfigured", far, 1_000))
        await gates.close(Closure("POST /event", "throttled", far, 1_000))
        await pipeline.send(order(1))
        await pipeline.split()

    async def see(pipeline: Pipeline) -> None:
        found = await Gates(pipeline.redis, "default").all_closures(2_000)
        seconds, _ = await pipeline.redis.time()
        far_ones = [one.reason for one in found if one.until > (seconds + 60) * 1000]
        assert far_ones == ["throttled"]
        assert max(one.tries for one in found) == 6, (
            "the next pause is as long as it would have been"
        )
        probe = await pipeline.mailboxes.wake(
            Lane.PURCHASE, bound=9, max_queue_length=9, own_tick=0
        )
        assert (probe.gate, probe.boxes) == ("probe", ("u1",))

    assert "No gate waits for Sailthru" in command("resume", "--try-now")[2]
    setup(stop)
    said = command("resume", "--try-now", "--lane", "event")[2]
    assert ("api is tried" in said, "/purchase" in said) == (True, False)
    assert "POST /purchase is tried" in command("resume", "--try-now")[2]
    setup(see)


def test_a_full_redis_can_be_read_and_emptied_and_says_what_it_cannot_take(
    setup: Setup, command: Command
) -> None:
    """Reading, replaying and dropping work on, since they are how room is made; and so does the pause."""

    async def limit_memory(pipeline: Pipeline, share: float) -> None:
        used = int((await pipeline.redis.info("memory"))["used_memory"])
        await pipeline.redis.config_set("maxmemory", int(used * share))

    async def fill(pipeline: Pipeline) -> None:
        await pipeline.kill(track(1), track(2))
        await limit_memory(pipeline, 0.5)

    setup(fill)
    try:
        assert "Closed: redis is full" in command("status")[1]
        assert "m1" in command("dead", "list")[1]
        assert command("dead", "drop", "m1", "--yes")[:2] == (0, "Dropped: 1.\n")
        assert command("dead", "replay", "m2", "--yes")[:2] == (0, "Replayed: 1.\n")
        assert command("pause")[0] == 0
        code, _, err = command("limits", "set", "POST /event", "80")
        assert (code, "is full and takes nothing that needs memory" in err) == (1, True)
    finally:
        setup(lambda pipeline: limit_memory(pipeline, 0.0))


def test_a_person_resumes_what_the_brake_stopped(setup: Setup, command: Command) -> None:
    """What Sailthru closed stays closed: it ends when its cause does."""

    async def stop(pipeline: Pipeline) -> None:
        gates = Gates(pipeline.redis, "default")
        await gates.close(Closure("event", "brake", 0, 1_000, "most of the lane dies"))
        await gates.close(Closure("api", "misconfigured", 1, 1_000, "error 5"))

    setup(stop)
    code, out, err = command("resume", "--lane", "event")
    assert (code, err) == (0, "Lane event was stopped by the brake.\n")
    assert "api is misconfigured" in out
    assert "resume" not in out


def test_limits_are_shown_set_and_unset(command: Command) -> None:
    """The operator's word counts until it is taken back."""
    found = {row["bucket"]: row for row in rows(command("limits", "--json")[1])}
    assert found["POST /event"] == {
        "bucket": "POST /event",
        "limit": 40.0,
        "source": "default",
        "used": 0,
        "closed_until": None,
    }
    code, out, err = command("limits", "set", "post /event", "80", "--why", "ours is raised")
    assert (code, out) == (0, "POST /event is limited to 80 calls/s.\n")
    assert "40/s by default" in err
    found = {row["bucket"]: row for row in rows(command("limits", "--json")[1])}
    assert (found["POST /event"]["limit"], found["POST /event"]["source"]) == (80.0, "operator")
    assert "POST /event" in command("limits")[1]
    assert command("limits", "unset", "POST /event")[1] == (
        "POST /event is limited to 40 calls/s (default).\n"
    )
    acts = rows(command("dead", "audit", "--json")[1])
    assert [(act["verb"], act["what"], act["why"]) for act in acts] == [
        ("unlimit", "POST /event", None),
        ("limit", "POST /event to 80 calls/s", "ours is raised"),
    ]
    assert {act["by"] for act in acts} == {person()}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("dead show m9", 1, "no dead letter 'm9' in account default"),
        ("dead replay m9 --yes", 1, "no dead letter 'm9' in account default"),
        ("dead drop", 2, "Say which dead letters"),
        ("dead replay m1 --all", 2, "Say which dead letters"),
        ("dead list --since soon", 2, "'soon' is not a duration"),
        ("dead list --reason bad", 2, "--reason"),
        ("dead list --account x", 2, "There is no account 'x'"),
        ("pause --lane mail", 2, "--lane"),
        ("status --account x", 2, "There is no account 'x'"),
        ("limits --account x", 2, "There is no account 'x'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: str, code: int, said: str, command: Command
) -> None:
    """1 failed, 2 wrong usage; stdout stays empty."""
    ended, out, err = command(*words.split())
    assert (ended, out) == (code, "")
    assert said in " ".join(err.split())


@pytest.mark.parametrize(
    ("bucket", "limit", "said"),
    [
        ("/event", "80", "is not a method and a path"),
        ("POST /list", "80", "sailpipe makes no call POST /list"),
        ("POST /event", "0", "greater than 0"),
        ("POST /event", "many", "calls_per_s"),
    ],
)
def test_a_wrong_limit_is_refused(bucket: str, limit: str, said: str, command: Command) -> None:
    """A misspelt bucket would otherwise be a limit on nothing."""
    code, _, err = command("limits", "set", bucket, limit)
    assert code == 2
    assert said in err


@pytest.mark.parametrize("words", ["status", "dead list", "pause", "resume", "limits"])
def test_without_redis_every_command_says_what_to_do(
    words: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the setting and the command that would help, and never the password."""
    monkeypatch.setenv("SAILPIPE_REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    code, out, err = command(*words.split())
    assert (code, out) == (1, "")
    assert "redis://127.0.0.1:1/0 does not answer" in err
    assert "start `sailpipe up`, or mend SAILPIPE_REDIS_URL" in err
    assert (err.count("\n"), "secret" in err) == (1, False)
