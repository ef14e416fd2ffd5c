"""What was said of each trouble, and what is to be said now. No I/O.

A trouble is told once, and again when it is over: when it has been gone for CALM_MS, so that one that comes and goes is
one alert and not one a minute. What cannot be posted is posted again with every turn, until ALERT_URL takes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

from pydantic_core import from_json, to_json

from pipeline.alerting.rules import Trouble

CALM_MS: Final = 60_000
State = Literal["raised", "resolved"]


@dataclass(frozen=True, slots=True)
class Told:
    """A trouble, and whether a person was told of it. gone_ms: since when it is not there, None while it is."""

    trouble: Trouble
    is_told: bool = False
    gone_ms: int | None = None

    def encode(self) -> bytes:
        """As it lies in Redis."""
        return to_json(asdict(self))

    @classmethod
    def decode(cls, text: bytes) -> Told:
        """Read what `encode` wrote."""
        fields = from_json(text)
        return cls(Trouble(**fields.pop("trouble")), **fields)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a look at all troubles comes to: what is remembered, what is forgotten unsaid, what is to be said."""

    kept: Mapping[str, Told]
    forgotten: tuple[str, ...]
    to_say: tuple[tuple[Told, State], ...]


def compare(before: Mapping[str, Told], found: Iterable[Trouble], now_ms: int) -> Comparison:
    """Compare what is there with what was said."""
    kept: dict[str, Told] = {}
    forgotten: list[str] = []
    to_say: list[tuple[Told, State]] = []
    for trouble in found:
        old = before.get(trouble.id)
        told = Told(trouble) if old is None else replace(old, gone_ms=None)
        kept[trouble.id] = told
        if not told.is_told:
            to_say.append((told, "raised"))
    for name, old in before.items():
        if name in kept:
            continue
        if not old.is_told:
            forgotten.append(name)
            continue
        gone_ms = now_ms if old.gone_ms is None else old.gone_ms
        kept[name] = replace(old, gone_ms=gone_ms)
        if now_ms - gone_ms >= CALM_MS:
            to_say.append((kept[name], "resolved"))
    return Comparison(kept, tuple(forgotten), tuple(to_say))
