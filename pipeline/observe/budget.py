"""How many lines of one kind a log has in a minute, whatever goes wrong."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from pipeline.observe.minutely import as_text
from pipeline.observe.names import LogEvent

LINES: Final = 30
"""Of one kind, in one process."""
EVERY_S: Final = 60.0
LEFT_OUT: Final[LogEvent] = "lines_left_out"
ALWAYS: Final[frozenset[LogEvent]] = frozenset({LEFT_OUT, "operator_acted"})
"""Which are few by themselves: a person causes each act."""

Later = Callable[[float, Callable[[], None]], None]


class LineBudget(logging.Filter):
    """Lets LINES of each kind pass in EVERY_S seconds, and has the number of those left out said at their end.

    Our events are of a kind each, a library's lines are of the kind of their logger and level: so there are few, and its
    warnings hide no error. What operators do passes always. Safe to share between threads.
    """

    def __init__(
        self,
        say: Callable[[int, str], None],
        monotonic: Callable[[], float] = time.monotonic,
        later: Later | None = None,
    ) -> None:
        """say: is handed the number of lines left out and how many of each kind, as text. later: calls back after so many
        seconds."""
        super().__init__()
        self._say = say
        self._monotonic = monotonic
        self._later = later or _in_a_thread
        self._lock = threading.Lock()
        self._passed: dict[str, tuple[float, int]] = {}
        self._left_out = Counter[str]()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is written."""
        kind, now = _kind(record), self._monotonic()
        if kind in ALWAYS:
            return True
        with self._lock:
            began, passed = self._passed.get(kind, (now, 0))
            if now - began >= EVERY_S:
                began, passed = now, 0
            if passed < LINES:
                self._passed[kind] = began, passed + 1
                return True
            is_first = not self._left_out
            self._left_out[kind] += 1
        if is_first:
            self._later(EVERY_S, self.flush)
        return False

    def flush(self) -> None:
        """Say now what was left out, if anything was."""
        with self._lock:
            left_out, self._left_out = self._left_out, Counter()
        if left_out:
            self._say(left_out.total(), as_text(left_out))


def _kind(record: logging.LogRecord) -> str:
    """structlog hands its events over as a dict."""
    said = record.msg
    if isinstance(said, dict) and "event" in said:
        return str(said["event"])
    return f"{record.name}/{record.levelname.lower()}"


def _in_a_thread(seconds: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
