"""Every Redis key, named once. Scripts build theirs from the same prefix (see mailbox/lua/lib.lua).

All keys start with `sailpipe:`; what belongs to an account starts with `sailpipe:ACCOUNT:`. Accounts
are the unit of sharding: nothing but the raw stream and the splitter's lease is shared by two.
"""

from __future__ import annotations

RAW = "sailpipe:raw"
"""Stream. Producers XADD `event` (JSON) and, if it isn't `default`, `account`."""

SPLITTER = "sailpipe:splitter"
"""String. The token of the splitter that holds the lease; expires with it."""


def account_prefix(account: str) -> str:
    """What every key of one account begins with."""
    return f"sailpipe:{account}:"


def slots(account: str, bucket: str) -> str:
    """Rate-limit state of one `POST /user`-like bucket; further parts follow a colon."""
    return f"sailpipe:{account}:slots:{bucket}"


def limits(account: str) -> str:
    """Hash. Bucket -> calls/s that `sailpipe limits set` chose; wins over the settings."""
    return f"sailpipe:{account}:limits"
