"""docs/mapping.md and docs/mapping-rows.md say what the mapping does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_camel

import pipeline.mapping
from pipeline.events.integrations import OPTIONS
from pipeline.events.kinds import Kind
from pipeline.lanes import PAGEVIEW_ENDPOINT
from pipeline.mapping.passed import OF_CART, OF_ORDER
from pipeline.settings import setting_names
from tests.docs.mapping_page import LOOKUP_PAGE, ROWS_PAGE, page
from tests.unit.mapping.tables import TABLES
from tests.unit.mapping.tables.native import NATIVE

READS_AN_OPTION = re.compile(r'(?:_option\(\s*event,\s*|\bname = )"(\w+)"')
OUR_OWN = {"message_id", "sailthru_bid"}
"""Read where the options are read."""


def test_the_rows_are_those_of_the_tests() -> None:
    """`python -m tests.docs.mapping_page` writes them anew."""
    assert ROWS_PAGE.read_text() == page()


def test_every_setting_the_pages_name_exists() -> None:
    """In prose as in the tables: `DEFAULT_LIST`, `KEYSCONFLICT=error`."""
    names = setting_names()
    known = {name.upper() for name in chain(names.installation, names.account)}
    text = LOOKUP_PAGE.read_text() + ROWS_PAGE.read_text()
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)*)(?:=[^`]*)?`", text))

    assert named - {"POST"} <= known
    assert len(named) > 8


def test_every_option_that_the_mapping_reads_is_listed() -> None:
    """By the name that Segment's documents would give it."""
    folder = Path(pipeline.mapping.__file__).parent
    sources = [path.read_text() for path in folder.glob("*.py") if path.name != "options.py"]
    read = set(chain.from_iterable(map(READS_AN_OPTION.findall, sources))) | OUR_OWN
    read |= {name for name in OPTIONS if name in (*OF_ORDER, *OF_CART)}
    section = LOOKUP_PAGE.read_text().partition("## The options of")[2].partition("\n## ")[0]

    assert read == set(OPTIONS)
    shown = set(re.findall(r"^\| (`\w+`(?:, `\w+`)*)", section, re.MULTILINE))
    assert {to_camel(name) for name in read} == set(re.findall(r"\w+", " ".join(shown)))


def test_every_field_that_a_row_sends_is_in_the_table_of_its_call() -> None:
    """By its heading: two kinds of purchase, one of each other call."""
    fields = {
        title: set(re.findall(r"`(\w+)(?:\.\w+)*`", text))
        for title, _, text in (
            part.partition("\n") for part in LOOKUP_PAGE.read_text().split("\n### ")[1:]
        )
    }
    mapped = [table.rows for table in TABLES if table is not NATIVE]
    for row in chain.from_iterable(mapped):
        for call in row.calls:
            if call["method"] != "GET":
                assert call["params"].keys() <= fields[_heading(call)], (row.says, call)


def _heading(call: Mapping[str, Any]) -> str:
    if call["endpoint"] == PAGEVIEW_ENDPOINT:
        return "The pageview endpoint"
    kind = {0: " of an order", 1: " of a cart"}.get(call["params"].get("incomplete"), "")
    return f"{call['method']} {call['endpoint']}{kind}"


def test_every_kind_of_event_has_a_row_at_a_glance() -> None:
    """In the words people use for it."""
    section = LOOKUP_PAGE.read_text().partition("## At a glance")[2].partition("\n## ")[0]
    words = {
        Kind.CUSTOM: "any other track",
        Kind.ORDER: "order completed",
        Kind.REFUND: "order refunded",
    }
    words |= {Kind.CART_ADD: "product added", Kind.CART_REMOVE: "product removed"}
    words |= {
        Kind.NATIVE_USER: "`/user` of sailthru's own",
        Kind.NATIVE_EVENT: "`/event` of sailthru's own",
        Kind.NATIVE_ORDER: "`/purchase` of sailthru's own",
        Kind.NATIVE_CART: "the same, incomplete",
        Kind.NATIVE_RETURN: "`/return` of sailthru's own",
    }
    words[Kind.OPTOUT] = "`optoutvalue` of any other event"

    for kind in Kind:
        assert words.get(kind, kind.value.replace("_", " ")) in section.lower(), kind
