"""Ends a process of which a loop stands still: an event may hang the splitter or worker that reads it."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import threading

from pipeline.observe.logs import log_event

BEAT_S = 1.0
BACKSTOP_LEASES = 10
"""Leases after which the interpreter's own watchdog, which needs no lock of Python's, ends a process
that something holds so fast that no thread runs."""


class Watchdog:
    """Ends this process (status 1) once its loop has not run for a whole lease (the splitter's: a whole lease of its own).

    All that the loop held is lost by then, so that ending costs nothing; staying would let one
    mailbox after the other be leased to a process that never delivers. A thread counts its own beats
    instead of time: a process that was frozen as a whole finds its loop as quick as ever.
    """

    def __init__(self, loop: str, lease_s: float, *, backstop: bool = False) -> None:
        """`loop` names it in the log.

        `backstop`: also arm the interpreter's own watchdog. A process has only one, so one of its
        loops may arm it. That is enough: it is there for the case that no thread runs at all.
        """
        self._loop = loop
        self._patience = max(1, round(lease_s / BEAT_S))
        self._backstop_s = BACKSTOP_LEASES * lease_s if backstop else None
        self._beats = 0
        self._done = threading.Event()

    async def run(self) -> None:
        """Beat on the loop that is watched, until cancelled."""
        threading.Thread(target=self._watch, name="sailpipe-watchdog", daemon=True).start()
        try:
            while True:
                self._beats += 1
                if self._backstop_s is not None:
                    faulthandler.dump_traceback_later(self._backstop_s, exit=True)
                await asyncio.sleep(BEAT_S)
        finally:
            if self._backstop_s is not None:
                faulthandler.cancel_dump_traceback_later()
            self._done.set()

    def _watch(self) -> None:
        seen, missed = 0, 0
        while not self._done.wait(BEAT_S):
            missed = missed + 1 if self._beats == seen else 0
            seen = self._beats
            if missed > self._patience:
                log_event("loop_hung", logging.ERROR, loop=self._loop)
                faulthandler.dump_traceback()  # names lines, never values
                os._exit(1)
