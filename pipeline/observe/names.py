"""The names of all log events and metrics. Alerts and dashboards are built on them: add, never rename.

A name that is not here does not type-check (`pipeline.observe.logs.log_event`).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

LogEvent: TypeAlias = Literal[
    # A gate closed: account, lane, reason, until.
    "gate_closed",
    # A gate lost a reason: account, lane, reason.
    "gate_opened",
    # An event became a dead letter: account, lane, reason. Never whose.
    "event_died",
    # This process has the splitter's lease now.
    "splitter_started",
    # The lease went to another process, or Redis is away.
    "splitter_stopped",
    # A raw entry failed even when it was tried alone: entry id, reason.
    "raw_entry_refused",
    # The waker found its last tick long ago and extended all loans once: seconds.
    "loans_extended",
    # A mailbox' claim was lost to another owner before it was settled: account, lane.
    "claim_lost",
    # Redis does not answer: error class.
    "redis_away",
    # Redis answers again: seconds it was away.
    "redis_back",
    # This process takes work: lanes, concurrency.
    "worker_started",
    # This process has finished what it held and ends.
    "worker_stopped",
    # Sailthru answered 429 or error 43: account, bucket.
    "throttled",
    # An event waits or failed and stays in its mailbox: account, lane, why.
    "event_waits",
    # A batch of raw entries failed and is split one by one: entries, error class.
    "split_batch_failed",
    # Loans could not be renewed; calls do not begin until they are: claims, error class.
    "renew_failed",
    # A delivery ended without settling; its loan runs out: lane, error class.
    "delivery_unsettled",
    # Calls were still in flight when the time to stop was over: mailboxes.
    "stop_timed_out",
    # Something a person should look at was posted to ALERT_URL, or could not be: kind.
    "alert",
]

Metric: TypeAlias = Literal[
    # Counter by account: accepted, the sum of all that became of it.
    "sailpipe_events_enqueued_total",
    # Counter by account, lane: Sailthru said yes.
    "sailpipe_events_delivered_total",
    # Counter by account, lane, reason.
    "sailpipe_events_dead_total",
    # Counter by account, reason: not for Sailthru.
    "sailpipe_events_ignored_total",
    # Counter by account: seen before within DEDUPE_WINDOW.
    "sailpipe_events_duplicate_total",
    # Gauge by account, lane: events in mailboxes.
    "sailpipe_backlog_events",
    # Gauge by account, lane: age in seconds of the oldest event in a mailbox.
    "sailpipe_backlog_oldest_seconds",
    # Gauge: entries of the raw stream.
    "sailpipe_raw_backlog_events",
    # Gauge by account, lane, reason: 1 while the gate has this reason to be closed.
    "sailpipe_gate_closed",
    # Counter by account, bucket, outcome: calls to Sailthru.
    "sailpipe_calls_total",
    # Histogram by account, bucket: seconds from sending to the whole answer.
    "sailpipe_call_seconds",
]
