"""What Python tells every Lua script: names of lanes and counters, and the numbers they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType

from pipeline.counters import Count
from pipeline.lanes import SPECS
from pipeline.settings import DEFAULT_ACCOUNT
from pipeline.storage import numbers


@cache
def shared_names() -> Mapping[str, str]:
    """Name of a Lua constant -> its value as Lua."""
    rows = SPECS.values()
    (identifies,) = (row.lane.value for row in rows if row.identifies)
    names = {
        "DEFAULT_ACCOUNT": _text(DEFAULT_ACCOUNT),
        "LANES": _list(row.lane.value for row in rows),
        "IDENTIFY_LANE": _text(identifies),  # the lane that others wait for
        "EMAIL_LANES": _list(row.lane.value for row in rows if row.waits_for_email),
    }
    counts = {f"COUNT_{count.name}": _text(count.value) for count in Count}
    shared = {name: str(value) for name, value in vars(numbers).items() if name.isupper()}
    return MappingProxyType(names | counts | shared)


@cache
def lua_prelude() -> str:
    """The constants as Lua, one a line."""
    return "".join(f"local {name} = {value}\n" for name, value in shared_names().items())


def _text(value: str) -> str:
    return f"'{value}'"


def _list(values: Iterable[str]) -> str:
    return f"{{ {', '.join(map(_text, values))} }}"
