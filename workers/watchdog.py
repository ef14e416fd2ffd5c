"""Ends a process whose loop stands still: an event may hang whoever maps it."""

from __future__ import annotations

import asyncio
import faulthandler

BEAT_S = 1.0


async def end_when_hung(loan_s: float) -> None:
    """End this process (status 1) once the loop has not run for a whole loan.

    All its claims are lost by then, so that ending costs nothing; staying would let one event after
    the other be lent to a process that never delivers. The interpreter's own watchdog does it: it
    needs no lock of Python's, and says on stderr in which lines the threads were.
    """
    try:
        while True:
            faulthandler.dump_traceback_later(loan_s, exit=True)
            await asyncio.sleep(BEAT_S)
    finally:
        faulthandler.cancel_dump_traceback_later()
