"""Workers told to stop, and workers that stood still."""

from __future__ import annotations

import signal

import pytest

from pipeline.clock import SystemClock
from pipeline.sandbox.faults import FaultKind
from tests.faults.conftest import Open
from tests.support.commands import wait_until
from tests.support.faults_traffic import traffic
from tests.support.faults_world import World

STOPS_WITHIN_S = 10.0
SLOW_S = 1.5
"""How long a call is under way before it takes effect; HTTP_TIMEOUT is 2 s here."""


@pytest.mark.timeout(200)
def test_a_worker_told_to_stop_ends_its_calls_and_repeats_none(world: World) -> None:
    """SIGTERM: calls under way get their answers, nothing new begins, claims go back at once."""
    first = world.crew.hire()
    world.fault(FaultKind.LATENCY, seconds=1.0, processed=True)
    world.send(traffic(600, 60, seed=8))
    world.wait_for_calls(20)
    wait_until(lambda: first.calls_in_flight(world.app.busy_ports), "calls are under way")
    took = first.stop()
    assert first.process.returncode == 0
    assert took <= STOPS_WITHIN_S
    assert not any(world.lent().values())
    world.app.faults.clear()
    world.began()
    world.crew.hire()
    world.wait_for_calls(1)
    world.recovered()
    world.wait_settled()
    world.judge("SIGTERM a worker, start another", may_repeat=False)


@pytest.mark.timeout(200)
def test_a_worker_frozen_past_its_loans_does_no_harm_when_it_goes_on(world: World) -> None:
    """Another takes its mailboxes over; the stale owner's writes are refused. What it had sent before
    takes effect while it sleeps, but not after another owner has its mailboxes."""
    frozen = world.crew.hire()
    world.fault(FaultKind.LATENCY, seconds=SLOW_S, processed=False)
    world.send(traffic(800, 60, seed=9))
    wait_until(lambda: frozen.calls_in_flight(world.app.busy_ports), "calls are under way")
    frozen.send(signal.SIGSTOP)
    clock = SystemClock()
    stopped_at, ports = clock.now(), frozen.ports()
    held = {box: token for box, token in world.lent().items() if token}
    assert held
    world.began()
    other = world.crew.hire()
    wait_until(
        lambda: not any(world.lent().get(box) == token for box, token in held.items()),
        "the other has taken over",
    )
    world.recovered()
    taken_over_at = clock.now()
    assert other.alive
    effects = [one.at for one in world.app.sandbox.effects if one.port in ports]
    late = [at for at in effects if at > stopped_at]
    world.app.faults.clear()
    frozen.send(signal.SIGCONT)
    wait_until(lambda: "claim_lost" in frozen.log, "its writes are refused")
    world.wait_settled()
    last = max(late, default=stopped_at)
    remark = (
        f"{len(late)} calls it had sent took effect while it slept, the last after"
        f" {last - stopped_at:.1f} s; taken over after {taken_over_at - stopped_at:.1f} s"
    )
    world.judge("SIGSTOP a worker past its loans, SIGCONT", remark=remark)
    assert late
    assert last < taken_over_at - world.settings.loan / 2


@pytest.mark.timeout(200)
def test_a_splitter_frozen_past_its_lease_posts_nothing_when_it_goes_on(open_world: Open) -> None:
    """Two splitters stand by for one another; the script of a stale one is refused."""
    with open_world() as world:
        stale = world.crew.hire(splitter=True)
        raws = traffic(1500, 60, seed=10)
        world.send(raws[:500])
        world.wait_for_calls(1)
        stale.send(signal.SIGSTOP)
        world.began()
        world.crew.hire()
        world.send(raws[500:1000])
        world.wait_for_calls(100)
        world.recovered()
        stale.send(signal.SIGCONT)
        world.send(raws[1000:])
        world.wait_settled()
        world.judge("SIGSTOP the splitter past its lease, SIGCONT")
