"""What only a command line can get wrong."""

from __future__ import annotations

from pipeline.errors import SailpipeError


class BadInput(SailpipeError):
    """A file or an argument is not what it should be: exit code 2, as for wrong usage."""
