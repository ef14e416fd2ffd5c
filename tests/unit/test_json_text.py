"""JSON that another program wrote: strict in its form, lenient with its texts."""

from __future__ import annotations

import json
import math
from typing import Any

import pydantic_core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.json_text import MAX_DEPTH, read_json

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
"""Halves of surrogate pairs among it."""
BROKEN = st.text('\ud83d\ude00\x00\n\\"a\ufeff', max_size=6)
SCALARS = st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False)


def values(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        SCALARS.filter(lambda one: one not in (math.inf, -math.inf)) | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    )


@given(values(st.text(st.characters(codec="utf-8"), max_size=8)))
def test_what_is_json_reads_as_it_was_written(value: Any) -> None:
    """Compact or not, escaped or not, with a byte order mark or without."""
    for ensure_ascii in (True, False):
        raw = json.dumps(value, ensure_ascii=ensure_ascii).encode()
        assert read_json(raw) == value
        assert read_json(b"\xef\xbb\xbf" + raw) == value


@given(values(BROKEN | ANY_TEXT))
def test_what_is_read_can_be_written_and_read_again(value: Any) -> None:
    """Whatever stood in its texts and names, as escapes or as bytes."""
    escaped = json.dumps(value).encode()
    as_bytes = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    for raw in (escaped, as_bytes):
        read = read_json(raw)
        assert pydantic_core.from_json(pydantic_core.to_json(read)) == read


@given(st.binary(max_size=20))
def test_bytes_that_are_not_utf8_cost_no_more_than_themselves(title: bytes) -> None:
    """Latin-1, or a text that was cut in the middle of a character."""
    clean = title.replace(b'"', b"").replace(b"\\", b"")
    read = read_json(b'{"a": "%s", "b": 1}' % clean)
    assert read["b"] == 1
    assert isinstance(read["a"], str)


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (rb'"\ud83d"', "\ufffd"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\\ud83d"', "\\ud83d"),
        (rb'"\\\ud83d"', "\\\ufffd"),
        (rb'{"\ud83d": 1}', {"\ufffd": 1}),
        (b'"\xed\xa0\xbd\xed\xb8\x80"', "\U0001f600"),
        (b'"Caf\xe9 \xc3\xa9"', "Caf\ufffd \xe9"),
        (b'"one\ttwo\n"', "one\ttwo\n"),
        (b'\xef\xbb\xbf {"a": 1.10}', {"a": 1.1}),
    ],
)
def test_broken_texts_are_mended(raw: bytes, read: Any) -> None:
    """A half becomes U+FFFD; a pair, however it is written, one character."""
    assert read_json(raw) == read


NO_VALUES = (
    *("NaN", "Infinity", "-Infinity", "nope", "01", "1.", "[1,]", "{'a': 1}", '"x', r'"\x"'),
    *("1" * 5000, "[" * 100_000, "[" * 300 + "]" * 300, "", "1, 2}"),
)


@pytest.mark.parametrize("rest", NO_VALUES, ids=range(len(NO_VALUES)))
@pytest.mark.parametrize("text", ["whole", r"\ud83d"])
def test_what_is_no_json_is_refused_with_broken_texts_and_without(rest: str, text: str) -> None:
    """The lenient reader is lenient with texts alone."""
    raw = f'{{"a": "{text}", "secret": {rest}}}'.encode()

    with pytest.raises(ValueError, match=r"^.{5,100}$") as caught:
        read_json(raw)

    assert "secret" not in str(caught.value)


def test_both_readers_stop_at_one_depth() -> None:
    """A broken text would let through a value that cannot be written again otherwise."""
    for text in (b'"whole"', rb'"\ud83d"'):
        deepest = b"[" * MAX_DEPTH + text + b"]" * MAX_DEPTH
        assert isinstance(read_json(deepest), list)
        with pytest.raises(ValueError, match=r"deeply|recursion"):
            read_json(b"[" + deepest + b"]")
