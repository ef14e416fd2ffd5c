"""What `sailpipe doctor` finds: one check with its verdict and fix."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is. Only `fail` makes the command fail."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """`found` is a sentence without secrets; what is not ok has a `fix` (or says it itself)."""

    name: str
    verdict: Verdict
    found: str
    fix: str | None = None

    def as_json(self) -> dict[str, str | None]:
        """One line of `doctor --json`."""
        return {
            "check": self.name,
            "result": self.verdict.value,
            "found": self.found,
            "fix": self.fix,
        }

    def as_text(self) -> str:
        """One line for people."""
        fix = f" -> {self.fix}" if self.fix else ""
        return f"{self.verdict:<5}{self.name}: {self.found}{fix}"
