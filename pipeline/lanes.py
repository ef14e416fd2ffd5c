"""Lanes as data: a row says what a lane talks to, what its events may wait for, and what waits for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from pipeline.events.models import Lane
from pipeline.sailthru.calls import PAGEVIEW_ENDPOINT

Host = Literal["api", "track"]


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """What sets one lane apart from the others.

    bucket: the call it mostly makes; that rate bounds how much of the lane is leased at a time.
    host: which of Sailthru's two hosts it depends on.
    identifies: what is delivered here makes profiles and merges them; the one lane others wait for.
    waits_for_identify, waits_for_email: what its events may wait for.
    wakes: the lanes whose mailboxes may wait for what leaves this lane.
    scopes: the gates that a mailbox must find open before it is leased.
    """

    lane: Lane
    bucket: str
    host: Host = "api"
    identifies: bool = False
    waits_for_identify: bool = False
    waits_for_email: bool = False
    wakes: tuple[Lane, ...] = ()
    scopes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        scopes = (self.lane.value, "account", self.host, self.bucket)
        object.__setattr__(self, "scopes", scopes)


_ROWS = (
    LaneSpec(
        Lane.USER,
        "POST /user",
        identifies=True,
        wakes=(Lane.EVENT, Lane.PURCHASE, Lane.PAGE),
    ),
    LaneSpec(Lane.EVENT, "POST /event", waits_for_identify=True),
    LaneSpec(Lane.PURCHASE, "POST /purchase", waits_for_identify=True, waits_for_email=True),
    LaneSpec(Lane.PAGE, f"POST {PAGEVIEW_ENDPOINT}", host="track"),
)
SPECS: Final[Mapping[Lane, LaneSpec]] = MappingProxyType({row.lane: row for row in _ROWS})
BUCKETS: Final[Mapping[Lane, str]] = MappingProxyType({row.lane: row.bucket for row in _ROWS})
HOSTS: Final[tuple[Host, ...]] = ("api", "track")
HOST_OF: Final[Mapping[str, Host]] = MappingProxyType({PAGEVIEW_ENDPOINT: "track"})
"""Which host an endpoint is on; `api` has all others."""

_OTHER_BUCKETS = ("GET /user", "POST /return", "GET /purchase")
"""Buckets that are no lane's own; they may be closed all the same."""
ALL_SCOPES: Final = tuple(
    dict.fromkeys((*(scope for row in _ROWS for scope in row.scopes), *_OTHER_BUCKETS))
)
"""Everything that a gate may stand before."""
