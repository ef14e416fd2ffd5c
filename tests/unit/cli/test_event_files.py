"""Reading events from files: what was written, in order, numbered as a person would count."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from pipeline.cli.errors import BadInput
from pipeline.cli.event_files import digest_of, open_lines


def read(path: Path, content: bytes) -> list[tuple[int, bytes]]:
    path.write_bytes(content)
    return [(line.number, line.raw) for line in open_lines(str(path))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events"


def test_json_lines_keep_their_numbers_over_blank_lines(path: Path) -> None:
    """A bad line is reported with its number: the editor's, from 1."""
    assert read(path, b'\n{"a":1}\r\n\n  \n{"b":1}') == [(2, b'{"a":1}'), (5, b'{"b":1}')]


def test_a_byte_order_mark_is_not_part_of_the_first_event(path: Path) -> None:
    """Spreadsheets and Windows editors write one."""
    assert read(path, b'\xef\xbb\xbf{"a":1}\n') == [(1, b'{"a":1}')]


def test_an_array_gives_each_element_as_it_was_written(path: Path) -> None:
    """Parsing and writing again would turn 1.10 into 1.1 and long numbers into others."""
    content = b' [ {"a": 1.10} ,\n{"b":12345678901234567890.5}, 3 ]\n'
    assert read(path, content) == [
        (1, b'{"a": 1.10}'),
        (2, b'{"b":12345678901234567890.5}'),
        (3, b"3"),
    ]


def test_a_broken_text_costs_neither_its_element_nor_the_file(path: Path) -> None:
    """Half an emoji, bytes that are not UTF-8, a line break that ought to be escaped."""
    content = b'[{"a":"\\ud83d"},{"a":"\xff"},{"a":"x\n"}]'
    assert read(path, content) == [
        (1, b'{"a":"\\ud83d"}'),
        (2, b'{"a":"\xef\xbf\xbd"}'),
        (3, b'{"a":"x\n"}'),
    ]


def test_an_empty_file_and_an_empty_array_hold_nothing(path: Path) -> None:
    """An empty file is no error: a quiet night makes an empty export."""
    assert read(path, b"") == []
    assert read(path, b"[ ]") == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[{"a":1}, nope]', "element 2 of the array is not JSON"),
        (b'[{"a":1}', "breaks off after element 1"),
        (b'[{"a":1}] {"b":1}', "text after the end"),
        (gzip.compress(b'{"a":1}\n' * 50, mtime=0)[:-12], "cannot be read"),
        (b"\x1f\x8bnot gzip at all", "cannot be read"),
    ],
)
def test_a_broken_file_is_reported_by_its_name(path: Path, content: bytes, said: str) -> None:
    """What cannot be read to its end must never look like a short file."""
    with pytest.raises(BadInput) as caught:
        read(path, content)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_packed_file_is_unpacked_and_has_the_digest_of_its_content(path: Path) -> None:
    """Packing a file must not change the ids its lines are given."""
    content = b'{"a":1}\n{"b":1}\n'
    assert read(path, gzip.compress(content)) == [(1, b'{"a":1}'), (2, b'{"b":1}')]
    assert digest_of(str(path)) == hashlib.sha256(content).hexdigest()
