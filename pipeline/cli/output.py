"""Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from typing import Any


def result(text: str) -> None:
    """One line of what was asked for."""
    sys.stdout.write(f"{text}\n")


def json_result(value: Any) -> None:
    """One compact JSON object a line."""
    result(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def note(text: str) -> None:
    """One line about how it goes."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
