"""`python die_with_parent.py PARENT_PID SIGNAL COMMAND…`: become COMMAND, but die when the parent does.

A supervisor that is killed by SIGKILL cannot end its processes. The kernel can (Linux:
PR_SET_PDEATHSIG, which survives exec). Elsewhere COMMAND simply runs, and the next `up`
ends a Redis left over.
A program of its own, because code between fork and exec in a process with threads can deadlock.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, signal_number, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
        if os.getppid() != parent:  # it died before the signal was asked for
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - a command of our own supervisor


if __name__ == "__main__":
    main()
