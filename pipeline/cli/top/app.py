"""The terminal program behind `sailpipe top`. It draws; what it shows is made in figures.py, and done by source.py."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar

from redis.exceptions import RedisError
from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, Input, Static

from pipeline.cli.tables import printable
from pipeline.cli.top.figures import (
    LANE_COLUMNS,
    PROCESS_COLUMNS,
    LaneRow,
    lane_rows,
    matches,
    problem_lines,
    process_rows,
)
from pipeline.cli.top.screens import Keys, OneLane, Reason, Sure
from pipeline.cli.top.source import Reading, Source

EVERY_S = 2.0
"""Seconds between two readings, as `status --watch`."""
SHOWN_PROBLEMS = 8
KEYS = [
    ("p", "pause the lane under the cursor; asks for a reason"),
    ("r", "resume it; asks first"),
    ("Enter", "look closer at it: what waits in it, and for what"),
    ("/", "show only rows with these words; Escape shows all"),
    ("Tab", "from lanes to processes and back"),
    ("?", "these keys"),
    ("q", "quit"),
]


class Top(App[None]):
    """The figures of `status`, read anew every two seconds. What Redis does not answer leaves the last figures standing."""

    TITLE = "sailpipe top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #headline { text-style: bold; padding: 0 1; }
    #place { color: $text-muted; padding: 0 1; }
    #problems { padding: 0 1; max-height: 8; color: $warning; }
    #lanes { height: auto; max-height: 60%; }
    #filter { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "pause"),
        Binding("r", "resume", "resume"),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("escape", "show_all", "show all", show=False),
        Binding("question_mark", "keys", "keys", key_display="?"),
        Binding("q", "quit", "quit"),
    ]

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._reading: Reading | None = None
        self._rows: dict[str, LaneRow] = {}
        self._filter = ""

    def compose(self) -> ComposeResult:
        yield Static("Reading ...", id="headline", markup=False)
        yield Static("", id="place", markup=False)
        yield Static("", id="problems", markup=False)
        yield DataTable(id="lanes", cursor_type="row", zebra_stripes=True)
        yield DataTable(id="processes", cursor_type="row", zebra_stripes=True)
        yield Input(id="filter", placeholder="show only rows with ...")
        yield Footer()

    def on_mount(self) -> None:
        self._table("lanes").add_columns(*LANE_COLUMNS)
        self._table("processes").add_columns(*PROCESS_COLUMNS)
        self._table("lanes").focus()
        self.read()
        self.set_interval(EVERY_S, self._read_again)

    def _read_again(self) -> None:
        """Unless a reading is under way: of a slow Redis each would else be given up for the next."""
        if not any(one.group == "read" and one.is_running for one in self.workers):
            self.read()

    @work(exclusive=True, group="read")
    async def read(self) -> None:
        """Read and show, in the place of a reading that is under way."""
        try:
            self._reading = await self._source.read()
        except RedisError as error:
            self._line("headline", self._source.describe(error))
            return
        self._show()

    @work
    async def action_pause(self) -> None:
        row = self._row()
        if row is None:
            return
        why = await self.push_screen_wait(Reason(_named(row)))
        if why is not None:
            await self._do(self._source.pause(row.account, row.lane, why))

    @work
    async def action_resume(self) -> None:
        row = self._row()
        if row is not None and await self.push_screen_wait(Sure(f"Resume {_named(row)}?")):
            await self._do(self._source.resume(row.account, row.lane))

    @on(DataTable.RowSelected, "#lanes")
    @work
    async def look_closer(self) -> None:
        """Show one lane. What waits in it is read once, which looks at some thousand mailboxes."""
        row = self._row()
        if row is None:
            return
        try:
            waiting = await self._source.waiting(row.account, row.lane)
        except RedisError as error:
            self._line("headline", self._source.describe(error))
            return
        await self.push_screen_wait(OneLane(row, waiting))

    def action_filter(self) -> None:
        box = self.query_one("#filter", Input)
        box.display = True
        box.focus()

    def action_show_all(self) -> None:
        self.query_one("#filter", Input).value = ""
        self._leave_filter()

    def action_keys(self) -> None:
        self.push_screen(Keys(KEYS))

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        self._filter = event.value
        self._show()

    @on(Input.Submitted, "#filter")
    def _leave_filter(self) -> None:
        self.query_one("#filter", Input).display = bool(self._filter)
        self._table("lanes").focus()

    async def _do(self, act: Awaitable[None]) -> None:
        try:
            await act
        except RedisError as error:
            self.notify(self._source.describe(error), severity="error")
        self.read()

    def _show(self) -> None:
        if self._reading is None:
            return
        status = self._reading.status
        self._line("headline", status["headline"])
        self._line(
            "place", f"Redis {status['redis_url']}, target {status['target']}; {_raw(status)}"
        )
        lines = list(problem_lines(self._reading))
        more = len(lines) - SHOWN_PROBLEMS
        shown = (
            lines if more <= 0 else [*lines[:SHOWN_PROBLEMS], f"and {more} more: sailpipe status"]
        )
        self._line("problems", "\n".join(shown))
        rows = [row for row in lane_rows(self._reading) if matches(row.cells, self._filter)]
        self._rows = {row.key: row for row in rows}
        self._fill("lanes", [(row.key, row.cells) for row in rows])
        processes = [row for row in process_rows(self._reading) if matches(row, self._filter)]
        self._fill("processes", [(None, row) for row in processes])

    def _fill(self, name: str, rows: list[tuple[str | None, tuple[str, ...]]]) -> None:
        """The cursor stays where it is."""
        table = self._table(name)
        at = table.cursor_row
        table.clear()
        for key, cells in rows:
            table.add_row(*map(Text, cells), key=key)
        if rows:
            table.move_cursor(row=min(at, len(rows) - 1))

    def _row(self) -> LaneRow | None:
        table = self._table("lanes")
        if not table.row_count:
            return None
        key = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value
        return self._rows.get(key or "")

    def _table(self, name: str) -> DataTable[Text]:
        return self.query_one(f"#{name}", DataTable)

    def _line(self, name: str, text: str) -> None:
        self.query_one(f"#{name}", Static).update(text)


def _named(row: LaneRow) -> str:
    return f"lane {row.lane.value} of account {printable(row.account)}"


def _raw(status: Mapping[str, Any]) -> str:
    return f"raw stream: {status['raw']['backlog']} waiting to be split"
