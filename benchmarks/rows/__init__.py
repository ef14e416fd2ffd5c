"""The rows of the suite, in the order in which they are run and shown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.figures import Row
from benchmarks.rows.backlog import BACKLOG
from benchmarks.rows.burst import BURST
from benchmarks.rows.delivery import CPU, MIXED
from benchmarks.rows.folding import CARTS, IDENTIFIES
from benchmarks.rows.live import LIVE
from benchmarks.rows.programs import COMMANDS, SPLITTER
from benchmarks.rows.scaling import SCALING

ROWS: Sequence[Row] = (
    CPU,
    MIXED,
    LIVE,
    BURST,
    SCALING,
    SPLITTER,
    CARTS,
    IDENTIFIES,
    BACKLOG,
    COMMANDS,
)
