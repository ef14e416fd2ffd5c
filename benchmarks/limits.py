"""What Sailthru would receive from four saturated worker processes, against the limits.

`make bench-limits`, or `python -m benchmarks.limits --seconds 10`. Three scenarios: all work all the
time; one is killed half-way; all idle first. A table on stdout, progress on stderr, JSON and an SVG
plot in `--out`. Exit code 1 when a limit was exceeded.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.limits_report import (
    LIMITS,
    SECOND_NS,
    Row,
    largest_window,
    mean_use,
    plot,
    table,
)
from pipeline.clock import SystemClock
from tests.support.redis_server import RedisServer

_CLOCK = SystemClock()
_LEAD_S = 0.3
_WARM_S = 2.0
_IDLE_S = 5.0
_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens, in seconds from the common start. Mean use is counted from `counted_from` on,
    the largest windows over everything."""

    name: str
    spans: tuple[tuple[float, float], ...]
    counted_from: float = 0.0
    kill_at: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """Times in nanoseconds by path; begin and end of the saturated span in Unix seconds."""

    sent: dict[str, list[int]]
    received: dict[str, list[int]]
    dropped: dict[str, int]
    begin: float
    end: float

    def rows(self, scenario: str) -> list[Row]:
        return [self._row(scenario, path, limit) for path, limit in LIMITS.items()]

    def _row(self, scenario: str, path: str, limit: int) -> Row:
        sent, received = self.sent[path], self.received[path]
        return Row(
            scenario=scenario,
            bucket=f"POST {path}",
            limit=limit,
            sent_worst_second=largest_window(sent, SECOND_NS),
            sent_mean=mean_use(sent, limit, self.begin, self.end),
            received_worst_second=largest_window(received, SECOND_NS),
            received_worst_minute=largest_window(received, 60 * SECOND_NS),
            received_mean=mean_use(received, limit, self.begin, self.end),
            dropped=self.dropped[path],
        )


def scenarios(seconds: float) -> list[Scenario]:
    """The three of issue 4, each saturated for `seconds`."""
    end, after_idling = _WARM_S + seconds, _WARM_S + _IDLE_S
    return [
        Scenario("saturated", ((0.0, end),), counted_from=_WARM_S),
        Scenario("one killed", ((0.0, end),), _WARM_S, kill_at=_WARM_S + seconds / 2),
        Scenario(
            "after idling",
            ((0.0, _WARM_S), (after_idling, after_idling + seconds)),
            counted_from=after_idling,
        ),
    ]


async def measure(
    scenario: Scenario, redis_url: str, directory: Path, processes: int = 4
) -> Measured:
    """Run one scenario with real processes; leaves none behind."""
    records = [directory / f"sent{i}" for i in range(processes)]
    spans = [f"{begin}-{end}" for begin, end in scenario.spans]
    async with AsyncExitStack() as stack:
        server = await _start(stack, "limits_server", str(directory / "arrivals"))
        url = f"http://127.0.0.1:{int(await _said(server))}"
        workers = [
            await _start(stack, "limits_worker", redis_url, url, str(record), *spans)
            for record in records
        ]
        start = await _begin_together(workers)
        if scenario.kill_at is not None:
            await _CLOCK.sleep(start + scenario.kill_at - _CLOCK.now())
            workers[0].kill()
        async with asyncio.timeout_at(_loop_time(start + scenario.spans[-1][1] + _PATIENCE_S)):
            reports = [(await worker.communicate())[0] for worker in workers]
        server.terminate()
        await server.wait()
    begin, end = start + scenario.counted_from, start + scenario.spans[-1][1]
    return Measured(_times(records), _times([directory / "arrivals"]), _sum(reports), begin, end)


async def _start(stack: AsyncExitStack, module: str, *arguments: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"benchmarks.{module}",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    stack.push_async_callback(_end, process)
    return process


async def _said(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    return await process.stdout.readline()


async def _begin_together(workers: list[asyncio.subprocess.Process]) -> float:
    """Unix seconds at which all start; every one of them is ready before."""
    for worker in workers:
        await _said(worker)
    start = _CLOCK.now() + _LEAD_S
    for worker in workers:
        assert worker.stdin is not None  # noqa: S101 - it is a pipe
        worker.stdin.write(f"{start}\n".encode())
    return start


def _loop_time(moment: float) -> float:
    return asyncio.get_running_loop().time() + moment - _CLOCK.now()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def _times(records: list[Path]) -> dict[str, list[int]]:
    times: dict[str, list[int]] = {path: [] for path in LIMITS}
    for record in records:
        for line in record.read_text().splitlines():
            path, stamp = line.split()
            times[path].append(int(stamp))
    return times


def _sum(reports: list[bytes]) -> dict[str, int]:
    """A killed worker reports nothing."""
    counts = [json.loads(report) for report in reports if report]
    return {path: sum(count[path] for count in counts) for path in LIMITS}


async def _run(seconds: float, processes: int, out: Path) -> list[Row]:
    rows: list[Row] = []
    arrivals: dict[str, dict[str, list[int]]] = {}
    for scenario in scenarios(seconds):
        print(f"{scenario.name}: {seconds:.0f} s ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as directory:
            redis = RedisServer(Path(directory))
            redis.start()
            try:
                measured = await measure(scenario, redis.url, Path(directory), processes)
            finally:
                redis.stop()
        rows += measured.rows(scenario.name)
        arrivals[scenario.name] = measured.received
        print(table(rows[-len(LIMITS) :]), file=sys.stderr, flush=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / "limits.json").write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")
    (out / "limits.svg").write_text(plot(arrivals))
    return rows


def main() -> int:
    """Run all scenarios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="saturated time per scenario")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    arguments = parser.parse_args()
    rows = asyncio.run(_run(arguments.seconds, arguments.processes, arguments.out))
    print(table(rows))
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
