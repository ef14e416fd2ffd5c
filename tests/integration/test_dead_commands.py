"""Dead letters on the command line: what people read, what programs read, and what is changed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import dead_change
from pipeline.clock import ManualClock
from pipeline.deadletters.runner import JobRunner
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.storage import keys
from tests.support.commands import Command, Setup
from tests.support.letters import Pipeline, order, track

LONG = "ajs-next-1764238000123-3f6d1c52-8a41-4d3f"


def rows(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def letters(setup: Setup) -> None:
    """Orders m1 and m2 without an email, the custom events m3 and m4 refused."""

    async def work(pipeline: Pipeline) -> None:
        for number in (1, 2):
            await pipeline.kill(order(number), lane=Lane.PURCHASE, reason=Reason.MISSING_EMAIL)
        await pipeline.kill(track(3), track(4))

    setup(work)


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (("--order", "o2"), ["m2"]),
        (("--match", "LAMP", "--user", "u1"), ["m1"]),
        (("--event", "signed up"), ["m4", "m3"]),
        (("--endpoint", "/event", "--code", "99"), ["m4", "m3", "m2", "m1"]),
        (("--code", "7"), []),
        (("--until", "1h"), []),
        (("--since", "2020-01-01", "--lane", "purchase"), ["m2", "m1"]),
    ],
)
def test_letters_are_listed_by_what_is_asked(
    command: Command, words: tuple[str, ...], ids: list[str]
) -> None:
    code, out, _ = command("dead", "list", "--json", *words)
    assert (code, [row["id"] for row in rows(out)]) == (0, ids)


@pytest.mark.usefixtures("letters")
def test_a_list_goes_on_where_the_last_one_ended(command: Command) -> None:
    code, out, err = command("dead", "list", "--json", "--limit", "3")
    assert (code, [row["id"] for row in rows(out)]) == (0, ["m4", "m3", "m2"])
    cursor = err.partition("--cursor ")[2].split()[0]
    out, err = command("dead", "list", "--json", "--cursor", cursor)[1:]
    assert ([row["id"] for row in rows(out)], err) == (["m1"], "")
    code, _, err = command("dead", "list", "--cursor", "there")
    assert (code, err) == (2, "sailpipe: --cursor: 'there' is no cursor.\n")


def test_a_row_is_one_line_of_80_columns_with_its_id_whole(
    setup: Setup, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(pipeline: Pipeline) -> None:
        event = track(1, "a-user-with-a-long-name@shop.example") | {"messageId": LONG}
        await pipeline.kill(event, detail="Something that takes many words to say, and more")

    setup(work)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    lines = command("dead", "list")[1].splitlines()
    [row] = [line for line in lines if LONG in line]
    assert len(row) <= 80
    assert "s ago" in row
    monkeypatch.undo()


@pytest.mark.usefixtures("letters")
def test_programs_read_tabs_or_json(command: Command) -> None:
    """No age, no ellipsis: ISO times and whole texts."""
    head, *lines = command("dead", "list", "--format", "tsv")[1].splitlines()
    assert head.split("\t")[:3] == ["id", "died_at", "reason"]
    assert [line.split("\t")[0] for line in lines] == ["m4", "m3", "m2", "m1"]
    assert all(len(line.split("\t")) == len(head.split("\t")) for line in lines)
    as_json = command("dead", "list", "--format", "json")[1]
    assert as_json == command("dead", "list", "--json")[1]
    assert rows(as_json)[0]["died_at"].endswith("+00:00")


@pytest.mark.usefixtures("letters")
def test_people_are_told_what_happened_and_what_to_do(command: Command) -> None:
    out = command("dead", "show", "m1")[1]
    assert "It has no e-mail address (the data's)" in out
    assert "send an identify with the email" in out
    assert '{"method":"POST","endpoint":"/event","params":{"id":"u1"}}' in out
    _, out, err = command("dead", "stats")
    assert "missing_email (the data's): it has no e-mail address. To do: send an identify" in err
    [row, _] = rows(command("dead", "stats", "--json", "--hours", "2")[1])
    assert row["by_hour"] == [0, 2]
    assert (row["letters"], row["users"], row["fault"], row["state"]) == (2, 2, "data", "open")


@pytest.mark.usefixtures("letters")
def test_a_group_is_marked_and_the_act_is_written_down(command: Command) -> None:
    [group] = {
        row["fingerprint"] for row in rows(command("dead", "stats", "--json", "--lane", "event")[1])
    }
    code, out, _ = command("dead", "mark", group[:6], "acknowledged", "--why", "template is gone")
    assert (code, out) == (0, f"Group {group} is acknowledged.\n")
    [row] = rows(command("dead", "stats", "--state", "acknowledged", "--json")[1])
    assert (row["fingerprint"], row["state_why"]) == (group, "template is gone")
    [act] = rows(command("dead", "audit", "--json")[1])
    assert (act["verb"], act["what"], act["why"]) == (
        "mark",
        f"group {group} acknowledged",
        "template is gone",
    )
    assert command("dead", "mark", "none", "open")[0] == 1


@pytest.mark.usefixtures("letters")
def test_an_edit_shows_what_changes_and_is_sent_by_a_replay(setup: Setup, command: Command) -> None:
    words = ("dead", "edit", "m1", "--set", "properties.email=ann@shop.example")
    code, out, _ = command(*words, "--dry-run")
    assert (code, command("dead", "show", "m1", "--json")[1].count("ann@shop")) == (0, 0)
    assert '  + properties.email: "ann@shop.example"' in out.splitlines()
    code, out, _ = command(*words, "--yes", "--why", "by phone")
    assert (code, out.splitlines()[-1]) == (0, "Edited: m1. `sailpipe dead replay m1` sends it.")
    [act] = rows(command("dead", "audit", "--json")[1])
    assert (act["what"], act["why"]) == ("letter m1: set properties.email", "by phone")
    assert command("dead", "replay", "m1", "--yes")[:2] == (0, "Replayed: 1.\n")
    setup(lambda pipeline: pipeline.split())
    assert command("dead", "list", "--order", "o1", "--json")[1] == ""
    assert command(*words)[0] == 1


@pytest.mark.usefixtures("letters")
def test_without_options_an_edit_opens_the_editor(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leaves must be JSON; an event that is left as it was changes nothing."""
    script = tmp_path / "editor.py"
    monkeypatch.setenv("EDITOR", f"{sys.executable} {script}")
    monkeypatch.delenv("VISUAL", raising=False)
    script.write_text("")
    assert command("dead", "edit", "m3", "--yes")[2] == "Nothing changes.\n"
    script.write_text(
        "import sys; p = sys.argv[1]; t = open(p).read(); open(p, 'w').write(t.replace('Signed Up', 'Came In'))"
    )
    code, out, _ = command("dead", "edit", "m3", "--yes")
    assert code == 0
    assert '- event: "Signed Up"' in out
    script.write_text("import sys; open(sys.argv[1], 'w').write('{')")
    code, _, err = command("dead", "edit", "m3", "--yes")
    assert code == 2
    assert "What the editor left is not JSON" in err


