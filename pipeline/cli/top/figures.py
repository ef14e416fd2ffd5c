"""From a reading to what stands in the tables and lines of `top`. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.cli.status import describe_gate, describe_prospect
from pipeline.cli.tables import age, printable
from pipeline.cli.top.source import Reading
from pipeline.events.models import Lane
from pipeline.lanes import SPECS

LANE_COLUMNS: Final = (
    *("lane", "state", "waiting", "15 minutes", "oldest", "empty"),
    *("calls/s", "aims at", "limit", "retrying", "no email", "other", "account"),
)
"""What matters most stands in the first 80 characters; the account is worth a column where there are several."""
PROCESS_COLUMNS: Final = ("process", "host", "pid", "does", "version", "seen")
BARS: Final = "▁▂▃▄▅▆▇█"
WIDTH: Final = 15
"""Characters of a plot: a minute each."""


@dataclass(frozen=True, slots=True)
class LaneRow:
    """One lane of one account. cells: in the order of LANE_COLUMNS. waited: events that waited, the newest last."""

    account: str
    lane: Lane
    cells: tuple[str, ...]
    gates: tuple[str, ...]
    waited: tuple[int, ...]

    @property
    def key(self) -> str:
        """What names it in its table."""
        return f"{self.account} {self.lane.value}"


def lane_rows(reading: Reading) -> Iterator[LaneRow]:
    """All lanes of all accounts, in the order of the status."""
    for account, one in reading.status["accounts"].items():
        for name, figures in one["lanes"].items():
            lane = Lane(name)
            gates = [gate for gate in one["gates"] if gate["scope"] in SPECS[lane].scopes]
            waited = tuple(sample.waiting[name] for sample in reading.samples[account])
            cells = (name, _state(gates), *_cells(figures, spark(waited)), account)
            shown = tuple(printable(cell) for cell in cells)
            yield LaneRow(account, lane, shown, tuple(map(describe_gate, gates)), waited)


def _state(gates: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(str(gate["reason"]) for gate in gates)) or "open"


def _cells(figures: Mapping[str, Any], plot: str) -> tuple[str, ...]:
    least = "" if figures["complete"] else "+"
    measured = figures["measured"]
    return (
        str(figures["backlog"]),
        plot,
        age(figures["oldest_s"]),
        describe_prospect(dict(figures)),
        "-" if measured is None else f"{measured:g}",
        f"{figures['rate']:g}",
        f"{figures['limit']:g}",
        f"{figures['retrying']}{least}",
        f"{figures['waiting_email']}{least}",
        str(figures["waiting_other"]),
    )


def spark(values: Sequence[int], width: int = WIDTH) -> str:
    """A plot of these in so many characters, the newest at the right; each shows the largest of its share."""
    if not values:
        return ""
    step = max(1, -(-len(values) // width))
    ends = range(len(values), 0, -step)
    shares = [max(values[max(0, end - step) : end]) for end in ends][::-1]
    most = max(shares)
    if not most:
        return BARS[0] * len(shares)
    return "".join(BARS[value * (len(BARS) - 1) // most] for value in shares)


def process_rows(reading: Reading) -> Iterator[tuple[str, ...]]:
    """Every process that lives, in the order of PROCESS_COLUMNS."""
    for one in reading.status["processes"]:
        does = ", ".join(one["lanes"]) or one["address"]
        if one["role"] == "splitter":
            does = "splits" if one["lease"] else "stands by"
        cells = (one["role"], one["host"], one["pid"], does, one["version"])
        yield (*map(printable, cells), f"{age(one['seen_s'])} ago")


def problem_lines(reading: Reading) -> Iterator[str]:
    """What needs a person, closed gates, replays under way, and numbers of letters."""
    status = reading.status
    for one in status["needs_person"]:
        yield f"A person is needed: {printable(one)}."
    for name, account in status["accounts"].items():
        where = f"{name}: " if len(status["accounts"]) > 1 else ""
        for gate in account["gates"]:
            yield where + printable(describe_gate(gate))
        dead = ", ".join(f"{reason} {count}" for reason, count in account["dead"].items())
        if dead:
            yield f"{where}Dead letters: {dead}; sailpipe dead stats"
    for job in status["jobs"]:
        through = f"{job['through']} of {job['total']}"
        yield f"Replay {job['id'][:8]} is {job['state']}, {through} letters through; sailpipe dead jobs"


def matches(cells: Sequence[str], text: str) -> bool:
    """Whether a row is shown: it has every word, in any case, somewhere."""
    line = " ".join(cells).casefold()
    return all(word in line for word in text.casefold().split())
