"""The mistakes that `make test-mutants` makes, and what it counts as noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants import AREAS, Area, Mutant, changes_what_runs, is_noticed, lua_mistakes
from tests.pythons import ROOT

PROFILE = "import hypothesis; hypothesis.settings.register_profile('mutants')"


def test_lua_is_changed_outside_of_comments_and_strings_only() -> None:
    source = "if a <= 1 and b ~= '<' then -- not 2\n  x = math.min(c, -d)\nend"
    made = [make() for make in lua_mistakes(source)]
    assert [one for one in made if "-- not 2" not in one or "'<'" not in one] == []
    assert {line for one in made for line in one.splitlines()} - set(source.splitlines()) == {
        "if a < 1 and b ~= '<' then -- not 2",
        "if a <= 2 and b ~= '<' then -- not 2",
        "if a <= 1 or b ~= '<' then -- not 2",
        "if a <= 1 and b == '<' then -- not 2",
        "  x = math.max(c, -d)",
        "  x = math.min(c, +d)",
    }


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        ("def f(x: int | str) -> int: return x + 1", False),
        ("def f(x: int) -> int | None: return x + 1", False),
        ("def f(x: int) -> int: return x - 1", True),
        ("def f(x: int) -> int: return x +", False),
    ],
)
def test_a_mistake_changes_what_runs(after: str, changes: bool) -> None:
    """An annotation does not run, nor does what is no Python."""
    assert changes_what_runs("def f(x: int) -> int: return x + 1", after) is changes


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "noticed"), [("ONE = 1", False), ("ONE = 2", True), ("ONE = 1 / 0", True)]
)
def test_a_mutant_is_noticed_if_a_test_of_its_area_fails(
    text: str, noticed: bool, tmp_path: Path
) -> None:
    """The tree is as it was afterwards."""
    (tmp_path / "core.py").write_text("ONE = 1.0")
    (tmp_path / "conftest.py").write_text(PROFILE)
    (tmp_path / "test_core.py").write_text("import core\ndef test_one(): assert core.ONE == 1")
    area = Area("core", ("core.py",), ("test_core.py",))
    assert is_noticed(Mutant(area, "core.py", text), tmp_path) is noticed
    assert (tmp_path / "core.py").read_text() == "ONE = 1.0"


def test_the_tests_of_the_mistakes_own_package_come_first() -> None:
    """They notice it soonest."""
    [lua] = [area for area in AREAS if area.name == "lua"]
    first, *others = Mutant(lua, "pipeline/splitter/lua/split.lua", "").tests()
    assert first == "tests/unit/splitter"
    assert sorted([first, *others]) == sorted(lua.tests)


def test_each_area_has_files_and_tests() -> None:
    for area in AREAS:
        assert all(any(ROOT.glob(pattern)) for pattern in area.files), area.name
        assert all((ROOT / tests).exists() for tests in area.tests), area.name
