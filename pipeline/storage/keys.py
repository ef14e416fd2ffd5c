"""Every Redis key, named once. Scripts build theirs from the same prefix (see storage/lua/lib.lua).

All keys start with `sailpipe:`; what belongs to an account starts with `sailpipe:ACCOUNT:`. Accounts
are the unit of sharding: nothing but the raw stream and what the splitter keeps of itself is shared
by two.
"""

from __future__ import annotations

RAW = "sailpipe:raw"
"""Stream. Producers XADD `event` (JSON) and, if it isn't `default`, `account`."""

SPLITTER = "sailpipe:splitter"
"""String. The token of the splitter that holds the lease; expires with it."""

SPLITTER_HEAD = "sailpipe:splitter:head"
"""Hash. The oldest raw entry when the lease was last taken or kept, and by whom."""

SPLITTER_FALLEN = "sailpipe:splitter:fallen"
"""Set. Tokens of the splitters that lost the lease over that entry and have not come back."""


FORMAT = "sailpipe:format"
"""String. FORMAT_NUMBER of the version that first worked on this Redis; see format.py."""

FORMAT_NUMBER = 1
"""Raise it with every change of keys, or of what lies in them, that another version would misread."""

SHARDS = 16
"""Into how many mailboxes an unordered lane shards one user's events."""


def account_prefix(account: str) -> str:
    """What every key of one account begins with."""
    return f"sailpipe:{account}:"


def slots(account: str, bucket: str) -> str:
    """Rate-limit state of one `POST /user`-like bucket; further parts follow a colon."""
    return f"sailpipe:{account}:slots:{bucket}"


def limits(account: str) -> str:
    """Hash. Bucket -> calls/s that `sailpipe limits set` chose; wins over the settings."""
    return f"sailpipe:{account}:limits"


CELERY_PREFIX = "sailpipe:celery:"
"""What Celery's own keys begin with; its queues are `sailpipe:celery:user` and so on."""


def celery_queue(lane: str) -> str:
    """The list that is a lane's Celery queue."""
    return f"{CELERY_PREFIX}{lane}"


def gates(account: str, scope: str) -> str:
    """Hash. Reason -> closure (JSON); the scope is a lane, a bucket, a host or `account`."""
    return f"sailpipe:{account}:gates:{scope}"


def deaths(account: str, lane: str) -> str:
    """Sorted set. A lane's latest deaths (JSON) by time (ms), for the brake. Not `deaths:LANE`: there lie,
    for ten minutes after an upgrade, rows of another form."""
    return f"sailpipe:{account}:died:{lane}"


def counts(account: str) -> str:
    """Hash. Counters of an account: delivered, waiting:LANE, dead:REASON, ..."""
    return f"sailpipe:{account}:counts"


def due(account: str, lane: str) -> str:
    """Sorted set. Mailbox -> when it may be looked at next (ms)."""
    return f"sailpipe:{account}:due:{lane}"


def leased(account: str, lane: str) -> str:
    """Sorted set. Mailbox -> when its lease to a worker expires (ms)."""
    return f"sailpipe:{account}:leased:{lane}"


def mail(account: str, lane: str, box: str) -> str:
    """List. A mailbox: its entries in arrival order."""
    return f"sailpipe:{account}:mail:{lane}:{box}"


def mailbox_state(account: str, lane: str, box: str) -> str:
    """Hash. A mailbox's state: claim token, strikes, intent, states of its events."""
    return f"sailpipe:{account}:state:{lane}:{box}"


def user(account: str, key: str) -> str:
    """Hash. What is remembered of a user: email, sightings of emails, merged ids, newest delivered, where
    the latest identify of an anonymousId went."""
    return f"sailpipe:{account}:user:{key}"


def learned(account: str, alias: str) -> str:
    """String. The id learned for an alias, which is `anon:ANONYMOUS_ID`, `email:EMAIL`, `follows:ANONYMOUS_ID`
    or `visitor:EMAIL` (see `pipeline.identity.placement.IdentityMap`)."""
    return f"sailpipe:{account}:{alias}"


def lane(account: str, name: str) -> str:
    """Hash. A lane's clock: its last tick, and how long it stood behind closed gates."""
    return f"sailpipe:{account}:lane:{name}"


def target(account: str) -> str:
    """String. What the account's data belong to (pipeline/targets.py); set by the wake-up that leases first."""
    return f"sailpipe:{account}:target"


def reset_cut(account: str) -> str:
    """String. Id of the last raw entry that a reset has removed or will; the splitter drops what is no newer."""
    return f"sailpipe:{account}:reset"


def dead(account: str) -> str:
    """Hash. Dead letters by id; `dead:at` orders them by time."""
    return f"sailpipe:{account}:dead"


def dead_by_time(account: str) -> str:
    """Sorted set. Dead letter id -> when it died (ms)."""
    return f"sailpipe:{account}:dead:at"


def dead_groups(account: str) -> str:
    """Hash. Group of dead letters (`HOUR KIND REASON SLOT`) -> how many; for trimming."""
    return f"sailpipe:{account}:dead:groups"


def dead_told(account: str) -> str:
    """String. Exists for an hour after an alert that dead letters were trimmed."""
    return f"sailpipe:{account}:dead:told"


def replayed(account: str) -> str:
    """Sorted set. `ID KEY` of a letter that left the store for its mailbox -> when (ms)."""
    return f"sailpipe:{account}:replayed"


SLOTS_BEGAN = "sailpipe:slots-began"
"""String. Microseconds at which this Redis first handed out a rate-limit slot since it started."""
