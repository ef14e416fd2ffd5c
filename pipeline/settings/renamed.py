"""Settings that had another name once, or were given up. An operator who still uses one is told what to do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

RENAMED: Mapping[str, str] = MappingProxyType({"loan": "lease"})
"""Old field name -> new one."""
REMOVED: Mapping[str, str] = MappingProxyType(
    {"ordered_lanes": "every lane keeps the order of each user's events"}
)
"""Name of a field that is no more -> why it is not needed."""


def now_called(name: str, prefix: str = "", *, where: str = "") -> str | None:
    """The sentence about an old name, or None when `name` was never a setting.

    Args:
        name: as it is written: `SAILPIPE_LOAN` with prefix `SAILPIPE_`, `loan` in a file.
        where: the file or table it stands in; empty for the environment.
    """
    bare = name.removeprefix(prefix)
    field = bare.lower() if prefix else bare
    if field in REMOVED:
        fix = f"delete {name} from {where}" if where else f"unset {name}"
        return f"{bare.upper()} is no setting any more, since {REMOVED[field]}: {fix}."
    new = RENAMED.get(field)
    if new is None:
        return None
    if where:
        return f"{bare.upper()} is now {new.upper()}: in {where}, write {new} instead of {name}."
    return f"{bare.upper()} is now {new.upper()}: set {prefix}{new.upper()} instead of {name}."
