"""Which package the CPU of a delivered identify goes to, sampled by py-spy if that is installed (`pip install py-spy`)."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from benchmarks.events import identifies
from benchmarks.figures import Bench, Check, Figures, NotThere, Row
from benchmarks.usage import cost
from benchmarks.world import LIFTED, World, open_world

_LEAST = 0.015
"""What takes less of the whole is not told apart."""
_RATE = "200"
_OURS = ("pipeline", "workers")


def profile(bench: Bench) -> Figures:
    """µs an event by package: the processes' CPU, shared out as samples of the threads that hold the GIL fell."""
    events = identifies(bench.size("events", 6_000))
    with open_world(LIFTED) as world:
        world.start_workers()
        world.warm()
        before = world.snapshot()
        with _sampled(world) as found:
            world.add(events)
            world.wait_delivered(len(events), "all events are delivered")
            each = cost(before, world.snapshot(), len(events))
    spent = (each["cpu_ms"] - each["redis_ms"]) * 1000
    return {"together": spent, **shared_out(found, spent)}


@contextmanager
def _sampled(world: World) -> Iterator[Counter[str]]:
    """Samples of all Python processes while the block runs, there when it has ended."""
    tool = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if tool is None:
        raise NotThere("py-spy")
    found: Counter[str] = Counter()
    spies = []
    for number, (_, process) in enumerate(world.processes()):
        file = world.folder / f"{number}.samples"
        words = [tool, "record", "--pid", str(process.pid), "--gil", "--nonblocking"]
        words += ["--rate", _RATE, "--format", "raw", "--full-filenames", "--output", str(file)]
        words += ["--duration", "3600"]
        spy = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - our own command
        spies.append((spy, file))
    try:
        yield found
    finally:
        for spy, file in spies:
            spy.send_signal(signal.SIGINT)
            spy.wait(30)
            found.update(read_samples(file.read_text().splitlines() if file.exists() else ()))


def read_samples(lines: Iterable[str]) -> Counter[str]:
    """py-spy's raw lines, `function (FILE:LINE);function (FILE:LINE) COUNT` from the outermost on, by package."""
    found: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        packages = (package_of(_file_of(frame)) for frame in reversed(stack.split(";")))
        found[next((name for name in packages if name), "python")] += int(count)
    return found


@cache
def package_of(path: str) -> str | None:
    """`httpx`, `pipeline.delivery`, `workers`, `asyncio`; None for the rest of Python's own library."""
    parts = Path(path).parts
    if "site-packages" in parts:
        return Path(parts[parts.index("site-packages") + 1]).stem
    for name in _OURS:
        if name in parts[:-1]:
            after = parts[parts.index(name) + 1 :]
            return name if name == "workers" or len(after) == 1 else f"{name}.{after[0]}"
    return "asyncio" if "asyncio" in parts else None


def shared_out(samples: Counter[str], whole: float) -> dict[str, float]:
    """Each group's part of the whole, largest first; the small ones are `others`."""
    total = sum(samples.values())
    parts: dict[str, float] = {}
    for name, count in samples.most_common():
        kept = name if count >= _LEAST * total else "others"
        parts[kept] = parts.get(kept, 0.0) + whole * count / total
    return parts


def _file_of(frame: str) -> str:
    return frame.rpartition("(")[2].rpartition(":")[0]


PROFILE = Row(
    "profile",
    "A delivered identify by package, sampled in the worker and the splitter",
    {"ours": profile},
    (Check("CPU of worker and splitter while sampled", "ours.together", unit="µs"),),
    rounds=1,
)
