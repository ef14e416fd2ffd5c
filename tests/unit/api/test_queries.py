"""What a request to `/api` says is read strictly, whatever it is written like."""

from __future__ import annotations

import pytest

from pipeline.api.queries import BadRequest, read_filter, read_number

NOW = 1_795_800_000.0


@pytest.mark.parametrize(
    "text", ["0", "49", "0000000011000000", "000000001" * 600, "-1", "1e1", "", "٣"]
)
def test_a_number_beyond_its_bounds_is_refused_however_it_is_written(text: str) -> None:
    """Zeros before it hid eleven million from the bound."""
    with pytest.raises(BadRequest):
        read_number({"hours": text}, "hours", 1, 48)


def test_a_number_within_its_bounds_is_read() -> None:
    assert [read_number({"n": text}, "n", 1, 48) for text in ("1", "048")] == [1, 48]
    assert read_number({}, "n", 7, 48) == 7


@pytest.mark.parametrize(
    ("since", "ms"),
    [
        ("1h", 1_795_796_400_000),
        ("2026-11-27T14:20:00Z", 1_795_789_200_000),
        ("2026-11-27T15:20:00+01:00", 1_795_789_200_000),
        ("2026-11-27T14:20:00", 1_795_789_200_000),
    ],
)
def test_a_time_is_said_as_a_duration_before_now_or_as_itself(since: str, ms: int) -> None:
    """A link to what died since a re-send began must mean the same an hour later."""
    assert read_filter({"since": since}, NOW).since_ms == ms


@pytest.mark.parametrize("since", ["T", "2026-13-01T00:00:00Z", "yesterday"])
def test_what_is_no_time_is_refused(since: str) -> None:
    with pytest.raises(BadRequest):
        read_filter({"since": since}, NOW)
