"""Workers told to stop, and workers that stood still."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from pipeline.clock import SystemClock
from pipeline.sandbox.faults import FaultKind
from tests.faults.conftest import Open
from tests.faults.support.deaths import FREEZE_BEFORE_SPLIT, schedule, scheduled
from tests.faults.support.traffic import traffic
from tests.faults.support.world import World
from tests.support.commands import wait_until

STOPS_WITHIN_S = 10.0
SLOW_S = 1.5
"""How long a call is under way before it takes effect; HTTP_TIMEOUT is 2 s here."""
LONG_S, HEARD_WITHIN_S = 4.0, 1.0
"""A call that outlasts by far the time in which a worker must have heard of its SIGTERM."""
UNHEARD_S = 0.5
"""An answer this young may lie unread with a worker that is frozen."""


@pytest.mark.timeout(200)
def test_a_worker_told_to_stop_ends_its_calls_and_repeats_none(open_world: Open) -> None:
    """SIGTERM: calls under way get their answers, nothing new begins, claims go back at once."""
    with open_world(HTTP_TIMEOUT="8s", LEASE="12s", READ_LAG="3s") as world:
        first = world.crew.hire()
        world.fault(FaultKind.LATENCY, seconds=LONG_S, processed=True)
        world.send(traffic(600, 60, seed=8))
        world.wait_for_calls(20)
        wait_until(lambda: first.calls_in_flight(world.app.busy_ports), "calls are under way")
        told_at = SystemClock().now()
        took = first.stop()
        assert first.process.returncode == 0
        assert took <= STOPS_WITHIN_S
        assert world.claimed() == {}
        assert max(one.at for one in world.effects) <= told_at + HEARD_WITHIN_S
        world.app.faults.clear()
        world.began()
        world.crew.hire()
        world.wait_for_calls(1)
        world.recovered()
        world.wait_settled()
        world.judge("SIGTERM a worker, start another", may_repeat=False)


@pytest.mark.timeout(200)
def test_a_worker_frozen_past_its_leases_does_no_harm_when_it_goes_on(world: World) -> None:
    """Another takes its mailboxes over; the stale owner's writes are refused. What it had sent before
    takes effect while it sleeps, but not after another owner has any of its mailboxes."""
    frozen = world.crew.hire()
    world.fault(FaultKind.LATENCY, seconds=SLOW_S, processed=False)
    world.send(traffic(800, 60, seed=9))
    wait_until(lambda: frozen.calls_in_flight(world.app.busy_ports), "calls are under way")
    frozen.freeze()
    clock = SystemClock()
    stopped_at, ports = clock.now(), frozen.ports()
    claimed = world.claimed()
    assert claimed
    world.began()
    other = world.crew.hire()
    wait_until(
        lambda: any(world.held(*box).token != before.token for box, before in claimed.items()),
        "the other has taken over the first",
    )
    first_taken_at = clock.now()
    world.wait_until_taken_up(claimed)
    world.recovered()
    assert other.alive
    times = [one.at for one in world.effects if one.port in ports]
    late = [at for at in times if at > stopped_at]
    world.app.faults.clear()
    frozen.send(signal.SIGCONT)
    wait_until(lambda: "claim_lost" in frozen.log, "its writes are refused")
    world.wait_settled()
    remark = (
        f"{len(late)} calls it had sent took effect while it slept, the last after"
        f" {max(late) - stopped_at:.1f} s; taken over after {first_taken_at - stopped_at:.1f} s"
    )
    verdict = world.judge("SIGSTOP a worker past its leases, SIGCONT", remark=remark)
    assert late
    assert max(late) < first_taken_at
    assert verdict.repeated <= sum(at > stopped_at - UNHEARD_S for at in times)


@pytest.mark.timeout(200)
def test_a_splitter_frozen_past_its_lease_posts_nothing_when_it_goes_on(
    world: World, tmp_path: Path
) -> None:
    """Two splitters stand by for one another. One is frozen with a batch in hand, another splits the
    same entries, and the script of the first is refused when it goes on."""
    tokens = tmp_path / "tokens"
    schedule(tokens, FREEZE_BEFORE_SPLIT, 1)
    stale = world.crew.hire_splitter(app="tests.faults.support.worker", FAULTS_TOKENS=str(tokens))
    raws = traffic(1500, 60, seed=10)
    world.send(raws[:500])
    wait_until(lambda: not scheduled(tokens, FREEZE_BEFORE_SPLIT), "it is frozen")
    world.began()
    world.crew.hire()
    world.wait_split()
    world.recovered()
    stale.send(signal.SIGCONT)
    wait_until(lambda: "lease_lost" in stale.log, "its script is refused")
    world.send(raws[500:])
    world.wait_settled()
    assert stale.starts == 1
    world.judge("SIGSTOP the splitter past its lease, SIGCONT", may_repeat=False)


@pytest.mark.timeout(200)
def test_a_rolling_restart_under_load_repeats_and_loses_nothing(open_world: Open) -> None:
    """Each worker in turn: its successor starts, it is told to stop, and delivery goes on meanwhile. So an upgrade goes,
    and a new setting."""
    with open_world(HTTP_TIMEOUT="8s", LEASE="12s", READ_LAG="3s") as world:
        before = [world.crew.hire() for _ in range(2)]
        events = traffic(3_000, 120, seed=21)
        load = [events[start : start + 1_000] for start in (2_000, 1_000, 0)]  # the last one first
        world.send(load.pop())
        world.wait_for_calls(50)
        for worker in before:
            world.send(load.pop())
            world.crew.hire()
            assert worker.stop() <= STOPS_WITHIN_S
            assert worker.process.returncode == 0
            assert not world.settled(), "the load outlasts the stop"
            world.wait_for_calls(50)
        world.wait_settled()
        world.judge("restart two workers one by one", may_repeat=False)
