"""Times as SDKs, databases and shops write them. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

FIRST_YEAR, LAST_YEAR = 1971, 2199
"""Times outside of these are a client's mistake. No time between them is one in seconds and another in
milliseconds."""
READABLE = "must be ISO 8601, RFC 2822, or seconds or milliseconds since 1970"

_START = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_LAST_SECOND, _LAST_MS = 10**10, 10**13
_NUMBER = re.compile(r"[0-9]{9,13}(?:\.[0-9]{1,9})?")
_ISO = re.compile(
    r"(?P<year>[0-9]{4})"
    r"(?:-?(?P<month>[0-9]{2})-?(?P<day>[0-9]{2})|-?(?P<nth>[0-9]{3})|-(?P<only>[0-9]{2})"
    r"|-?W(?P<week>[0-9]{2})(?:-?(?P<weekday>[1-7]))?)?"
    r"(?:(?:[T ] *|(?<=^[0-9]{8}))(?P<hour>[0-9]{2})(?::?(?P<minute>[0-9]{2})(?::?(?P<second>[0-9]{2}))?)?"
    r"(?:[.,](?P<part>[0-9]{1,30}))?"
    r" ?(?:Z|UTC|GMT|(?P<sign>[+-])(?P<off>[0-9]{2})(?::?(?P<offmin>[0-9]{2}))?(?: ?[A-Z]{1,5}| [+-][0-9]{2,4})?)?"
    r"(?: M=[+-][0-9.]+)?(?:\[[^\]]*\])?)?"
)
"""All forms of a point in time that the standard has, and after it a zone's name as Go and Java add it."""
_RFC = re.compile(
    r"(?:[A-Z]{3,9}, ?)?[0-9]{1,2}[ -][A-Z]{3}[ -][0-9]{2,4} [0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?"
    r"(?: (?:[+-][0-9]{4}|UTC?|GMT|Z|[ECMP][SD]T))?(?: ?\([^)]*\))?"
)
_JAVASCRIPT = re.compile(
    r"[A-Z]{3} ([A-Z]{3}) ([0-9]{2}) ([0-9]{4}) ([0-9:]{8}) GMT([+-][0-9]{4})(?: ?\(.*\))?"
)


def read_time(value: object) -> datetime | None:
    """The point in time that `value` names, with its own offset; UTC where it names none.

    ISO 8601, RFC 2822 and JavaScript's `Date` as text, seconds or milliseconds since 1970 as a number or
    text, and any of them in MongoDB's `{"$date": ...}`. None for all else, and where the year is no year
    of an event.
    """
    try:
        at = _read(value)
    except (ValueError, OverflowError):
        return None
    if at is None or not FIRST_YEAR <= at.year <= LAST_YEAR:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _read(value: object) -> datetime | None:
    if isinstance(value, str):
        return _from_text(value.strip())
    if isinstance(value, Mapping):
        inner = next(iter(value.values())) if len(value) == 1 else None
        is_wrapped = next(iter(value), None) in {"$date", "$numberLong"}
        return _read(inner) if is_wrapped and not isinstance(inner, list) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _from_number(value)


def _from_number(value: float) -> datetime | None:
    if not 0 < value < _LAST_MS:
        return None
    return _START + timedelta(seconds=value if value < _LAST_SECOND else value / 1000)


def _from_text(text: str) -> datetime | None:
    # Nearly all are written so, and this is the fast way to read them. In the other forms a fraction
    # may be one of a minute or hour, which it reads wrong.
    if text[13:14] == text[16:17] == ":":
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    if _NUMBER.fullmatch(text):
        return _from_number(float(text))
    plain = text.upper().replace("\u2212", "-")
    iso = _ISO.fullmatch(plain)
    if iso:
        return _from_iso(iso)
    by_script = _JAVASCRIPT.fullmatch(plain)
    if by_script:
        month, day, year, clock, offset = by_script.groups()
        plain = f"{day} {month} {year} {clock} {offset}"
    return parsedate_to_datetime(plain) if _RFC.fullmatch(plain) else None


def _from_iso(found: re.Match[str]) -> datetime:
    """Raises ValueError where a day, hour or offset does not exist."""
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and minute + second):
        raise ValueError
    midnight = datetime.combine(_day(found), datetime.min.time(), _zone(found))
    clock = timedelta(hours=hour, minutes=minute, seconds=second)
    return midnight + clock + _part(found)


def _day(found: re.Match[str]) -> date:
    year = int(found["year"])
    if found["nth"]:
        day = date(year, 1, 1) + (int(found["nth"]) - 1) * _DAY
        if day.year != year:
            raise ValueError
        return day
    if found["week"]:
        return date.fromisocalendar(year, int(found["week"]), int(found["weekday"] or 1))
    return date(year, int(found["month"] or found["only"] or 1), int(found["day"] or 1))


def _part(found: re.Match[str]) -> timedelta:
    """The fraction, which is one of the smallest unit that is given."""
    part = float(f"0.{found['part'] or 0}")
    if found["second"]:
        return timedelta(microseconds=int((found["part"] or "0").ljust(6, "0")[:6]))
    return timedelta(minutes=part) if found["minute"] else timedelta(hours=part)


def _zone(found: re.Match[str]) -> timezone:
    if not found["sign"]:
        return UTC
    offset = timedelta(hours=int(found["off"]), minutes=int(found["offmin"] or 0))
    return timezone(-offset if found["sign"] == "-" else offset)
