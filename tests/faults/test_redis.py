"""Redis killed, frozen, full, read-only."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from pipeline.errors import EnqueueError, QueueFull
from pipeline.producer import Producer
from pipeline.raw_entries import Labels
from pipeline.sandbox.faults import FaultKind
from pipeline.storage import keys
from tests.faults.conftest import Open
from tests.faults.support.account import ACCOUNT
from tests.faults.support.traffic import traffic
from tests.faults.support.world import BUCKETS, World
from tests.support.commands import wait_until
from tests.support.redis_server import free_port

FROZEN_S = 10.0
PACE_S = 0.004
IN_FLIGHT = 10
MORE = 100
"""More than what was under way."""
BALLAST = 30_000_000
BACKLOG = 700_000
"""Bytes of Redis' memory: what else lies in it, and what is left for the raw stream."""
REFUSING_S = 8.0
"""Longer than the leases of these tests (6 s)."""


class Source(threading.Thread):
    """A producer that goes on through outages, one event at a time.

    `accepted` are the events Redis acknowledged, with when that was (monotonic).
    """

    def __init__(self, world: World, raws: list[bytes]) -> None:
        super().__init__(daemon=True)
        self._producer = Producer(world.client)
        self._raws = raws
        self.accepted: list[tuple[float, bytes]] = []
        self.refusals = 0

    def run(self) -> None:
        for raw in self._raws:
            while not self._send(raw):
                time.sleep(0.05)

    def _send(self, raw: bytes) -> bool:
        try:
            self._producer.send(raw, Labels(ACCOUNT))
        except EnqueueError:
            self.refusals += 1
            return False
        self.accepted.append((time.monotonic(), raw))
        time.sleep(PACE_S)  # so that Redis dies while there is more to come
        return True


def fill_up(world: World) -> None:
    """Have Redis refuse whatever needs memory, whatever is freed."""
    world.client.config_set("maxmemory", 1)


def make_room(world: World) -> None:
    """Returns when the splitter has seen it, and producers are let in again."""
    world.client.config_set("maxmemory", 0)
    wait_until(lambda: not world.client.exists(keys.VERDICT), "the splitter has looked again")


def no_worker_was_replaced(world: World) -> bool:
    """Whether every worker's first process still runs."""
    return all(one.alive and one.starts == 1 for one in world.crew.workers)


