"""Workers killed by SIGKILL while they deliver."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from pipeline.sandbox.faults import Fault, FaultKind
from tests.faults.conftest import Open
from tests.faults.support.account import PATIENCE_S, Box, Held
from tests.faults.support.crew import Worker
from tests.faults.support.deaths import (
    AFTER_INTENT,
    AFTER_SETTLE,
    AFTER_SPLIT,
    BEFORE_SETTLE,
    BEFORE_SPLIT,
    CART,
    ORDER,
    at,
    schedule,
    scheduled,
)
from tests.faults.support.traffic import traffic
from tests.faults.support.world import World, sandbox_options
from tests.support.commands import wait_until

TAKEN_UP_WITHIN_S = 15.0
MANY = 1_000_000


def wait_for_hits(fault: Fault, more: int) -> None:
    """Return when a rule, which has no end, has hit so many further calls."""
    target = (fault.times or 0) - more
    wait_until(lambda: (fault.times or 0) <= target, f"{more} more calls are hit")


def kill_a_delivering_worker(world: World, within_s: float = PATIENCE_S) -> None:
    """SIGKILL a process while a call of its own is under way; others take its work in time.

    Returns when they have done it: an event that five processes die of, one after the other, is poison.
    """
    found: list[tuple[Worker, dict[Box, Held]]] = []

    def look() -> bool:
        worker = world.crew.freeze_in_a_call(lambda: world.app.busy_ports)
        if worker is None:
            return False
        claimed = world.claimed()
        if claimed:
            found.append((worker, claimed))
        else:  # it had its answer by then, and was through
            worker.send(signal.SIGCONT)
        return bool(claimed)

    wait_until(look, "a worker delivers")
    [(worker, claimed)] = found
    world.began()
    worker.send(signal.SIGKILL)
    world.wait_until_taken_up(claimed, within_s)
    world.recovered()
    world.wait_until_gone_on(claimed)


def wait_for_strikes(world: World, tokens: Path, *places: str) -> None:
    """Return when all that was scheduled has happened, and the last one's work is taken up."""
    wait_until(lambda: not any(scheduled(tokens, one) for one in places), "all happen", 180)
    world.began()
    world.wait_until_taken_up(world.claimed())
    world.recovered()


@pytest.mark.timeout(900)
def test_workers_killed_in_the_middle_of_calls_lose_and_double_nothing(
    world: World, scale: int
) -> None:
    """Mixed events; every kill lands while the process waits for an answer."""
    kills = 4 * scale
    for _ in range(2):
        world.crew.hire()
    raws = traffic(1000 * scale, 60 * scale, seed=1)
    size = len(raws) // kills
    for number in range(kills):
        world.send(raws[number * size : (number + 1) * size])
        kill_a_delivering_worker(world)
    world.send(raws[kills * size :])
    world.wait_settled()
    world.judge(f"SIGKILL a delivering worker, {kills} times")


@pytest.mark.timeout(900)
def test_with_the_documented_durations_a_dead_process_is_replaced_in_seconds(
    open_world: Open,
) -> None:
    """Its leases of 12 s run out and the mailboxes are leased again."""
    with open_world(LEASE="12s", HTTP_TIMEOUT="8s", READ_LAG="3s") as world:
        for _ in range(2):
            world.crew.hire()
        world.send(traffic(300, 60, seed=11))
        kill_a_delivering_worker(world, TAKEN_UP_WITHIN_S)
        world.wait_settled()
        world.judge("SIGKILL a worker, default durations")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("place", [AFTER_INTENT, BEFORE_SETTLE, AFTER_SETTLE])
def test_a_death_on_purpose_around_an_order_or_cart_call_repeats_neither(
    world: World, tmp_path: Path, place: str, scale: int
) -> None:
    """Between intent and call, between answer and settle, and right after it: the next owner finds
    out from the intent what may have happened."""
    tokens, carts, orders = tmp_path / "tokens", scale, 2
    schedule(tokens, at(place, CART), carts)
    schedule(tokens, at(place, ORDER), orders)
    for _ in range(2):
        world.crew.hire(app="tests.faults.support.worker", FAULTS_TOKENS=str(tokens))
    deaths = carts + orders
    world.send(traffic(400 * deaths // 3, 40 * deaths // 3, seed=2))
    wait_for_strikes(world, tokens, at(place, CART), at(place, ORDER))
    world.wait_settled(180)
    calls = {(one.method, one.endpoint) for one in world.app.sandbox.state.calls}
    assert place == AFTER_SETTLE or ("GET", "/purchase") in calls
    world.judge(f"killed {place.replace('_', ' ')}, {deaths} times")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("processed", [True, False])
def test_a_death_between_call_and_answer_repeats_no_order_and_spoils_no_cart(
    open_world: Open, processed: bool
) -> None:
    """The call has taken effect, or takes effect only a second after its owner's death."""
    with open_world(options=sandbox_options(latency_s=0.1)) as world:
        for _ in range(2):
            world.crew.hire()
        rule = {"seconds": 1.0, "processed": processed, "method": "POST", "endpoint": "/purchase"}
        slow = world.fault(FaultKind.LATENCY, times=MANY, **rule)
        raws = traffic(400, 60, seed=3)
        for part in (raws[:200], raws[200:]):
            world.send(part)
            wait_for_hits(slow, 5)
            kill_a_delivering_worker(world)
        world.app.faults.clear()
        world.wait_settled()
        when = "after the call took effect" if processed else "before the call takes effect"
        world.judge(f"killed {when}")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("place", [BEFORE_SPLIT, AFTER_SPLIT])
def test_a_splitter_that_dies_between_reading_and_posting_loses_and_doubles_nothing(
    world: World, tmp_path: Path, place: str
) -> None:
    """A batch is posted and removed from the raw stream in one script, or not at all."""
    tokens = tmp_path / "tokens"
    schedule(tokens, place, 2)
    world.crew.hire(splitter=False)
    for _ in range(2):
        world.crew.hire_splitter(app="tests.faults.support.worker", FAULTS_TOKENS=str(tokens))
    world.send(traffic(1200, 60, seed=4))
    wait_until(lambda: scheduled(tokens, place) == 0, "two deaths", 60)
    world.began()
    world.wait_split()
    world.recovered()
    world.wait_settled()
    world.judge(f"splitter killed {place.replace('_', ' ')}, twice", may_repeat=False)
