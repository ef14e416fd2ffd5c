"""All that a sandbox remembers, for tests and people to look at."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.profiles import Profile, Profiles
from pipeline.sandbox.replies import rfc2822

MAX_CALLS_LOGGED = 200_000
"""Older calls are forgotten."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """A completed order. Two with one extid are two: that is how a doubled order shows."""

    id: str
    at: float
    sid: str
    email: str
    extid: str | None
    shown: dict[str, Any]
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """One request as it came in. `at` is Unix seconds; status is None when no answer was sent."""

    n: int
    at: float
    method: str
    endpoint: str
    user: str
    status: int | None
    fault: str | None


@dataclass(slots=True)
class SandboxState:
    """Profiles with their carts, and every order, event, return and pageview in arrival order."""

    profiles: Profiles = field(default_factory=Profiles)
    purchases: list[Purchase] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    returns: list[dict[str, Any]] = field(default_factory=list)
    pageviews: list[dict[str, Any]] = field(default_factory=list)
    calls: deque[LoggedCall] = field(default_factory=lambda: deque(maxlen=MAX_CALLS_LOGGED))
    calls_seen: int = 0
    _orders: dict[tuple[str, str], list[Purchase]] = field(default_factory=dict)

    def add_order(self, order: Purchase) -> None:
        """Record an order, next to any other with its extid."""
        self.purchases.append(order)
        self._orders[("sid", order.id)] = [order]
        if order.extid is not None:
            self._orders.setdefault(("extid", order.extid), []).append(order)

    def order(self, key: str, value: str, as_of: float = math.inf) -> Purchase | None:
        """The latest order with this `sid` or `extid` that was there at `as_of` (Unix seconds)."""
        found = self._orders.get((key, value), ())
        return next((order for order in reversed(found) if order.at <= as_of), None)

    def log_call(
        self,
        at: float,
        method: str,
        endpoint: str,
        user: str,
        status: int | None,
        fault: str | None = None,
    ) -> None:
        """Add one request to the call log."""
        self.calls_seen += 1
        self.calls.append(LoggedCall(self.calls_seen, at, method, endpoint, user, status, fault))

    def as_json(self) -> dict[str, Any]:
        """Everything but the call log, as the control API shows it."""
        return {
            "profiles": [_profile_json(profile) for profile in self.profiles],
            "purchases": [_purchase_json(purchase) for purchase in self.purchases],
            "events": self.events,
            "returns": self.returns,
            "pageviews": self.pageviews,
            "calls_seen": self.calls_seen,
        }

    def of_user(self, user: str) -> dict[str, Any]:
        """The part that is one person's, by any of their keys (extid, email, cookie …); page views name no person."""
        profiles = [one for one in self.profiles if user in one.keys.values()]
        sids = {one.sid for one in profiles}
        emails = {one.keys.get("email") for one in profiles}
        return {
            "profiles": [_profile_json(one) for one in profiles],
            "purchases": [_purchase_json(one) for one in self.purchases if one.sid in sids],
            "events": [one for one in self.events if one["sid"] in sids],
            "returns": [one for one in self.returns if one["params"]["email"] in emails],
        }


@dataclass(frozen=True, slots=True)
class Moment:
    """One call's view: the state, the options, and when it arrived (Unix seconds)."""

    state: SandboxState
    options: SandboxOptions
    now: float

    @property
    def as_of(self) -> float:
        """What a read may see."""
        return self.now - self.options.lag_s

    def save(self, profile: Profile) -> None:
        self.state.profiles.save(profile, self.now, self.options.lag_s)

    def remove(self, profile: Profile) -> None:
        self.state.profiles.remove(profile, self.now, self.options.lag_s)


def _profile_json(profile: Profile) -> dict[str, Any]:
    cart = profile.cart
    return {
        "sid": profile.sid,
        "keys": dict(profile.keys),
        "vars": dict(profile.vars),
        "lists": {name: rfc2822(at) for name, at in profile.lists.items()},
        "optout_email": profile.optout,
        "cart": None if cart is None else dict(cart.shown),
        "reminder": None if cart is None or cart.reminder is None else dict(cart.reminder),
        "purchases": list(profile.purchases),
    }


def _purchase_json(purchase: Purchase) -> dict[str, Any]:
    return {
        "id": purchase.id,
        "at": purchase.at,
        "sid": purchase.sid,
        "email": purchase.email,
        "extid": purchase.extid,
        "purchase": purchase.shown,
        "params": purchase.params,
    }