def kill_redis_in_the_middle(world: World, raws: list[bytes]) -> None:
    """Kill Redis while a producer and workers are at it, start it again after longer than a lease;
    return when all is settled."""
    source = Source(world, raws)
    source.start()
    wait_until(lambda: len(source.accepted) >= len(raws) // 2, "half are accepted")
    assert world.app.busy_ports
    world.server.kill()
    time.sleep(REFUSING_S)
    world.began()
    world.server.start()
    world.wait_for_calls(1)
    world.recovered()
    source.join(60)
    assert not source.is_alive()
    assert source.refusals > 0
    world.wait_settled()


@pytest.mark.timeout(200)
@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_redis_killed_and_gone_for_a_while_loses_and_repeats_nothing(
    open_world: Open, fsync: str
) -> None:
    """On its append-only file, what was acknowledged is there; an XADD whose answer was lost is sent
    again and is a duplicate at worst. Workers wait, and remember what their calls have done."""
    with open_world(append_only=True, fsync=fsync) as world:
        for _ in range(2):
            world.crew.hire()
        world.fault(FaultKind.LATENCY, seconds=0.3, processed=True)
        raws = traffic(800, 80, seed=5)
        world.send(raws[:400])
        wait_until(lambda: len(world.app.busy_ports) >= IN_FLIGHT, "calls are under way")
        kill_redis_in_the_middle(world, raws[400:])
        again = world.counts().total - len(raws)
        assert again <= 1
        world.sent = raws + raws[-again:] if again else raws
        world.judge(f"Redis killed for {REFUSING_S:g} s, fsync {fsync}", may_repeat=False)
        assert no_worker_was_replaced(world)


@pytest.mark.timeout(200)
def test_redis_frozen_for_ten_seconds_makes_no_worker_call_twice(open_world: Open) -> None:
    """Leases that ran out while Redis stood still are extended once instead of taken away."""
    with open_world() as world:
        for _ in range(2):
            world.crew.hire()
        world.fault(FaultKind.LATENCY, seconds=0.3, processed=True)
        world.send(traffic(500, 60, seed=6))
        world.wait_for_calls(40)
        world.server.send(signal.SIGSTOP)
        frozen = threading.Timer(FROZEN_S, world.server.send, [signal.SIGCONT])
        world.began()
        frozen.start()
        frozen.join()
        world.wait_for_calls(1)
        world.recovered()
        world.app.faults.clear()
        world.wait_settled()
        world.judge("Redis frozen for 10 s", may_repeat=False)


@pytest.mark.timeout(200)
def test_a_full_redis_refuses_producers_and_is_emptied_without_a_repeated_call(
    world: World,
) -> None:
    """Producers get QueueFull; what is accepted is delivered although Redis takes nothing new."""
    raws = traffic(900, 60, seed=7)
    world.send(raws[:800])
    for _ in range(2):
        world.crew.hire()
    world.wait_for_calls(20)
    fill_up(world)
    world.began()
    assert world.counts().waiting > 0
    with pytest.raises(QueueFull):
        world.send(raws[800:])
    before = world.counts().delivered
    wait_until(lambda: world.counts().delivered >= before + MORE, "it delivers on")
    world.recovered()
    world.wait_settled()
    with pytest.raises(QueueFull):
        world.send(raws[800:])
    make_room(world)
    world.send(raws[800:])
    world.wait_settled()
    world.judge("Redis full, then not", may_repeat=False)
    assert world.client.xlen(keys.RAW) == 0
    assert no_worker_was_replaced(world)


def used_memory(world: World) -> int:
    return int(world.client.info("memory")["used_memory"])


def fill_with_backlog(world: World, raws: list[bytes]) -> int:
    """Let the raw stream take what is left of Redis' memory, before there is a splitter; returns that memory."""
    world.client.setrange("sailpipe:ballast", BALLAST, ".")
    most = used_memory(world) + BACKLOG
    world.client.config_set("maxmemory", most)

    def send_in_chunks() -> None:
        for at in range(0, len(raws), 100):
            chunk = raws[at : at + 100]
            Producer(world.client, hold=len(raws)).send_many(chunk)
            world.sent += chunk

    with pytest.raises(QueueFull):
        send_in_chunks()
    return most


@pytest.mark.timeout(300)
def test_a_raw_stream_that_fills_redis_is_delivered_within_a_tenth_more_memory(
    open_world: Open,
) -> None:
    """Its events take more than twice the room in mailboxes. New ones are refused until most are delivered."""
    limits = ",".join(f"{bucket}=60" for bucket in (*BUCKETS, "POST /user"))
    with open_world(LIMITS=limits) as world:
        for _ in range(2):
            world.crew.hire(splitter=False)
        wait_until(lambda: world.client.exists(keys.lane(ACCOUNT, "page")), "workers look for work")
        most = fill_with_backlog(world, traffic(8_000, 2_000, seed=13))
        world.began()
        world.crew.hire_splitter()
        world.wait_for_calls(20)
        world.recovered()
        highest = used_memory(world)
        with pytest.raises(QueueFull, match="memory"):
            Producer(world.client).send(b"{}")
        while world.counts().waiting:
            highest = max(highest, used_memory(world))
            time.sleep(0.05)
        assert highest <= 1.1 * most
        make_room(world)
        world.client.delete("sailpipe:ballast")
        world.wait_settled()
        remark = f"{highest / most:.2f} x maxmemory in use at most"
        world.judge("a backlog fills Redis", may_repeat=False, remark=remark)
        assert no_worker_was_replaced(world)


@pytest.mark.timeout(200)
def test_workers_started_while_redis_is_full_empty_it_each_its_own_lanes(world: World) -> None:
    """Celery's consumer cannot start, so they deliver without it; with room they are as any other."""
    raws = traffic(600, 60, seed=8)
    world.send(raws[:500])
    fill_up(world)
    world.began()
    world.crew.hire(lanes=("user", "event"))
    world.crew.hire(lanes=("purchase", "page"))
    world.wait_for_calls(1)
    world.recovered()
    world.wait_settled()
    make_room(world)
    world.send(raws[500:])
    world.wait_settled()
    world.judge("workers started while Redis is full", may_repeat=False)
    assert no_worker_was_replaced(world)


@pytest.mark.timeout(200)
def test_memory_that_runs_out_between_call_and_settle_repeats_no_call(world: World) -> None:
    """What calls under way have done is written down in a full Redis, too."""
    for _ in range(2):
        world.crew.hire()
    world.fault(FaultKind.LATENCY, seconds=1.0, processed=True)
    world.send(traffic(300, 60, seed=9))
    wait_until(lambda: len(world.effects) >= IN_FLIGHT, "calls have taken effect")
    fill_up(world)
    assert world.app.busy_ports
    world.began()
    before = world.counts().delivered
    wait_until(lambda: world.counts().delivered > before, "what was under way is settled")
    world.recovered()
    world.app.faults.clear()
    world.wait_settled()
    world.judge("memory runs out between call and settle", may_repeat=False)
    assert no_worker_was_replaced(world)


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("fault", "begin", "end"),
    [
        ("a demoted Redis", "REPLICAOF 127.0.0.1 {port}", "REPLICAOF NO ONE"),
        (
            "Redis without its replicas",
            "CONFIG SET min-replicas-to-write 1",
            "CONFIG SET min-replicas-to-write 0",
        ),
    ],
)
def test_a_redis_that_refuses_writes_for_a_while_loses_and_repeats_nothing(
    world: World, fault: str, begin: str, end: str
) -> None:
    """For longer than a lease, as in a failover: READONLY or NOREPLICAS for everyone. Producers get
    EnqueueError, workers wait and live on."""
    for _ in range(2):
        world.crew.hire()
    world.fault(FaultKind.LATENCY, seconds=0.3, processed=True)
    raws = traffic(900, 80, seed=10)
    world.send(raws[:400])
    wait_until(lambda: len(world.app.busy_ports) >= IN_FLIGHT, "calls are under way")
    source = Source(world, raws[400:])
    source.start()
    wait_until(lambda: source.accepted, "the producer is at work")
    world.client.execute_command(*begin.format(port=free_port()).split())
    world.began()
    time.sleep(REFUSING_S)
    assert source.refusals > 0
    assert world.app.busy_ports == set()
    world.client.execute_command(*end.split())
    world.wait_for_calls(1)
    world.recovered()
    world.app.faults.clear()
    source.join(60)
    assert not source.is_alive()
    world.wait_settled()
    world.sent = raws
    world.judge(f"{fault} for {REFUSING_S:g} s", may_repeat=False)
    assert no_worker_was_replaced(world)


