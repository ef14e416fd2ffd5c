"""The splitter's verdict on new events: whether they are refused, and why. Every way in reads it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic_core import from_json, to_json

from pipeline.events.routing import lane_by_kind


@dataclass(frozen=True, slots=True)
class Verdict:
    """One that says nothing refuses nothing.

    memory: percent of Redis' memory in use, once that is MEMORY_HIGH or more.
    lanes: account -> lane -> events that wait there, once they are LANE_BOUND or more.
    """

    memory: int | None = None
    lanes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.memory is not None or bool(self.lanes)

    def why_not(self, account: str, raws: Iterable[bytes]) -> str | None:
        """Why these events of an account are refused; None when they are not. They are read only if a lane is full."""
        if self.memory is not None:
            return f"{self.memory}% of Redis' memory is in use, and events are refused"
        full = self.lanes.get(account, {})
        lane = next((one for one in map(lane_by_kind, raws) if one in full), None) if full else None
        return lane and f"{full[lane]} events wait in the lane {lane} already"

    def encode(self) -> bytes:
        """As it lies in Redis."""
        return to_json({"memory": self.memory, "lanes": self.lanes})

    @classmethod
    def decode(cls, text: bytes | None) -> Verdict:
        """Read what `encode` wrote; nothing is no verdict."""
        return cls(**from_json(text)) if text else NO_VERDICT


NO_VERDICT = Verdict()
"""Of a splitter that lets events in, and where no splitter lives."""
