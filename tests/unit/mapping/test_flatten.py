"""Var names. Segment's example and the plain rules stand in the tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fields import Note, Notes
from pipeline.mapping.flatten import MAX_NAME_CHARS, clean_name, flat_vars
from pipeline.settings import AccountSettings

CLEAN = AccountSettings()
AS_IS = AccountSettings(var_names="as_is")
keys = st.text(alphabet="ab_0.-", max_size=4) | st.text(max_size=40)
nested = st.recursive(
    st.integers(0, 99),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@given(source=st.dictionaries(keys, nested, max_size=4), account=st.sampled_from((CLEAN, AS_IS)))
def test_no_value_is_lost_to_another_of_the_same_name(
    source: dict[str, Any], account: AccountSettings
) -> None:
    """`a_b` and `a: {b: ...}` come to the same name."""
    flat = flat_vars(source, account, "properties", Notes())

    assert sorted(flat.values()) == sorted(_leaves(source))


@given(source=st.dictionaries(keys, nested, max_size=4))
def test_every_clean_name_is_one_sailthru_keeps(source: dict[str, Any]) -> None:
    """At most 32 characters, no leading digit, none of the characters it strips."""
    for name in flat_vars(source, CLEAN, "properties", Notes()):
        assert 0 < len(name) <= MAX_NAME_CHARS
        assert not name[0].isdigit()
        assert not set(name) & set("%-.$")


@given(
    source=st.dictionaries(keys, nested, max_size=4), more=st.dictionaries(keys, nested, max_size=2)
)
def test_a_name_does_not_depend_on_the_order_of_its_event(
    source: dict[str, Any], more: dict[str, Any]
) -> None:
    """SDKs order objects as they like; flows listen for one name."""
    forwards = {**source, **more}
    backwards = dict(reversed(forwards.items()))

    assert flat_vars(forwards, CLEAN, "", Notes()) == flat_vars(backwards, CLEAN, "", Notes())


@given(names=st.sets(st.text(max_size=60), max_size=30))
def test_different_names_stay_different(names: set[str]) -> None:
    """Names may differ only in what is cut off or replaced."""
    assert len({clean_name(name) for name in names}) == len(names)


def test_deep_nesting_is_flattened_too() -> None:
    """How deep is the sender's choice; a recursive walk would fail at a thousand."""
    deep: dict[str, Any] = {"x": 1}
    for _ in range(5000):
        deep = {"x": deep}

    assert list(flat_vars(deep, CLEAN, "properties", Notes()).values()) == [1]


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**400, b"bytes", object()])
def test_what_sailthru_cannot_hold_is_left_out_and_noted_by_its_place(value: object) -> None:
    """JSON has no infinity; 1e400 reads as one."""
    notes = Notes()

    assert flat_vars({"a": [{"b": value}, 1]}, CLEAN, "properties", notes) == {"a_1": 1}
    (note,) = tuple(notes)
    assert isinstance(note, Note)
    assert note.path == "properties.a.0.b"


def _leaves(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in _leaves(inner)]
    return [value]
