"""What Python tells the Lua scripts: they use these names and no others, and say no number twice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.counters import BESIDE, PARTS, Count, all_counters, counter
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.storage.prelude import lua_prelude, shared_names
from pipeline.storage.scripts import source
from tests.support.lua_sources import LIBRARY, PACKAGE, lua_sources, without_texts

GIVEN = {"KEYS", "ARGV", "P"}
"""What Redis gives each script, and the account's prefix that lib.lua makes of it."""
SMALL = 20
"""Up to here a number may be an index, a step or half of something."""
UNITS = {"1000", "1000000"}
"""Milliseconds and microseconds of a second."""


@pytest.fixture(params=lua_sources())
def script(request: pytest.FixtureRequest) -> str:
    """The path of one script, below `pipeline/`."""
    return str(request.param)


def constants_of(code: str) -> set[str]:
    """Names in capitals that the code uses or declares."""
    return set(re.findall(r"(?<![\w.])[A-Z][A-Z0-9_]*\b", without_texts(code)))


def declared_in(code: str) -> set[str]:
    lists = re.findall(r"local ([\w, ]+?)\s*=", without_texts(code))
    return {name.strip() for names in lists for name in names.split(",")}


def test_a_script_uses_no_constant_that_nothing_declares(script: str) -> None:
    """Lua takes a misspelt name for nil, and fails after its first writes."""
    library, code = lua_sources()[LIBRARY], lua_sources()[script]
    known = GIVEN | shared_names().keys() | declared_in(library) | declared_in(code)
    assert constants_of(code) <= known


def test_a_script_says_no_number_that_others_may_share(script: str) -> None:
    """Bounds, keeps and strikes stand in storage/numbers.py, with what they mean."""
    numbers = re.findall(r"(?<![\w.])\d[\d.]*", without_texts(lua_sources()[script]))
    large = [number for number in numbers if float(number) > SMALL and number not in UNITS]
    assert large == []


def test_a_script_counts_by_the_names_of_python_only(script: str) -> None:
    """Else `status` would not know the counter. What a settlement counts was named in Python."""
    code = lua_sources()[script]
    raw = re.findall(r"'HINCRBY', [pP] \.\. 'counts'", code)
    assert len(raw) == (script == LIBRARY)
    names = re.findall(r"(?<!function )\btally\([pP], ([^,]+),", code)
    named = re.compile(r"COUNT_([A-Z_]+)( \.\. ':' \.\. [\w.]+)?")
    for name in names:
        found = named.fullmatch(name)
        if found is None:
            assert (script, name) == ("mailbox/lua/settle.lua", "counter")
        else:
            assert (Count[found[1]] in PARTS) == bool(found[2]), name


def test_every_name_is_told_to_each_script_and_used_somewhere() -> None:
    """A name that no script uses is shared with none; a counter may be counted by Python alone."""
    assert source("pipeline.mailbox/claim").startswith(lua_prelude())
    used = set[str]().union(*map(constants_of, lua_sources().values()))
    readers = {"counters.py", "numbers.py", "report.py", "owners.py"}
    python = "\n".join(path.read_text() for path in _modules() if path.name not in readers)
    for name in shared_names().keys() - used:
        assert re.search(rf"\b{name.replace('COUNT_', 'Count.')}\b", python), name


def test_the_numbers_are_said_in_one_module_of_python() -> None:
    """A second constant of the same name would drift away from the first."""
    owner = PACKAGE / "storage" / "numbers.py"
    for name in (name for name, value in shared_names().items() if value.isdecimal()):
        said = re.compile(rf"^_?{name}\b.* = ", re.MULTILINE)
        assert [path for path in _modules() if said.search(path.read_text())] == [owner], name


def _modules() -> list[Path]:
    return [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "workers").rglob("*.py")]


def test_a_counter_with_parts_has_one_field_for_each() -> None:
    """Dead and trimmed by dead reason, ignored by ignore reason, waiting by lane."""
    assert counter(Count.DELIVERED) in all_counters()
    assert counter(Count.DEAD, Reason.POISON) == "dead:poison"
    assert {counter(Count.WAITING, lane) for lane in Lane} < all_counters()
    assert "dead" not in all_counters()
    assert set(Count) > BESIDE
