"""docs/performance.md: `python -m benchmarks.page` writes its tables anew from results.json.

The prose is written by hand and names no figure; each table stands between `<!-- measured: NAME -->` and
`<!-- end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import capacity
from benchmarks.figures import number
from benchmarks.report import Document, check_lines, load, markdown
from benchmarks.rows import ROWS

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_BLOCK = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ROLES = ("worker", "splitter", "redis", "http", "up")
_COUNTED = ("round_trips", "scripts", "commands", "bytes_in", "bytes_out")
Rows = Mapping[str, Document]


def page(text: str, rows: Rows) -> str:
    """The page's text with every block as these rows have it.

    Raises:
        KeyError: a block that does not exist.
    """
    return _BLOCK.sub(lambda found: f"{found[1]}{BLOCKS[found[2]](rows)}{found[3]}", text)


def _machine(rows: Rows) -> str:
    hosts = [row["host"] for row in rows.values()]
    first = hosts[0]
    commits = ", ".join(dict.fromkeys(str(host["commit"]) for host in hosts))
    loads = [float(host["load_before"]) for host in hosts]
    days = sorted({str(host["at"])[:10] for host in hosts})
    scales = {float(row.get("scale", 1)) for row in rows.values()} - {1.0}
    short = f" Some rows ran at {number(min(scales))} of their size." if scales else ""
    return (
        f"{first['processor']}, {first['cores']} cores, {first['memory_gb']} GB; {first['system']}, Python "
        f"{first['python']}, {first['redis']}. Commit {commits}, {' to '.join(dict.fromkeys((days[0], days[-1])))}. "
        f"Load before the rows: {number(min(loads))} to {number(max(loads))}.{short}\n"
    )


def _checks(*, goals: bool) -> Callable[[Rows], str]:
    head = ("row", "measured", "median", "lowest to highest", "goal", "")

    def block(rows: Rows) -> str:
        lines = list(check_lines([row.name for row in ROWS], rows))
        ratios_first = sorted(lines, key=lambda line: not line[2].endswith(" x"))
        return markdown(
            head, (line for line in ratios_first if bool(line[4] or not line[2]) == goals)
        )

    return block


def _where(rows: Rows) -> str:
    """CPU by process."""
    lines = []
    for name, side, figures in _sides(rows, ("cpu", "mixed")):
        parts = [figures.get(f"{role}_ms", {}).get("median") for role in _ROLES[:3]]
        cells = [number(part * 1000) if part is not None else "" for part in parts]
        lines.append((f"`{name}`", side, *cells, number(figures["cpu_ms"]["median"] * 1000)))
    return markdown(("row", "side", "worker", "splitter", "Redis", "together"), lines)


def _profile(rows: Rows) -> str:
    """CPU by package."""
    lines = [
        (name if name == "others" else f"`{name}`", number(figure["median"]))
        for _, _, figures in _sides(rows, ("profile",))
        for name, figure in figures.items()
        if name != "together"
    ]
    return markdown(("package", "µs an event"), lines)


def _live(rows: Rows) -> str:
    """Cores by process at 340 events a second."""
    lines = [
        (role, number(figures[f"{role}_cores"]["median"]))
        for _, _, figures in _sides(rows, ("live",))
        for role in _ROLES
        if f"{role}_cores" in figures
    ]
    return markdown(("process", "cores"), lines)


def _counted(rows: Rows) -> str:
    lines = [
        (f"`{name}`", side, *(number(figures[one]["median"]) for one in _COUNTED))
        for name, side, figures in _sides(rows, ("cpu", "mixed"))
        if _COUNTED[0] in figures
    ]
    head = ("row", "side", "round trips", "script calls", "commands, those in scripts too")
    return markdown((*head, "bytes to Redis", "bytes from Redis"), lines)


def _growth(rows: Rows) -> str:
    """The same event under other circumstances."""
    places = (
        ("a backlog of one user each, one worker", "cpu", "ours", "cpu_ms"),
        ("an answer takes a second, one worker", "scaling", "one", "cpu_ms"),
        ("the same, two workers", "scaling", "two", "cpu_ms"),
        ("split only, a small backlog", "backlog", "small", "split_ms"),
        ("split only, a large one", "backlog", "large", "split_ms"),
        ("of it Redis, a small backlog", "backlog", "small", "split_redis_ms"),
        ("of it Redis, a large one", "backlog", "large", "split_redis_ms"),
        ("delivered out of a small backlog, three events a user", "backlog", "small", "deliver_ms"),
        ("delivered out of a large one", "backlog", "large", "deliver_ms"),
        ("of it Redis, out of a small backlog", "backlog", "small", "deliver_redis_ms"),
        ("of it Redis, out of a large one", "backlog", "large", "deliver_redis_ms"),
    )
    lines = []
    for what, row, side, figure in places:
        found = rows.get(row, {}).get("sides", {}).get(side, {}).get(figure)
        lines.append((what, number(found["median"] * 1000) if found else "not measured"))
    return markdown(("an event that is", "µs of CPU, Redis included"), lines)


def _capacity(rows: Rows) -> str:
    try:
        costs = capacity.costs_of(rows)
    except KeyError as missing:
        return f"Not measured: row {missing}.\n"
    given = (
        f"An event costs {number(costs.worker_ms * 1000)} µs in a worker, {number(costs.splitter_ms * 1000)} in the "
        f"splitter, {number(costs.redis_split_ms * 1000)} + {number(costs.redis_deliver_ms * 1000)} in Redis; it takes "
        f"{number(costs.waiting_bytes)} bytes while it waits, and a user {number(costs.user_bytes)} afterwards. An idle "
        f"account takes {number(costs.idle_cores)} of a core.\n\n"
    )
    return given + markdown(capacity.HEAD, capacity.lines(costs))


def _sides(rows: Rows, names: Sequence[str]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Row, side and figures of the rows that were measured."""
    for name in names:
        for side, figures in rows.get(name, {}).get("sides", {}).items():
            yield name, side, figures


BLOCKS: Mapping[str, Callable[[Rows], str]] = {
    "machine": _machine,
    "goals": _checks(goals=True),
    "counts": _checks(goals=False),
    "where": _where,
    "profile": _profile,
    "live": _live,
    "counted": _counted,
    "growth": _growth,
    "capacity": _capacity,
}


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), load()))
