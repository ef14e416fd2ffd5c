"""How long an event takes from its producer to Sailthru at a steady rate: `python -m benchmarks.live --rate 150`.

Identifies of a user each are added one at a time; the server answers after 25 to 100 ms. The n-th arrival belongs
to the n-th event, as calls of one lane leave in the order in which their mailboxes became due.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass

from benchmarks.up import settle_down, up
from tests.support.commands import wait_until


@dataclass(frozen=True, slots=True)
class Live:
    """Latencies in ms from XADD to the arrival at the server; CPU in cores, by process and in all."""

    rate: float
    events: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    cores: dict[str, float]
    total_cores: float


def live(rate: float = 150.0, seconds: float = 20.0, limits: str = "") -> Live:
    """Measure a fresh `up` at so many events a second. `limits`: the setting, to go beyond the documented ones."""
    count = int(rate * seconds)
    with up({"LIMITS": limits} if limits else {}) as running:
        running.add([{"type": "identify", "userId": "warm", "traits": {"email": "w@example.com"}}])
        wait_until(lambda: running.counted("delivered") == 1, "it delivers", 60)
        settle_down()
        cpu, began = running.cpu_s(), time.monotonic()
        sent: list[float] = []
        for number in range(count):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            event = {
                "type": "identify",
                "userId": f"u{number}",
                "traits": {"email": f"u{number}@example.com"},
            }
            sent.append(time.time())  # noqa: TID251 - compared with the kernel's stamps
            running.add([event])
        wait_until(lambda: running.counted("delivered") == count + 1, "all arrive", 60)
        passed = time.monotonic() - began
        cores = {
            name: round((used - cpu[name]) / passed, 3) for name, used in running.cpu_s().items()
        }
    arrived = sorted(at for path, at in running.arrivals if path == "/user")[1:]
    delays = sorted((at - begin) * 1000 for begin, at in zip(sent, arrived, strict=True))
    p50, p90, p99 = (round(delays[int(share * count)], 1) for share in (0.5, 0.9, 0.99))
    return Live(rate, count, p50, p90, p99, cores, round(sum(cores.values()), 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, nargs="+", default=[150.0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--limits", default="", help="e.g. 'POST /user=400'")
    given = parser.parse_args()
    for rate in given.rate:
        print(json.dumps(asdict(live(rate, given.seconds, given.limits))), flush=True)


if __name__ == "__main__":
    main()
