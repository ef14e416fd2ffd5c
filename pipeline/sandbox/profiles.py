"""Profiles: found by any of their keys, changed whole, merged (reference: sailthru-api 2.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.sandbox.history import History

KEYS = ("sid", "email", "extid", "cookie", "sms", "fb", "twitter")
"""What a user may be looked up by."""
OPTOUTS = ("none", "blast", "basic", "all")
"""From the least to the most restrictive."""


@dataclass(frozen=True, slots=True)
class Cart:
    """An incomplete purchase: what `purchase_incomplete` shows, and the reminder that waits."""

    shown: Mapping[str, Any]
    changed_at: float
    reminder: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """One user. `lists` has the time each was joined at; `purchases` are ids, oldest first."""

    sid: str
    keys: Mapping[str, str]
    created_at: float
    vars: Mapping[str, Any] = field(default_factory=dict)
    lists: Mapping[str, float] = field(default_factory=dict)
    optout: str = "none"
    cart: Cart | None = None
    purchases: tuple[str, ...] = ()

    def merged_with(self, other: Profile) -> Profile:
        """Both in one. This one's values win; the more restrictive opt-out and newer cart do."""
        carts = [cart for cart in (other.cart, self.cart) if cart is not None]
        return replace(
            self,
            keys={**other.keys, **self.keys},
            created_at=min(self.created_at, other.created_at),
            vars={**other.vars, **self.vars},
            lists={**other.lists, **self.lists},
            optout=max(self.optout, other.optout, key=OPTOUTS.index),
            cart=max(carts, key=lambda cart: cart.changed_at, default=None),
            purchases=other.purchases + self.purchases,
        )


class Profiles:
    """All profiles and the index of their keys, with as much of their past as reads may ask for."""

    def __init__(self) -> None:
        self._by_sid: dict[str, History[Profile]] = {}
        self._index: dict[tuple[str, str], History[str]] = {}
        self._created = 0

    def __iter__(self) -> Iterator[Profile]:
        """Those that exist now, in order of creation."""
        for history in list(self._by_sid.values()):
            if history.latest is not None:
                yield history.latest

    def find(self, key: str, value: str, as_of: float | None = None) -> Profile | None:
        """The profile with that key, now or as it was at `as_of` (Unix seconds)."""
        owner = self._index.get((key, canonical(key, value)))
        if owner is None:
            return None
        sid = owner.latest if as_of is None else owner.at(as_of)
        if sid is None:
            return None
        history = self._by_sid[sid]
        return history.latest if as_of is None else history.at(as_of)

    def new(self, now: float) -> Profile:
        """A profile without keys but its sid; not stored yet."""
        self._created += 1
        sid = f"{self._created:024x}"
        return Profile(sid=sid, keys={"sid": sid, "cookie": f"c{sid}"}, created_at=now)

    def save(self, profile: Profile, now: float, keep_s: float) -> None:
        """Store `profile` over what had its sid, and point its keys at it."""
        history = self._by_sid.setdefault(profile.sid, History())
        before = history.latest.keys.items() if history.latest is not None else ()
        for item in set(before) - set(profile.keys.items()):
            self._point(item, None, now, keep_s)
        for item in profile.keys.items():
            self._point(item, profile.sid, now, keep_s)
        history.put(profile, now, keep_s)

    def remove(self, profile: Profile, now: float, keep_s: float) -> None:
        """Forget `profile`: deleted, or merged into another, perhaps before it was ever stored."""
        if profile.sid not in self._by_sid:
            return
        for item in profile.keys.items():
            self._point(item, None, now, keep_s)
        self._by_sid[profile.sid].put(None, now, keep_s)

    def _point(self, item: tuple[str, str], sid: str | None, now: float, keep_s: float) -> None:
        entry = self._index.setdefault(item, History())
        if entry.latest != sid:
            entry.put(sid, now, keep_s)


def canonical(key: str, value: str) -> str:
    """How a key's value is stored: emails without regard to case."""
    return value.strip().lower() if key == "email" else value
