"""Reading events from files and stdin: JSON lines or one JSON array, gzip-packed or not."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from pipeline.cli.errors import BadInput
from pipeline.json_text import decode_text

STDIN = "-"
_GZIP = b"\x1f\x8b"
_SPACE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """One event as it was written. `number`: its line, or its place in the array, from 1."""

    number: int
    raw: bytes


def open_lines(name: str) -> Iterator[Line]:
    """The events of a file (`-`: stdin), in order and one at a time; blank lines are left out.

    Raises:
        BadInput: the file cannot be read, isn't what its first bytes say, or its array is broken.
    """
    with _open(name) as stream:
        yield from _events(stream, name)


def can_be_read_twice(name: str) -> bool:
    """Whether it is a file; stdin, pipes and `<(zcat …)` are empty the second time."""
    return name != STDIN and Path(name).is_file()


def digest_of(name: str) -> str:
    """SHA-256 of a file's unpacked content in hex; reads all of it, a block at a time.

    Raises:
        BadInput: the file cannot be read.
    """
    digest = hashlib.sha256()
    with _open(name) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _open(name: str) -> Iterator[IO[bytes]]:
    """The unpacked content. Packed is what begins as gzip does, whatever its name.

    Raises BadInput for what goes wrong while it is open, too: gzip finds out as it reads.
    """
    try:
        with ExitStack() as opened:
            if name == STDIN:
                stream = opened.enter_context(open(0, "rb", closefd=False))
            else:
                stream = opened.enter_context(Path(name).open("rb"))
            if stream.peek(2)[:2] == _GZIP:
                yield cast("IO[bytes]", opened.enter_context(gzip.open(stream)))
            else:
                yield stream
    except (OSError, EOFError, zlib.error) as error:
        why = (getattr(error, "strerror", None) or str(error)).rstrip(".")
        raise BadInput(f"{_shown(name)} cannot be read: {why}.") from None


def _events(stream: IO[bytes], name: str) -> Iterator[Line]:
    first = True
    for number, line in enumerate(stream, start=1):
        text = line.removeprefix(_BOM).strip(_SPACE)
        if not text:
            continue
        if first and text.startswith(b"["):
            yield from _array(text + b"\n" + stream.read(), name)
            return
        first = False
        yield Line(number, text)


def _array(content: bytes, name: str) -> Iterator[Line]:
    """Each element's own text: parsing and writing it again could change a number.

    As lenient with texts as `read_json`, or a broken one would cost the whole file.
    """
    text = decode_text(content)
    decoder = json.JSONDecoder(strict=False)
    at, number = _skip(text, text.index("[") + 1), 0
    while text[at : at + 1] != "]":
        number += 1
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            raise BadInput(f"{_shown(name)}: element {number} of the array is not JSON.") from None
        yield Line(number, text[at:end].encode())
        at = _skip(text, end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            raise BadInput(f"{_shown(name)}: the array breaks off after element {number}.")
    if _skip(text, at + 1) != len(text):
        raise BadInput(f"{_shown(name)}: there is text after the end of the array.")


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in {" ", "\t", "\r", "\n"}:
        at += 1
    return at


def _shown(name: str) -> str:
    return "stdin" if name == STDIN else name
