"""How long a command takes to start: wall and CPU of the whole process, each tree in turn.

`python -m benchmarks.commands`, and with `--against FOLDER` (a work tree of another commit) both side by
side. The CPU time is what to compare: wall time grows with whatever else runs.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.support.redis_server import RedisServer

HERE = Path(__file__).parents[1]
COMMANDS = (("--help",), ("--version",), ("status",), ("status", "--json"), ("dead", "list"))
_GOALS_S = {"--help": 0.2, "status": 0.4}


@dataclass(frozen=True, slots=True)
class Start:
    """A command of one tree, as the median over the rounds."""

    command: str
    tree: str
    wall_s: float
    cpu_s: float


def measure(
    trees: Sequence[Path] = (HERE,), rounds: int = 7, commands: Sequence[Sequence[str]] = COMMANDS
) -> list[Start]:
    """Every command of every tree, in turn, `rounds` times after one that is not counted."""
    found: dict[tuple[str, Path], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            for number in range(rounds + 1):
                for words in commands:
                    for tree in trees:
                        took = _run(tree, words, Path(folder), server.url)
                        if number:
                            found.setdefault((" ".join(words), tree), []).append(took)
        finally:
            server.stop()
    return [
        Start(command, str(tree), median(w for w, _ in took), median(c for _, c in took))
        for (command, tree), took in found.items()
    ]


def _run(tree: Path, words: Sequence[str], folder: Path, redis_url: str) -> tuple[float, float]:
    """Wall and CPU seconds of one command of a tree; the packages are those of this interpreter."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "SAILPIPE_REDIS_URL": redis_url}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "pipeline.cli", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode and words[0] != "--version":  # an older tree may not know the option
        raise SystemExit(done.stderr.decode())
    return wall, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    starts = measure([HERE, *(one.resolve() for one in given.against)], given.rounds)
    ours = {one.command: one for one in starts if one.tree == str(HERE)}
    print(f"{'command':14} {'wall s':>7} {'CPU s':>7} {'CPU of ours':>12}  tree")
    for one in starts:
        share = one.cpu_s / ours[one.command].cpu_s
        print(f"{one.command:14} {one.wall_s:7.3f} {one.cpu_s:7.3f} {share:11.2f}x  {one.tree}")
    for command, goal in _GOALS_S.items():
        met = "met" if ours[command].cpu_s <= goal else "missed"
        print(f"goal: {command} within {goal:g} s of CPU: {met}")


if __name__ == "__main__":
    main()
