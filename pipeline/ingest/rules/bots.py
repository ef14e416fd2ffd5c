"""Drops what a bot did, by the user agent that the event itself names. No I/O.

The user agent of the request says nothing: a server calls for its visitors, and its HTTP library is on every list of
bots.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from crawleruseragents import is_crawler

from pipeline.events.kinds import IgnoreReason

REASON: Final = IgnoreReason.BOT
MAX_CHARS: Final = 512
"""As much of a user agent is looked at: the list has 1,500 patterns, and a longer text says nothing more."""
_OF_PEOPLE = re.compile("GoogleImageProxy|YahooMailProxy|FastmailUA|okhttp", re.IGNORECASE)
"""On the list, and yet people: those who open a mail in Gmail, Yahoo or Fastmail, and who use an app for Android."""


def is_bot(user_agent: object) -> bool:
    """Whether a user agent is on the list of crawlers, monitors, scrapers and HTTP libraries. No other value is one."""
    if not isinstance(user_agent, str):
        return False
    return _is_listed(user_agent[:MAX_CHARS])


@lru_cache(maxsize=4096)
def _is_listed(user_agent: str) -> bool:
    """0.1 ms for a browser's; visitors share some hundred of them."""
    return bool(is_crawler(_OF_PEOPLE.sub("", user_agent)))
