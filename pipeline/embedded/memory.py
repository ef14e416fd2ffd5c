"""How much memory a server on this machine may take: what the machine has, or what our control group may use of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil


def available_memory(root: Path = Path("/")) -> int:
    """Bytes. `root` stands in for the file system in tests."""
    machine = int(psutil.virtual_memory().total)
    return min([machine, *_group_limits(root)])


def _group_limits(root: Path) -> Iterator[int]:
    """Of our control group and those around it. A limit counts for all that is inside; `max` is none."""
    for name in _limit_files(root):
        try:
            text = name.read_text().strip()
        except OSError:
            continue
        if text.isdecimal() and int(text) > 0:
            yield int(text)


def _limit_files(root: Path) -> Iterator[Path]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        # Version 2 has one tree and no kinds. A container may not see the folder of its own name.
        top = root / "sys/fs/cgroup" / ("memory" if kinds else "")
        limit = "memory.limit_in_bytes" if kinds else "memory.max"
        group = top / path.lstrip("/")
        yield from (
            folder / limit for folder in (group, *group.parents) if folder.is_relative_to(top)
        )
