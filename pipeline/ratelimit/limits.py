"""The numbers: what Sailthru allows, and how far below it we aim."""

from __future__ import annotations

from typing import Literal

Purpose = Literal["cart", "email", "pass_through", "normal"]
"""What a call is for. GET /user is shared by it: see `SHARES`; carts go first."""

SHARES: dict[Purpose, float] = {"email": 0.10, "pass_through": 0.30}
"""The most of a bucket's rate that one purpose may use; the others may use all of it."""

KNOWN_BUCKETS = (
    "POST /user",
    "POST /event",
    "POST /purchase",
    "POST /return",
    "POST /v1/track/event/pageview",
    "GET /user",
    "GET /purchase",
)
"""The buckets sailpipe itself uses, in the order `sailpipe limits` shows them."""

SLACK = 0.0105
"""Seconds. N + 1 slots in a row take 1 s + SLACK, so as many arrivals as the limit allows fit into a
second as long as no call is delayed by SLACK more than another. It costs SLACK of the rate (1 %)."""

LATENESS = 0.004
"""Seconds. A slot not used by then is dropped; the rest of SLACK is left to the network."""

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


def pace(limit: float) -> float:
    """Calls/s to aim at under `limit` calls/s."""
    return limit / (1.0 + SLACK)


def lease(rate: float) -> int:
    """How many slots one process reserves at a time, at `rate` calls/s: 5 at 300/s, 1 at 40/s.

    A lease saves round trips and is what a killed process wastes.
    """
    return max(1, min(_LEASE_MAX, int(rate * _LEASE_S)))
