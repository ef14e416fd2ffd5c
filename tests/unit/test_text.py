"""Text is mended, never refused, and good text is left alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text import clean_json, clean_text, mend_id, mend_line, mend_prose

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=())) | st.text(
    "\x00\t\n\ufeffa \ud83d"
)
WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\u200b\u2060\ufeff")
)


@given(ANY_TEXT)
@pytest.mark.parametrize("mend", [mend_prose, mend_line, mend_id])
def test_mended_text_can_be_sent_and_is_not_mended_twice(
    mend: Callable[[str], str], given: str
) -> None:
    """No halves of surrogate pairs, no byte order marks, no control characters but line breaks."""
    mended = mend(given)

    mended.encode()
    assert mend(mended) == mended
    kept = "\t\n\r" if mend is mend_prose else ""
    assert not [c for c in mended if unicodedata.category(c) == "Cc" and c not in kept]
    assert "\ufeff" not in mended


@given(WORDS)
def test_good_text_is_left_alone(given: str) -> None:
    """Only the blanks around an id are removed."""
    assert mend_prose(given) == mend_line(given) == given
    assert mend_id(given) == given.strip()


@given(ANY_TEXT)
def test_no_id_holds_what_separates_the_parts_of_a_key(given: str) -> None:
    """Mailboxes are named `USER\\x1fNUMBER`, an entry is `HEADER\\nRAW`."""
    assert not {"\x1f", "\n", "\x00"} & set(mend_id(given))


def test_a_line_break_is_a_space_in_a_line_and_gone_from_an_id() -> None:
    """Several in a row are one."""
    assert mend_line("Tea\r\n\tpot\x07") == "Tea pot"
    assert mend_prose("Tea\r\n\tpot\x07") == "Tea\r\n\tpot"
    assert mend_id(" te\r\na 1\x07 ") == "tea 1"


def test_an_id_loses_blanks_without_a_width() -> None:
    """They are copied along with an address from a page or a table. In a text they say where it may be broken."""
    assert mend_id("\u200bann@example.com\u2060") == "ann@example.com"
    assert mend_prose("Donau\u200bdampf") == "Donau\u200bdampf"


def test_pairs_of_surrogates_are_characters() -> None:
    """The two halves may come from escapes or from bytes."""
    assert clean_text("\ud83d\ude00") == "\U0001f600"
    assert mend_id("\ud83d\ude00") == "\U0001f600"


def test_names_that_become_one_by_mending_keep_their_values() -> None:
    """Each half of a cut emoji becomes the same character."""
    given = {f"a{half}": n for n, half in enumerate(("\ud83d", "\ud83e", "\ufffd"))}

    assert sorted(clean_json(given, deepest=9).values()) == [0, 1, 2]