@pytest.mark.timeout(200)
def test_a_power_cut_costs_only_what_was_accepted_after_redis_last_synced(
    open_world: Open,
) -> None:
    """appendfsync everysec: of a machine without power only what was synced is there, which by Redis'
    own promise is at most two seconds old; here the file as it was a second before."""
    with open_world(append_only=True, fsync="everysec") as world:
        source = Source(world, list(dict.fromkeys(traffic(1000, 60, seed=12))))
        source.start()
        log = world.server.append_only_file
        wait_until(lambda: len(source.accepted) >= 300, "some are accepted")
        synced_at, synced = time.monotonic(), log.stat().st_size
        wait_until(lambda: time.monotonic() - synced_at >= 1.0, "a second has passed")
        world.server.kill()
        ago = time.monotonic() - synced_at
        accepted = list(source.accepted)
        os.truncate(log, synced)
        world.server.start()
        source.join(60)
        kept = {fields[b"event"] for _, fields in world.client.xrange(keys.RAW)}
        lost = [at for at, raw in accepted if raw not in kept]
        assert lost
        assert min(lost) >= synced_at
        world.sent = [raw for _, raw in source.accepted if raw in kept]
        world.crew.hire()
        world.wait_settled()
        remark = f"{len(lost)} of {len(accepted)} accepted are gone, all of the last {ago:.1f} s"
        world.judge("power cut, everysec", may_repeat=False, remark=remark)
