"""The numbers: what Sailthru allows, and how far below it we aim."""

from __future__ import annotations

from typing import Literal

from pipeline.sailthru.calls import PAGEVIEW_ENDPOINT

Purpose = Literal["cart", "email", "pass_through", "normal"]
"""What a call is for. GET /user is shared by it: see `SHARES`; carts go first.

`pass_through` is kept for reads that a door hands on for Sailthru's own clients; none does so yet.
"""

SHARES: dict[Purpose, float] = {"email": 0.10, "pass_through": 0.30}
"""The most of a bucket's rate that one purpose may use; the others may use all of it."""

KNOWN_BUCKETS = (
    "POST /user",
    "POST /event",
    "POST /purchase",
    "POST /return",
    f"POST {PAGEVIEW_ENDPOINT}",
    "GET /user",
    "GET /purchase",
)
"""The buckets sailpipe itself uses, in the order `sailpipe limits` shows them."""

FAST = 100.0
"""Calls/s. Limits from here on are fast: their slots are so close that some are reserved together."""

SLACK_FAST, SLACK_SLOW = 0.0105, 0.020
"""Seconds. N + 1 slots in a row take 1 s + slack, so no second receives more than the limit as long as
no call is delayed by the slack more than another. It costs its share of the rate: 1 %, or 2 % of slow
limits, which have no dropped slots to make up for one call that hung."""

MAX_AHEAD = 0.25
"""Seconds. Nobody reserves further ahead, so that a closed bucket is soon quiet."""

RESTART_PAUSE = 2 * MAX_AHEAD
"""Seconds. A Redis that has just started may have forgotten slots; by then they are all past."""

_LEASE_S = 0.017
_LEASE_MAX = 8


def default_limit(bucket: str) -> float:
    """Calls/s that Sailthru allows per account (reference: sailthru-api 3).

    `POST /user` and every GET have 300/s, anything else 40/s.
    """
    method, _, endpoint = bucket.partition(" ")
    return 300.0 if method == "GET" or (method, endpoint) == ("POST", "/user") else 40.0


def slack(limit: float) -> float:
    """Seconds by which calls under `limit` calls/s may be delayed unequally."""
    return SLACK_FAST if limit >= FAST else SLACK_SLOW


def lateness(limit: float) -> float:
    """Seconds after which an unused slot is dropped; the rest of the slack is left to the network."""
    return 0.5 * slack(limit)


def hung(limit: float) -> float:
    """Seconds after its slot at which a call that has only just been sent is too late."""
    return 0.7 * slack(limit)


def pace(limit: float) -> float:
    """Calls/s to aim at under `limit` calls/s."""
    return limit / (1.0 + slack(limit))


def lease(rate: float) -> int:
    """How many slots one process reserves at a time, at `rate` calls/s: 5 at 300/s, 1 at 40/s.

    A lease saves round trips and is what a killed process wastes.
    """
    return max(1, min(_LEASE_MAX, int(rate * _LEASE_S)))
