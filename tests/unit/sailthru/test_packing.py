"""Bodies that are packed, once or over again, broken, cut short, or bombs."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sailthru.packing import MAX_LAYERS, unpacked

MAX = 1000


@given(text=st.text(max_size=200), layers=st.lists(st.booleans(), max_size=MAX_LAYERS))
def test_what_was_packed_is_unpacked_again(text: str, layers: list[bool]) -> None:
    """It is recognised by its first bytes, which no JSON object has. Gzip where it says True, else zlib."""
    plain = body = b"{%s}" % text.encode()
    for is_gzip in layers:
        body = gzip.compress(body) if is_gzip else zlib.compress(body)
    assert unpacked(body, most=MAX) == plain


@pytest.mark.parametrize("window", range(9, 16))
def test_a_zlib_stream_is_known_by_its_head_whatever_its_window(window: int) -> None:
    packer = zlib.compressobj(wbits=window)
    assert unpacked(packer.compress(b'{"ok":true}') + packer.flush(), most=MAX) == b'{"ok":true}'


@given(body=st.binary(max_size=100), layers=st.integers(0, 2))
def test_unpacking_any_bytes_gives_bytes(body: bytes, layers: int) -> None:
    """What is no packing, or a broken one, stays as it came."""
    for _ in range(layers):
        body = gzip.compress(body)
    assert isinstance(unpacked(body[:-9] if layers else body, most=MAX), bytes)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_bomb_is_not_unpacked(layers: int) -> None:
    """No layer becomes longer than what may be read, however often it is packed."""
    body = bytes(20_000_000)
    for _ in range(layers):
        body = gzip.compress(body)
    assert unpacked(body, most=MAX) is None
    assert unpacked(gzip.compress(bytes(MAX)), most=MAX) == bytes(MAX)
    assert unpacked(gzip.compress(bytes(MAX + 1)), most=MAX) is None
