"""What `sailpipe up` costs while nothing happens: `python -m benchmarks.idle --accounts 1 10 100`."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass

from benchmarks.up import Up, settle_down, up
from tests.support.commands import wait_until


@dataclass(frozen=True, slots=True)
class Idle:
    """CPU of each process in percent of a core, and what Redis is asked a second."""

    accounts: int
    seconds: float
    percent: dict[str, float]
    total_percent: float
    scripts_per_s: float
    commands_per_s: float


def idle(accounts: int = 1, seconds: float = 20.0) -> Idle:
    """Measure an `up` with so many accounts in which nothing is sent but one event before."""
    with up(accounts=accounts) as running:
        running.add([{"type": "identify", "userId": "warm", "traits": {"email": "w@example.com"}}])
        wait_until(lambda: running.counted("delivered") == 1, "it delivers", 60)
        settle_down(5.0)
        cpu, asked, began = running.cpu_s(), _asked(running), time.monotonic()
        time.sleep(seconds)
        passed = time.monotonic() - began
        now = _asked(running)
        percent = {
            name: round(100 * (used - cpu[name]) / passed, 2)
            for name, used in running.cpu_s().items()
        }
    scripts, commands = ((one - other) / passed for one, other in zip(now, asked, strict=True))
    total = round(sum(percent.values()), 2)
    return Idle(accounts, round(passed, 1), percent, total, round(scripts, 1), round(commands, 1))


def _asked(running: Up) -> tuple[int, int]:
    """Scripts and commands that Redis has run."""
    stats = running.client.info("commandstats")
    commands = int(running.client.info("stats")["total_commands_processed"])
    return int(stats["cmdstat_evalsha"]["calls"]), commands


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    for accounts in given.accounts:
        print(json.dumps(asdict(idle(accounts, given.seconds))), flush=True)


if __name__ == "__main__":
    main()
