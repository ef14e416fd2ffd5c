"""One point in time, in all the ways people write it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.times import FIRST_YEAR, LAST_YEAR, read_time

AT = datetime(2019, 2, 21, 8, 33, 46, tzinfo=UTC)
MIDNIGHT = datetime(2019, 2, 21, tzinfo=UTC)

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
seconds = st.datetimes(
    *(datetime.fromisoformat(f"{year}-06-01") for year in (FIRST_YEAR, LAST_YEAR)), timezones=zones
).map(lambda at: at.replace(microsecond=0))

WRITERS: dict[str, Callable[[datetime], object]] = {
    "ISO 8601": lambda at: at.isoformat(),
    "with a blank": lambda at: at.isoformat(" "),
    "in lower case": lambda at: at.isoformat().lower(),
    "basic": lambda at: at.strftime("%Y%m%dT%H%M%S%z"),
    "of a week": lambda at: at.strftime("%G-W%V-%uT%H:%M:%S%z"),
    "of a year's day": lambda at: at.strftime("%Y-%jT%H:%M:%S%z"),
    "RFC 2822": format_datetime,
    "JavaScript's Date": lambda at: at.strftime("%a %b %d %Y %H:%M:%S GMT%z (somewhere)"),
    "Go's Time": lambda at: at.strftime("%Y-%m-%d %H:%M:%S.0 %z CET m=+0.5"),
    "Java's ZonedDateTime": lambda at: at.isoformat() + "[Europe/Berlin]",
    "seconds": lambda at: int(at.timestamp()),
    "seconds as text": lambda at: f"{at.timestamp():.3f}",
    "milliseconds": lambda at: int(at.timestamp()) * 1000,
    "milliseconds as text": lambda at: str(int(at.timestamp()) * 1000),
    "MongoDB's": lambda at: {"$date": at.isoformat()},
    "MongoDB's number": lambda at: {"$date": {"$numberLong": str(int(at.timestamp()) * 1000)}},
}


@given(at=seconds, written=st.sampled_from(sorted(WRITERS)))
def test_every_way_to_write_a_time_is_that_time(at: datetime, written: str) -> None:
    """Text of fewer than nine digits may be a date: seconds are so short in 1972 and before."""
    given_at = at if "text" not in written else max(at, datetime(1974, 1, 1, tzinfo=at.tzinfo))

    assert read_time(WRITERS[written](given_at)) == given_at


@pytest.mark.parametrize(
    ("text", "at"),
    [
        *(("2019-02-21 08:33:46 UTC", AT), ("2019-02-21 08:33:46 +0000 UTC", AT)),
        *(
            ("20190221083346", AT),
            ("2019-02-21T08:33:46,0Z", AT),
            ("2019-02-21T03:33:46\u221205:00", AT),
        ),
        ("2019-02-21T08:33.5Z", AT - timedelta(seconds=16)),
        ("2019-02-21T08,5", AT.replace(minute=30, second=0)),
        ("2019-02-21T08:33:60Z", AT + timedelta(seconds=14)),
        ("2019-02-20T24:00:00Z", MIDNIGHT),
        *(("2019-02-21", MIDNIGHT), ("20190221", MIDNIGHT), ("2019052", MIDNIGHT)),
        *(("2019-02", MIDNIGHT.replace(day=1)), ("2019", datetime(2019, 1, 1, tzinfo=UTC))),
        ("2019-W08", MIDNIGHT.replace(day=18)),
        *(("21 Feb 2019 03:33:46 EST", AT), ("Thursday, 21-Feb-19 08:33:46 GMT", AT)),
        ("Thu, 21 Feb 2019 08:33:46 +0000 (UTC)", AT),
    ],
)
def test_the_rarer_forms_are_read_too(text: str, at: datetime) -> None:
    """A fraction is one of the smallest unit; a leap second is the next one; 24:00 ends the day."""
    assert read_time(text) == at


def test_a_time_keeps_its_own_offset() -> None:
    """It is shown to the person whose order it was."""
    found = read_time("2019-02-21T09:33:46+0100")

    assert found is not None
    assert (found, found.utcoffset()) == (AT, timedelta(hours=1))


@pytest.mark.parametrize(
    "value",
    [
        *("yesterday", "", "2/21/2019", "21.02.2019 08:33", "Feb 21, 2019 8:33:46 PM", "2019-1-1"),
        *("2019-366", "2019-02-30", "2019-W54", "2019-02-21T25:00", "2019-02-21T24:01", "201902"),
        *("2019-02-21T24:00:01", "2019-02-21T24:30:30", "2019-02-21T23:60", "2019-02-21T23:59:61"),
        *("0000-00-00 00:00:00", "9999-12-31T23:59:59Z", "2019-02-21T08:33:46+99:99"),
        *("Thu, 21 Feb 2019 08:33:46 CET", "Mon, 31 Feb 2019 08:33:46 GMT", "NaN", "9" * 5000),
        *(0, -5, 20190221, 10**400, float("nan"), float("inf"), True, None, [], {}),
        *({"$date": []}, {"$date": None}, {"$date": AT, "x": 1}, {"date": "2019-02-21"}),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_names_no_point_in_time_is_none(value: object) -> None:
    """Nothing is guessed: neither which number is the month nor which zone CET was."""
    assert read_time(value) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=40),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(("$date", "x")), inner),
    )
)
def test_whatever_it_is_it_is_a_time_or_none(value: object) -> None:
    """And never an exception; times lie where `date` can be written."""
    found = read_time(value)

    assert found is None or FIRST_YEAR <= found.year <= LAST_YEAR
