"""One event's way through the code: files touched and changes of file, by the tests' in-process pipeline.

`python -m benchmarks.walk [way]`, in the project's root; `way` prints every hop of a custom event, which is
also the shortest introduction to the code. Counted: calls and resumptions of functions in pipeline/ and
workers/, without the sandbox, the clock and the memory slot store; a change of file is one between two
consecutive counted calls.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.accept import prepare
from tests.support import pipe as tests_pipe

ROOT = f"{Path(__file__).parents[1]}/"
SKIP = ("pipeline/sandbox/", "pipeline/clock.py", "pipeline/ratelimit/store_memory.py")
Hop = tuple[str, str]


class Walk:
    """Counts while it is on."""

    def __init__(self) -> None:
        self.hops: list[Hop] = []

    def __enter__(self) -> Walk:
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        file = frame.f_code.co_filename
        if not file.startswith((ROOT + "pipeline", ROOT + "workers")):
            return
        name = file.removeprefix(ROOT)
        if not name.startswith(SKIP):
            self.hops.append((name, frame.f_code.co_qualname))


def changes(hops: Sequence[Hop]) -> tuple[int, int]:
    """How many files these hops touch, and how often they change from one to another."""
    files = [file for i, (file, _) in enumerate(hops) if i == 0 or hops[i - 1][0] != file]
    return len(set(files)), max(0, len(files) - 1)


async def walk(event: dict[str, Any]) -> dict[str, list[Hop]]:
    """The hops of accepting, splitting and delivering one event of a user who is known."""
    async with tests_pipe.open_pipe() as pipe:
        await pipe.post(tests_pipe.identify("u1"))
        await pipe.run(5)
        with Walk() as counted:
            prepare(event)
            accepted = len(counted.hops)
            await pipe.post(event)
            split = len(counted.hops)
            await pipe.run(1)
    hops = counted.hops
    return {"accept": hops[:accepted], "split": hops[accepted:split], "deliver": hops[split:]}


def main(arguments: Sequence[str]) -> None:
    events = {
        "order": tests_pipe.order("u1", "o1"),
        "cart": tests_pipe.added("u1"),
        "identify": tests_pipe.identify("u1"),
        "custom event": tests_pipe.track("u1"),
    }
    for label, event in events.items():
        for part, hops in asyncio.run(walk(event)).items():
            files, changed = changes(hops)
            functions = len(set(hops))
            print(
                f"{label:14s} {part:8s} functions {functions:4d}  files {files:3d}  "
                f"changes of file {changed:4d}"
            )
            if label == "custom event" and "way" in arguments:
                _print_way(hops)


def _print_way(hops: Sequence[Hop]) -> None:
    for i, hop in enumerate(hops):
        if i == 0 or hops[i - 1] != hop:
            print("   ", *hop)


if __name__ == "__main__":
    main(sys.argv[1:])
