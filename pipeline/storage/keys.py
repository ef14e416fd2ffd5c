"""Every Redis key, named once, with its type and what lies in it. Scripts build theirs from the same prefix; a test
compares.

All keys start with `sailpipe:`; what belongs to an account starts with `sailpipe:ACCOUNT:`. Accounts
are the unit of sharding: nothing but the raw stream, what the splitter keeps of itself and the accounts' names is
shared by two. A mailbox has the name of its user. A non-empty one is in exactly one of `due`, `bulk` and `leased`.
"""

from __future__ import annotations

from enum import StrEnum

RAW = "sailpipe:raw"
"""Stream. Producers XADD `event` (JSON) and, where it says something, `account`, `class` (`bulk`) and `role` (`browser`)."""

HELD = "sailpipe:held"
"""Stream. Entries of accounts that the splitter's settings do not name, with the fields they had in the raw stream; `held`:
since when (ms). See splitter/held.py."""

RAW_PROBE = "sailpipe:raw:probe"
"""Stream. Never exists: what adds to it without making it (XADD NOMKSTREAM) learns whether Redis takes writes."""

SPLITTER = "sailpipe:splitter"
"""String. The token of the splitter that holds the lease; expires with it."""

SPLITTER_HEAD = "sailpipe:splitter:head"
"""Hash. The oldest raw entry when the lease was last taken or kept, and by whom."""

SPLITTER_FALLEN = "sailpipe:splitter:fallen"
"""Set. Tokens of the splitters that lost the lease over that entry and have not come back."""

ACCOUNTS = "sailpipe:accounts"
"""Set. Names of the accounts that worker processes have served; see ownership/accounts.py."""

VERDICT = "sailpipe:verdict"
"""String. Why producers are refused, by the splitter's last look (storage/verdict.py); absent while they are not."""

PROCESSES = "sailpipe:processes"
"""Hash. Id of a process -> `WHEN RECORD`: when it last said that it lives (ms), and what it says of itself (JSON;
processes/records.py)."""

LAST_SEEN = "sailpipe:processes:seen"
"""Hash. What of an installation a process was last seen of, and when (ms): a lane, `splitter`, `http`; sampled: when the
counters last were (processes/history.py)."""

REFUSALS = "sailpipe:refusals"
"""Hash. Code of an HTTP answer -> requests that were refused with it (ingest/refusals.py)."""

CONSOLE_KEY = "sailpipe:console:key"
"""String. Random bytes that the key of the console's sessions is made of (pipeline/guard/sessions.py)."""

ALERTS = "sailpipe:alerts"
"""Hash. What a person was or will be told (`KIND|ACCOUNT|SCOPE`) -> since when, and whether it was (JSON; alerting/state.py)."""

ALERTS_TURN = "sailpipe:alerts:turn"
"""String. Exists while a process has the turn to look at what there is to alert; expires with it."""

ALERTS_FAILED = "sailpipe:alerts:failed"
"""String. How many posts to ALERT_URL have failed."""

ALERTS_REFUSED = "sailpipe:alerts:refused"
"""String. The refusals at the door, all codes together, as they stood at each of the last minutes (JSON: [ms, count], ...)."""

DUE_NUDGES = "sailpipe:due"
"""Channel. Names of due sets, a line each, that have got something new (see storage/nudges.py)."""

FORMAT = "sailpipe:format"
"""String. FORMAT_NUMBER of the version that first worked on this Redis; see format.py."""

FORMAT_NUMBER = 5
"""Raise it with every change of keys, or of what lies in them, that another version would misread."""

SLOTS_BEGAN = "sailpipe:slots-began"
"""String. Microseconds at which this Redis first handed out a rate-limit slot since it started."""

CELERY_PREFIX = "sailpipe:celery:"
"""What Celery's own keys begin with; its queues are `sailpipe:celery:user` and so on."""


