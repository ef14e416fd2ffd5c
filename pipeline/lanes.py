"""Lanes as data: a row says what a lane talks to, what its events may wait for, and what waits for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

Host = Literal["api", "track"]
PAGEVIEW_ENDPOINT = "/v1/track/event/pageview"
"""Path of the pageview endpoint. It lives on another host and is not signed."""


class Lane(StrEnum):
    """Where an event waits. Each lane has its own Celery queue and rate limits, and a row below."""

    USER = "user"
    EVENT = "event"
    PURCHASE = "purchase"
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """What sets one lane apart from the others.

    bucket: the call it mostly makes; that rate bounds how much of the lane is leased at a time.
    other_buckets: further calls that its kinds make.
    host: which of Sailthru's two hosts it depends on.
    identifies: what is delivered here makes profiles and merges them; the one lane others wait for.
    waits_for_identify, waits_for_email: what its events may wait for.
    scopes: the gates that a mailbox must find open before it is leased.
    wakes: the lanes whose mailboxes may wait for what leaves this lane.
    """

    lane: Lane
    bucket: str
    other_buckets: tuple[str, ...] = ()
    host: Host = "api"
    identifies: bool = False
    waits_for_identify: bool = False
    waits_for_email: bool = False
    scopes: tuple[str, ...] = field(init=False)
    wakes: tuple[Lane, ...] = field(init=False)

    def __post_init__(self) -> None:
        scopes = (self.lane.value, "account", self.host, self.bucket)
        object.__setattr__(self, "scopes", scopes)
        others = tuple(lane for lane in Lane if lane is not self.lane)
        object.__setattr__(self, "wakes", others if self.identifies else ())


_ROWS = (
    LaneSpec(
        Lane.USER,
        "POST /user",
        other_buckets=("GET /user", "DELETE /user"),
        identifies=True,
    ),
    LaneSpec(Lane.EVENT, "POST /event", waits_for_identify=True),
    LaneSpec(
        Lane.PURCHASE,
        "POST /purchase",
        other_buckets=("POST /return", "GET /purchase"),
        waits_for_identify=True,
        waits_for_email=True,
    ),
    LaneSpec(Lane.PAGE, f"POST {PAGEVIEW_ENDPOINT}", host="track"),
)
SPECS: Final[Mapping[Lane, LaneSpec]] = MappingProxyType({row.lane: row for row in _ROWS})
BUCKETS: Final[Mapping[Lane, str]] = MappingProxyType({row.lane: row.bucket for row in _ROWS})
HOSTS: Final[tuple[Host, ...]] = ("api", "track")
HOST_OF: Final[Mapping[str, Host]] = MappingProxyType({PAGEVIEW_ENDPOINT: "track"})
"""Which host an endpoint is on; `api` has all others."""

KNOWN_BUCKETS: Final = tuple(bucket for row in _ROWS for bucket in (row.bucket, *row.other_buckets))
"""The buckets sailpipe itself uses, in the order `sailpipe limits` shows them."""
ALL_SCOPES: Final = tuple(
    dict.fromkeys((*(scope for row in _ROWS for scope in row.scopes), *KNOWN_BUCKETS))
)
"""Everything that a gate may stand before."""
