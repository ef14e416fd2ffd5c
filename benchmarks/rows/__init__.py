"""The rows of the suite, in the order in which they are run and shown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.figures import Row
from benchmarks.rows.backlog import BACKLOG
from benchmarks.rows.burst import BURST
from benchmarks.rows.delivery import CPU, MIXED
from benchmarks.rows.folding import CARTS, IDENTIFIES
from benchmarks.rows.idle import IDLE
from benchmarks.rows.live import BESIDE, LIVE
from benchmarks.rows.profile import PROFILE
from benchmarks.rows.programs import COMMANDS, DOOR, HTTP_CALLS, PRODUCERS, SPLITTER
from benchmarks.rows.scaling import SCALING
from benchmarks.rows.trace import TRACE

ROWS: Sequence[Row] = (
    CPU,
    MIXED,
    PROFILE,
    LIVE,
    BURST,
    BESIDE,
    SCALING,
    SPLITTER,
    CARTS,
    IDENTIFIES,
    BACKLOG,
    TRACE,
    PRODUCERS,
    DOOR,
    HTTP_CALLS,
    IDLE,
    COMMANDS,
)