class KeyKind(StrEnum):
    """What a key of an account begins with, behind `sailpipe:ACCOUNT:`. `reset` and `adopt` go by it."""

    SLOTS = "slots"
    LIMITS = "limits"
    GATES = "gates"
    DIED = "died"
    COUNTS = "counts"
    CALLS = "calls"
    HISTORY = "history"
    DUE = "due"
    BULK = "bulk"
    LEASED = "leased"
    MAIL = "mail"
    STATE = "state"
    LANE = "lane"
    SUSPECT = "suspect"
    TOKEN = "token"  # noqa: S105 - the name of a key
    USER = "user"
    CART = "cart"
    CART_OF = "cart-of"
    ORDER = "order"
    REUSED = "reused"
    SHARE = "share"
    ONCE = "once"
    FOUND = "found"
    SEEN = "seen"
    ALIASES = "aliases"
    DEDUPE = "dedupe"
    DEAD = "dead"
    REPLAYED = "replayed"
    TRACE = "trace"
    JOBS = "jobs"
    AUDIT = "audit"
    DRY_CALLS = "dry-calls"
    TARGET = "target"
    RESET = "reset"
    FORGOTTEN = "forgotten"
    IMPORT = "import"


_KINDS = {kind.value.encode(): kind for kind in KeyKind}


def account_prefix(account: str) -> str:
    """What every key of one account begins with."""
    return f"sailpipe:{account}:"


def account_of(prefix: str) -> str:
    """The account whose keys begin with this."""
    return prefix.removeprefix("sailpipe:").removesuffix(":")


def kind_of(name: bytes) -> KeyKind | None:
    """The kind of a key that is given without its account's prefix; None for a key that is none of ours."""
    return _KINDS.get(name.partition(b":")[0])


def celery_queue(lane: str) -> str:
    """The list that is a lane's Celery queue."""
    return f"{CELERY_PREFIX}{lane}"


# Limits and gates


def slots(account: str, bucket: str) -> str:
    """Hash. Rate-limit state of one `POST /user`-like bucket: free_at, closed, seen and so on (slots.State).
    Those of a purpose with a share of its own follow a colon."""
    return f"sailpipe:{account}:slots:{bucket}"


def limits(account: str) -> str:
    """Hash. Bucket -> calls/s that `sailpipe limits set` chose; wins over the settings."""
    return f"sailpipe:{account}:limits"


def gates(account: str, scope: str) -> str:
    """Hash. Reason -> closure (JSON); the scope is a lane, a bucket, a host or `account`."""
    return f"sailpipe:{account}:gates:{scope}"


def deaths(account: str, lane: str) -> str:
    """Sorted set. A lane's latest deaths (JSON) by time (ms), for the brake."""
    return f"sailpipe:{account}:died:{lane}"


def share(account: str, write_key: str) -> str:
    """Hash. Lane or `total` -> events that a write key (its hash) sent in this second."""
    return f"sailpipe:{account}:share:{write_key}"


# Ways in


def once(account: str, reason: str, words: str) -> str:
    """String. Exists while further events with these words (their hash) are dropped for this reason
    (pipeline/ingest/rules/once.py)."""
    return f"sailpipe:{account}:once:{reason}:{words}"


def found(account: str, name: str) -> str:
    """String. Exists for an hour after Sailthru said that it has a profile of this name (the hash of a key and an id)."""
    return f"sailpipe:{account}:found:{name}"


def import_of(account: str, digest: str) -> str:
    """String. How far `sailpipe enqueue` is with a file of this content (cli/imports.py), until all files of its command
    are through; expires 30 days after its last event."""
    return f"sailpipe:{account}:import:{digest}"


# Mailboxes


def counts(account: str) -> str:
    """Hash. Counters of an account; pipeline/counters.py names them all."""
    return f"sailpipe:{account}:counts"


def calls(account: str) -> str:
    """Hash. ENDPOINT|RESULT|BOUND -> calls to Sailthru that took no longer (pipeline/calltimes.py); ENDPOINT|RESULT|sum ->
    milliseconds of all."""
    return f"sailpipe:{account}:calls"


