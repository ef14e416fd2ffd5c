"""Blocks of the log of outcomes."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lanes import Lane
from pipeline.trace.names import NAME_BYTES, message_name, order_name, person_name
from pipeline.trace.records import (
    SHARES,
    Block,
    Fate,
    MadeCall,
    Part,
    Record,
    decode_block,
    encode_block,
)

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_ms = st.integers(0, 2**45)
_calls = st.builds(MadeCall, _text, st.none() | st.integers(100, 599), _ms, _ms)
_names = st.lists(st.binary(min_size=NAME_BYTES, max_size=NAME_BYTES), max_size=5).map(tuple)
records = st.builds(
    Record,
    id=_text,
    fate=st.sampled_from(Fate),
    what=_text,
    lane=st.sampled_from(["", *Lane]).map(str),
    user=_text,
    seq=_text,
    accepted=_ms,
    at=_ms,
    reason=_text,
    due=_ms,
    calls=st.lists(_calls, max_size=3).map(tuple),
    tries=st.integers(0, 99),
    fold=_text,
    way=_text,
    via=_text,
    names=_names,
)


@given(st.lists(records, min_size=1, max_size=8))
def test_a_block_is_read_as_it_was_written(found: list[Record]) -> None:
    """Every field, and each record with its own names."""
    assert list(decode_block(encode_block(found))) == found


def test_a_block_of_something_else_is_refused() -> None:
    """Another version may have written it."""
    with pytest.raises(ValueError, match="error"):
        list(decode_block(Block(1, b"", b"no block")))


def test_names_of_messages_orders_and_people_are_apart() -> None:
    """An email is the same in any case; an id is not."""
    assert len({message_name("a"), order_name("a"), person_name("a"), person_name("A")}) == 4
    assert person_name("Ann@Example.org") == person_name("ann@example.org")


def test_the_shares_of_the_parts_are_all_the_room() -> None:
    """Then there is always one to take from when there is too much."""
    assert set(SHARES) == set(Part)
    assert sum(SHARES.values()) == 16


def test_a_block_of_the_version_that_knew_no_ways_in_is_read() -> None:
    """What its records do not say is ''."""
    one = Record(
        "m1", Fate.DELIVERED, lane="event", way="browser", via="segment", names=(b"abcde",)
    )
    block = encode_block([one])
    columns = json.loads(zlib.decompress(block.data))
    assert columns.pop(14) == ["segment"]
    older = block._replace(data=zlib.compress(json.dumps(columns).encode()))
    assert list(decode_block(older)) == [one._replace(via="")]
