"""Places where `worker` dies or freezes on purpose, and how often each is still to do so.

A directory has one folder for each place, and in it a file for each time: the process that
removes one signals itself at once, as an outside kill would at that very point.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path

AFTER_INTENT, BEFORE_SETTLE, AFTER_SETTLE = "after_intent", "before_settle", "after_settle"
BEFORE_SPLIT, AFTER_SPLIT = "before_split", "after_split"
FREEZE_BEFORE_SPLIT = "freeze_before_split"
ORDER, CART = "order", "cart"
"""What a call with an intent is about; `at(place, kind)` is the place for one of them."""
KILLER, HANGER = "killer-", "hanger-"
"""An event whose messageId begins with this ends, or hangs, the process that maps it."""
SPLIT_KILLER, SPLIT_HANGER = "splitkiller-", "splithanger-"
"""The same for the process that splits it, before it lies in a mailbox."""


def at(place: str, kind: str) -> str:
    """The place for calls of one kind only."""
    return f"{place}_{kind}"


def schedule(directory: Path, place: str, times: int) -> None:
    """Make the next processes that come to `place` be struck there, `times` times in all."""
    folder = directory / place
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(times):
        (folder / str(number)).touch()


def scheduled(directory: Path, place: str) -> int:
    """How many of them have not happened yet."""
    return len(list((directory / place).iterdir()))


def strike_at(directory: Path, place: str, sent: signal.Signals = signal.SIGKILL) -> None:
    """Die here, or be frozen by SIGSTOP, if that is scheduled."""
    folder = directory / place
    for token in folder.iterdir() if folder.is_dir() else ():
        try:
            token.unlink()
        except FileNotFoundError:  # another process has taken it
            continue
        # To this very thread, which may not return before it is struck: sent to the process, the signal is
        # another thread's, and this one goes on for a moment.
        signal.pthread_kill(threading.get_ident(), sent)
        return
