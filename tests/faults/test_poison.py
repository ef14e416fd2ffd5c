"""Events that kill or hang the process that splits or maps them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.storage import keys
from tests.faults.support.deaths import HANGER, KILLER, SPLIT_HANGER, SPLIT_KILLER
from tests.faults.support.traffic import traffic
from tests.faults.support.world import World
from tests.support.commands import wait_until


def send_with(world: World, message_id: str) -> str:
    """Have one bad event accepted among many others, before anybody works; its entry's id."""
    bad = {"type": "track", "event": "Played", "userId": "u1", "messageId": message_id}
    raws = traffic(200, 20, seed=32)
    raws.insert(60, json.dumps(bad).encode())
    world.send(raws)
    ids = [sid for sid, fields in world.client.xrange(keys.RAW) if fields[b"event"] == raws[60]]
    return str(ids[0].decode())


def hire_two(world: World, tokens: Path) -> None:
    for _ in range(2):
        world.crew.hire(app="tests.faults.support.worker", FAULTS_TOKENS=str(tokens))


def wait_for_poison(world: World, letter: str) -> None:
    world.began()
    wait_until(lambda: world.dead().get(letter) == "poison", "it is poison", 150)
    world.recovered()
    world.wait_settled(120)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("kind", [KILLER, HANGER])
def test_an_event_that_ends_its_process_is_poison_and_takes_no_other_with_it(
    world: World, tmp_path: Path, kind: str
) -> None:
    """After five unsettled claims it is dead; what waited behind and beside it is delivered."""
    send_with(world, f"{kind}1")
    hire_two(world, tmp_path)
    wait_for_poison(world, f"{kind}1")
    what = "kills" if kind == KILLER else "hangs"
    world.judge(f"an event that {what} its process", besides={f"{kind}1": "poison"})


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", [SPLIT_KILLER, SPLIT_HANGER])
def test_an_event_that_ends_its_splitter_is_poison_and_takes_no_other_with_it(
    world: World, tmp_path: Path, kind: str
) -> None:
    """Unread, so that its letter has the stream entry's id; the splitter goes on behind it."""
    entry = send_with(world, f"{kind}1")
    hire_two(world, tmp_path)
    wait_for_poison(world, entry)
    what = "kills" if kind == SPLIT_KILLER else "hangs"
    world.judge(f"an event that {what} its splitter", besides={entry: "poison"})
