"""Workers killed by SIGKILL while they deliver."""

from __future__ import annotations

import signal

import pytest

from tests.support.commands import wait_until
from tests.support.faults_crew import Worker
from tests.support.faults_traffic import traffic
from tests.support.faults_world import World


def kill_a_delivering_worker(world: World) -> None:
    """SIGKILL a process while a call of its own is under way; wait until others took its work."""
    found: list[Worker] = []

    def look() -> bool:
        worker = world.crew.delivering(world.app.busy_ports)
        found.extend([worker] if worker else [])
        return bool(found)

    wait_until(look, "a worker delivers")
    held = {box: token for box, token in world.lent().items() if token}
    world.began()
    found[0].send(signal.SIGKILL)
    wait_until(
        lambda: not any(world.lent().get(box) == token for box, token in held.items()),
        "all that was claimed then is settled or somebody else's",
    )
    world.recovered()


@pytest.mark.timeout(300)
def test_workers_killed_in_the_middle_of_calls_lose_and_double_nothing(
    world: World, scale: int
) -> None:
    """Mixed events; every kill lands while the process waits for an answer."""
    kills = 4 * scale
    for _ in range(2):
        world.crew.hire()
    batches = [traffic(1000 * scale, 60 * scale, seed=1)]
    size = len(batches[0]) // kills
    for number in range(kills):
        world.send(batches[0][number * size : (number + 1) * size])
        kill_a_delivering_worker(world)
    world.send(batches[0][kills * size :])
    world.wait_settled()
    world.judge(f"SIGKILL a delivering worker, {kills} times")
