"""The errors of a command line, and its exit codes."""

from __future__ import annotations

from pipeline.errors import SailpipeError

DONE, FAILED, WRONG_USAGE = 0, 1, 2
"""Exit codes. 2 is for wrong usage, wrong settings and bad input."""


class BadInput(SailpipeError):
    """A file or an argument is not what it should be: exit code 2, as for wrong usage."""
