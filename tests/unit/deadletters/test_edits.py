"""Set, unset, rename and cast against the plainest way to do the same."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.deadletters.edits import (
    BadChange,
    Cast,
    Change,
    Rename,
    Set,
    Unset,
    apply,
    describe,
    diff,
    read_cast,
    read_path,
    read_rename,
    read_set,
    write_path,
)

NAMES = st.text("ab.\\*0", min_size=1, max_size=3).filter(lambda name: name != "*")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("x1.", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.dictionaries(NAMES, VALUES, max_size=4)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)


def look(body: Any, path: tuple[str, ...]) -> Any:
    """What a path leads to, through objects alone; KeyError where it leads to nothing."""
    for name in path:
        if not isinstance(body, dict):
            raise KeyError(name)
        body = body[name]
    return body


def has(body: Any, path: tuple[str, ...]) -> bool:
    try:
        look(body, path)
    except KeyError:
        return False
    return True


@given(path=PATHS)
def test_a_path_is_read_as_it_is_written(path: tuple[str, ...]) -> None:
    assert read_path(write_path(path)) == path


@given(body=EVENTS, path=PATHS, value=VALUES)
def test_what_is_set_is_there_and_nothing_else_changes(
    body: dict[str, Any], path: tuple[str, ...], value: Any
) -> None:
    """Objects on the way are made; a list or value in the way is refused, and the event stays as it was."""
    before = copy.deepcopy(body)
    try:
        made = apply(body, [Set(path, value)])
    except BadChange:
        steps = [path[:n] for n in range(1, len(path)) if has(body, path[:n])]
        assert any(not isinstance(look(body, one), dict) for one in steps)
        return
    finally:
        assert body == before
    if any(
        isinstance(look(body, path[:n]), list) for n in range(1, len(path)) if has(body, path[:n])
    ):
        return  # a place in a list: tested below
    assert look(made, path) == value
    rest = look(made, path[:-1])
    rest.pop(path[-1])
    undone = apply(body, [Unset(path)])
    assert {name: one for name, one in made.items() if name != path[0]} == {
        name: one for name, one in undone.items() if name != path[0]
    }


@given(body=EVENTS, path=PATHS)
def test_what_is_unset_is_gone_and_nothing_else_changes(
    body: dict[str, Any], path: tuple[str, ...]
) -> None:
    made = apply(body, [Unset(path)])
    if not has(body, path):
        return
    assert not has(made, path)
    parent = look(made, path[:-1])
    parent[path[-1]] = look(body, path)
    assert made == body


@given(body=EVENTS, path=PATHS, name=NAMES)
def test_what_is_renamed_keeps_its_value(
    body: dict[str, Any], path: tuple[str, ...], name: str
) -> None:
    to = (*path[:-1], name)
    made = apply(body, [Rename(path, to)])
    if has(body, path):
        assert look(made, to) == look(body, path)
        assert has(made, path) is (to == path)
    else:
        assert not has(made, path)


@given(body=EVENTS, path=PATHS, kind=st.sampled_from(["number", "int", "text", "bool"]))
def test_a_cast_twice_is_a_cast_once(
    body: dict[str, Any], path: tuple[str, ...], kind: str
) -> None:
    """Its type is what was asked for, or it is refused."""
    try:
        made = apply(body, [Cast(path, kind)])
    except BadChange:
        return
    assert apply(made, [Cast(path, kind)]) == made
    if has(body, path):
        kinds: dict[str, Any] = {"number": (int, float), "int": int, "text": str, "bool": bool}
        assert isinstance(look(made, path), kinds[kind])


@given(body=EVENTS, other=EVENTS)
def test_a_diff_is_empty_when_nothing_differs(body: dict[str, Any], other: dict[str, Any]) -> None:
    assert diff(body, copy.deepcopy(body)) == []
    same = json.dumps(body, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert bool(diff(body, other)) is not same


@pytest.mark.parametrize(
    ("value", "kind", "made"),
    [
        ("12", "number", 12),
        (" 12.50 ", "number", 12.5),
        ("1e3", "number", 1000.0),
        (True, "number", BadChange),
        ("1,5", "number", BadChange),
        ("9e999", "number", BadChange),
        ("12.0", "int", 12),
        (12.5, "int", BadChange),
        (10423.0, "int", 10423),
        (12, "text", "12"),
        (True, "text", "true"),
        ([], "text", BadChange),
        (None, "text", BadChange),
        ("Yes", "bool", True),
        (0, "bool", False),
        ("maybe", "bool", BadChange),
        ([1], "bool", BadChange),
    ],
)
def test_a_value_is_cast_or_refused(value: Any, kind: str, made: Any) -> None:
    if made is BadChange:
        with pytest.raises(BadChange, match="a cannot be read as"):
            apply({"a": value}, [Cast(("a",), kind)])
    else:
        found = apply({"a": value}, [Cast(("a",), kind)])["a"]
        assert (found, type(found)) == (made, type(made))


PRODUCTS = {"products": [{"price": "1"}, {"price": "2"}, {}]}


@pytest.mark.parametrize(
    ("change", "made"),
    [
        (read_cast("products.*.price=number"), [{"price": 1}, {"price": 2}, {}]),
        (
            read_set("products.*.qty=1"),
            [{"price": "1", "qty": 1}, {"price": "2", "qty": 1}, {"qty": 1}],
        ),
        (read_set("products.1.price=7"), [{"price": "1"}, {"price": 7}, {}]),
        (read_set('products.3={"a":1}'), [{"price": "1"}, {"price": "2"}, {}, {"a": 1}]),
        (Unset(read_path("products.0")), [{"price": "2"}, {}]),
        (Unset(read_path("products.*")), []),
        (read_rename("products.0.price=products.2.cost"), [{}, {"price": "2"}, {"cost": "1"}]),
    ],
)
def test_places_in_lists_are_meant_by_number_or_all_at_once(change: Change, made: Any) -> None:
    assert apply(PRODUCTS, [change]) == {"products": made}


@pytest.mark.parametrize("change", ["products.9=1", "products.x=1", "products.0.price.x=1"])
def test_a_path_into_nowhere_is_refused(change: str) -> None:
    with pytest.raises(BadChange, match="cannot be written"):
        apply(PRODUCTS, [read_set(change)])


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_path, ""),
        (read_path, "a..b"),
        (read_path, "a."),
        (read_path, "sailpipe.replay"),
        (read_set, "a"),
        (read_rename, "a"),
        (read_rename, "a.*=b"),
        (read_cast, "a"),
        (read_cast, "a=float"),
    ],
)
def test_a_change_that_says_nothing_is_refused(read: Any, text: str) -> None:
    with pytest.raises(BadChange):
        read(text)


def test_a_value_is_json_or_else_text() -> None:
    assert [read_set(f"a={text}").value for text in ("1", '"1"', "x@y.example", "")] == [
        1,
        "1",
        "x@y.example",
        "",
    ]


def test_the_audit_trail_names_fields_and_no_values() -> None:
    changes: list[Change] = [
        read_set("traits.email=a@b.example"),
        Unset(("x",)),
        read_rename("a=b"),
        read_cast("c=int"),
    ]
    assert describe(changes) == "set traits.email, unset x, rename a to b, cast c to int"


def test_a_diff_shows_paths_and_values() -> None:
    lines = diff({"a": [1, 2], "b": True}, {"a": [1], "b": 1, "c.d": {}})
    assert lines == ["- a.1: 2", "- b: true", "+ b: 1", "+ c\\.d: {}"]
