"""Who asks, and what they may do. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Access(StrEnum):
    """What an operator may do."""

    FULL = "full"
    READ = "read"
    """Look at everything, change nothing."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Who asks. `who` is what the audit trail says: how they showed who they are, never a secret."""

    who: str
    access: Access

    @property
    def may_change(self) -> bool:
        return self.access is Access.FULL


LOCAL: Final = Operator("this machine", Access.FULL)
"""The operator of a request from this machine while no password is set."""
