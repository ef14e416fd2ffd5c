"""Every number that Lua scripts share with Python or with each other.

The scripts know each by its name here (`prelude.py`). What differs from account to account, a lease or a keep, is
handed to a script as an argument; a number that one script alone needs, and that says nothing by itself (an index, a
unit), stands in that script.
"""

from __future__ import annotations

from typing import Final

# Strikes: claims of a mailbox, or splits of the oldest raw entry, that ended with a dead or hanging process.
SINGLY_AFTER: Final = 2
"""Strikes after which events are taken one at a time, and one such mailbox of an account at a time."""
POISON_AFTER: Final = 5
"""Strikes after which the oldest event is dead `poison`."""

# Classes: live before bulk
BULK_SHARE: Final = 10
"""One call in so many is bulk's, however much live waits."""

# Clocks
CLOCK_STEP_MS: Final = 1_000
"""By how much a clock that was set back differs from one that is merely read twice."""
MINUTE_MS: Final = 60_000
"""Sailthru counts calls by the minute. So no bucket or gate that opens by itself is closed for longer: one that seems
to be was closed by another clock."""
HOUR_MS: Final = 3_600_000
"""Dead letters are trimmed by the hour of their death."""
REUSED_WINDOW_MS: Final = 86_400_000
"""Orders with the id of another are counted by the day, for an alert."""

# Bounds of one script call
RAW_READ_BYTES: Final = 1_000_000
"""Raw entries that are read together end here; the first is read whatever its size."""
RAW_READ_AT_ONCE: Final = 25
"""Raw entries that Redis reads before it looks at their size again."""
HELD_MOST: Final = 10_000
"""Raw entries that wait for a splitter which knows their account; those beyond it are dead letters at once."""
EXPIRED_PER_WAKE: Final = 500
"""Expired leases that one wake-up takes back."""
SUSPECTS_PASSED_OVER: Final = 500
"""Mailboxes with SINGLY_AFTER strikes that one wake-up passes over."""
SUSPECTS_REST_MS: Final = 5_000
"""For so long these are not looked at, when they were so many: the next wake-up finds what is due behind them."""
MOVED_BACK_PER_WAKE: Final = 500
"""Mailboxes that one wake-up makes due sooner, after the clock was set back."""
RECALLED_LETTERS: Final = 50
"""Letters that one script brings back because their users' emails are known now, but for one of each user."""
JOBS_KEPT: Final = 100
"""Jobs of an account that are remembered after their ends."""
JOB_WATCHED: Final = 1_000
"""Letters that a job sent last, of which it sees whether they die again."""
AUDIT_KEPT: Final = 10_000
"""Acts of people that are remembered."""
PAGE_BYTES: Final = 1_000_000
"""A page of dead letters ends when their headers, which hold the calls that were made, are longer."""
MAX_BASKETS: Final = 20
"""Baskets that are known of one order id. A shop whose order ids are no ids has many; the others are forgotten."""
STRAYED_MS: Final = 60_000
"""For how long nothing is published to a lane's Celery queue after a process of another target took a message from it:
which of the processes that consume a queue gets a message is chance, and can be the wrong one again and again."""

# Evidence of a user's email: see `pipeline.events.emails`
LOOKED_UP: Final = 4
"""Its strength where Sailthru's profile showed it: weaker than what any event shows."""
ADDRESS_REFUSED_MS: Final = 86_400_000
"""For how long it is remembered that Sailthru refused an address of a user."""

# Aliases: see `alias_home` in lua/lib.lua
ALIASES_A_BUCKET: Final = 40
"""Names in one hash on average. No hash has three times as many, and Redis keeps one of at most 128 in its compact form."""
ALIAS_PRIME: Final = 67_108_859
"""Below 2 ** 26, so that what is multiplied with a number below it is exact in Lua."""
BYTE: Final = 256
"""How many values a byte has; three bytes of a name are one digit of its number."""
SWEEPS: Final = 1_440
"""Calls of sweep.lua, one a minute, in which all aliases are looked at."""
SWEPT_BUCKETS: Final = 200
"""Hashes of aliases that one call looks at, at most."""
DAY_MS: Final = 86_400_000
"""For so long the emails that an id came with are counted."""

# Dedupe: see `leaf` in lua/lib.lua
DEDUPE_SLICES: Final = 4
"""Sets of keys that make up one window; the oldest is forgotten as a whole."""
DEDUPE_SET_FULL: Final = 500
"""Keys after which a set is split in two. Redis keeps one of at most 512 integers in 8 bytes a member."""
DEDUPE_MAX_DEPTH: Final = 15
"""Splits in a row: 32,768 sets for one slice."""

# What a dry run keeps: see pipeline/dryrun
DRY_CALLS_KEPT: Final = 100_000
"""Calls of an account, about half a kilobyte each; the oldest go first. Fewer while Redis' memory is short."""
DRY_CALLS_KEEP_MS: Final = 604_800_000
"""For so long, a week, they are kept, and no longer than that after the latest."""

TRACE_BLOCK_BYTES: Final = 120
"""What Redis needs for a block of the log of outcomes beside its text (measured; pipeline/trace)."""
TRACE_TRIMMED: Final = 20
"""Blocks of that log that one script removes, of some kilobytes each."""
TRACE_LOOKED: Final = 1_000_000
"""Bytes of that log that one script looks through: some milliseconds."""
SOUGHT_ENTRIES: Final = 200
"""Entries at the head of a mailbox among which an event is looked for by its id."""