def history(account: str) -> str:
    """Stream. The account's counters every 15 seconds, for an hour: delivered, and by lane waiting and calls."""
    return f"sailpipe:{account}:history"


def due(account: str, lane: str) -> str:
    """Sorted set. Mailbox that holds a live event -> when it may be looked at next (ms)."""
    return f"sailpipe:{account}:due:{lane}"


def due_bulk(account: str, lane: str) -> str:
    """Sorted set. The same for mailboxes that hold bulk events only."""
    return f"sailpipe:{account}:bulk:{lane}"


def leased(account: str, lane: str) -> str:
    """Sorted set. Mailbox -> when its lease to a worker expires (ms)."""
    return f"sailpipe:{account}:leased:{lane}"


def mail(account: str, lane: str, box: str) -> str:
    """List. A mailbox: its entries in arrival order, `HEADER JSON\\nRAW BYTES` (mailbox/claim.py's Entry)."""
    return f"sailpipe:{account}:mail:{lane}:{box}"


def mailbox_state(account: str, lane: str, box: str) -> str:
    """Hash. A mailbox's state: token and step of its claim, due (when it was leased), claimed (events in the
    last claim), strikes, singles (how many events are still taken one at a time), probe, intent, waits, absence
    (what Sailthru does not have), failing (the endpoint that fails), order (BASKET ID: what its head has reserved),
    lifted (how many events from the head go with a live one; absent: all), s:SEQ (an event's state)."""
    return f"sailpipe:{account}:state:{lane}:{box}"


def lane(account: str, name: str) -> str:
    """Hash. A lane's clock: tick (last wake), stopped (ms spent behind closed gates), closed (0/1), stood (0/1:
    leases were extended after a standstill); strayed: when a process of another target last took a message from
    the lane's Celery queue; owed: what bulk is behind its share (wake.lua); back: STEP FROM FROM, by how many ms
    the clock was set back, and from where its due and bulk sets must still be moved."""
    return f"sailpipe:{account}:lane:{name}"


def suspect(account: str) -> str:
    """Hash. lane, box: the mailbox with SINGLY_AFTER strikes or more that was leased last."""
    return f"sailpipe:{account}:suspect"


def token(account: str) -> str:
    """String. A counter of claims, letters and replays: what needs a number of its own."""
    return f"sailpipe:{account}:token"


# Who is who


def user(account: str, key: str) -> str:
    """Hash. What is remembered of a user: email, its strength and time as evidence (email_strength, email_at; neither
    of one that was looked up; email_by: `browser` when only a page showed it), refused (address -> when Sailthru refused it, ms),
    identified (ms), merged (ids), newest:identify, newest:cart and newest:optout (when the latest one delivered first
    came, ms), last_identify (of an anonymousId: the email its latest identify showed, key and id of the profile it
    went to), optout (the opt-out that the newest entry of the user lane with one will send)."""
    return f"sailpipe:{account}:user:{key}"


def cart(account: str, key: str) -> str:
    """String. The cart we wrote last for a user, JSON."""
    return f"sailpipe:{account}:cart:{key}"


def cart_of(account: str, email: str) -> str:
    """String. The cart we wrote last to an address (`address_key`), for whichever user, JSON."""
    return f"sailpipe:{account}:cart-of:{email}"


def order(account: str, order_id: str) -> str:
    """Hash. Basket -> what became of it: @BOX while that mailbox's head is to post it, = once it was posted, or
    the intent (JSON) of one that died without an answer. waiter: the mailbox that began last to wait for one."""
    return f"sailpipe:{account}:order:{order_id}"


def orders_reused(account: str) -> str:
    """String. Orders that were delivered with the id of another; expires a day after the first of them."""
    return f"sailpipe:{account}:reused"


def reuse_told(account: str) -> str:
    """String. Exists for a day after an alert that order ids are reused."""
    return f"sailpipe:{account}:reused:told"


