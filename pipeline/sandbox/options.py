"""What one sandbox is set to. All of it can be changed while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """How the sandbox behaves.

    customer_id: what a pageview's bearer token must be; None takes any.
    lag_s: reads answer the state of this many seconds ago (reference: about 1 s at Sailthru).
    latency_s: every answer takes at least this long.
    limits: calls per window for a bucket (`POST /event`); others have the documented limits.
    window_s: length of the window that limits count in; a clock minute at Sailthru.
    unknown_user_on_event: refuse an event for a user that has no profile; undocumented, both ways
        have been assumed.
    """

    api_key: str = "sandbox"
    api_secret: str = field(default="sandbox", repr=False)
    customer_id: str | None = None
    lag_s: float = 0.0
    latency_s: float = 0.0
    limits: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    window_s: float = 60.0
    unknown_user_on_event: bool = True

    def changed(self, changes: Mapping[str, Any]) -> SandboxOptions:
        """These options with `changes` made, values as JSON has them.

        Raises:
            ValueError: a name is unknown or a value has the wrong type; the message says which.
        """
        for name, value in changes.items():
            _check(name, value)
        return replace(self, **changes)


_TYPES: dict[str, tuple[type, ...]] = {
    "api_key": (str,),
    "api_secret": (str,),
    "customer_id": (str, type(None)),
    "lag_s": (int, float),
    "latency_s": (int, float),
    "limits": (dict,),
    "window_s": (int, float),
    "unknown_user_on_event": (bool,),
}


def _check(name: str, value: object) -> None:
    if name not in _TYPES:
        known = ", ".join(option.name for option in fields(SandboxOptions))
        msg = f"unknown option {name!r}; there are {known}"
        raise ValueError(msg)
    allowed = _TYPES[name]
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        msg = f"option {name} cannot be a {type(value).__name__}"
        raise ValueError(msg)
    if isinstance(value, int | float) and not 0 <= value < float("inf"):
        msg = f"option {name} must not be negative"
        raise ValueError(msg)
    if isinstance(value, dict) and not all(isinstance(n, int) and n > 0 for n in value.values()):
        msg = f"option {name} maps buckets to positive integers"
        raise ValueError(msg)
