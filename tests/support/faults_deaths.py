"""Places where `faults_worker` dies on purpose, and how many deaths each is still to see.

A directory has one folder for each place, and in it a file for each death: whoever removes one
kills its own process at once, as a SIGKILL at that very point would.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

AFTER_INTENT, BEFORE_SETTLE, AFTER_SETTLE = "after_intent", "before_settle", "after_settle"
BEFORE_SPLIT, AFTER_SPLIT = "before_split", "after_split"
KILLER, HANGER = "killer-", "hanger-"
"""An event whose messageId begins so ends, or hangs, the process that maps it."""
SPLIT_KILLER, SPLIT_HANGER = "splitkiller-", "splithanger-"
"""The same for the process that splits it, before it lies in a mailbox."""


def schedule_deaths(directory: Path, place: str, times: int) -> None:
    """Make whoever comes to `place` next die there, `times` times in all."""
    folder = directory / place
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(times):
        (folder / str(number)).touch()


def deaths_left(directory: Path, place: str) -> int:
    """How many of them have not happened yet."""
    return len(list((directory / place).iterdir()))


def die_at(directory: Path, place: str) -> None:
    """Die here, if a death is scheduled."""
    folder = directory / place
    for token in folder.iterdir() if folder.is_dir() else ():
        try:
            token.unlink()
        except FileNotFoundError:  # another process died of it
            continue
        os.kill(os.getpid(), signal.SIGKILL)