def seen(account: str, key: str) -> str:
    """String. The emails that an id came with in the last day, and when last (JSON); see EMAILS_A_DAY."""
    return f"sailpipe:{account}:seen:{key}"


def alias_table(account: str) -> str:
    """Hash. Of all aliases: buckets (how many hashes hold them), names (how many there are), seed (which name is in
    which hash depends on it), swept (the hash that is looked at next for old ones)."""
    return f"sailpipe:{account}:aliases"


def aliases(account: str, bucket: str) -> str:
    """Hash. KIND:NAME -> `HOUR ID`: where a name leads, and when that was last said (hours). `anon:ANONYMOUS_ID` and
    `email:EMAIL` to the userId, `follows:ANONYMOUS_ID` to the id that its events go to because of an email (the newest of
    it and `anon` counts), `visitor:EMAIL` to the first anonymousId that identified with an email while no userId owned it
    (identity/placement.py's IdentityMap)."""
    return f"sailpipe:{account}:aliases:{bucket}"


# Dedupe: both parts of a slice of the window; see `leaf` in lua/lib.lua


def dedupe_depth(account: str, time_slice: str) -> str:
    """String. How often the sets of a time slice have been split in two."""
    return f"sailpipe:{account}:dedupe:{time_slice}"


def dedupe_set(account: str, time_slice: str, depth: str, branch: str) -> str:
    """Set. Dedupe keys of events, 64 bits as decimal numbers."""
    return f"sailpipe:{account}:dedupe:{time_slice}:{depth}:{branch}"


# Dead letters


def dead(account: str) -> str:
    """Hash. Id -> dead letter, `HEADER JSON\\nRAW BYTES` (deadletters/letter.py), which may be packed (packed.py)."""
    return f"sailpipe:{account}:dead"


def dead_by_time(account: str) -> str:
    """Sorted set. Dead letter id -> when it died (ms)."""
    return f"sailpipe:{account}:dead:at"


def dead_by_cause(account: str, fingerprint: str) -> str:
    """Sorted set. The same for the letters of one fingerprint."""
    return f"sailpipe:{account}:dead:by:cause:{fingerprint}"


def dead_by_kind(account: str, lane: str, reason: str) -> str:
    """Sorted set. The same for those that died of a reason in a lane, `-` for those that had none yet."""
    return f"sailpipe:{account}:dead:by:kind:{lane or '-'}:{reason}"


def dead_by_user(account: str, user: str) -> str:
    """Sorted set. The same for those of one user."""
    return f"sailpipe:{account}:dead:by:user:{user}"


def dead_causes(account: str) -> str:
    """Sorted set. Fingerprint -> how many dead letters have it."""
    return f"sailpipe:{account}:dead:causes"


def dead_people(account: str, fingerprint: str) -> str:
    """HyperLogLog. The users whose events died of this, about one in a hundred more or less."""
    return f"sailpipe:{account}:dead:people:{fingerprint}"


def dead_groups(account: str) -> str:
    """Hash. Group of dead letters (`HOUR KIND REASON SLOT`) -> how many; for trimming."""
    return f"sailpipe:{account}:dead:groups"


def dead_told(account: str) -> str:
    """String. Exists for an hour after an alert that dead letters were trimmed."""
    return f"sailpipe:{account}:dead:told"


def dead_for_email(account: str, user: str) -> str:
    """Sorted set. Ids of a user's orders and refunds that died missing_email, in the order of their deaths."""
    return f"sailpipe:{account}:dead:email:{user}"


def replayed(account: str) -> str:
    """Sorted set. `ID KEY` of a letter that left the store for its mailbox -> when (ms): an exported copy of it
    must not go out a second time."""
    return f"sailpipe:{account}:replayed"


# What became of events: see pipeline/trace


def trace_book(account: str) -> str:
    """Hash. Of the log of outcomes: began (when its first block was written, ms), lost (when some were lost last, ms), and
    of each part bytes:PART, records:PART, cut:PART (when the newest of the blocks that were removed had been written, ms)."""
    return f"sailpipe:{account}:trace"