@pytest.mark.usefixtures("letters")
def test_a_fix_shows_what_it_does_asks_and_says_what_it_could_not(command: Command) -> None:
    change: tuple[str, ...] = (
        "--set",
        "properties.email=shop@shop.example",
        "--cast",
        "properties.order_id=int",
    )
    code, out, err = command("dead", "fix", "--lane", "purchase", *change, "--dry-run")
    assert (code, out) == (1, "")
    assert "Not changed, 2: properties.order_id cannot be read as int." in err
    change = ("--rename", "properties.order_id=properties.checkout_id")
    code, out, err = command("dead", "fix", "--lane", "purchase", *change, "--yes")
    assert (code, out.count("- properties.order_id")) == (0, 2)
    assert "Changed: 2." in err
    [act] = rows(command("dead", "audit", "--json")[1])
    assert act["what"] == "lane purchase: rename properties.order_id to properties.checkout_id"
    assert command("dead", "fix", "--all")[0] == 2
    assert command("dead", "fix", *change)[0] == 2


@pytest.mark.usefixtures("letters")
def test_a_drop_says_first_what_it_would_do(command: Command) -> None:
    code, out, err = command("dead", "drop", "--lane", "event", "--dry-run")
    assert (code, out) == (0, "Would be dropped: 2.\n")
    assert "Filter: lane event." in err
    assert len(rows(command("dead", "list", "--json")[1])) == 4


