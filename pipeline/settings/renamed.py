"""Settings that had another name once. An operator who still uses an old name is told the new one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

RENAMED: Mapping[str, str] = MappingProxyType({"loan": "lease"})
"""Old field name -> new one."""


def now_called(name: str, prefix: str = "", *, where: str = "") -> str | None:
    """The sentence about an old name, or None when `name` was never a setting.

    Args:
        name: as it is written: `SAILPIPE_LOAN` with prefix `SAILPIPE_`, `loan` in a file.
        where: the file or table it stands in; empty for the environment.
    """
    bare = name.removeprefix(prefix)
    new = RENAMED.get(bare.lower() if prefix else bare)
    if new is None:
        return None
    if where:
        return f"{bare.upper()} is now {new.upper()}: in {where}, write {new} instead of {name}."
    return f"{bare.upper()} is now {new.upper()}: set {prefix}{new.upper()} instead of {name}."
