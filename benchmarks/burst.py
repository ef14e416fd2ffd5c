"""What the default `sailpipe up` delivers while a burst is being split: `python -m benchmarks.burst`.

20,000 events, half identifies and half custom events, are put into the raw stream at once. A call counts when
it arrives at the server, stamped by the kernel. Until the burst is split and some seconds on, both limits should
be used from the second second on, and never exceeded.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.limits_report import largest_window
from benchmarks.up import settle_down, up
from pipeline.storage import keys
from tests.support.commands import wait_until

LIMITS = {"/user": 300, "/event": 40}
BEYOND_S = 5
"""Seconds that are looked at after the burst has been split."""


@dataclass(frozen=True, slots=True)
class Burst:
    """One burst. `per_second`: calls that arrived in each second since the first event was accepted, by path;
    `use`: the share of each limit that was used from the second second on; `worst`: the most calls in any second."""

    events: int
    accept_s: float
    split_s: float
    per_second: dict[str, list[int]]
    use: dict[str, float]
    worst: dict[str, int]
    cpu_s: dict[str, float]


def mixed(count: int) -> Iterable[dict[str, Any]]:
    """As many identifies as custom events, each of a user of its own."""
    for number in range(count // 2):
        email = f"u{number}@example.com"
        yield {"type": "identify", "userId": f"u{number}", "traits": {"email": email}}
        yield {"type": "track", "event": "Clicked", "userId": f"e{number}"}


def burst(events: int = 20_000) -> Burst:
    """Measure one burst into a fresh `up`."""
    with up() as running:
        running.add([{"type": "identify", "userId": "warm", "traits": {"email": "w@example.com"}}])
        wait_until(lambda: running.counted("delivered") == 1, "it delivers", 60)
        settle_down()
        before = running.cpu_s()
        start = time.time()  # noqa: TID251 - compared with the kernel's stamps
        running.add(mixed(events))
        accepted = time.time()  # noqa: TID251 - as above
        wait_until(lambda: not running.client.xlen(keys.RAW), "the burst is split", 120)
        split = time.time()  # noqa: TID251 - as above
        settle_down(BEYOND_S + 0.5)
        cpu = {name: round(used - before[name], 2) for name, used in running.cpu_s().items()}
    seconds = int(split - start) + BEYOND_S
    calls = {
        path: [at for one, at in running.arrivals if one == path and start <= at < start + seconds]
        for path in LIMITS
    }
    per_second = {path: [0] * seconds for path in LIMITS}
    for path, times in calls.items():
        for at in times:
            per_second[path][int(at - start)] += 1
    return Burst(
        events,
        round(accepted - start, 2),
        round(split - start, 2),
        per_second,
        {
            path: round(sum(counts[1:]) / (len(counts) - 1) / LIMITS[path], 4)
            for path, counts in per_second.items()
        },
        {
            path: largest_window([int(at * 1e9) for at in times], 10**9)
            for path, times in calls.items()
        },
        cpu,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    for _ in range(given.rounds):
        print(json.dumps(asdict(burst(given.events))))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
