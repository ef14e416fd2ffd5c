"""The table in docs/settings.md, made from the fields. `python -m tests.docs.settings_table` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from pipeline.settings import AccountSettings, Settings, setting_names
from pipeline.settings.values import SHARED_IDS

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"
_UNITS = (("d", 86400.0, 7), ("h", 3600.0, 1), ("m", 60.0, 1), ("s", 1.0, 0))
"""Unit, its seconds, and from how many on it is used: 72h reads better than 3d."""


def table() -> str:
    """One row a setting: the installation's first, then the accounts', as they are declared."""
    names = setting_names()
    rows = ["| Setting | Default | What it is |", "|---|---|---|"]
    rows += [_row(n, f) for n, f in Settings.model_fields.items() if n in names.installation]
    rows += [_row(n, f) for n, f in AccountSettings.model_fields.items() if n in names.account]
    return "\n".join(rows) + "\n"


def page_with(rows: str) -> str:
    """The page as it should be."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{rows}{END}{after}"


def _row(name: str, field: FieldInfo) -> str:
    default = _shown(name, field.get_default(call_default_factory=True, validated_data={}))
    description = (field.description or "").replace("|", "\\|")
    return f"| `SAILPIPE_{name.upper()}` | {default} | {description} |"


def _shown(name: str, value: object) -> str:
    if value is None or value == () or value in (frozenset(), {}):
        return ""
    if isinstance(value, SecretStr):
        msg = f"{name} has a secret as its default"
        raise TypeError(msg)
    if value == SHARED_IDS:
        return "`guest`, `undefined`, `null`, `0`, …"
    if name == "memory_high":
        return f"`{value:.0%}`"
    if name == "trace_max" and isinstance(value, int):
        return f"`{value >> 20}MB`"
    return f"`{_text(value)}`"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _duration(value)
    if isinstance(value, Mapping):
        return ",".join(f"{name}={_text(one)}" for name, one in value.items())
    if isinstance(value, frozenset):
        return ",".join(sorted(map(str, value)))
    return str(value)


def _duration(seconds: float) -> str:
    for unit, size, least in _UNITS:
        if seconds >= size * least and not seconds % size:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


if __name__ == "__main__":
    PAGE.write_text(page_with(table()))