@pytest.mark.usefixtures("letters")
def test_a_replay_of_many_is_a_job(
    setup: Setup, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown, paused, resumed and stopped by its id or how that begins, and is in status while it lasts."""
    monkeypatch.setattr(dead_change, "AT_ONCE", 1)
    code, out, err = command(
        "dead", "replay", "--lane", "event", "--yes", "--first", "1", "--why", "mended"
    )
    assert code == 0
    assert "2 of them may start e-mails now." in err
    [job] = rows(command("dead", "jobs", "--json")[1])
    assert out == f"Job {job['id']}: 2 letters.\n"

    async def tick(pipeline: Pipeline) -> None:
        await JobRunner(pipeline.redis, pipeline.settings.accounts, "one", ManualClock()).turn()

    setup(tick)
    [job] = rows(command("dead", "jobs", "--json")[1])
    assert (job["state"], job["sent"], job["total"], job["what"]) == ("asking", 1, 2, "lane event")
    assert rows(command("status", "--json")[1])[0]["jobs"][0]["id"] == job["id"]
    line = command("status")[1].splitlines()[-1]
    assert line == (
        f"Replay {job['id'][:8]} (default) is asking, lane event: 1 of 2 letters through; sailpipe dead jobs"
    )
    for action, state in (("resume", "running"), ("pause", "paused"), ("stop", "stopped")):
        code, out, _ = command("dead", "jobs", action, job["id"][:6], "--json")
        assert (code, rows(out)[0]["state"]) == (0, state)
    assert rows(command("status", "--json")[1])[0]["jobs"] == []
    assert command("dead", "jobs", "stop", "none")[0] == 1
    assert command("dead", "jobs", "stop")[0] == 2
    [act] = rows(command("dead", "audit", "--json")[1])
    assert (act["verb"], act["count"], act["why"]) == ("replay", 2, "mended")


@pytest.mark.usefixtures("letters")
def test_a_job_of_ids_is_called_by_their_number_and_sends_what_was_overtaken_if_asked(
    setup: Setup, command: Command
) -> None:
    """In the audit trail and in the list of jobs; `all dead letters` would be another act."""

    async def overtake(pipeline: Pipeline) -> None:
        blob: Any = await pipeline.redis.hget(keys.dead("default"), "m3")
        header, _, raw = blob.partition(b"\n")
        follows = json.dumps(json.loads(header) | {"follows": "identify"}).encode()
        await pipeline.redis.hset(keys.dead("default"), "m3", follows + b"\n" + raw)
        newest: dict[Any, Any] = {"newest:identify": str(json.loads(header)["first_seen_ms"] + 1)}
        await pipeline.redis.hset(keys.user("default", "u3"), mapping=newest)

    async def run(pipeline: Pipeline) -> None:
        process = JobRunner(pipeline.redis, pipeline.settings.accounts, "one", ManualClock())
        while await process.turn():
            pass

    setup(overtake)
    assert command("dead", "replay", "m3", "m4", "--job", "--overtaken", "--yes")[0] == 0
    setup(run)
    [job] = rows(command("dead", "jobs", "--json")[1])
    assert (job["state"], job["sent"], job["overtaken"]) == ("done", 2, 0)
    [act] = rows(command("dead", "audit", "--json")[1])
    assert job["what"] == act["what"] == "2 by id"
