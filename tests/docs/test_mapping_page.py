"""docs/mapping.md says what the mapping does."""

from __future__ import annotations

import re
from itertools import chain

from pipeline.settings import setting_names
from tests.docs import mapping_page


def test_the_tables_are_those_of_the_tests() -> None:
    """`python -m tests.docs.mapping_page` writes them anew."""
    assert mapping_page.PAGE.read_text() == mapping_page.page_with(mapping_page.tables())


def test_every_setting_it_names_exists() -> None:
    """In prose as in the tables: `DEFAULT_LIST`, `KEYSCONFLICT=error`."""
    names = setting_names()
    known = {name.upper() for name in chain(names.installation, names.account)}
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)*)(?:=[^`]*)?`", mapping_page.PAGE.read_text()))

    assert named - {"POST"} <= known
    assert len(named) > 8