def trace(account: str, part: str) -> str:
    """Stream. Blocks of a part of the log: n (records), i (their names, hashed), d (the records); trace/records.py."""
    return f"sailpipe:{account}:trace:{part}"


def dead_states(account: str) -> str:
    """Hash. Fingerprint -> what a person said of the group (JSON): state, by, at (ms), why."""
    return f"sailpipe:{account}:dead:states"


def dead_views(account: str) -> str:
    """Hash. Name -> filters of dead letters that a person saved under it (JSON): what to ask, as text."""
    return f"sailpipe:{account}:dead:views"


# What people ask for


def jobs(account: str) -> str:
    """Sorted set. Id of a job -> when it was asked for (ms). The latest JOBS_KEPT, and those that have not ended."""
    return f"sailpipe:{account}:jobs"


def jobs_active(account: str) -> str:
    """Set. Ids of the jobs that have not ended."""
    return f"sailpipe:{account}:jobs:active"


def jobs_lease(account: str) -> str:
    """String. The token of the process that carries the account's jobs out; expires with its lease."""
    return f"sailpipe:{account}:jobs:lease"


def job(account: str, identity: str) -> str:
    """Hash. One job (deadletters/jobs.py's Job)."""
    return f"sailpipe:{account}:jobs:job:{identity}"


def job_ids(account: str, identity: str) -> str:
    """List. The letters that a job has still to send, in their order."""
    return f"sailpipe:{account}:jobs:ids:{identity}"


def job_sent(account: str, identity: str) -> str:
    """List. [id, fingerprint, when (ms)] of the letters that it sent last, for those that die again."""
    return f"sailpipe:{account}:jobs:sent:{identity}"


def audit(account: str) -> str:
    """Stream. What people did to dead letters, gates, limits, the account and people: by, verb, what, count, why, receipt. The latest AUDIT_KEPT."""
    return f"sailpipe:{account}:audit"


def dry_calls(account: str) -> str:
    """Stream. Calls that a dry run would have made: method, endpoint, params (JSON), user, ids (JSON) of their events;
    for DRY_CALLS_KEEP_MS, the latest DRY_CALLS_KEPT (pipeline/dryrun)."""
    return f"sailpipe:{account}:dry-calls"


def audit_copy(account: str, token: str) -> str:
    """Stream. The same while a person's ids are taken out of it (forget/words.py); then it takes its place. token: of
    the erasure's lease (forget_lease)."""
    return f"sailpipe:{account}:audit:copy:{token}"


# Who was erased: see pipeline/forget


def forgotten(account: str) -> str:
    """Hash. Tombstones: `t:HASH` of an id and `n:HASH` of its name in the log of outcomes -> `SID UNTIL`: up to which raw
    entry its events are dropped, and when the tombstone ends (ms); gen: changes with each. Ends with the last of them."""
    return f"sailpipe:{account}:forgotten"


def forget_key(account: str) -> str:
    """String. Random bytes, in hexadecimal, that ids are hashed with in tombstones and receipts."""
    return f"sailpipe:{account}:forgotten:key"


def forgetting(account: str) -> str:
    """Hash. Hash of a person's id -> all ids of the person (JSON) while they are being erased, then their hashes until the
    receipt is recorded."""
    return f"sailpipe:{account}:forgotten:ids"


def forget_lease(account: str) -> str:
    """String. The token of the erasure that runs in the account; expires with its lease (forget/lease.py)."""
    return f"sailpipe:{account}:forgotten:lease"


# Whose the data are


def target(account: str) -> str:
    """String. What the account's data belong to (pipeline/targets.py); set by the wake-up that leases first.
    VERB/TARGET while `sailpipe adopt` or `reset` works on it, and nothing is leased."""
    return f"sailpipe:{account}:target"


def reset_cut(account: str) -> str:
    """String. Id of the last raw entry that a reset has removed or will; the splitter drops what is no newer."""
    return f"sailpipe:{account}:reset"
