"""An exported line is the event as it came, plus what makes it find its letter again."""

from __future__ import annotations

import json

import pytest

from pipeline.deadletters.export import export_line
from pipeline.deadletters.letter import Header, Letter
from pipeline.events.models import MAX_EVENT_BYTES

FLAG = b'"sailpipe":{"replay":true,"letter":"m1","key":"42"}'


def letter(raw: bytes, identity: str = "m1", account: str = "default") -> Letter:
    header = Header(
        account=account, reason="crashed", detail="", first_seen_ms=1, died_at=2, key="42"
    )
    return Letter(identity, "default", header, raw)


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (
            b'{"messageId":"m1", "a":1.50}',
            b'{"messageId":"m1", "a":1.50,%s}' % FLAG,
        ),
        (
            b'{"type":"page","userId":"u","messageId":" m1 "}',
            b'{"type":"page","userId":"u","messageId":" m1 ",%s}' % FLAG,
        ),
        (
            b'{\r\n "messageId":\n"m1"\n}\n',
            b'{   "messageId": "m1" ,%s}' % FLAG,
        ),
        (b"{}", b'{%s,"messageId":"m1"}' % FLAG),
        (b'{"messageId":null}', b'{"messageId":"m1",%s}' % FLAG),
        (b'{"messageId":[5],"a":1}', b'{"messageId":"m1","a":1,%s}' % FLAG),
        (
            b'\xef\xbb\xbf{"messageId":"m1\\u0000","a":"\xff \\ud83d"}',
            b'\xef\xbb\xbf{"messageId":"m1\\u0000","a":"\xff \\ud83d",%s}' % FLAG,
        ),
        (b'{"messageId":"m1","sailpipe":{"replay":true}}', b'{"messageId":"m1",%s}' % FLAG),
    ],
)
def test_only_the_replay_flag_and_a_missing_id_are_added(raw: bytes, line: bytes) -> None:
    """Byte for byte what the producer sent, but for line breaks between tokens."""
    assert export_line(letter(raw)) == line


def test_a_line_names_its_letter_where_several_have_one_message_id() -> None:
    """Its messageId stays what it was."""
    line = export_line(letter(b'{"messageId":"m1"}', "m1~00000042"))
    flag = {"replay": True, "letter": "m1~00000042", "key": "42"}
    assert line is not None
    assert json.loads(line) == {"messageId": "m1", "sailpipe": flag}


@pytest.mark.parametrize("raw", [b"not json", b'["m1"]', b'{"a":"\xff}'])
def test_what_is_no_json_object_is_left_out(raw: bytes) -> None:
    """There is no place for the replay flag."""
    assert export_line(letter(raw)) is None


def test_an_event_for_an_account_that_is_not_configured_is_left_out() -> None:
    """The default account keeps its letter, but must not send it to its own customers."""
    assert export_line(letter(b'{"messageId":"m1"}', account="shoos")) is None


def test_a_line_the_replay_flag_would_make_too_long_is_left_out() -> None:
    """It would die too_large. An event that was too large before is exported: its line can be mended."""
    frame = len(b'{"messageId":"m1","x":""}')
    fits = json.dumps(
        {"messageId": "m1", "x": "y" * (MAX_EVENT_BYTES - frame)}, separators=(",", ":")
    )
    assert len(fits) == MAX_EVENT_BYTES
    assert export_line(letter(fits.encode())) is None
    assert export_line(letter(fits.replace('"y', '"yy', 1).encode())) is not None
