"""Cart reminder times as Sailthru reads them."""

from __future__ import annotations

import re

_TIME = re.compile(
    r"\+?\s*(?P<count>[0-9]{1,6})\s*(?P<unit>minute|min|hour|hr|day|week)s?", re.IGNORECASE
)
_LONG = {"min": "minute", "hr": "hour"}


def parse_reminder_time(text: str) -> str:
    """`60 minutes`, `24 hrs` or `+2 weeks` as `+60 minutes`, `+24 hours`, `+2 weeks`.

    Sailthru reads times as PHP's strtotime does (reference: sailthru-api 5), which has no `hrs`:
    units are written out, although Segment passes them on as they are.

    Raises:
        ValueError: for anything else; the message does not quote the text.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None or int(found["count"]) == 0:
        msg = "this is not a reminder time; write 60 minutes, 24 hours, 3 days or 2 weeks"
        raise ValueError(msg)
    count, unit = int(found["count"]), found["unit"].lower()
    return f"+{count} {_LONG.get(unit, unit)}{'' if count == 1 else 's'}"
