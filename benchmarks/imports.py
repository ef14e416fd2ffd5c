"""How fast `sailpipe enqueue` reads files: events a second for which one core is enough, and Redis' part apart.

`python -m benchmarks.imports`. The command is a process of its own, as a person starts it; its start is measured with an
empty file and taken off. Nothing splits here: the raw stream is emptied as fast as it fills, so that the import never waits.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import redis

from benchmarks.door import sample_event
from pipeline.storage import keys
from tests.support.redis_server import RedisServer

GOAL = 20_000
"""Events a second on one core."""
MANY = 100
"""Files that the same events come in, once."""
LOOK_S = 0.002


@dataclass(frozen=True, slots=True)
class Import:
    """One way of writing the same events, as the median over the rounds. CPU of one event in µs; events a second."""

    what: str
    command_us: float
    redis_us: float
    per_second: float

    @property
    def per_core(self) -> float:
        """Events a second for which one core is enough, by the command's own CPU."""
        return 1e6 / self.command_us


def measure(rounds: int = 5, events: int = 40_000) -> list[Import]:
    """Every form in turn; the first round does not count."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder, _emptied(Path(folder)) as (url, store):
        forms = _write(Path(folder), events)
        for number in range(rounds + 1):
            start, _, _ = _run(url, store, forms["nothing"])
            for what, files in forms.items():
                command, theirs, wall = _run(url, store, files)
                if number and what != "nothing":
                    costs = (command - start, theirs, wall)
                    found.setdefault(what, []).append(costs)
    return [
        Import(
            what,
            command_us=median(one for one, _, _ in costs) / events * 1e6,
            redis_us=median(one for _, one, _ in costs) / events * 1e6,
            per_second=events / median(one for _, _, one in costs),
        )
        for what, costs in found.items()
    ]


def _write(folder: Path, events: int) -> Mapping[str, list[str]]:
    """Form -> the files that hold the events in it."""
    lines = [json.dumps(_without_id(sample_event(number))).encode() for number in range(events)]
    whole = b"".join(line + b"\n" for line in lines)
    written = {
        "events.jsonl": whole,
        "events.jsonl.gz": gzip.compress(whole, mtime=0),
        "events.json": b"[" + b",\n".join(lines) + b"]",
        "nothing.jsonl": b"",
    }
    for name, content in written.items():
        (folder / name).write_bytes(content)
    many = [folder / f"part-{number}.jsonl" for number in range(MANY)]
    for number, path in enumerate(many):
        path.write_bytes(b"".join(line + b"\n" for line in lines[number::MANY]))
    return {
        "nothing": [str(folder / "nothing.jsonl")],
        "JSON lines": [str(folder / "events.jsonl")],
        "gzip": [str(folder / "events.jsonl.gz")],
        "array": [str(folder / "events.json")],
        f"{MANY} files": [str(path) for path in many],
    }


def _without_id(event: Mapping[str, object]) -> dict[str, object]:
    """An export has seldom messageIds, and each line is given one."""
    return {name: value for name, value in event.items() if name != "messageId"}


def _run(url: str, store: redis.Redis, files: list[str]) -> tuple[float, float, float]:
    """CPU seconds of the command and of Redis, and the command's wall time."""
    before, theirs, began = _children_cpu_s(), _redis_cpu_s(store), time.perf_counter()
    subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "pipeline.cli", "enqueue", "--bulk", *files],
        env={**os.environ, "SAILPIPE_REDIS_URL": url},
        capture_output=True,
        check=True,
    )
    wall = time.perf_counter() - began
    return _children_cpu_s() - before, _redis_cpu_s(store) - theirs, wall


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _redis_cpu_s(store: redis.Redis) -> float:
    info = store.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


@contextlib.contextmanager
def _emptied(folder: Path) -> Iterator[tuple[str, redis.Redis]]:
    """A Redis whose raw stream is emptied all the while."""
    server = RedisServer(folder)
    server.start()
    stop = threading.Event()
    with redis.Redis.from_url(server.url) as store:
        emptier = threading.Thread(target=_empty, args=(store, stop.wait))
        emptier.start()
        try:
            yield server.url, store
        finally:
            stop.set()
            emptier.join()
            server.stop()


def _empty(store: redis.Redis, wait: Callable[[float], bool]) -> None:
    while not wait(LOOK_S):
        store.unlink(keys.RAW)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=40_000)
    given = parser.parse_args()
    print(
        f"{'form':12} {'events/s a core':>16} {'CPU µs':>8} {'Redis µs':>9} {'events/s':>9}  goal"
    )
    for one in measure(given.rounds, given.events):
        met = "met" if one.per_core >= GOAL else "missed"
        print(
            f"{one.what:12} {one.per_core:16,.0f} {one.command_us:8.1f} {one.redis_us:9.1f}"
            f" {one.per_second:9,.0f}  >= {GOAL:,}: {met}"
        )


if __name__ == "__main__":
    main()
