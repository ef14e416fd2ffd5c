"""Results go to stdout, everything else to stderr."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

from pipeline.errors import SailpipeError


def speak_utf8() -> None:
    """Write UTF-8 whatever the locale: JSON is UTF-8, and names come in every script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def result(text: str) -> None:
    """One line of what was asked for.

    Raises:
        BrokenPipeError: the reader has gone.
        SailpipeError: stdout takes nothing else: its disk is full, say.
    """
    try:
        sys.stdout.write(f"{text}\n")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SailpipeError(f"The output cannot be written: {error.strerror}.") from None


def json_result(value: Any) -> None:
    """One compact JSON object a line."""
    result(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def note(text: str) -> None:
    """One line on stderr about what the command does."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
