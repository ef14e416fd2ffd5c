"""Every metric, named once. Dashboards and alert rules are built on the names: add, never rename.

A counter is written without `_total`, which Prometheus' text adds. Labels have few values each: accounts and lanes are
those of the settings, everything else is a word of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One name, what it counts, and by what it is divided."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The name as a query has it."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


_ACCOUNT = ("account",)
_BY_REASON = ("account", "reason")
_BY_LANE = ("account", "lane")

# Read or not
UP: Final = Metric(
    "sailpipe_redis_up", "gauge", "1 if Redis answered this scrape. At 0 there is nothing else"
)

# The way of an event
CAME_IN: Final = Metric(
    "sailpipe_events_in",
    "counter",
    "Events that the splitter took from the raw stream, by the way they came and their type (other: of none that is known)",
    ("account", "via", "type"),
)
SPLIT: Final = Metric(
    "sailpipe_events_split",
    "counter",
    "Accepted events that were split onto lanes, or ignored",
    _ACCOUNT,
)
DELIVERED: Final = Metric(
    "sailpipe_events_delivered", "counter", "Events that Sailthru took", _ACCOUNT
)
FOLDED: Final = Metric(
    "sailpipe_events_folded",
    "counter",
    "Events delivered without a call of their own: one call told of them and of others",
    _ACCOUNT,
)
RETRIED: Final = Metric(
    "sailpipe_events_retried",
    "counter",
    "Tries of events that failed, after which another one is made; none is counted while a gate is closed",
    _ACCOUNT,
)
DERIVED: Final = Metric(
    "sailpipe_events_derived", "counter", "Second entries, made of an event's optoutValue", _ACCOUNT
)
DUPLICATES: Final = Metric(
    "sailpipe_events_duplicates",
    "counter",
    "Events dropped as repeats of their messageId",
    _ACCOUNT,
)
IGNORED: Final = Metric(
    "sailpipe_events_ignored",
    "counter",
    "Events that are not for Sailthru, by reason (docs/outcomes.md)",
    _BY_REASON,
)
REMOVED: Final = Metric(
    "sailpipe_events_removed",
    "counter",
    "Dead letters dropped by a person, by age or for room, and events of which another copy took the place",
    _ACCOUNT,
)
NOTES: Final = Metric(
    "sailpipe_notes", "counter", "Fields that events went out without, by path", ("account", "path")
)
SHARED: Final = Metric(
    "sailpipe_shared_ids",
    "counter",
    "Events with an id that many people share, by what makes it so",
    ("account", "cause"),
)
ORDERS_REUSED: Final = Metric(
    "sailpipe_order_ids_reused", "counter", "Orders delivered with the id of another", _ACCOUNT
)

# What died
DEAD: Final = Metric(
    "sailpipe_dead_letters",
    "gauge",
    "Dead letters kept now, by reason (docs/outcomes.md)",
    _BY_REASON,
)
TRIMMED: Final = Metric(
    "sailpipe_dead_letters_trimmed",
    "counter",
    "Letters lost because there were more than DEAD_MAX, by reason",
    _BY_REASON,
)

# What waits
RAW: Final = Metric(
    "sailpipe_raw_backlog", "gauge", "Entries of the raw stream that wait to be split"
)
RAW_AGE: Final = Metric("sailpipe_raw_oldest_seconds", "gauge", "Age of the oldest of them")
HELD: Final = Metric("sailpipe_held", "gauge", "Events of accounts that the splitter does not know")
BACKLOG: Final = Metric(
    "sailpipe_lane_backlog",
    "gauge",
    "Events in the mailboxes of a lane, also those that wait for something",
    _BY_LANE,
)
OLDEST: Final = Metric(
    "sailpipe_lane_oldest_seconds",
    "gauge",
    "Age of the oldest event seen in a lane, of a sample of its mailboxes",
    _BY_LANE,
)
LATE: Final = Metric(
    "sailpipe_lane_late_seconds",
    "gauge",
    "For how long the live mailbox that is due longest has waited for a worker: how late a lane is",
    _BY_LANE,
)
WAITING: Final = Metric(
    "sailpipe_lane_mailboxes",
    "gauge",
    "Mailboxes of a lane by cause: due (could be delivered now), in_hand (a worker has them), and, estimated from a sample, retrying, email (no address is known), other (a later time, an identify)",
    ("account", "lane", "cause"),
)
JOBS: Final = Metric(
    "sailpipe_replay_jobs",
    "gauge",
    "Replays that have not ended, by state: running, paused, asking (whether to go on), filling",
    ("account", "state"),
)
JOB_LETTERS: Final = Metric(
    "sailpipe_replay_letters_left", "gauge", "Dead letters that these have still to send", _ACCOUNT
)

# Calls to Sailthru
CALLS: Final = Metric(
    "sailpipe_call_seconds",
    "histogram",
    "Calls to Sailthru by endpoint and result: ok, or why not. Calls that were `unavailable` or `throttled` are made again",
    ("account", "endpoint", "result"),
)
USED: Final = Metric(
    "sailpipe_limit_used",
    "gauge",
    "Calls of an endpoint that were let go in the last minute",
    ("account", "endpoint"),
)
LIMIT: Final = Metric(
    "sailpipe_limit_per_minute",
    "gauge",
    "Calls of an endpoint that its limit lets go in a minute",
    ("account", "endpoint"),
)
GATES: Final = Metric(
    "sailpipe_gate_closed",
    "gauge",
    "1 for each gate that is closed, by scope (lane, endpoint, host, account) and reason; reason circuit is an outage",
    ("account", "scope", "reason"),
)

# At the door
REFUSED: Final = Metric(
    "sailpipe_requests_refused",
    "counter",
    "HTTP requests that were refused, by the code of the answer",
    ("code",),
)
UNCHECKED: Final = Metric(
    "sailpipe_unchecked_users",
    "counter",
    "Requests taken though Sailthru could not be asked whether it knows their user",
    _ACCOUNT,
)
REFUSING: Final = Metric(
    "sailpipe_refusing",
    "gauge",
    "1 while new events are refused: memory (MEMORY_HIGH) or a lane (LANE_BOUND)",
    ("account", "why"),
)

# The installation
PROCESSES: Final = Metric(
    "sailpipe_processes",
    "gauge",
    "Processes that gave a sign of life in the last 20 seconds, by role: worker, splitter, http",
    ("role",),
)
LANE_WORKERS: Final = Metric(
    "sailpipe_lane_workers", "gauge", "Of these, workers that serve a lane", ("lane",)
)
VERSIONS: Final = Metric(
    "sailpipe_versions", "gauge", "Versions that run: two in the middle of an upgrade"
)
SPLITTER: Final = Metric(
    "sailpipe_splitter_up", "gauge", "1 while one of the splitters holds the lease, and so splits"
)
FOREIGN: Final = Metric(
    "sailpipe_account_foreign",
    "gauge",
    "1 for an account whose events belong to another target and are left alone",
    _ACCOUNT,
)
MEMORY: Final = Metric("sailpipe_redis_memory_bytes", "gauge", "Memory that Redis uses")
MEMORY_MAX: Final = Metric(
    "sailpipe_redis_memory_max_bytes", "gauge", "Its maxmemory; 0 without one"
)
ALERTS_FAILED: Final = Metric(
    "sailpipe_alerts_failed",
    "counter",
    "Posts to ALERT_URL that failed; each alert is posted again until one is taken",
)

METRICS: Final[tuple[Metric, ...]] = tuple(
    one for one in list(globals().values()) if isinstance(one, Metric)
)
"""All of them, in the order of this file."""
