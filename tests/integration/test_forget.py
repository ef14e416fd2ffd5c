"""`sailpipe forget`, as it is typed, on a real Redis."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from pipeline.errors import Reason
from tests.support.commands import Command, Setup
from tests.support.everything import names_of
from tests.support.letters import Pipeline

ANN, EMAIL, DEVICE = "user-ann-4711", "ann@forget.example", "device-ann-aa77"


def identify(user: str, email: str, device: str) -> dict[str, Any]:
    traits = {"email": email}
    return {"type": "identify", "userId": user, "anonymousId": device, "traits": traits}


def track(user: str) -> dict[str, Any]:
    return {"type": "track", "event": "Seen", "userId": user, "properties": {"by": user}}


@pytest.fixture
def people(setup: Setup) -> None:
    """One who waits in two lanes and has a dead letter, and a neighbour."""

    async def work(pipeline: Pipeline) -> None:
        await pipeline.send(identify(ANN, EMAIL, DEVICE), track(ANN))
        await pipeline.send(identify("bob", "bob@forget.example", "device-bob"), track("bob"))
        await pipeline.split()
        await pipeline.kill(track(ANN), reason=Reason.REJECTED)

    setup(work)


@pytest.fixture
def left(setup: Setup) -> Any:
    """Where a text stands in Redis by now."""

    def find(*texts: str) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []

        async def work(pipeline: Pipeline) -> None:
            found.extend(await names_of(pipeline.redis, *texts))

        setup(work)
        return found

    return find


@pytest.mark.usefixtures("people")
def test_counts_come_first_then_the_receipt_and_the_audit_trail_has_it(
    command: Command, left: Any
) -> None:
    """`--dry-run` removes nothing, `--check` ends with 1 while something is there."""
    code, out, err = command("forget", EMAIL, "--dry-run")
    assert (code, out) == (0, "Would be removed: 8 entries, keys and records.\n")
    assert f"person {ANN}" in err
    assert "also known as device-ann-aa77" in err
    assert "  mailboxes: 2\n" in err
    assert "  dead letters: 1\n" in err
    assert command("forget", ANN, "--check")[0] == 1
    code, out, err = command("forget", EMAIL, "--yes", "--why", f"{EMAIL} asked for it")
    assert code == 0, err
    assert ": 8 removed, 0 left\n" in out
    assert "On disk: Redis keeps no file by its settings; a dump.rdb" in out
    assert left(ANN, EMAIL, DEVICE) == []
    assert command("forget", EMAIL, "--check")[:2] == (
        0,
        "Nothing of this person is in account default.\n",
    )
    _, out, _ = command("dead", "audit", "--json")
    act = json.loads(out.splitlines()[0])
    assert (act["verb"], act["count"], act["why"]) == ("forget", 8, "*** asked for it")
    assert act["receipt"]["spaces"]["dead letters"]["removed"] == 1
    assert left("bob@forget.example") != []
    _, out, _ = command("status", "--json")
    counts = json.loads(out)["accounts"]["default"]["counts"]
    assert (counts["removed"], counts["waiting"], counts["enqueued"]) == (3, 2, 5)


@pytest.mark.usefixtures("people")
def test_json_is_one_object_a_line(command: Command) -> None:
    """Of a dry run, of a look, and of the receipt."""
    spaces = json.loads(command("forget", ANN, "--dry-run", "--json")[1])["spaces"]
    assert spaces["mailboxes"] == 2
    found = json.loads(command("forget", ANN, "--check", "--json")[1])
    assert found["found"] == 8
    receipt = json.loads(command("forget", ANN, "--yes", "--json")[1])
    assert (receipt["left"], receipt["removed"], receipt["ids"]) == (0, 8, 3)
    assert ANN not in json.dumps(receipt)


@pytest.mark.usefixtures("people")
def test_it_asks_and_does_nothing_without_a_yes(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And ends with 1."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    code, out, err = command("forget", ANN)
    assert (code, out) == (1, "")
    assert "Erase this person? [y/N]" in err
    assert command("forget", ANN, "--check")[0] == 1


@pytest.mark.usefixtures("people")
def test_what_cannot_be_asked_at_sailthru_is_said_and_leaves_who_is_who(command: Command) -> None:
    """Here no sandbox runs and no API key is set."""
    code, _, err = command("forget", EMAIL, "--yes", "--at-sailthru")
    assert code == 1
    assert "Sailthru was not asked: No sandbox is running." in err
    assert "also known as" in command("forget", DEVICE, "--dry-run")[2]
    said = "1 erasure of a person is unfinished in account default"
    _, out, _ = command("status")
    assert f"Not erased: {said}.\n  To end it, run `sailpipe forget ID` again" in out
    code, out, _ = command("status", "--check")
    assert (code, f"A person is needed: {said}: run" in out) == (1, True)
    assert said in command("doctor")[1]
    code, out, _ = command("forget", EMAIL, "--check")
    assert (code, "has not ended: run it again without --check" in out) == (1, True)
    assert command("forget", EMAIL, "--yes")[0] == 0
    assert "unfinished" not in command("status")[1]


def test_of_a_stranger_nothing_is_asked(command: Command, setup: Setup) -> None:
    """The receipt says that nothing was there."""
    code, out, err = command("forget", "nobody-1")
    assert code == 0
    assert "Nothing of this person is here." in err
    assert ": 0 removed, 0 left" in out


def test_an_id_of_shared_ids_is_refused(command: Command, setup: Setup) -> None:
    """One clear sentence."""
    code, _, err = command("forget", "guest", "--yes")
    assert code == 1
    assert "SHARED_IDS" in err
