"""What the suite counts as whose."""

from __future__ import annotations

import pytest

from benchmarks.usage import Snapshot, cores, cost, rate, span_s
from benchmarks.world import role_of

SECOND = 10**9


def _snapshot(at: float, worker: float, redis: float, **more: float) -> Snapshot:
    return Snapshot(at, {"worker": worker, "redis": redis, **more}, {"scripts": at})


def test_an_event_costs_what_worker_splitter_and_redis_used_and_nothing_else() -> None:
    before, after = _snapshot(0, 1.0, 1.0), _snapshot(10, 2.0, 1.5, splitter=0.5, http=7.0)
    each = cost(before, after, 1_000)
    assert each["cpu_ms"] == pytest.approx(1.0 + 0.5 + 0.5)
    assert each["http_ms"] == 7.0
    assert each["scripts"] == pytest.approx(0.01)


def test_cores_are_those_of_all_processes_over_the_time_between() -> None:
    before, after = _snapshot(0, 1.0, 1.0), _snapshot(10, 3.0, 1.5, http=0.5, stand_in=9.0)
    assert cores(before, after)["cores"] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("command", "parent", "role"),
    [
        ("python -m celery -A workers --quiet worker -Q user,event", "", "worker"),
        ("python -m celery -A workers --quiet worker -Q user,split", "", "worker"),
        ("python -m celery -A workers --quiet worker -Q split", "", "splitter"),
        ("python -m pipeline.cli splitter", "up", "splitter"),
        ("python -m pipeline.cli serve --port 8000", "up", "http"),
        ("python -m pipeline.cli up --port 8000", "", "up"),
        ("python -c from multiprocessing.spawn import spawn_main", "worker", "splitter"),
        ("python -c from multiprocessing.resource_tracker import main", "up", "up"),
        ("python -m something.else", "", "program"),
    ],
)
def test_a_process_is_known_by_its_command_line(command: str, parent: str, role: str) -> None:
    assert role_of(command.split(), parent) == role


def test_calls_to_several_endpoints_are_one_rate() -> None:
    times = {"POST /user": [0, SECOND], "POST /event": [SECOND // 2]}
    assert rate(times) == 2.0
    assert span_s(times) == 1.0
    assert rate({"POST /user": [5]}) == 0.0
