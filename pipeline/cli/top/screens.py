"""What `top` lays over its tables: a question for a reason, a yes or no, one lane, the keys."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Sparkline, Static

from pipeline.cli.tables import printable
from pipeline.cli.top.figures import LANE_COLUMNS, LaneRow
from pipeline.status.waiting import Waiting
from pipeline.status.wording import WAITS

BOX = """
{name} {{ align: center middle; }}
{name} > * {{ width: 90%; max-width: 100; height: auto; max-height: 90%; padding: 1 2;
  background: $surface; border: round $primary; }}
"""
ESCAPE = Binding("escape", "dismiss", "back")


class Reason(ModalScreen[str | None]):
    """Asks why a lane is paused; None when the person thinks better of it. The reason may be empty."""

    CSS = BOX.format(name="Reason")
    BINDINGS: ClassVar[list[BindingType]] = [ESCAPE]

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(f"Pause {self._what}? What arrives is kept.", markup=False)
            yield Input(placeholder="why, for who looks later; Enter pauses, Escape does not")

    @on(Input.Submitted)
    def _said(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())


class Sure(ModalScreen[bool]):
    """Asks for a yes."""

    CSS = BOX.format(name="Sure")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "yes"),
        Binding("n,escape", "no", "no"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        yield Static(f"{self._question} [y/n]", markup=False)

    def action_yes(self) -> None:
        self.dismiss(True)

    def action_no(self) -> None:
        self.dismiss(False)


class OneLane(ModalScreen[None]):
    """One lane: its figures, its last 15 minutes, its gates, and what waits in it by cause."""

    CSS = BOX.format(name="OneLane") + "OneLane Sparkline { height: 4; margin: 1 0; }"
    BINDINGS: ClassVar[list[BindingType]] = [ESCAPE, Binding("enter,q", "dismiss", "back")]

    def __init__(self, row: LaneRow, waiting: Waiting) -> None:
        super().__init__()
        self._row = row
        self._waiting = waiting

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(f"Lane {self._row.lane.value}, account {self._row.account}", markup=False)
            yield Sparkline(self._row.waited or (0,))
            yield Static("\n".join(self._lines()), markup=False, id="lane-lines")

    def _lines(self) -> list[str]:
        named = zip(LANE_COLUMNS, self._row.cells, strict=True)
        lines = [f"{name:<12}{cell}" for name, cell in named if name not in ("account", "lane")]
        lines += ["", *self._row.gates]
        for one in self._waiting.rows():
            what = WAITS.get(one["waits_for"], one["waits_for"])
            lines.append(f"{one['events']} events of {one['people']} people wait for {what}")
        if not self._waiting.complete:
            lines.append("More mailboxes wait than were looked at.")
        return [printable(line) if line else "" for line in lines]


class Keys(ModalScreen[None]):
    """The keys."""

    CSS = BOX.format(name="Keys")
    BINDINGS: ClassVar[list[BindingType]] = [
        ESCAPE,
        Binding("question_mark,enter,q", "dismiss", "back"),
    ]

    def __init__(self, keys: list[tuple[str, str]]) -> None:
        super().__init__()
        self._keys = keys

    def compose(self) -> ComposeResult:
        lines = [f"{key:<10}{what}" for key, what in self._keys]
        yield Static("\n".join(lines), markup=False)
