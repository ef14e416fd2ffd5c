"""The embedded Redis may take what its machine has, or what its container is given, if that is less."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from pipeline.embedded.memory import available_memory

MACHINE = psutil.virtual_memory().total
SMALL = 2**20


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/shop/web\n", {"sys/fs/cgroup/shop/web/memory.max": "1048576\n"}, SMALL),
        ("0::/shop/web\n", {"sys/fs/cgroup/shop/memory.max": "1048576\n"}, SMALL),
        ("0::/shop/web\n", {"sys/fs/cgroup/shop/web/memory.max": "max\n"}, MACHINE),
        ("0::/host/only\n", {"sys/fs/cgroup/memory.max": "1048576\n"}, SMALL),
        (
            "4:cpu:/x\n5:memory:/shop\n",
            {"sys/fs/cgroup/memory/shop/memory.limit_in_bytes": "1048576\n"},
            SMALL,
        ),
        (
            "5:memory:/\n",
            {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"},
            MACHINE,
        ),
        (None, {}, MACHINE),
    ],
)
def test_the_smaller_of_machine_and_container_counts(
    tmp_path: Path, groups: str | None, files: dict[str, str], expected: int
) -> None:
    """The limit may be that of a group around ours; `max` and a number beyond the machine are none."""
    written = {**files, **({"proc/self/cgroup": groups} if groups else {})}
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_memory(tmp_path) == expected
