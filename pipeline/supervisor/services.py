"""What a supervisor runs, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum


class Stage(IntEnum):
    """Shutdown goes from the ways in to what everything stands on."""

    INGEST = 1
    WORKERS = 2
    SANDBOX = 3
    REDIS = 4


@dataclass(frozen=True, slots=True)
class Service:
    """One child process.

    environment: what it gets besides ours.
    stop_within_s: from SIGTERM to SIGKILL.
    shares_output: it writes to our stdout and stderr itself, and not each line with its name.
    """

    name: str
    command: tuple[str, ...]
    stage: Stage
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_within_s: float = 5.0
    shares_output: bool = False
