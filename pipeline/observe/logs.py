"""Logging: one line an event, `key=value` or JSON, on stderr, for our events and for libraries' alike.

Set up by entry points only. Of no kind of line are there many in a minute (budget.py). Nothing that names a person belongs in a log; as a second line of
defence whatever looks like an email address is masked on its way out. structlog, which brings rich along, is
imported where something is logged: most commands never do.
"""

from __future__ import annotations

import logging
import math
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Literal, TextIO

from pipeline.observe.budget import LEFT_OUT, LineBudget
from pipeline.observe.names import LogEvent

if TYPE_CHECKING:
    import structlog

LogFormat = Literal["logfmt", "json"]
_EMAIL = re.compile(r"[^\s@\"'<>=,;:()]+(?:@|%40)[^\s@\"'<>=,;:()&]+\.[^\s@\"'<>=,;:()&]+")
_LOGGER = "sailpipe"
CHATTY = ("uvicorn.error", "httpx", "celery.worker.strategy", "celery.app.trace")
"""Libraries that log a line a request or task at INFO."""


def log_event(event: LogEvent, level: int = logging.INFO, **fields: object) -> None:
    """Log one of our events. Field values are ids of ours, names and numbers; never payloads."""
    import structlog  # noqa: PLC0415 - slow

    structlog.stdlib.get_logger(_LOGGER).log(level, event, **fields)


def set_up_logging(
    level: int = logging.INFO, stream: TextIO | None = None, *, form: LogFormat = "logfmt"
) -> None:
    """Send all logging of this process to `stream` (stderr). May be called again."""
    import structlog  # noqa: PLC0415 - slow

    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                mask_emails,
                _renderer(form),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


class _Handler(logging.StreamHandler[TextIO]):
    """Writes as many lines as its budget lets pass; the end of the process says what was left out till then."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._budget = LineBudget(_say_left_out)
        self.addFilter(self._budget)

    def close(self) -> None:
        self._budget.flush()
        super().close()


def _say_left_out(lines: int, kinds: str) -> None:
    log_event(LEFT_OUT, logging.WARNING, lines=lines, kinds=kinds)


def _renderer(form: LogFormat) -> structlog.typing.Processor:
    import structlog  # noqa: PLC0415 - slow

    if form == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])


class Throttle(logging.Filter):
    """Lets one record of each kind pass in `every_s` seconds; for libraries that log a line for each bad request.

    A kind is a logger's first line before its arguments, and the error's class.
    """

    def __init__(
        self, every_s: float = 60.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._every_s = every_s
        self._monotonic = monotonic
        self._said: dict[tuple[str, str, object], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[0] if record.exc_info else None
        kind, now = (record.name, str(record.msg).partition("\n")[0], error), self._monotonic()
        if now - self._said.get(kind, -math.inf) < self._every_s:
            return False
        self._said[kind] = now
        return True


def mask_emails(
    logger: object, method: str, event_dict: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace email addresses in all texts of a log line (a structlog processor)."""
    for key, value in event_dict.items():
        if isinstance(value, str):
            event_dict[key] = _EMAIL.sub("***", value)
    return event_dict
