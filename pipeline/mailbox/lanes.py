"""What a lane talks to, and so which gates stand before it."""

from __future__ import annotations

from typing import Final, Literal

from pipeline.events import Lane
from pipeline.sailthru.calls import PAGEVIEW_ENDPOINT, Call

Host = Literal["api", "track"]

BUCKETS: Final[dict[Lane, str]] = {
    Lane.USER: "POST /user",
    Lane.EVENT: "POST /event",
    Lane.PURCHASE: "POST /purchase",
    Lane.PAGE: f"POST {PAGEVIEW_ENDPOINT}",
}
"""The call each lane mostly makes; its rate bounds how much of the lane is lent at a time."""


def host_of(call: Call) -> Host:
    """Which of Sailthru's two hosts a call goes to."""
    return "track" if call.is_pageview else "api"


def lane_host(lane: Lane) -> Host:
    """Which of Sailthru's two hosts a lane depends on."""
    return "track" if lane is Lane.PAGE else "api"


def scopes(lane: Lane) -> tuple[str, ...]:
    """The gates a mailbox of this lane must find open before it is lent."""
    return (str(lane), "account", lane_host(lane), BUCKETS[lane])
